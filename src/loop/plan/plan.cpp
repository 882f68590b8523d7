// A plan's file to a plan: keys, kinds, judges, paths; then what must hold of its tasks together.
#include "loop/plan/plan.h"

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/plan/check.h"
#include "loop/plan/globs.h"
#include "loop/plan/recipes.h"
#include "loop/terms/write_rule.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxPlanBytes = 1 << 20;
constexpr std::size_t kMaxIdBytes = 40;
constexpr std::size_t kMaxInputs = 256;
constexpr std::size_t kMaxPlanJudges = 64;
constexpr std::size_t kMaxGoalBytes = 16 << 10;

constexpr OptionSpec kPlanOptions[] = {
    {"plan", OptionType::kInteger, kMustBeGiven, "of the format; this lathe reads 1"},
    {"goal", OptionType::kString, kMustBeGiven, "what is wanted, in a sentence or a few"},
    {"protect", OptionType::kStrings, "[]",
     "globs of files that stay as they are; tests find them as they were"},
    {"whole", OptionType::kStrings, kMustBeGiven,
     "judges of what all tasks made, put together: at least one gate"},
    {"stop", OptionType::kTable, "{}", "[stop] of each task's run, as in a recipe"},
};
constexpr OptionSpec kInputOptions[] = {
    {"path", OptionType::kString, kMustBeGiven, "a file or a directory of the tree; \".\": all"},
    {"privacy", OptionType::kString, kMustBeGiven, "how far it may travel: local | lan | cloud"},
};
constexpr OptionSpec kTaskOptions[] = {
    {"id", OptionType::kString, kMustBeGiven, "its name: small letters, digits and '-', up to 40"},
    {"do", OptionType::kString, kMustBeGiven, "what is to be done, up to 4000 characters"},
    {"kind", OptionType::kString, kMustBeGiven, "the maker"},
    {"deps", OptionType::kStrings, "[]", "tasks that must have passed before"},
    {"reads", OptionType::kStrings, "[]", "globs of files that its maker is shown"},
    {"writes", OptionType::kStrings, kMustBeGiven, "globs of files that it may change or make"},
    {"judges", OptionType::kStrings, kMustBeGiven,
     "KIND:NAME for [judge.NAME], or KIND alone with its defaults: at least one gate"},
    {"difficulty", OptionType::kInteger, "1", "1 to 3: what the planner thinks of it"},
    {"privacy",
     OptionType::kString,
     {},
     "how far it may travel: local | lan | cloud; never looser than its inputs, and by default as "
     "strict as the strictest"},
    {"make", OptionType::kTable, "{}", "options of the maker"},
};
// Options of makers that the plan itself decides.
constexpr std::string_view kDecidedKeys[] = {"kind",    "ladder",    "task",   "task_file",
                                             "context", "may_write", "protect"};

bool is_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::string shown(std::string_view text) {
  return clip_utf8(make_valid_utf8(text), 60);
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

class PlanReader {
 public:
  PlanReader(PlanPlaces places, const PlanRules& rules)
      : places_(std::move(places)), rules_(rules) {}

  Result<Plan> read(const Json& raw) {
    LATHE_TRY_STATUS(read_top(raw));
    LATHE_TRY_STATUS(read_inputs(json_at(raw, "inputs")));
    LATHE_TRY_STATUS(read_tasks(json_at(raw, "task")));
    LATHE_TRY_STATUS(check_tasks(plan_, labelled_, places_, rules_));
    LATHE_TRY_STATUS(check_recipes());
    plan_.sha256 = sha256_hex(canonical_json(canonical_));
    plan_.canonical = std::move(canonical_);
    return std::move(plan_);
  }

 private:
  Result<Json> checked(const std::string& path, const Json& given,
                       std::span<const OptionSpec> specs) const {
    if (!given.is_object()) return places_.problem(path, "must be a table");
    std::vector<std::string> names;
    for (const OptionSpec& spec : specs) names.emplace_back(spec.name);
    for (const auto& [key, value] : given.items())
      if (std::ranges::find(names, key) == names.end())
        return places_.problem(inner(path, shown(key)),
                               "is not known here" + did_you_mean(shown(key), names));
    auto options = check_options(given, specs);
    if (options) return *std::move(options);
    return places_.problem(inner(path, options.error().key), options.error().message);
  }

  static std::string inner(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
  }

  Status read_top(const Json& raw) {
    if (!raw.is_object()) return places_.problem("", "a plan is a table with plan = 1");
    Json top = raw;
    for (const char* list : {"inputs", "task", "judge"}) top.erase(list);
    LATHE_TRY(canonical_, checked("", top, kPlanOptions));
    if (option_int(canonical_, "plan") != 1)
      return places_.problem("plan", fmt::format("is {}, but this lathe reads plans of format 1",
                                                 option_int(canonical_, "plan")));
    plan_.goal = option_string(canonical_, "goal");
    if (trim(plan_.goal).empty() || plan_.goal.size() > kMaxGoalBytes)
      return places_.problem("goal",
                             fmt::format("must be a text of up to {} bytes", kMaxGoalBytes));
    plan_.stop = json_at(canonical_, "stop");
    LATHE_TRY(plan_.protect, globs_of(canonical_, "", "protect", 0));
    LATHE_TRY_STATUS(read_judges(json_at(raw, "judge")));
    plan_.whole = option_strings(canonical_, "whole");
    return check_refs("whole", plan_.whole);
  }

  Status read_inputs(const Json& list) {
    canonical_["inputs"] = Json::array();
    if (list.is_null()) return {};
    if (!list.is_array() || list.size() > kMaxInputs)
      return places_.problem("inputs", fmt::format("must be a list of up to {} tables like "
                                                   "{{path = \"src\", privacy = \"lan\"}}",
                                                   kMaxInputs));
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = fmt::format("inputs[{}]", i);
      LATHE_TRY(Json table, checked(path, list[i], kInputOptions));
      PlanInput input;
      input.path = option_string(table, "path");
      if (input.path.size() > 1 && input.path.ends_with('/')) input.path.pop_back();
      if (input.path != "." && (!is_safe_relative(input.path) || has_wildcard(input.path)))
        return places_.problem(path + ".path",
                               fmt::format("is '{}', which is no file or directory inside the "
                                           "tree; write it relative to the tree, without '..' and "
                                           "stars",
                                           shown(input.path)));
      LATHE_TRY(input.label, label_in(table, path));
      plan_.inputs.push_back(std::move(input));
      canonical_["inputs"].push_back(std::move(table));
    }
    return {};
  }

  Result<Reach> label_in(const Json& table, const std::string& path) const {
    const std::string name = option_string(table, "privacy");
    if (const auto label = parse_label(name)) return *label;
    return places_.problem(
        path + ".privacy",
        fmt::format("is '{}', but must be local | lan | cloud{}", shown(name),
                    did_you_mean(shown(name), std::vector<std::string>{"local", "lan", "cloud"})));
  }

  // Lists of paths that stay inside the tree.
  Result<std::vector<std::string>> globs_of(const Json& table, const std::string& path,
                                            std::string_view key, std::size_t least) const {
    const std::string place = inner(path, std::string(key));
    std::vector<std::string> globs = option_strings(table, key);
    if (globs.size() < least || globs.size() > kMaxGlobs)
      return places_.problem(place, fmt::format("has {} globs, but must have {} to {}",
                                                globs.size(), least, kMaxGlobs));
    for (const std::string& glob : globs) {
      if (glob.size() > kMaxGlobBytes || find_invalid_utf8(glob) != glob.npos ||
          std::ranges::any_of(glob,
                              [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; }))
        return places_.problem(place, fmt::format("has '{}': a glob has up to {} bytes, and no "
                                                  "control characters or backslashes",
                                                  shown(glob), kMaxGlobBytes));
      if (!is_safe_relative(glob))
        return places_.problem(place,
                               fmt::format("has '{}', which leads outside the tree; write it "
                                           "relative to the tree, without '..'",
                                           shown(glob)));
    }
    return globs;
  }

  Status read_judges(const Json& tables) {
    canonical_["judge"] = Json::object();
    if (tables.is_null()) return {};
    if (!tables.is_object() || tables.size() > kMaxPlanJudges)
      return places_.problem("judge", fmt::format("must be up to {} tables [judge.NAME]; a task "
                                                  "names one as \"KIND:NAME\"",
                                                  kMaxPlanJudges));
    for (const auto& [name, table] : tables.items()) {
      const std::string path = "judge." + shown(name);
      if (!is_id(name))
        return places_.problem(path, "must be named by small letters, digits and '-'");
      if (!table.is_object()) return places_.problem(path, "must be a table");
      const std::string kind = json_string(table, "kind");
      LATHE_TRY_STATUS(add_judge(fmt::format("{}:{}", kind, name), kind, name, table, path));
      canonical_["judge"][name] = table;
    }
    return {};
  }

  // The recipe's reader checks the judge's options, with the task that it stands in.
  Status add_judge(const std::string& ref, const std::string& kind, const std::string& name,
                   const Json& table, const std::string& path) {
    PlanJudge judge;
    judge.kind = find_judge(kind);
    if (!judge.kind) {
      std::vector<std::string> names;
      for (const JudgeKind* each : judge_kinds()) names.emplace_back(each->name);
      return places_.problem(
          path, fmt::format("names '{}', which is not a judge; there are {}{}", shown(kind),
                            join(names, ", "), did_you_mean(shown(kind), names)));
    }
    for (const char* key : {"scope", "name"})
      if (table.contains(key))
        return places_.problem(path + "." + key, "is the plan's own matter; leave it out");
    judge.table = table;
    judge.table["kind"] = kind;
    judge.table["name"] = name;
    const std::string stage = json_string(table, "stage");
    judge.gates = (stage.empty() ? judge.kind->stage == Stage::kGate : stage == "gate") &&
                  !(judge.kind->advises && judge.kind->advises(table));
    plan_.judges[ref] = std::move(judge);
    return {};
  }

  // Each is known, and one of them is a gate.
  Status check_refs(const std::string& path, const std::vector<std::string>& refs) {
    bool gates = false;
    if (refs.size() > kMaxPlanJudges) return places_.problem(path, "names too many judges");
    for (const std::string& ref : refs) {
      if (std::ranges::count(refs, ref) > 1)
        return places_.problem(path, fmt::format("names '{}' twice", shown(ref)));
      if (!plan_.judges.contains(ref)) {
        if (ref.find(':') != ref.npos) return unknown_judge(path, ref);
        LATHE_TRY_STATUS(add_judge(ref, ref, ref, Json::object(), path));
      }
      gates |= plan_.judges[ref].gates;
    }
    if (gates) return {};
    return places_.problem(path, fmt::format("has no judge that is a gate, and only gates decide; "
                                             "add one, like \"tests:NAME\" with [judge.NAME]"));
  }

  std::unexpected<Error> unknown_judge(const std::string& path, const std::string& ref) const {
    std::vector<std::string> names;
    for (const auto& [name, judge] : plan_.judges) names.push_back(name);
    return places_.problem(
        path, fmt::format("names '{}', but there is no [judge.{}] with kind = \"{}\"{}", shown(ref),
                          shown(ref.substr(ref.find(':') + 1)), shown(ref.substr(0, ref.find(':'))),
                          did_you_mean(shown(ref), names)));
  }

  Status read_tasks(const Json& list) {
    if (!list.is_array() || list.empty())
      return places_.problem("task", "must be at least one [[task]] table");
    if (list.size() > kMaxTasks)
      return places_.problem("task", fmt::format("has {} tables, and {} tasks are the most; put "
                                                 "small ones together",
                                                 list.size(), kMaxTasks));
    canonical_["task"] = Json::array();
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = fmt::format("task[{}]", i);
      LATHE_TRY(Json table, checked(path, list[i], kTaskOptions));
      LATHE_TRY_STATUS(read_task(i, path, table));
      labelled_.push_back(table.contains("privacy"));
      canonical_["task"].push_back(std::move(table));
    }
    return read_deps();
  }

  Status read_task(std::size_t i, const std::string& path, const Json& table) {
    PlanTask task;
    task.id = option_string(table, "id");
    if (!is_id(task.id))
      return places_.problem(path + ".id",
                             fmt::format("is '{}', but must be 1 to {} small letters, digits and "
                                         "'-'",
                                         shown(task.id), kMaxIdBytes));
    if (std::ranges::find(plan_.tasks, task.id, &PlanTask::id) != plan_.tasks.end())
      return places_.problem(
          path + ".id",
          fmt::format("is '{}', as another task's is; give it a name of its own", task.id));
    task.instruction = option_string(table, "do");
    if (trim(task.instruction).empty() || characters_in(task.instruction) > kMaxInstruction ||
        task.instruction.find('\0') != task.instruction.npos ||
        find_invalid_utf8(task.instruction) != task.instruction.npos)
      return places_.problem(path + ".do",
                             fmt::format("must be a text of 1 to {} characters; this one has {}",
                                         kMaxInstruction, characters_in(task.instruction)));
    LATHE_TRY(task.reads, globs_of(table, path, "reads", 0));
    LATHE_TRY(task.writes, globs_of(table, path, "writes", 1));
    task.judges = option_strings(table, "judges");
    LATHE_TRY_STATUS(check_refs(path + ".judges", task.judges));
    task.difficulty = static_cast<int>(
        std::clamp<std::int64_t>(option_int(table, "difficulty"), 0, kMaxDifficulty + 1));
    if (task.difficulty < 1 || task.difficulty > kMaxDifficulty)
      return places_.problem(path + ".difficulty",
                             fmt::format("is {}, but must be from 1 to {}",
                                         option_int(table, "difficulty"), kMaxDifficulty));
    if (table.contains("privacy")) {
      LATHE_TRY(task.label, label_in(table, path));
    }
    task.make = json_at(table, "make");
    LATHE_TRY_STATUS(read_maker(path, option_string(table, "kind"), task));
    plan_.tasks.push_back(std::move(task));
    return check_held(i);
  }

  Status read_maker(const std::string& path, const std::string& kind, PlanTask& task) const {
    task.maker = find_maker(kind);
    std::vector<std::string> names;
    for (const MakerKind* maker : maker_kinds())
      if (maker->name != "given") names.emplace_back(maker->name);
    if (!task.maker || std::ranges::find(names, kind) == names.end())
      return places_.problem(
          path + ".kind", fmt::format("is '{}', which is not a maker; there are {}{}", shown(kind),
                                      join(names, ", "), did_you_mean(shown(kind), names)));
    for (const std::string_view key : kDecidedKeys)
      if (task.make.contains(key) && (key != "ladder" || task.maker->needs_worker))
        return places_.problem(fmt::format("{}.make.{}", path, key),
                               "is what the plan decides by do, reads, writes and protect; leave "
                               "it out");
    if (kind == "voice" || kind == "poster" || kind == "picture")
      return places_.problem(path + ".kind",
                             fmt::format("is '{}', which makes no text; the results of tasks are "
                                         "put together as texts",
                                         kind));
    if (!task.changes_tree() && (task.writes.size() != 1 || has_wildcard(task.writes.front())))
      return places_.problem(path + ".writes",
                             fmt::format("must be one file without stars: '{}' makes one", kind));
    return {};
  }

  // What the rule for candidates never lets pass is said here, not at the first candidate.
  Status check_held(std::size_t i) const {
    for (const std::string& glob : plan_.tasks[i].writes) {
      std::string sample = glob;
      std::ranges::replace_if(
          sample, [](char c) { return c == '*' || c == '?'; }, 'x');
      if (const auto fine = WriteRule{{glob, sample}, {}}.allows(sample); !fine)
        return places_.of_task(plan_, i, "writes",
                               fmt::format("has '{}': {}", glob, fine.error().message));
    }
    return {};
  }

  Status read_deps() {
    std::vector<std::string> ids;
    for (const PlanTask& task : plan_.tasks) ids.push_back(task.id);
    for (std::size_t i = 0; i < plan_.tasks.size(); ++i) {
      for (const std::string& dep : option_strings(canonical_["task"][i], "deps")) {
        const auto found = std::ranges::find(ids, dep);
        if (found == ids.end())
          return places_.of_task(plan_, i, "deps",
                                 fmt::format("names '{}', which is no task{}", shown(dep),
                                             did_you_mean(shown(dep), ids)));
        const auto index = static_cast<std::size_t>(found - ids.begin());
        if (index == i)
          return places_.of_task(plan_, i, "deps", "names the task itself; take it away");
        std::vector<std::size_t>& deps = plan_.tasks[i].deps;
        if (std::ranges::find(deps, index) == deps.end()) deps.push_back(index);
      }
      std::ranges::sort(plan_.tasks[i].deps);
    }
    return {};
  }

  // Options of makers and judges, by the reader of recipes. Who will be asked is not known yet.
  Status check_recipes() const {
    const std::vector<std::string> anybody{"worker"};
    for (std::size_t i = 0; i < plan_.tasks.size(); ++i) {
      const std::string place = place_of(places_.file, places_.lines, fmt::format("task[{}]", i));
      LATHE_TRY([[maybe_unused]] const Recipe recipe,
                task_recipe(plan_, i, anybody,
                            fmt::format("{}: task '{}', as a recipe", place, plan_.tasks[i].id)));
    }
    LATHE_TRY([[maybe_unused]] const Recipe merge,
              merge_recipe(plan_, rules_, places_.file + ": the whole judges, as a recipe"));
    return {};
  }

  PlanPlaces places_;
  const PlanRules& rules_;
  Plan plan_;
  Json canonical_;
  std::vector<bool> labelled_;
};

}  // namespace

std::string_view label_name(Reach label) {
  return label == Reach::kAny ? "cloud" : reach_name(label);
}

std::optional<Reach> parse_label(std::string_view name) {
  if (name == "cloud") return Reach::kAny;
  return name == "any" ? std::nullopt : parse_reach(name);
}

std::span<const OptionSpec> plan_options(std::string_view table) {
  if (table == "input") return kInputOptions;
  if (table == "task") return kTaskOptions;
  return kPlanOptions;
}

Result<Plan> parse_plan(std::string_view text, const std::string& name, const PlanRules& rules) {
  if (text.size() > kMaxPlanBytes)
    return invalid("{}: {} bytes are too many for a plan; {} are the most", name, text.size(),
                   kMaxPlanBytes);
  if (const auto bad = find_invalid_utf8(text); bad != text.npos)
    return invalid("{}: not valid UTF-8 at byte {}", name, bad);
  PlanPlaces places{name, {}};
  if (trim(text).starts_with('{')) {
    auto json = parse_json(text, {.max_bytes = kMaxPlanBytes});
    if (!json) return at(name, std::move(json).error());
    return PlanReader(std::move(places), rules).read(*json);
  }
  LATHE_TRY(TomlJson read, toml_to_json(text, name));
  places.lines = std::move(read.lines);
  return PlanReader(std::move(places), rules).read(read.value);
}

}  // namespace lathe::loop
