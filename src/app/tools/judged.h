// Judging what an agent made: a run of one candidate, and its verdict as the agent reads it.
#pragma once

#include "app/tools/tools.h"
#include "loop/record/event.h"
#include "show/run/run_view.h"

namespace lathe::app {

// `judges`: tables as recipes have them. What the agent reads is the verdict of the first of them
// that does not pass, else of the first, and the others beside it. `name`: of the recipe.
// `more`: members beside the verdict's; may be empty.
serve::McpResult judge_given(const Workshop& workshop, std::string_view name, Json judges,
                             const loop::GivenTake& take, serve::McpCall& call,
                             const std::function<Json(const loop::RunState& run)>& more = {});

// A recipe of the tools': one lap, from JSON.
Result<loop::Recipe> tool_recipe(std::string_view name, Json make, Json judges, Json unit);

// Tells the client what a run does.
class ProgressOf : public loop::Observer {
 public:
  explicit ProgressOf(serve::McpCall& call) : call_(call) {}
  void on_entry(const loop::RunState& state, const loop::Entry& entry) override;
  void on_progress(const loop::CallId& call, std::string_view what) override;

 private:
  serve::McpCall& call_;
};

struct FinishedRun {
  std::string id;
  std::vector<loop::Entry> entries;
  loop::RunState state;
};
Result<FinishedRun> read_run(const books::Journal& journal, const std::string& id);

}  // namespace lathe::app
