// The prompt and the reading that makers of texts share.
#include "loop/makers/writing.h"

#include "ground/base/text.h"
#include "loop/makers/ask.h"

namespace lathe::loop {

Result<std::string> assembled(const std::vector<PromptBlock>& parts, const Json& options) {
  std::string text;
  const PromptBlock* largest = &parts.front();
  for (const PromptBlock& part : parts) {
    text += part.text;
    if (part.text.size() > largest->text.size()) largest = &part;
  }
  const auto limit = static_cast<std::size_t>(option_int(options, "prompt_limit"));
  if (text.size() <= limit) return text;
  return invalid(
      "the prompt has {} bytes, and make.prompt_limit is {}: cut {}, which has {} of them",
      text.size(), limit, largest->name, largest->text.size());
}

Result<std::string> read_text(const Place& place, const std::string& file) {
  LATHE_TRY(std::string text, read_file(place.recipe_dir / file, 16 << 20));
  if (const auto bad = find_invalid_utf8(text); bad != text.npos)
    return invalid("{}: not valid UTF-8 at byte {}", file, bad);
  return text;
}

Result<std::string> writing_prefix(const Json& options, const Place& place, std::string_view system,
                                   std::vector<PromptBlock> more) {
  std::string task = option_string(options, "task");
  if (const std::string file = option_string(options, "task_file"); !file.empty()) {
    LATHE_TRY(task, read_text(place, file));
  }
  const std::string own = option_string(options, "system");
  std::vector<PromptBlock> parts{
      {"make.system", (own.empty() ? std::string(system) : own) + "\n\n"},
      {"make.task", fmt::format("Task:\n{}\n", trim(task))}};
  for (const std::string& file : option_strings(options, "references")) {
    LATHE_TRY(const std::string text, read_text(place, file));
    parts.push_back({fmt::format("the reference '{}'", file),
                     fmt::format("\nReference {}:\n<<<\n{}\n>>>\n", file, trim(text))});
  }
  std::ranges::move(more, std::back_inserter(parts));
  return assembled(parts, options);
}

Status check_writing(const Json& options) {
  if (option_string(options, "task").empty() == option_string(options, "task_file").empty())
    return invalid("give either 'task' or 'task_file'");
  if (const auto tokens = option_int(options, "max_tokens"); tokens < 1 || tokens > 1'000'000)
    return invalid("max_tokens is {}, but must be from 1 to 1000000", tokens);
  if (option_int(options, "prompt_limit") < 1000)
    return invalid("prompt_limit must be 1000 or more");
  return {};
}

Result<Request> writing_request(const MakeTask& task, const MakeContext& context,
                                std::string format) {
  std::string units, texts;
  for (const Unit& unit : task.units) {
    units += fmt::format("The text:\n<<<\n{}\n>>>\n\n", unit.text);
    texts += unit.text + "\n";
  }
  // What changes least comes first, so that a worker can reuse what it has read before.
  const std::vector<PromptBlock> parts{{"the task and the references", task.prefix},
                                       {"the unit's text", std::move(units)},
                                       {"the feedback of earlier laps", task.tail},
                                       {"the schema", std::move(format)}};
  LATHE_TRY_STATUS(assembled(parts, task.options));
  Request request = request_of(task, context);
  request.ask =
      Talk{{{"system", task.prefix}, {"user", parts[1].text + parts[2].text + parts[3].text}}};
  // A new version of the best one, or of the text itself, repeats most of it.
  request.prediction = task.best.value_or(std::move(texts));
  return request;
}

Result<std::string> finished_text(const Reply& reply, const Json& options) {
  if (reply.finish == FinishReason::kLength)
    return invalid("the answer was cut off at the token limit; raise make.max_tokens ({})",
                   option_int(options, "max_tokens"));
  if (reply.finish != FinishReason::kStop)
    return invalid("the worker refused or called a tool instead of answering");
  if (const auto bad = find_invalid_utf8(reply.text); bad != std::string::npos)
    return invalid("the answer is not valid UTF-8 at byte {}", bad);
  std::string text(trim(reply.text));
  if (text.empty()) return invalid("the answer is empty");
  return text;
}

}  // namespace lathe::loop
