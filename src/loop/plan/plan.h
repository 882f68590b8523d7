// A plan: a goal cut into tasks, each with what it may read and write, who makes it, who judges it
// and how far it may travel. Data, from a person or a model; all that is wrong with it is said
// before anything runs. Format and meaning: docs/fleet.md.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/toml_json.h"
#include "loop/conductor/recipe.h"

namespace lathe::loop {

inline constexpr std::size_t kMaxTasks = 64;
inline constexpr int kMaxDepth = 8;                   // tasks in a chain
inline constexpr std::size_t kMaxInstruction = 4000;  // characters
inline constexpr std::size_t kMaxGlobs = 16;          // of one list
inline constexpr int kMaxDifficulty = 3;

// How open something is: "local" < "lan" < "cloud".
std::string_view label_name(Reach label);
std::optional<Reach> parse_label(std::string_view name);

struct PlanInput {
  std::string path;  // a file or a directory of the tree
  Reach label = Reach::kLocal;
};

// [judge.NAME]: a judge as a recipe has it.
struct PlanJudge {
  const JudgeKind* kind = nullptr;
  Json table = {};  // of [[judge]] in a recipe, with its kind and name
  bool gates = false;
};

struct PlanTask {
  std::string id, instruction;
  const MakerKind* maker = nullptr;
  std::vector<std::size_t> deps =
      {};  // indices of tasks, sorted; what is read of others among them
  std::vector<std::string> reads = {}, writes = {};
  std::vector<std::string> judges = {};  // as written: "tests:csv"
  int difficulty = 1;
  Reach label = Reach::kLocal;
  Json make = {};  // options of the maker

  bool changes_tree() const { return maker->whole_group; }
};

struct Plan {
  std::string goal;
  std::vector<PlanInput> inputs;
  std::vector<std::string> protect;
  std::vector<PlanTask> tasks;
  std::vector<std::string> whole;           // judges of the merge, as tasks name theirs
  std::map<std::string, PlanJudge> judges;  // by what tasks call them: "tests:csv", "secrets"
  Json stop = {};                           // of each task's run

  std::vector<std::size_t> order;  // topological: of tasks that may come next, as they stand
  std::vector<std::string> notes;  // what was added to it, for people
  Json canonical;                  // as it was written, defaults filled in
  std::string sha256;              // of the canonical bytes
};

struct PlanRules {
  // Of files that no input names: "lan" inside a repository, else "local".
  Reach unnamed = Reach::kLocal;
};

// TOML, or JSON where it begins with '{'. `name`: for messages, which name the task, the line and
// the remedy.
Result<Plan> parse_plan(std::string_view text, const std::string& name, const PlanRules& rules);

// The label of a file of the tree: of the strictest input that it is or lies below, else unnamed.
Reach label_of(std::span<const PlanInput> inputs, std::string_view path, const PlanRules& rules);

// Refused: writes that reach through symbolic links of the tree (TreeSnapshot::left_out).
Status check_links(const Plan& plan, std::span<const std::string> links);

// Bits of the tasks that come before each, however far. At most kMaxTasks of them.
std::vector<std::uint64_t> ancestors_of(std::span<const PlanTask> tasks,
                                        std::span<const std::size_t> order);

// How deep each task stands: 1 where it waits for none.
std::vector<int> depths_of(const Plan& plan);

// The keys of a table of the plan: "", "input", "task".
std::span<const OptionSpec> plan_options(std::string_view table);

}  // namespace lathe::loop
