// The maker of functions in Mini-Python, for very small models: the prompt is the task's line, its
// asserts with what the code so far gave, and that code with its lines numbered; the answer is a
// body or edits of lines. No system prompt, no chat.
#include "ground/base/hash.h"
#include "loop/makers/ask.h"
#include "loop/mini/task.h"

namespace lathe::loop {
namespace {

constexpr OptionSpec kOptions[] = {
    {"max_tokens", OptionType::kInteger, "96", "of one answer"},
    {"temperature", OptionType::kNumber, "1.2",
     "of every lap but the first, which takes the likeliest"},
    {"seed", OptionType::kInteger, "0", "another one draws other samples"},
};

constexpr std::string_view kMediaType = "text/x-python";
constexpr int kTries = 3;  // for an answer that can be used

// A file's first line is the 'def'.
std::string_view body_in(std::string_view source) {
  return source.substr(std::min(source.size(), source.find('\n') + 1));
}

// The likeliest answer first. Then repairs of the best code so far and fresh starts take turns, but
// a repair that helped is followed by another one. A small model's repairs seldom succeed: each lap
// takes several.
std::optional<Proposal> propose(const ProposeTask& task) {
  if (task.attempts.empty())
    return Proposal{Move::kSample, 0, 1, {{"temperature", 0}}, "the likeliest answer"};
  const Json hot = {{"temperature", option_number(task.options, "temperature")}};
  const Attempt& last = task.attempts.back();
  if (std::ranges::none_of(task.attempts, &Attempt::made))
    return Proposal{Move::kResample, 0, task.best_of, hot, "nothing usable yet: a fresh start"};
  if (last.move == Move::kRepair && !last.gained)
    return Proposal{Move::kResample, 0, task.best_of, hot,
                    "the repair brought nothing: a fresh start"};
  return Proposal{Move::kRepair, 0, task.best_of, hot, "repair what the tests show"};
}

// A candidate's own: laps, samples and tries differ, a run done again does not.
std::int64_t seed_of(const MakeTask& task, int attempt) {
  const std::string own = fmt::format("{} {} {} {} {}", option_int(task.options, "seed"),
                                      task.units.front().key, task.lap, task.n_index, attempt);
  return static_cast<std::int64_t>(std::stoull(sha256_hex(own).substr(0, 8), nullptr, 16));
}

Result<std::string> changed_body(const std::string& body, std::string_view answer) {
  LATHE_TRY(std::string changed, apply_mini_answer(body, answer));
  if (changed == body) return invalid("the answer changes nothing");
  return changed;
}

Result<MiniTask> mini_task(const MakeTask& task) {
  const Unit& unit = task.units.front();
  return mini_task_of(unit.key, unit.text, unit.data);
}

// What the answer is about.
std::string body_before(const MakeTask& task, const MiniTask& mini) {
  const bool repair = task.move == Move::kRepair && task.best.has_value();
  return repair ? std::string(body_in(*task.best)) : mini.body;
}

Result<std::string> answer(const MakeTask& task, const Place&, const std::string& take) {
  LATHE_TRY(const MiniTask mini, mini_task(task));
  return mini_answer(body_before(task, mini), body_in(take));
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  if (!context.worker) return invalid("mini: needs a worker; name one in make.ladder");
  LATHE_TRY(const MiniTask mini, mini_task(task));
  const std::string body = body_before(task, mini);
  const std::vector<std::string> got = run_mini_tests(mini, body, mini.tests);
  Request request = request_of(task, context);
  request.ask = TextPrompt{mini_prompt(mini, body, got)};
  request.sampling.temperature = json_number(task.setting, "temperature", 0);
  Reply reply;
  Result<std::string> changed;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    request.labels = labels_of({"make", task.lap, task.n_index, attempt});
    request.sampling.seed = seed_of(task, attempt);
    LATHE_TRY(reply, context.worker->complete(request, context.stop, {}));
    if (context.usage) *context.usage += reply.usage;
    changed = changed_body(body, reply.text);
    // The likeliest answer stays what it is.
    if (changed || request.sampling.temperature == 0) break;
  }
  if (!changed) return at("mini: the answer cannot be used", std::move(changed).error());
  Made made;
  made.bytes = mini_source(mini, *changed);
  made.media_type = kMediaType;
  made.extension = "py";
  made.facts = {{"model", reply.model}, {"answer", reply.text}};
  return made;
}

}  // namespace

extern const MakerKind kMiniMaker;
const MakerKind kMiniMaker{
    .name = "mini",
    .summary = "a very small model writes or repairs one function in Mini-Python",
    .options = kOptions,
    .needs_worker = true,
    .propose = propose,
    .make = make,
    .answer = answer,
};

}  // namespace lathe::loop
