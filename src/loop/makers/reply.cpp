// The maker of measurements: the unit's text is the prompt, and what the model says is the
// candidate, as it is and without a second chance. Of a unit with choices the model is not asked to
// write: how likely it holds each of them is the candidate.
#include <cmath>

#include "loop/makers/answer.h"
#include "loop/makers/ask.h"

namespace lathe::loop {
namespace {

constexpr OptionSpec kOptions[] = {
    {"system", OptionType::kString, "\"\"", "a system message before the unit's text"},
    {"max_tokens", OptionType::kInteger, "1024", "of one answer; a longer one is cut there"},
    {"temperature", OptionType::kNumber, "0", "with 0 every seed gives the same answer"},
};

Status check(const Json& options, std::span<const std::string>) {
  if (const auto tokens = option_int(options, "max_tokens"); tokens < 1 || tokens > 1'000'000)
    return invalid("max_tokens is {}, but must be from 1 to 1000000", tokens);
  if (const double value = option_number(options, "temperature"); !(value >= 0 && value <= 100))
    return invalid("temperature is {}, but must be from 0 to 100", value);
  return {};
}

// There is no answer, so that nothing can be said of the model: unlike an answer that is no good.
Error without_answer(Error error) {
  if (error.kind == ErrorKind::kInvalid) error.kind = ErrorKind::kDenied;
  return error;
}

Result<Made> weigh(const Unit& unit, const MakeContext& context) {
  Json list = Json::array();
  for (const Json& choice : json_at(unit.data, "choices")) {
    const std::string text = choice.get<std::string>();
    const Continuation asked{.context = unit.text,
                             .text = json_string(unit.data, "delimiter", " ") + text,
                             .time_limit = context.time_limit};
    const auto likelihood = context.worker->likelihood(asked, context.stop);
    if (!likelihood) return std::unexpected(without_answer(likelihood.error()));
    if (context.usage) *context.usage += likelihood->usage;
    list.push_back({{"choice", text},
                    {"log_likelihood", likelihood->log_likelihood},
                    {"tokens", likelihood->tokens}});
  }
  return Made{dump_json({{"choices", std::move(list)}}), "application/json", "json",
              Json::object()};
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  if (!context.worker) return invalid("reply: needs a worker; name one in make.ladder");
  const Unit& unit = task.units.front();
  if (unit.data.contains("choices")) return weigh(unit, context);
  Request request = request_of(task, context);
  Talk talk;
  if (const std::string system = option_string(task.options, "system"); !system.empty())
    talk.messages.push_back({"system", system});
  talk.messages.push_back({"user", unit.text});
  request.ask = std::move(talk);
  const auto reply = context.worker->complete(request, context.stop, {});
  if (!reply) return std::unexpected(without_answer(reply.error()));
  if (context.usage) *context.usage += reply->usage;
  // Thoughts alone: the answer behind them never came.
  const auto answer = without_thoughts(reply->text);
  return Made{answer ? *answer : std::string(),
              "text/plain",
              "txt",
              {{"model", reply->model}, {"cut", reply->finish == FinishReason::kLength}}};
}

// As often as the recipe has laps, always from the beginning.
std::optional<Proposal> propose(const ProposeTask& task) {
  const bool first = task.attempts.empty();
  return Proposal{first ? Move::kSample : Move::kResample, 0, task.best_of, Json::object(),
                  first ? "first sample" : "a fresh sample"};
}

}  // namespace

extern const MakerKind kReplyMaker;
const MakerKind kReplyMaker{
    .name = "reply",
    .summary = "what a model says to the unit's text, as it is: for measuring models",
    .options = kOptions,
    .needs_worker = true,
    .check = check,
    .propose = propose,
    .make = make,
};

}  // namespace lathe::loop
