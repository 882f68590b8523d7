// The maker of text and JSON: one unit in, one document out.
#include "ground/base/text.h"
#include "loop/makers/ask.h"

namespace lathe {
namespace {

constexpr OptionSpec kOptions[] = {
    {"task", OptionType::kString, "\"\"", "what is to be made from the unit's text"},
    {"task_file", OptionType::kString, "\"\"", "the same from a file, relative to the recipe"},
    {"system", OptionType::kString, "\"\"", "instead of the built-in opening of the prompt"},
    {"references", OptionType::kStrings, "[]", "files that every prompt begins with"},
    {"format", OptionType::kString, "\"text\"", "text | json"},
    {"schema", OptionType::kTable, {}, "for json: the JSON Schema that constrains the output"},
    {"schema_file", OptionType::kString, "\"\"", "the same from a file, relative to the recipe"},
    {"max_tokens", OptionType::kInteger, "4096", "of one answer"},
    {"temperature", OptionType::kNumber, {}, "default: 0.2, and 0.8 for fresh samples"},
    {"prompt_limit", OptionType::kInteger, "200000", "bytes; a longer prompt is an error"},
};

constexpr std::string_view kSystem =
    "You do exactly the task below, with the text that you are given.";

Status check(const Json& options, std::span<const std::string>) {
  const std::string format = option_string(options, "format");
  if (format != "text" && format != "json")
    return invalid("format '{}' is not text or json", clip_utf8(format, 40));
  if (option_string(options, "task").empty() == option_string(options, "task_file").empty())
    return invalid("give either 'task' or 'task_file'");
  const bool file = !option_string(options, "schema_file").empty();
  if ((file || options.contains("schema")) && format != "json")
    return invalid("a schema goes with format = \"json\"");
  if (file && options.contains("schema")) return invalid("give either 'schema' or 'schema_file'");
  if (const auto tokens = option_int(options, "max_tokens"); tokens < 1 || tokens > 1'000'000)
    return invalid("max_tokens is {}, but must be from 1 to 1000000", tokens);
  if (option_int(options, "prompt_limit") < 1000)
    return invalid("prompt_limit must be 1000 or more");
  return {};
}

struct PromptPart {
  std::string name;
  std::string text;
};

// All of it or an error that names what to cut: never a part of it.
Result<std::string> assembled(const std::vector<PromptPart>& parts, const Json& options) {
  std::string text;
  const PromptPart* largest = &parts.front();
  for (const PromptPart& part : parts) {
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

Result<std::string> prefix(const Json& options, std::span<const Unit>, const Place& place) {
  std::string task = option_string(options, "task");
  if (const std::string file = option_string(options, "task_file"); !file.empty()) {
    LATHE_TRY(task, read_text(place, file));
  }
  const std::string own = option_string(options, "system");
  std::vector<PromptPart> parts{
      {"make.system", (own.empty() ? std::string(kSystem) : own) + "\n\n"},
      {"make.task", fmt::format("Task:\n{}\n", trim(task))}};
  for (const std::string& file : option_strings(options, "references")) {
    LATHE_TRY(const std::string text, read_text(place, file));
    parts.push_back({fmt::format("the reference '{}'", file),
                     fmt::format("\nReference {}:\n<<<\n{}\n>>>\n", file, trim(text))});
  }
  return assembled(parts, options);
}

Result<std::optional<Json>> schema_of(const Json& options, const Place& place) {
  if (options.contains("schema")) return options["schema"];
  const std::string file = option_string(options, "schema_file");
  if (file.empty()) return std::nullopt;
  LATHE_TRY(const std::string text, read_text(place, file));
  auto schema = parse_json(text);
  if (!schema) return at(file, std::move(schema).error());
  return *std::move(schema);
}

std::string format_text(const Json& options, const std::optional<Json>& schema) {
  if (option_string(options, "format") == "text")
    return "Answer with the finished text only: no introduction, no comment, no quotes around "
           "it.\n";
  std::string text = "Answer with one JSON document only: no introduction, no comment, no fence.\n";
  if (schema) text += fmt::format("It must fit this JSON Schema:\n{}\n", dump_json(*schema));
  return text;
}

// The document in a reply: the whole of it, or the inside of its only fenced block.
Result<std::string> json_in(std::string_view reply) {
  std::vector<std::string> blocks;
  std::string* open = nullptr;
  for (const std::string_view line : split_lines(reply)) {
    const std::string_view bare = trim(line);
    if (open && bare == "```") {
      open = nullptr;
    } else if (open) {
      *open += std::string(line) + '\n';
    } else if (bare.starts_with("```")) {
      open = &blocks.emplace_back();
    }
  }
  const std::string_view whole = trim(reply);
  if (const auto json = parse_json(whole))
    return std::string(whole);
  else if (blocks.empty())
    return invalid("the answer is not one JSON document: {}", json.error().message);
  if (open || blocks.size() != 1)
    return invalid("the answer holds {} fenced blocks{}, but must be one JSON document",
                   blocks.size(), open ? ", the last without an end" : "");
  const std::string inside(trim(blocks.front()));
  if (const auto json = parse_json(inside); !json)
    return invalid("the fenced block is not one JSON document: {}", json.error().message);
  return inside;
}

Result<std::string> document_in(const Reply& reply, const Json& options) {
  if (reply.finish == FinishReason::kLength)
    return invalid("the answer was cut off at the token limit; raise make.max_tokens ({})",
                   option_int(options, "max_tokens"));
  if (reply.finish != FinishReason::kStop)
    return invalid("the worker refused or called a tool instead of answering");
  if (option_string(options, "format") == "json") return json_in(reply.text);
  if (const auto bad = find_invalid_utf8(reply.text); bad != std::string::npos)
    return invalid("the answer is not valid UTF-8 at byte {}", bad);
  std::string text(trim(reply.text));
  if (text.empty()) return invalid("the answer is empty");
  return text;
}

Result<Request> request_for(const MakeTask& task, const MakeContext& context) {
  LATHE_TRY(std::optional<Json> schema, schema_of(task.options, context.place));
  std::string units, texts;
  for (const Unit& unit : task.units) {
    units += fmt::format("The text:\n<<<\n{}\n>>>\n\n", unit.text);
    texts += unit.text + "\n";
  }
  // What changes least comes first, so that a worker can reuse what it has read before.
  const std::vector<PromptPart> parts{{"the task and the references", task.prefix},
                                      {"the unit's text", std::move(units)},
                                      {"the feedback of earlier laps", task.tail},
                                      {"the schema", format_text(task.options, schema)}};
  LATHE_TRY_STATUS(assembled(parts, task.options));
  Request request;
  request.messages = {{"system", task.prefix},
                      {"user", parts[1].text + parts[2].text + parts[3].text}};
  request.schema = std::move(schema);
  // A new version of the best one, or of the text itself, repeats most of it.
  request.prediction = task.best.value_or(std::move(texts));
  request.max_tokens = static_cast<int>(option_int(task.options, "max_tokens"));
  request.sampling.temperature = task.options.contains("temperature")
                                     ? option_number(task.options, "temperature")
                                     : json_number(task.setting, "temperature", 0.2);
  request.sampling.seed = task.lap * 1000 + task.n_index;
  request.n_index = task.n_index;
  request.purpose = "make";
  request.lap = task.lap;
  request.time_limit = context.time_limit;
  return request;
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  if (!context.worker) return invalid("text: needs a worker; name one in make.ladder");
  LATHE_TRY(Request request, request_for(task, context));
  const bool json = option_string(task.options, "format") == "json";
  Made made;
  made.media_type = json ? "application/json" : "text/plain";
  made.extension = json ? "json" : "txt";
  made.facts = Json::object();
  LATHE_TRY(Asked<std::string> asked,
            ask<std::string>("text", std::move(request), context, "",
                             [&](const Reply& reply) { return document_in(reply, task.options); }));
  made.bytes = std::move(asked.value);
  made.facts["model"] = asked.model;
  if (!asked.refused.empty()) made.facts["refused"] = asked.refused;
  return made;
}

}  // namespace

extern const MakerKind kTextMaker;
const MakerKind kTextMaker{
    .name = "text",
    .summary = "a model writes text or JSON from the unit's text",
    .options = kOptions,
    .needs_worker = true,
    .check = check,
    .propose = propose_by_model,
    .prefix = prefix,
    .make = make,
};

}  // namespace lathe
