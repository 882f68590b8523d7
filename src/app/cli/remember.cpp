// What runs recall, and what is kept of what they propose.
#include "app/cli/remember.h"

#include "books/memory/memory.h"
#include "ground/base/plural.h"

namespace lathe::app {
namespace {

std::string project_scope(const std::string& directory) {
  return "project:" + directory;
}

// Of proposals: as the recipe says.
std::string scope_of(const loop::RunState& state) {
  const std::string& scope = state.recipe.memory->scope;
  if (scope == "recipe") return "recipe:" + state.recipe.name;
  return scope == "user" ? scope : project_scope(json_string(state.header.extra, "project"));
}

// Whether this is the candidate that its units were passed with.
bool stands(const loop::RunState& state, const loop::CandidateMade& made) {
  const loop::Track& track = state.tracks[made.call.track];
  const loop::CandidateState* best = loop::best_candidate(track);
  return track.state == loop::TrackState::kPassed && best && best->blob == made.answer->blob;
}

}  // namespace

Result<std::function<Result<std::vector<loop::Recalled>>(std::string_view)>> open_recall(
    const App& app, const loop::Recipe& recipe, const fs::path& recipe_dir) {
  if (!recipe.memory) return nullptr;
  LATHE_TRY(books::Memory opened, books::Memory::open(app.journal_dir));
  const auto memory = std::make_shared<books::Memory>(std::move(opened));
  const std::vector<std::string> scopes{"user", "recipe:" + recipe.name,
                                        project_scope(recipe_dir.string())};
  return [memory, scopes](std::string_view question) -> Result<std::vector<loop::Recalled>> {
    LATHE_TRY(const std::vector<books::Fact> facts,
              memory->recall(question, scopes, system_clock().unix_ms()));
    std::vector<loop::Recalled> recalled;
    for (const books::Fact& fact : facts) recalled.push_back({fact.id, fact.text});
    return recalled;
  };
}

Status keep_proposals(const App& app, const books::Journal& journal, const loop::Run& run) {
  const loop::RunState& state = run.state();
  if (!state.recipe.memory || !state.recipe.memory->propose) return {};
  LATHE_TRY(books::Memory memory, books::Memory::open(app.journal_dir));
  LATHE_TRY(const std::vector<books::Record> records, journal.records(run.id(), "made"));
  LATHE_TRY(const std::vector<loop::Entry> entries, loop::from_records(records));
  std::size_t proposed = 0, accepted = 0;
  for (const loop::Entry& entry : entries) {
    const auto& made = std::get<loop::CandidateMade>(entry.event);
    if (!made.answer) continue;
    for (const Json& each : json_at(made.answer->facts, "proposed")) {
      books::Fact fact;
      fact.blob = json_string(each, "blob");
      const auto text = journal.blob(fact.blob);
      if (!text && text.error().kind == ErrorKind::kNotFound) continue;  // forgotten
      if (!text) return std::unexpected(text.error());
      fact.text = *text;
      fact.scope = scope_of(state);
      fact.run = run.id();
      fact.seq = entry.seq;
      fact.made_ms = system_clock().unix_ms();
      LATHE_TRY(const auto id, memory.propose(fact));
      if (!id) continue;
      ++proposed;
      if (!state.recipe.memory->judges_accept || !stands(state, made)) continue;
      LATHE_TRY(const auto older, memory.accept(*id, "the judges of " + run.id(), {}));
      ++accepted;
    }
  }
  if (proposed > 0 && !app.json)
    print(fmt::format("{} proposed, {} accepted: `lathe memory list` shows them\n",
                      counted(proposed, "fact"), accepted));
  return {};
}

}  // namespace lathe::app
