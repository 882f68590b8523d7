// lathe_ask: a question to a model of this machine.
#include "app/tools/judged.h"
#include "app/tools/tool_list.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr const char* kSchemaFile = "schema.json";

struct Answered {
  FinishedRun run;
  std::string text;
};

Result<Answered> ask_model(const Workshop& workshop, const Json& arguments, serve::McpCall& call) {
  std::string model = json_string(arguments, "model");
  if (model.empty()) {
    LATHE_TRY(model, workshop.usual_model());
  }
  const Json& schema = json_at(arguments, "schema");
  Json make = {{"kind", schema.is_null() ? "reply" : "text"}, {"ladder", Json::array({model})}};
  Json judge = {{"kind", "text"}, {"min_chars", 1}};
  LATHE_TRY(const TempDir directory, TempDir::make("lathe-ask"));
  if (!schema.is_null()) {
    LATHE_TRY_STATUS(write_file_atomic(directory.path() / kSchemaFile, dump_json(schema)));
    make.update(
        {{"format", "json"}, {"schema_file", kSchemaFile}, {"task", "Do what the text says."}});
    judge = {{"kind", "schema"}, {"schema_file", kSchemaFile}};
  }
  for (const char* option : {"system", "max_tokens", "temperature"})
    if (arguments.contains(option)) make[option] = arguments[option];
  LATHE_TRY_STATUS(
      write_file_atomic(directory.path() / "prompt", json_string(arguments, "prompt")));
  LATHE_TRY(const loop::Recipe recipe, tool_recipe("ask", std::move(make), Json::array({judge}),
                                                   {{"from", "prompt"}, {"split", "file"}}));
  LATHE_TRY(books::Journal journal, workshop.journal());
  ProgressOf progress(call);
  std::string id;
  LATHE_TRY_STATUS(
      workshop.with_bench(call.stop(), &progress, [&](const loop::Bench& bench) -> Status {
        const loop::NewRun wanted{recipe, directory.path(), {}, {{"tool", "ask"}}};
        LATHE_TRY(loop::Run run, loop::Run::start(journal, wanted, bench));
        id = run.id();
        return run.drive();
      }));
  Answered answered;
  LATHE_TRY(answered.run, read_run(journal, id));
  const loop::RunState& state = answered.run.state;
  const loop::CandidateState* best =
      state.tracks.empty() ? nullptr : loop::best_candidate(state.tracks.front());
  if (!state.ended || state.end_state != loop::RunResult::kPassed || !best)
    return fail(ErrorKind::kUnavailable, "run {}: {}", id, show::summary_of(state).why);
  LATHE_TRY(answered.text, journal.blob(best->blob));
  return answered;
}

serve::McpResult ask(const Workshop& workshop, const Json& arguments, serve::McpCall& call) {
  const auto answered = ask_model(workshop, arguments, call);
  if (!answered) return serve::mcp_failure(answered.error());
  const loop::RunState& state = answered->run.state;
  serve::McpResult result;
  result.text = answered->text;
  result.structured = {{"answer", answered->text},
                       {"run", answered->run.id},
                       {"prompt_tokens", state.usage.prompt_tokens},
                       {"completion_tokens", state.usage.completion_tokens}};
  if (arguments.contains("schema")) {
    auto json = parse_json(answered->text);
    if (json) result.structured["json"] = *std::move(json);
  }
  if (!answered->run.entries.empty() && answered->run.entries.back().joules)
    result.structured["joules"] = *answered->run.entries.back().joules;
  return result;
}

}  // namespace

serve::McpTool ask_tool(const Workshop& workshop) {
  return {.name = "lathe_ask",
          .description =
              "Ask a model on this machine; with a schema the answer is JSON that keeps "
              "to it. For work that need not leave the machine.",
          .input_schema = {{"type", "object"},
                           {"properties",
                            {{"prompt", {{"type", "string"}, {"minLength", 1}}},
                             {"model",
                              {{"type", "string"}, {"description", "default: the one that runs"}}},
                             {"system", {{"type", "string"}}},
                             {"schema", {{"type", "object"}, {"description", "JSON Schema"}}},
                             {"max_tokens", {{"type", "integer"}}},
                             {"temperature", {{"type", "number"}}}}},
                           {"required", {"prompt"}},
                           {"additionalProperties", false}},
          .run = [&workshop](const Json& arguments, serve::McpCall& call) {
            return ask(workshop, arguments, call);
          }};
}

}  // namespace lathe::app
