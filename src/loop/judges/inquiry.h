// What judges that ask a model share. What they show it is data, fenced by a nonce that the reply
// must bring back; the reply is one JSON object with a numbered answer to each question; and the
// verdict advises until a calibration lets it gate. Any thread.
#pragma once

#include "loop/judges/judge.h"

namespace lathe::loop {

// Follows from what is judged, so that the same judgement is the same call, and a candidate cannot
// hold the hash of itself.
std::string nonce_of(const JudgeTask& task);
std::string fenced(std::string_view what, std::string_view text, std::string_view nonce);

// The same answer each time, as far as a worker can.
Request inquiry(std::string purpose, std::string system, Content user, std::int64_t max_tokens);

// Of {"nonce", "answers": [{"n", "evidence", …, "answer": "yes" | "no"}]}; `members`: schemas of
// what else an answer holds.
Json answers_schema(std::size_t questions, const Json& members = Json::object());
// The answers in the order of their questions, each with "yes" or "no". Errors: whatever is not
// exactly that object with one answer for each question.
Result<std::vector<Json>> read_answers(const std::string& text, const std::string& nonce,
                                       std::size_t questions);

// The worker's reply, whole. What it took is added to `usage` even where it cannot be used.
Result<Reply> ask_worker(const Request& request, const JudgeContext& context, Usage& usage);

// Options alone that make such a judge advise: JudgeKind::advises of all of them.
bool advises_uncalibrated(const Json& options);

// Counts what the model answers; `gates`: whether the verdict will count.
using Inquire = Result<Judgement>(const JudgeTask& task, const JudgeContext& context, bool gates,
                                  Usage& usage);
// Asks, and turns the verdict into advice where no calibration of this judge (its options and the
// model that answers) lets it gate. Without an answer it has not judged, or gives no advice.
Result<Judgement> judge_by_inquiry(const JudgeKind& kind, const JudgeTask& task,
                                   const JudgeContext& context, Inquire* inquire);

}  // namespace lathe::loop
