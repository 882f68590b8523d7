// A recipe: what is made, by what, judged how, and when to stop. TOML from a person, canonical JSON
// in the journal; both go through the same checks. Format and meaning: docs/recipes.md.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "loop/conductor/budget.h"
#include "loop/judges/judge.h"
#include "loop/makers/maker.h"

namespace lathe::loop {

struct JudgeSpec {
  std::string name;
  const JudgeKind* kind = nullptr;
  Stage stage = Stage::kGate;
  Scope scope = Scope::kUnit;
  bool veto = false;
  double weight = 1;
  Json options = {};
  std::string on = {};  // the node that judges, or what it must have; "": any
};

// How the verdicts inside one stage become one.
struct Combine {
  enum class How { kAll, kAny, kAtLeast, kWeighted } how = How::kAll;
  int at_least = 0;  // of n
  double bar = 1;    // for kWeighted
};

// Why a run may have to wait: the processor is too hot; the machine runs on its battery; somebody
// else asks this machine's server.
enum class PauseReason { kHeat, kBattery, kPerson };
std::optional<PauseReason> parse_pause_reason(std::string_view name);  // "heat" "battery" "person"

inline constexpr std::string_view kPauseWhen = "pause_when";  // of [stop]

struct StopSpec {
  int laps = 6;
  int no_gain = 2;
  std::int64_t call_ms = 0;  // one call's limit
  Budgets budgets = {};
  std::set<PauseReason> pause_when = {};
  std::int64_t time_ms() const { return static_cast<std::int64_t>(limit_of(budgets, kTimeBudget)); }
};

// What is looked up in documents for each unit.
struct ContextSpec {
  std::string from;               // files, relative to the recipe: "docs/**"
  int k = 6;                      // passages
  std::string embed;              // a model that makes embeddings; "": words alone
  std::string languages;          // of scanned pages: "deu+eng"
  Reach privacy = Reach::kLocal;  // how far the documents may travel, in prompts too
};

// What units are told of earlier runs, and may propose for later ones.
struct MemorySpec {
  std::string scope = "recipe";  // of proposals: recipe | project | user
  bool propose = true;
  bool judges_accept = false;     // what an answer proposes whose candidate passes; else a person
  Reach privacy = Reach::kLocal;  // how far facts may travel in prompts
};

struct Recipe {
  std::string name;
  std::string description;
  Reach privacy = Reach::kLocal;
  bool collect_all = false;

  std::string from;   // a file, or "failing_tests"
  std::string split;  // line | paragraph | file | jsonl
  std::string tree;   // the directory that a whole-group maker changes; "" when there is none
  std::vector<std::string> exclude;
  int seeds = 0;      // a grid: every unit once for each of the ladder and each seed from 1 on
  Json unit_options;  // for unit.from = "failing_tests": options of the tests judge

  const MakerKind* maker = nullptr;
  std::vector<std::string> ladder;
  int best_of = 1;
  int repairs = 2;
  Json make_options;
  std::string make_on;  // the node that makes, or what it must have; "": any

  std::optional<ContextSpec> context;
  std::optional<MemorySpec> memory;

  std::vector<JudgeSpec> judges;
  std::map<Stage, Combine> combine;
  StopSpec stop;
  std::vector<ToolServer> tools;  // programs whose tools the maker's model may call

  Json canonical;      // everything above, defaults expanded
  std::string sha256;  // of the canonical bytes
  std::vector<std::string> warnings;

  bool from_tests() const { return from == "failing_tests"; }
};

// The ladder's entries that are workers.
std::vector<std::string> worker_rungs(const Recipe& recipe);
// Whether a run begins without those of them that nobody gives: the maker has a rung of its own
// among them.
bool does_without_workers(const Recipe& recipe);
// The recipe with those rungs alone that are here. `is_here`: of a worker's name.
Result<Recipe> with_rungs_here(const Recipe& recipe,
                               const std::function<bool(const std::string& name)>& is_here);

// The keys of a table of the recipe, whatever kind stands in it: "", "unit", "context",
// "memory", "make", "judge", "combine", "stop", "tool".
std::span<const OptionSpec> recipe_options(std::string_view table);

// `name`: for messages ("recipes/x.toml"). `overrides`: "make.best_of=4" as given with --set.
// `project`: tables whose values count where a recipe with unit.project = "auto" has none.
// Errors carry the line.
Result<Recipe> parse_recipe(std::string_view toml, const std::string& name,
                            std::span<const std::string> overrides = {}, const Json& project = {});
// From the canonical form: the journal's, or one that this program made.
Result<Recipe> recipe_from_json(const Json& canonical,
                                const std::string& name = "the journal's recipe");

}  // namespace lathe::loop
