// The maker of text and JSON: one unit in, one document out.
#include "ground/base/text.h"
#include "loop/makers/ask.h"
#include "loop/makers/writing.h"

namespace lathe::loop {
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
  LATHE_TRY_STATUS(check_writing(options));
  const bool file = !option_string(options, "schema_file").empty();
  if ((file || options.contains("schema")) && format != "json")
    return invalid("a schema goes with format = \"json\"");
  if (file && options.contains("schema")) return invalid("give either 'schema' or 'schema_file'");
  return {};
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

Result<std::string> document_in(const Reply& reply, const MakeTask& task) {
  LATHE_TRY(std::string text, finished_text(reply, task.options));
  if (option_string(task.options, "format") == "json") return json_in(text);
  std::string source;
  for (const Unit& unit : task.units) source += unit.text + "\n";
  return only_text(text, source);
}

Result<std::string> prefix(const Json& options, std::span<const Unit>, const Place& place) {
  return writing_prefix(options, place, kSystem);
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  if (!context.worker) return invalid("text: needs a worker; name one in make.ladder");
  LATHE_TRY(std::optional<Json> schema, schema_of(task.options, context.place));
  LATHE_TRY(Request request, writing_request(task, context, format_text(task.options, schema)));
  if (schema) request.form = SchemaForm{*std::move(schema)};
  const bool json = option_string(task.options, "format") == "json";
  Made made;
  made.media_type = json ? "application/json" : "text/plain";
  made.extension = json ? "json" : "txt";
  made.facts = Json::object();
  LATHE_TRY(Asked<std::string> asked,
            ask<std::string>("text", std::move(request), context, "",
                             [&](const Reply& reply) { return document_in(reply, task); }));
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

}  // namespace lathe::loop
