// The judge of JSON documents: one value, and it fits the recipe's schema.
#include "ground/base/file.h"
#include "ground/base/text.h"
#include "ground/schema/json_schema.h"
#include "ground/schema/json_value.h"
#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxCritiques = 10;

constexpr OptionSpec kOptions[] = {
    {"schema", OptionType::kTable, {}, "the schema itself, in the recipe"},
    {"schema_file",
     OptionType::kString,
     {},
     "or a JSON file that holds it, relative to the recipe"},
    {"formats", OptionType::kBool, "false", "check \"format\" too, not just note it"},
};

// The schema file is relative to the recipe, which check() does not know: a file that is missing or
// wrong is found by the first judgement.
Status check(const Json& options) {
  const bool inside = options.contains("schema"), file = options.contains("schema_file");
  if (inside == file) return invalid("give either 'schema' or 'schema_file'");
  if (!inside) return {};
  if (auto schema = JsonSchema::compile(options["schema"], option_bool(options, "formats"));
      !schema)
    return std::unexpected(std::move(schema).error());
  return {};
}

Result<JsonSchema> load(const Json& options, const Place& place) {
  const bool formats = option_bool(options, "formats");
  if (options.contains("schema")) return JsonSchema::compile(options["schema"], formats);
  const fs::path file = place.recipe_dir / option_string(options, "schema_file");
  LATHE_TRY(const std::string text, read_file(file, 4 << 20));
  auto json = parse_json(text);
  if (!json) return at(file.string(), std::move(json).error());
  if (auto exact = check_exact_numbers(text); !exact) return at(file.string(), exact.error());
  auto schema = JsonSchema::compile(*std::move(json), formats);
  if (!schema) return at(file.string(), std::move(schema).error());
  return schema;
}

// One fault is better than two, and what could not be checked because of a fault is as bad as one:
// a value that is missing, or of another type. A document of another type is not judged further.
double score_of(const JsonSchema& schema, const std::vector<SchemaError>& errors) {
  std::size_t faults = 0;
  for (const SchemaError& error : errors) {
    if (error.instance.empty() && error.keyword == "type") return 0;
    faults += 1 + error.unchecked;
  }
  const std::size_t checks = std::max<std::size_t>(schema.checks(), 1);
  return 1 - static_cast<double>(faults) / static_cast<double>(checks + faults);
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext& context) {
  LATHE_TRY(const JsonSchema schema, load(task.options, context.place));
  Judgement judgement;
  judgement.candidate = task.candidate;
  judgement.outcome = Outcome::kFail;
  const auto document = parse_json(task.bytes);
  if (!document) {
    judgement.evidence = {{"parsed", false}};
    judgement.critiques = {{"", "must", "The document is not one JSON value and nothing else.",
                            document.error().message, "schema:parse"}};
    return judgement;
  }
  LATHE_TRY_STATUS(check_exact_numbers(task.bytes));
  LATHE_TRY(const std::vector<SchemaError> errors, schema.validate(*document));
  judgement.evidence = {{"parsed", true}, {"errors", errors.size()}};
  judgement.score = score_of(schema, errors);
  for (const SchemaError& error : errors) {
    if (judgement.critiques.size() == kMaxCritiques) break;
    const std::string_view subject = error.instance.empty() ? "The document " : "";
    judgement.critiques.push_back(
        {error.instance, "must", fmt::format("{}{}.", subject, clip_utf8(error.message, 500)),
         "keyword " + error.keyword, "schema:" + error.keyword + ':' + error.instance});
  }
  if (errors.empty()) judgement.outcome = Outcome::kPass;
  return judgement;
}

}  // namespace

extern const JudgeKind kSchemaJudge;
const JudgeKind kSchemaJudge{
    .name = "schema",
    .summary = "the candidate is one JSON document that fits a JSON Schema (2020-12)",
    .options = kOptions,
    .stage = Stage::kGate,
    .check = check,
    .judge = judge,
};

}  // namespace lathe::loop
