// The parts of the eyes judge that its siblings, its tests and the measuring bench use.
#pragma once

#include "loop/judges/eyes_score.h"
#include "loop/judges/judge.h"
#include "loop/senses/media_pool.h"

namespace lathe::loop {

extern const JudgeKind kEyesJudge;

inline constexpr int kViewSide = 900;  // of pictures kept for the report

// Opens a picture, looks at it and judges it. kInvalid: it cannot be opened.
Result<Verdict> look_and_judge(MediaPool& pool, std::string_view file, const Wanted& wanted,
                               Milliseconds limit, const StopFlag& stop);

// Looks once more, and by itself, at each text of the picture's source that holds an expected word
// which was not read: small letters are read far better so. Adds what it reads to `sight`.
Status look_closer(MediaPool& pool, const OpenedPicture& opened,
                   const std::vector<std::string>& words, const std::string& languages,
                   Milliseconds limit, const StopFlag& stop, Sight& sight);
// The expected words that no look has read.
std::vector<std::string> unread_words(const std::vector<std::string>& words, const Sight& sight);

// What `expect` asks for: itself with {unit} replaced by the unit's text; without it, the unit's
// own "expect".
std::string expected_text(const Json& options, std::span<const Unit> units);

// "1280x720"; nothing when it is not of that form.
std::optional<Box> parse_size(std::string_view text);

// A judgement that fails for the one reason.
Judgement failed(const JudgeTask& task, FlawKind kind, std::string_view about, std::string claim);

// Pass, fail, or abstain where something could not be told; the evidence holds the findings with
// their boxes, for the report.
Judgement concluded(const JudgeTask& task, const Verdict& verdict);

// A picture in the evidence: {"name", "png", "width", "height", "findings"}. Evidence lists them as
// its "views".
std::vector<Box> boxes_of(const std::vector<Flaw>& flaws);
Json view_json(std::string name, const Picture& picture, const std::vector<Box>& boxes);
// Shows the findings in the candidate, and each of the views.
std::vector<Exhibit> picture_exhibits(Json& evidence);

}  // namespace lathe::loop
