// lathe_loop begins a loop; lathe_run says how far a run is. Where the client takes tasks, a loop
// is one.
#include <thread>

#include "app/tools/below_root.h"
#include "app/tools/judged.h"
#include "app/tools/tool_list.h"
#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostUnits = 40, kMostPaths = 40;
constexpr Milliseconds kLookEvery{200};

// "working" "stopped" "passed" "partial" "failed" "not_judged"
std::string_view state_of(const Workshop& workshop, const FinishedRun& run) {
  if (run.state.ended) return loop::result_name(run.state.end_state);
  return workshop.loop_goes_on(run.id) ? "working" : "stopped";
}

Json units_json(const show::RunSummary& summary) {
  Json units = Json::array();
  for (const show::TrackRow& row : summary.rows) {
    if (units.size() == kMostUnits) break;
    Json keys = Json::array();
    for (const show::UnitRow& unit : row.units) keys.push_back(clip_utf8(unit.key, 100));
    units.push_back({{"units", std::move(keys)},
                     {"state", loop::track_state_name(row.state)},
                     {"laps", row.laps.size()}});
    if (!row.fault.empty()) units.back()["fault"] = clip_utf8(row.fault, 300);
  }
  return units;
}

// What the run left in its directory.
Json paths_of(const FinishedRun& run) {
  Json paths = Json::array();
  const std::string root = json_string(run.state.header.extra, "out_root");
  if (root.empty()) return paths;
  const fs::path directory = fs::path(root) / run.id;
  if (const auto files = list_files(directory))
    for (const std::string& file : *files)
      if (paths.size() < kMostPaths) paths.push_back((directory / file).string());
  return paths;
}

serve::McpResult result_of(const Workshop& workshop, const FinishedRun& run) {
  const show::RunSummary summary = show::summary_of(run.state);
  const std::string_view state = state_of(workshop, run);
  serve::McpResult result;
  result.structured = {{"run", run.id},          {"recipe", run.state.recipe.name},
                       {"state", state},         {"why", summary.why},
                       {"units", summary.units}, {"units_passed", summary.units_passed},
                       {"laps", summary.laps},   {"tracks", units_json(summary)},
                       {"files", paths_of(run)}};
  result.error = state == "not_judged";
  result.text = make_valid_utf8(fmt::format(
      "run {}: {}, {} of {} units passed, {} laps{}{}\n", run.id, state, summary.units_passed,
      summary.units, summary.laps, summary.why.empty() ? "" : ": ", summary.why));
  for (const Json& file : result.structured["files"]) result.text += file.get<std::string>() + "\n";
  return result;
}

Result<FinishedRun> find_run(const Workshop& workshop, const std::string& name) {
  LATHE_TRY(const books::Journal journal, workshop.journal());
  LATHE_TRY(const std::string id, journal.find_run(name));
  return read_run(journal, id);
}

// As a task: what it comes to is what lathe_run says.
serve::McpTask task_of(const Workshop& workshop, const FinishedRun& run) {
  serve::McpTask task;
  task.id = run.id;
  task.created_ms = run.state.header.created_ms;
  task.updated_ms = task.created_ms + (run.entries.empty() ? 0 : run.entries.back().t_ms);
  const std::string_view state = state_of(workshop, run);
  task.state = run.state.ended      ? serve::McpTask::State::kCompleted
               : state == "working" ? serve::McpTask::State::kWorking
                                    : serve::McpTask::State::kCancelled;
  const show::RunSummary summary = show::summary_of(run.state);
  task.message =
      fmt::format("{}: {} of {} units passed", state, summary.units_passed, summary.units);
  if (run.state.ended) task.result = to_json(result_of(workshop, run));
  return task;
}

// A file or a directory below the root, whole.
Result<std::string> input_below(const fs::path& root, const std::string& name) {
  if (const auto directory = directory_below(root, name)) return directory->string();
  LATHE_TRY(const NamedFile file, read_below(root, name));
  return (root / file.path).string();
}

Result<LoopOrder> order_of(const Workshop& workshop, const Json& arguments) {
  LoopOrder order;
  order.recipe = json_string(arguments, "recipe");
  if (order.recipe.find('/') != order.recipe.npos || order.recipe.ends_with(".toml")) {
    LATHE_TRY(order.recipe, input_below(workshop.root, order.recipe));
  }
  if (const std::string input = json_string(arguments, "input"); !input.empty()) {
    LATHE_TRY(order.input, input_below(workshop.root, input));
  }
  for (const auto& [key, value] : json_at(arguments, "set").items())
    order.set.emplace_back(key, value);
  for (const auto& [key, value] : json_at(arguments, "limits").items())
    order.set.emplace_back("stop." + key, value);
  return order;
}

serve::McpResult begin(const Workshop& workshop, const Json& arguments) {
  const auto run = [&]() -> Result<FinishedRun> {
    LATHE_TRY(const LoopOrder order, order_of(workshop, arguments));
    LATHE_TRY(const std::string id, workshop.start_loop(order));
    return find_run(workshop, id);
  }();
  if (!run) return serve::mcp_failure(run.error());
  serve::McpResult result = result_of(workshop, *run);
  result.text += "lathe_run says how far it is";
  result.task = task_of(workshop, *run);
  return result;
}

// Until the run has ended, or nobody waits any more.
serve::McpResult look(const Workshop& workshop, const Json& arguments, serve::McpCall& call) {
  const Milliseconds until =
      system_clock().monotonic() + Milliseconds(1000 * json_int(arguments, "wait_s", 0));
  for (;;) {
    const auto run = find_run(workshop, json_string(arguments, "run"));
    if (!run) return serve::mcp_failure(run.error());
    if (call.stop().raised() || system_clock().monotonic() >= until ||
        state_of(workshop, *run) != "working")
      return result_of(workshop, *run);
    call.progress(fmt::format("{} records", run->entries.size()));
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace

serve::McpTool loop_tool(const Workshop& workshop) {
  return {.name = "lathe_loop",
          .description =
              "Begin a loop: a local model makes, judges check, what fails is repaired, until all "
              "passes or the limits are reached. Recipes: fix-tests (input: a project), rewrite, "
              "extract-json, voice-over, thumbnail, svg-figure, mockup-to-page, or a path. Answers "
              "at once with a run; lathe_run says how far it is and where the results are. "
              "Changes to a project are left as a patch, not applied.",
          .input_schema =
              {{"type", "object"},
               {"properties",
                {{"recipe", {{"type", "string"}}},
                 {"input", {{"type", "string"}, {"description", "path of the file or project"}}},
                 {"set",
                  {{"type", "object"},
                   {"description", "values of the recipe: {\"make.ladder\": [\"coder\"]}"}}},
                 {"limits",
                  {{"type", "object"}, {"description", "laps, time (\"10m\"), tokens, energy"}}}}},
               {"required", {"recipe"}},
               {"additionalProperties", false}},
          .read_only = false,
          .run = [&workshop](const Json& arguments, serve::McpCall&) {
            return begin(workshop, arguments);
          }};
}

serve::McpTool run_tool(const Workshop& workshop) {
  return {.name = "lathe_run",
          .description =
              "How far a run is: state, units, laps, faults, files of results. "
              "\"last\" is the newest run.",
          .input_schema = {{"type", "object"},
                           {"properties",
                            {{"run", {{"type", "string"}}},
                             {"wait_s",
                              {{"type", "integer"},
                               {"minimum", 0},
                               {"maximum", 50},
                               {"description", "wait so long for its end"}}}}},
                           {"required", {"run"}},
                           {"additionalProperties", false}},
          .run = [&workshop](const Json& arguments, serve::McpCall& call) {
            return look(workshop, arguments, call);
          }};
}

serve::McpTasks agent_tasks(const Workshop& workshop) {
  const auto loop_of = [&workshop](const std::string& id) -> Result<FinishedRun> {
    LATHE_TRY(FinishedRun run, find_run(workshop, id));
    if (run.id != id || json_string(run.state.header.extra, "by") != kAgentLoops)
      return fail(ErrorKind::kNotFound, "there is no task '{}'", clip_utf8(id, 100));
    return run;
  };
  return {.get = [&workshop, loop_of](const std::string& id) -> Result<serve::McpTask> {
            LATHE_TRY(const FinishedRun run, loop_of(id));
            return task_of(workshop, run);
          },
          .cancel = [&workshop, loop_of](const std::string& id) -> Status {
            LATHE_TRY(const FinishedRun run, loop_of(id));
            return workshop.stop_loop(run.id);
          }};
}

}  // namespace lathe::app
