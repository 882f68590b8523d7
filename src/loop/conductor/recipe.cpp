// TOML to a recipe: descriptors, defaults, overrides, warnings.
#include "loop/conductor/recipe.h"

#include <charconv>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/toml_json.h"
#include "ground/base/units.h"
#include "loop/terms/passage.h"
#include "loop/terms/write_rule.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxRecipeBytes = 1 << 20;
constexpr int kMaxSeeds = 10'000;
constexpr std::size_t kLongestWish = 100;

constexpr OptionSpec kTopOptions[] = {
    {"recipe", OptionType::kString, kMustBeGiven, "the recipe's name"},
    {"version", OptionType::kInteger, kMustBeGiven, "of the recipe format; this lathe reads 1"},
    {"description", OptionType::kString, "\"\"", "one line for `lathe recipe list`"},
    {"privacy", OptionType::kString, "\"local\"", "how far a prompt may travel: local | lan | any"},
    {"collect", OptionType::kString, "\"first\"",
     "first: a failed stage skips the dearer ones | all"},
    {"unit", OptionType::kTable, kMustBeGiven, "what is judged alone"},
    {"context", OptionType::kTable, {}, "what is looked up in documents for each unit"},
    {"memory", OptionType::kTable, {}, "what is recalled for each unit, and may be proposed"},
    {"make", OptionType::kTable, kMustBeGiven, "what makes the candidates"},
    {"judge", OptionType::kTable, kMustBeGiven, "[[judge]]: one table per judge"},
    {"combine", OptionType::kTable, "{}",
     "per stage: all | any | \"2-of-3\" | \"weighted >= 0.8\""},
    {"stop", OptionType::kTable, "{}", "when to give up"},
    {"tool",
     OptionType::kTable,
     {},
     "[[tool]]: one table per program whose tools the maker's model may call"},
};
constexpr OptionSpec kToolOptions[] = {
    {"server", OptionType::kString, kMustBeGiven, "its name here: small letters, digits and '-'"},
    {"command", OptionType::kStrings, "[]",
     "the program, which speaks the Model Context Protocol on its standard input and output"},
    {"url", OptionType::kString, {}, "in place of command: the URL of a server that is running"},
    {"token_env",
     OptionType::kString,
     {},
     "with url: the environment variable that holds the token it wants"},
    {"token_file", OptionType::kString, {}, "or the file that holds it, for its owner alone"},
    {"allow", OptionType::kStrings, kMustBeGiven, "the tools that may be called"},
    {"ask", OptionType::kString, "\"first\"",
     "before which calls a person is asked: always | first | never"},
    {"privacy", OptionType::kString, "\"local\"",
     "local: it has no network | any: it has the machine's; with url, how far its address may be: "
     "local | lan | any"},
    {"root", OptionType::kString, {}, "a directory that it may read, and begins in"},
    {"read_only", OptionType::kStrings, "[]", "other directories that it may read"},
    {"env", OptionType::kTable, "{}", "variables for it"},
    {"call_time", OptionType::kDuration, "\"1m\"", "limit of one call"},
};
constexpr OptionSpec kUnitOptions[] = {
    {"from", OptionType::kString, kMustBeGiven,
     "a file, relative to the recipe, or \"failing_tests\""},
    {"split", OptionType::kString, "\"line\"", "line | paragraph | file | jsonl"},
    {"tree", OptionType::kString, {}, "for makers that change a source tree: its directory"},
    {"project",
     OptionType::kString,
     {},
     "auto: what this table and [make] leave out is set for the kind of project that its files "
     "tell"},
    {"exclude", OptionType::kStrings,
     R"([".git/**","build/**","**/target/**","**/node_modules/**",".venv/**","venv/**","**/__pycache__/**",".pytest_cache/**",".gradle/**",".tox/**","lathe-out/**"])",
     "files of the tree that are left out of its snapshot"},
    {"seeds",
     OptionType::kInteger,
     {},
     "a grid: every unit is made by each of the ladder with each seed from 1 to this one, in one "
     "lap unless [stop] says otherwise"},
};
constexpr OptionSpec kContextOptions[] = {
    {"from", OptionType::kString, kMustBeGiven,
     "the files that are looked at, relative to the recipe: \"docs/**\""},
    {"k", OptionType::kInteger, "6", "passages of them that each unit's prompt gets"},
    {"embed", OptionType::kString, "\"\"",
     "a model that makes embeddings: its name at the running server, or its file; none: words "
     "alone"},
    {"languages", OptionType::kString, "\"eng\"",
     "what scanned pages are written in, as Tesseract names it: \"deu+eng\""},
    {"privacy", OptionType::kString, "\"local\"",
     "how far these files may travel, in prompts too: local | lan | any"},
};
constexpr OptionSpec kMemoryOptions[] = {
    {"scope", OptionType::kString, "\"recipe\"",
     "what proposed facts are of: recipe | project (its directory) | user"},
    {"propose", OptionType::kBool, "true", "answers may propose facts"},
    {"accept", OptionType::kString, "\"person\"",
     "who accepts them: person | judges, where the answer that proposes them passes"},
    {"privacy", OptionType::kString, "\"local\"",
     "how far facts may travel, in prompts: local | lan | any"},
};
constexpr OptionSpec kMakeOptions[] = {
    {"kind", OptionType::kString, kMustBeGiven, "`lathe recipe explain` lists the kinds"},
    {"ladder", OptionType::kStrings, "[]", "workers or voices, the cheapest first"},
    {"best_of", OptionType::kInteger, "1", "candidates per lap"},
    {"repairs", OptionType::kInteger, "2", "repairs before a fresh sample"},
    {"on", OptionType::kString, {}, "the node or tier of the fleet that makes: \"laptop\""},
};
constexpr OptionSpec kJudgeOptions[] = {
    {"kind", OptionType::kString, kMustBeGiven, "`lathe judge list` lists the kinds"},
    {"name", OptionType::kString, {}, "for reports; default: the kind"},
    {"stage", OptionType::kString, {}, "gate | measure | rubric | human; default: the kind's own"},
    {"scope", OptionType::kString, "\"unit\"", "unit | whole"},
    {"veto", OptionType::kBool, "false", "its fail cannot be outvoted"},
    {"weight", OptionType::kNumber, "1",
     "in a weighted stage, and in the score that ranks candidates"},
    {"on", OptionType::kString, {}, "the node or tier of the fleet that judges: \"desk\""},
};
constexpr std::string_view kCombineHelp =
    "how its verdicts become one: all | any | \"2-of-3\" | \"weighted >= 0.8\"";
constexpr OptionSpec kCombineOptions[] = {
    {"gate", OptionType::kString, {}, kCombineHelp},
    {"measure", OptionType::kString, {}, kCombineHelp},
    {"rubric", OptionType::kString, {}, kCombineHelp},
    {"human", OptionType::kString, {}, kCombineHelp},
};
constexpr OptionSpec kStopOptions[] = {
    {"laps", OptionType::kInteger, "6", "per unit"},
    {"no_gain", OptionType::kInteger, "2", "laps on one rung without a better candidate"},
    {kPauseWhen, OptionType::kStrings, {}, "the run waits: \"heat\", \"battery\", \"person\""},
};
constexpr OptionSpec kCallOption = {"call", OptionType::kDuration, "\"10m\"", "one call's time"};

// One call's time stands beside the run's.
const std::vector<OptionSpec>& stop_options() {
  static const std::vector<OptionSpec> all = [] {
    std::vector<OptionSpec> options(std::begin(kStopOptions), std::end(kStopOptions));
    for (const BudgetKind& budget : budget_kinds()) {
      options.push_back(budget.option);
      if (budget.option.name == kTimeBudget) options.push_back(kCallOption);
    }
    return options;
  }();
  return all;
}

// Reads one recipe; problem() gives every message its place.
class Reader {
 public:
  Reader(std::string name, TomlLines lines) : name_(std::move(name)), lines_(std::move(lines)) {}

  Result<Recipe> read(const Json& given) {
    const Json raw = with_one_lap(given);
    LATHE_TRY(const Json top, checked("", without_lists(raw), kTopOptions));
    Recipe recipe;
    recipe.name = option_string(top, "recipe");
    recipe.description = option_string(top, "description");
    if (trim(recipe.name).empty()) return problem("recipe", "must not be empty");
    if (option_int(top, "version") != 1)
      return problem("version", fmt::format("is {}, but this lathe reads recipes of version 1",
                                            option_int(top, "version")));
    LATHE_TRY(const std::string privacy, one_of(top, "", "privacy", {"local", "lan", "any"}));
    recipe.privacy = *parse_reach(privacy);
    LATHE_TRY(const std::string collect, one_of(top, "", "collect", {"first", "all"}));
    recipe.collect_all = collect == "all";
    LATHE_TRY_STATUS(read_unit(json_at(raw, "unit"), recipe));
    LATHE_TRY_STATUS(read_make(json_at(raw, "make"), json_at(raw, "unit"), recipe));
    LATHE_TRY_STATUS(read_context(json_at(top, "context"), recipe));
    LATHE_TRY_STATUS(read_memory(json_at(top, "memory"), recipe));
    LATHE_TRY_STATUS(read_judges(raw, recipe));
    LATHE_TRY_STATUS(read_combine(json_at(top, "combine"), recipe));
    LATHE_TRY_STATUS(read_stop(json_at(top, "stop"), recipe));
    LATHE_TRY_STATUS(read_tools(json_at(raw, "tool"), recipe));
    finish(top, raw, recipe);
    return recipe;
  }

 private:
  std::unexpected<Error> problem(const std::string& path, std::string_view message) const {
    return invalid("{}: {} {}", place_of(name_, lines_, path), path, message);
  }

  // What a grid measures is one attempt.
  static Json with_one_lap(const Json& given) {
    Json raw = given;
    const Json& stop = json_at(given, "stop");
    if (json_at(json_at(given, "unit"), "seeds").is_null() || !(stop.is_null() || stop.is_object()))
      return raw;
    if (!stop.contains("laps")) raw["stop"]["laps"] = 1;
    return raw;
  }

  // [[judge]] and [[tool]] are lists of tables, which no OptionType describes: they are checked by
  // those who read them.
  static Json without_lists(const Json& raw) {
    Json top = raw;
    if (top.contains("judge")) top["judge"] = Json::object();
    if (top.contains("tool")) top.erase("tool");
    return top;
  }

  Result<Json> checked(const std::string& path, const Json& given,
                       std::span<const OptionSpec> specs) const {
    if (!given.is_object()) return problem(path, "must be a table");
    auto options = check_options(given, specs);
    if (options) return *std::move(options);
    const OptionProblem& wrong = options.error();
    return problem(path.empty() ? wrong.key : path + "." + wrong.key, wrong.message);
  }

  Result<std::string> one_of(const Json& options, const std::string& path, std::string_view key,
                             const std::vector<std::string>& choices) const {
    std::string value = option_string(options, key);
    if (std::ranges::find(choices, value) != choices.end()) return value;
    const std::string full = path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
    return problem(full, fmt::format("is '{}', but must be one of {}{}", clip_utf8(value, 60),
                                     join(choices, " | "), did_you_mean(value, choices)));
  }

  // The options of a kind from a table that also has the common ones: splits them apart by name.
  struct Split {
    Json common, own;
  };
  static Split apart(const Json& table, std::span<const OptionSpec> common) {
    Split split{Json::object(), Json::object()};
    for (const auto& [key, value] : table.items()) {
      const bool is_common =
          std::ranges::any_of(common, [&](const OptionSpec& spec) { return spec.name == key; });
      (is_common ? split.common : split.own)[key] = value;
    }
    return split;
  }

  // What `own` leaves out, from the first of the other tables that has it.
  static Json with_inherited(Json own, std::span<const OptionSpec> specs,
                             std::initializer_list<Json> places) {
    for (const OptionSpec& spec : specs) {
      const std::string key(spec.name);
      for (const Json& place : places)
        if (const Json& value = json_at(place, key);
            spec.inherit && !own.contains(key) && !value.is_null())
          own[key] = value;
    }
    return own;
  }

  // An unknown key may belong to the common options or to the kind's: suggestions come from both.
  Status known(const std::string& path, const Json& own, std::span<const OptionSpec> common,
               std::span<const OptionSpec> specs) const {
    std::vector<std::string> names;
    for (const auto list : {common, specs})
      for (const OptionSpec& spec : list) names.emplace_back(spec.name);
    for (const auto& [key, value] : own.items())
      if (std::ranges::find(names, key) == names.end())
        return problem(path + "." + key,
                       fmt::format("is not known here{}", did_you_mean(key, names)));
    return {};
  }

  Status read_unit(const Json& table, Recipe& recipe) const {
    if (!table.is_object()) return problem("unit", "must be a table");
    const bool tests = json_string(table, "from") == "failing_tests";
    const JudgeKind* judge = find_judge("tests");
    const std::span<const OptionSpec> specs =
        tests && judge ? judge->options : std::span<const OptionSpec>();
    const Split split = apart(table, kUnitOptions);
    LATHE_TRY_STATUS(known("unit", split.own, kUnitOptions, specs));
    LATHE_TRY(const Json common, checked("unit", split.common, kUnitOptions));
    LATHE_TRY(recipe.unit_options, checked("unit", split.own, specs));
    recipe.from = option_string(common, "from");
    recipe.tree = option_string(common, "tree");
    recipe.exclude = option_strings(common, "exclude");
    if (recipe.from.empty()) return problem("unit.from", "must not be empty");
    if (common.contains("seeds")) {
      LATHE_TRY(recipe.seeds, number_in(common, "unit", "seeds", 1, kMaxSeeds));
    }
    if (tests) {
      if (common.contains("split") && table.contains("split"))
        return problem("unit.split", "has no meaning with from = \"failing_tests\"");
      if (recipe.tree.empty()) recipe.tree = ".";
    } else {
      LATHE_TRY(recipe.split,
                one_of(common, "unit", "split", {"line", "paragraph", "file", "jsonl"}));
    }
    return {};
  }

  Status read_make(const Json& table, const Json& unit, Recipe& recipe) const {
    const Split split = apart(table.is_object() ? table : Json::object(), kMakeOptions);
    LATHE_TRY(const Json common, checked("make", split.common, kMakeOptions));
    const std::string kind = option_string(common, "kind");
    recipe.maker = find_maker(kind);
    if (!recipe.maker) {
      std::vector<std::string> names;
      for (const MakerKind* maker : maker_kinds()) names.emplace_back(maker->name);
      return problem("make.kind",
                     fmt::format("'{}' is not a maker; there are {}{}", clip_utf8(kind, 60),
                                 join(names, ", "), did_you_mean(kind, names)));
    }
    LATHE_TRY_STATUS(known("make", split.own, kMakeOptions, recipe.maker->options));
    const Json own = with_inherited(split.own, recipe.maker->options, {unit});
    LATHE_TRY(recipe.make_options, checked("make", own, recipe.maker->options));
    recipe.ladder = option_strings(common, "ladder");
    LATHE_TRY(recipe.make_on, wish_of(common, "make"));
    LATHE_TRY(recipe.best_of, number_in(common, "make", "best_of", 1, 64));
    LATHE_TRY(recipe.repairs, number_in(common, "make", "repairs", 0, 100));
    if (recipe.maker->needs_worker && recipe.ladder.empty())
      return problem("make.ladder",
                     "is empty: name at least one worker, like ladder = [\"coder\"]");
    if (recipe.maker->check)
      if (auto fine = recipe.maker->check(recipe.make_options, recipe.ladder); !fine)
        return problem("make", fine.error().message);
    if (recipe.maker->whole_group && recipe.tree.empty()) recipe.tree = ".";
    return recipe.seeds > 0 ? check_grid(recipe) : Status();
  }

  Status writes_prompt(const char* table, const Recipe& recipe) const {
    if (recipe.maker->prefix) return {};
    return problem(table, fmt::format("goes with makers that write a prompt, and {} writes none",
                                      recipe.maker->name));
  }

  Status read_memory(const Json& table, Recipe& recipe) const {
    if (table.is_null()) return {};
    LATHE_TRY(const Json options, checked("memory", table, kMemoryOptions));
    LATHE_TRY_STATUS(writes_prompt("memory", recipe));
    MemorySpec memory;
    LATHE_TRY(memory.scope, one_of(options, "memory", "scope", {"recipe", "project", "user"}));
    memory.propose = option_bool(options, "propose");
    LATHE_TRY(const std::string accept, one_of(options, "memory", "accept", {"person", "judges"}));
    memory.judges_accept = accept == "judges";
    LATHE_TRY(const std::string privacy,
              one_of(options, "memory", "privacy", {"local", "lan", "any"}));
    memory.privacy = *parse_reach(privacy);
    recipe.memory = std::move(memory);
    return {};
  }

  Status read_context(const Json& table, Recipe& recipe) const {
    if (table.is_null()) return {};
    LATHE_TRY(const Json options, checked("context", table, kContextOptions));
    LATHE_TRY_STATUS(writes_prompt("context", recipe));
    ContextSpec context;
    context.from = option_string(options, "from");
    if (context.from.empty()) return problem("context.from", "must not be empty");
    LATHE_TRY(context.k, number_in(options, "context", "k", 1, static_cast<int>(kMostPassages)));
    context.embed = option_string(options, "embed");
    context.languages = option_string(options, "languages");
    LATHE_TRY(const std::string privacy,
              one_of(options, "context", "privacy", {"local", "lan", "any"}));
    context.privacy = *parse_reach(privacy);
    recipe.context = std::move(context);
    return {};
  }

  Status check_grid(const Recipe& recipe) const {
    if (recipe.from_tests() || recipe.maker->whole_group)
      return problem("unit.seeds", "needs units that are made each by itself, not a source tree");
    if (recipe.ladder.empty())
      return problem("make.ladder", "is empty, but a grid needs those that it compares");
    for (std::size_t i = 0; i < recipe.ladder.size(); ++i)
      if (std::ranges::count(recipe.ladder, recipe.ladder[i]) > 1)
        return problem(fmt::format("make.ladder[{}]", i),
                       fmt::format("'{}' stands there twice, and each cell of a grid is made once",
                                   clip_utf8(recipe.ladder[i], 60)));
    return {};
  }

  // A node or a tier, or something that a node has ("judge:ears").
  Result<std::string> wish_of(const Json& options, const std::string& path) const {
    std::string on = option_string(options, "on");
    if (!options.contains("on") ||
        (!on.empty() && on.size() <= kLongestWish && find_invalid_utf8(on) == on.npos &&
         std::ranges::none_of(
             on, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })))
      return on;
    return problem(path + ".on",
                   fmt::format("must be a name of 1 to {} bytes: of a node, like \"laptop\", of a "
                               "tier, or of something that a node has, like \"judge:ears\"",
                               kLongestWish));
  }

  Result<int> number_in(const Json& options, const std::string& path, std::string_view key, int low,
                        int high) const {
    const std::int64_t value = option_int(options, key);
    if (value >= low && value <= high) return static_cast<int>(value);
    return problem(fmt::format("{}.{}", path, key),
                   fmt::format("is {}, but must be from {} to {}", value, low, high));
  }

  Status read_judges(const Json& raw, Recipe& recipe) const {
    const Json& list = json_at(raw, "judge");
    if (!list.is_array() || list.empty())
      return problem("judge",
                     "must be at least one [[judge]] table: without a judge nothing can pass");
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = fmt::format("judge[{}]", i);
      if (!list[i].is_object()) return problem(path, "must be a table");
      LATHE_TRY(JudgeSpec judge, read_judge(path, list[i], raw));
      for (const JudgeSpec& other : recipe.judges)
        if (other.name == judge.name)
          return problem(
              path, fmt::format("has the name '{}' of another judge; give it a name of its own",
                                judge.name));
      recipe.judges.push_back(std::move(judge));
    }
    if (std::ranges::none_of(recipe.judges,
                             [](const JudgeSpec& j) { return j.scope == Scope::kUnit; }))
      return problem("judge", "has only whole judges: at least one must judge the units");
    return {};
  }

  Result<JudgeSpec> read_judge(const std::string& path, const Json& table, const Json& raw) const {
    const Split split = apart(table, kJudgeOptions);
    LATHE_TRY(const Json common, checked(path, split.common, kJudgeOptions));
    JudgeSpec judge;
    const std::string kind = option_string(common, "kind");
    judge.kind = find_judge(kind);
    if (!judge.kind) {
      std::vector<std::string> names;
      for (const JudgeKind* each : judge_kinds()) names.emplace_back(each->name);
      return problem(path + ".kind",
                     fmt::format("'{}' is not a judge; there are {}{}", clip_utf8(kind, 60),
                                 join(names, ", "), did_you_mean(kind, names)));
    }
    judge.name = common.contains("name") ? option_string(common, "name") : kind;
    judge.veto = option_bool(common, "veto");
    judge.weight = option_number(common, "weight");
    LATHE_TRY(judge.on, wish_of(common, path));
    if (!(judge.weight >= 0 && judge.weight <= 1e6))
      return problem(path + ".weight", "must be from 0 to 1000000");
    judge.stage = judge.kind->stage;
    if (common.contains("stage")) {
      LATHE_TRY(const std::string stage,
                one_of(common, path, "stage", {"gate", "measure", "rubric", "human"}));
      judge.stage = *parse_stage(stage);
    }
    LATHE_TRY(const std::string scope, one_of(common, path, "scope", {"unit", "whole"}));
    judge.scope = scope == "whole" ? Scope::kWhole : Scope::kUnit;
    if (judge.scope == Scope::kWhole && !judge.kind->can_whole)
      return problem(path + ".scope",
                     fmt::format("is \"whole\", but a {} judge only judges units", kind));

    LATHE_TRY_STATUS(known(path, split.own, kJudgeOptions, judge.kind->options));
    const Json own = with_inherited(split.own, judge.kind->options,
                                    {json_at(raw, "unit"), json_at(raw, "make")});
    LATHE_TRY(judge.options, checked(path, own, judge.kind->options));
    if (judge.kind->check)
      if (auto fine = judge.kind->check(judge.options); !fine)
        return problem(path, fine.error().message);
    return judge;
  }

  Status read_combine(const Json& table, Recipe& recipe) const {
    LATHE_TRY(const Json options, checked("combine", table, kCombineOptions));
    for (const auto& [stage, value] : options.items()) {
      const std::string text = value.get<std::string>();
      const std::string_view rest = trim(text);
      Combine combine;
      int of = 0;
      if (rest == "all") {
      } else if (rest == "any") {
        combine.how = Combine::How::kAny;
      } else if (rest.starts_with("weighted")) {
        combine.how = Combine::How::kWeighted;
        const auto at = rest.find(">=");
        const auto bar = at == rest.npos ? invalid("") : parse_bar(trim(rest.substr(at + 2)));
        if (!bar) return problem("combine." + stage, "must be like \"weighted >= 0.8\"");
        combine.bar = *bar;
      } else if (const auto dash = rest.find("-of-"); dash != rest.npos) {
        combine.how = Combine::How::kAtLeast;
        std::from_chars(rest.data(), rest.data() + dash, combine.at_least);
        std::from_chars(rest.data() + dash + 4, rest.data() + rest.size(), of);
        const auto n = std::ranges::count_if(recipe.judges, [&](const JudgeSpec& judge) {
          return judge.scope == Scope::kUnit && stage_name(judge.stage) == stage;
        });
        if (combine.at_least < 1 || combine.at_least > of || of != n)
          return problem("combine." + stage, fmt::format("is '{}', but this stage has {} judges",
                                                         clip_utf8(text, 40), n));
      } else {
        return problem(
            "combine." + stage,
            fmt::format("is '{}', but must be all | any | \"2-of-3\" | \"weighted >= 0.8\"",
                        clip_utf8(text, 40)));
      }
      recipe.combine[*parse_stage(stage)] = combine;
    }
    return {};
  }

  Status read_stop(const Json& table, Recipe& recipe) const {
    LATHE_TRY(const Json options, checked("stop", table, stop_options()));
    LATHE_TRY(recipe.stop.laps, number_in(options, "stop", "laps", 1, 1000));
    LATHE_TRY(recipe.stop.no_gain, number_in(options, "stop", "no_gain", 1, 1000));
    for (const BudgetKind& budget : budget_kinds()) {
      const std::string name(budget.option.name);
      if (!options.contains(name)) continue;
      const auto limit = budget.limit(options);
      if (!limit) return problem("stop." + name, limit.error().message);
      recipe.stop.budgets[name] = *limit;
    }
    recipe.stop.call_ms = option_duration_ms(options, "call");
    if (recipe.stop.call_ms <= 0) return problem("stop.call", "must be longer than nothing");
    for (const std::string& when : option_strings(options, kPauseWhen)) {
      const auto reason = parse_pause_reason(when);
      if (!reason)
        return problem("stop." + std::string(kPauseWhen),
                       fmt::format("has '{}', but may hold heat, battery and person",
                                   clip_utf8(make_valid_utf8(when), 60)));
      recipe.stop.pause_when.insert(*reason);
    }
    return {};
  }

  Status read_tools(const Json& list, Recipe& recipe) const {
    if (list.is_null()) return {};
    if (!list.is_array()) return problem("tool", "must be [[tool]] tables");
    if (!recipe.maker->takes_tools)
      return problem("tool", fmt::format("is for makers whose model calls tools, like \"agent\"; "
                                         "\"{}\" is none",
                                         recipe.maker->name));
    // What the model is shown, it may pass on.
    Reach most = recipe.privacy;
    if (recipe.context) most = std::min(most, recipe.context->privacy);
    if (recipe.memory) most = std::min(most, recipe.memory->privacy);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = fmt::format("tool[{}]", i);
      LATHE_TRY(const Json table, checked(path, list[i], kToolOptions));
      LATHE_TRY(ToolServer server, read_tool(path, table, most));
      if (std::ranges::find(recipe.tools, server.name, &ToolServer::name) != recipe.tools.end())
        return problem(path + ".server",
                       fmt::format("is '{}' twice; give each a name of its own", server.name));
      recipe.tools.push_back(std::move(server));
    }
    return {};
  }

  Result<ToolServer> read_tool(const std::string& path, const Json& table, Reach most) const {
    ToolServer server;
    server.name = option_string(table, "server");
    server.command = option_strings(table, "command");
    server.url = option_string(table, "url");
    server.token_env = option_string(table, "token_env");
    server.token_file = option_string(table, "token_file");
    server.allow = option_strings(table, "allow");
    if (server.allow.empty())
      return problem(path + ".allow", "is empty: name the tools that may be called");
    LATHE_TRY(const std::string ask, one_of(table, path, "ask", {"always", "first", "never"}));
    server.ask = *parse_ask_when(ask);
    LATHE_TRY(const std::string privacy, one_of(table, path, "privacy", {"local", "lan", "any"}));
    server.privacy = *parse_reach(privacy);
    server.root = option_string(table, "root");
    server.read_only = option_strings(table, "read_only");
    for (const auto& [name, value] : json_at(table, "env").items()) {
      if (!value.is_string()) return problem(path + ".env." + name, "must be a string");
      server.env[name] = value.get<std::string>();
    }
    server.call_time = Milliseconds(option_duration_ms(table, "call_time"));
    if (const auto fine = check_tool_server(server); !fine)
      return problem(path, fine.error().message);
    if (server.privacy > most)
      return problem(path + ".privacy",
                     fmt::format("is \"{}\", but what the recipe shows its model may go no "
                                 "farther than \"{}\"",
                                 privacy, reach_name(most)));
    return server;
  }

  void finish(const Json& top, const Json& raw, Recipe& recipe) const {
    Json canonical = top;
    canonical["unit"] =
        *check_options(apart(json_at(raw, "unit"), kUnitOptions).common, kUnitOptions);
    if (recipe.from_tests()) canonical["unit"].erase("split");
    if (!recipe.tree.empty()) canonical["unit"]["tree"] = recipe.tree;
    canonical["unit"].update(recipe.unit_options);
    if (recipe.context)
      canonical["context"] = *check_options(json_at(top, "context"), kContextOptions);
    if (recipe.memory) canonical["memory"] = *check_options(json_at(top, "memory"), kMemoryOptions);
    canonical["make"] =
        *check_options(apart(json_at(raw, "make"), kMakeOptions).common, kMakeOptions);
    canonical["make"].update(recipe.make_options);
    canonical["judge"] = Json::array();
    for (const JudgeSpec& judge : recipe.judges) {
      Json table = {{"kind", judge.kind->name},
                    {"name", judge.name},
                    {"stage", stage_name(judge.stage)},
                    {"scope", judge.scope == Scope::kWhole ? "whole" : "unit"},
                    {"veto", judge.veto},
                    {"weight", judge.weight}};
      if (!judge.on.empty()) table["on"] = judge.on;
      table.update(judge.options);
      canonical["judge"].push_back(std::move(table));
    }
    canonical["stop"] = *check_options(json_at(top, "stop"), stop_options());
    for (const Json& table : json_at(raw, "tool"))
      canonical["tool"].push_back(*check_options(table, kToolOptions));
    recipe.canonical = canonical;
    recipe.sha256 = sha256_hex(canonical_json(canonical));
    warn(raw, recipe);
  }

  void warn(const Json& raw, Recipe& recipe) const {
    recipe.warnings = WriteRule::of(recipe.make_options).warnings();
    const Json& stop = json_at(raw, "stop");
    if (!stop.contains("laps") && !stop.contains("time") && !stop.contains("tokens"))
      recipe.warnings.push_back(
          "[stop] sets no cap of its own; the defaults count: 6 laps per unit, 1 hour, 2000000 "
          "tokens");
    if (std::ranges::none_of(recipe.judges,
                             [](const JudgeSpec& j) { return j.scope == Scope::kWhole; }) &&
        !recipe.maker->whole_group && recipe.seeds == 0)
      recipe.warnings.push_back(
          "no judge has scope = \"whole\": every unit may pass and the whole still miss something");
    for (const JudgeSpec& judge : recipe.judges)
      if (judge.kind->advises && judge.kind->advises(judge.options))
        recipe.warnings.push_back(fmt::format(
            "the judge '{}' is not calibrated: it advises and cannot pass or fail anything",
            judge.name));
    if (recipe.privacy == Reach::kLocal)
      for (const std::string& rung : recipe.ladder)
        if (rung.starts_with("lan:") || rung.starts_with("cloud:"))
          recipe.warnings.push_back(
              fmt::format("the rung '{}' lies beyond privacy = \"local\": it will be refused when "
                          "it is reached",
                          rung));
  }

  std::string name_;
  TomlLines lines_;
};

// "make.best_of=4": sets one value of the raw recipe. The text is JSON when it reads as JSON, else
// a string.
Status set_override(const std::string& text, Json& raw) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0)
    return invalid("--set {}: write it as key=value, like --set make.best_of=4",
                   clip_utf8(text, 80));
  Json* place = &raw;
  const std::vector<std::string> parts = split(text.substr(0, equals), '.');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part.empty()) return invalid("--set {}: the key has an empty part", clip_utf8(text, 80));
    if (place->is_array()) {
      // [[judge]]: by its name or its kind.
      const auto found = std::ranges::find_if(*place, [&](const Json& judge) {
        return json_string(judge, "name", json_string(judge, "kind")) == part;
      });
      if (found == place->end())
        return invalid("--set {}: there is no judge '{}'", clip_utf8(text, 80), part);
      place = &*found;
    } else if (place->is_object() || place->is_null()) {
      place = &(*place)[part];
    } else {
      return invalid("--set {}: '{}' is not a table", clip_utf8(text, 80), part);
    }
  }
  const std::string value = text.substr(equals + 1);
  auto parsed = parse_json(value);
  *place = parsed ? *std::move(parsed) : Json(value);
  return {};
}

// What the recipe leaves out. What its own command names decides the tests, too.
void fill_in_project(const Json& project, Json& raw) {
  const std::string own_command = json_string(json_at(raw, "unit"), "command");
  const bool protects = json_at(raw, "make").contains("protect");
  for (const auto& [name_of_table, values] : project.items())
    for (const auto& [key, value] : values.items())
      if (!json_at(raw, name_of_table).contains(key)) raw[name_of_table][key] = value;
  if (protects || !json_at(json_at(raw, "make"), "protect").is_array()) return;
  for (const std::string& word : split(replace_all(own_command, "\t", " "), ' ')) {
    const std::string path = word.starts_with("./") ? word.substr(2) : word;
    if (path.starts_with('-') || path.find_first_of("*?[]{}") != path.npos ||
        !is_safe_relative(path))
      continue;
    raw["make"]["protect"].push_back(path);
  }
}

}  // namespace

std::optional<PauseReason> parse_pause_reason(std::string_view name) {
  if (name == "heat") return PauseReason::kHeat;
  if (name == "battery") return PauseReason::kBattery;
  if (name == "person") return PauseReason::kPerson;
  return std::nullopt;
}

std::span<const OptionSpec> recipe_options(std::string_view table) {
  if (table.empty()) return kTopOptions;
  if (table == "unit") return kUnitOptions;
  if (table == "context") return kContextOptions;
  if (table == "memory") return kMemoryOptions;
  if (table == "make") return kMakeOptions;
  if (table == "judge") return kJudgeOptions;
  if (table == "combine") return kCombineOptions;
  if (table == "tool") return kToolOptions;
  return stop_options();
}

Result<Recipe> parse_recipe(std::string_view toml, const std::string& name,
                            std::span<const std::string> overrides, const Json& project) {
  if (toml.size() > kMaxRecipeBytes)
    return invalid("{}: {} bytes are too many for a recipe; move long texts to files", name,
                   toml.size());
  if (const auto bad = find_invalid_utf8(toml); bad != toml.npos)
    return invalid("{}: not valid UTF-8 at byte {}", name, bad);
  LATHE_TRY(TomlJson read, toml_to_json(toml, name));
  Json raw = std::move(read.value);
  for (const std::string& text : overrides) LATHE_TRY_STATUS(set_override(text, raw));
  if (json_string(json_at(raw, "unit"), "project") == "auto") fill_in_project(project, raw);
  return Reader(name, std::move(read.lines)).read(raw);
}

Result<Recipe> recipe_from_json(const Json& canonical, const std::string& name) {
  return Reader(name, {}).read(canonical);
}

std::vector<std::string> worker_rungs(const Recipe& recipe) {
  std::vector<std::string> names;
  for (const std::string& rung : recipe.ladder)
    if (asks_worker(*recipe.maker, rung)) names.push_back(rung);
  return names;
}

bool does_without_workers(const Recipe& recipe) {
  const bool has_own = !recipe.maker->own_rung.empty() || recipe.maker->is_own_rung != nullptr;
  return has_own && worker_rungs(recipe).size() < recipe.ladder.size();
}

Result<Recipe> with_rungs_here(const Recipe& recipe,
                               const std::function<bool(const std::string& name)>& is_here) {
  if (!does_without_workers(recipe)) return recipe;
  std::vector<std::string> ladder;
  bool asks = false;
  for (const std::string& rung : recipe.ladder) {
    const bool worker = asks_worker(*recipe.maker, rung);
    if (worker && !is_here(rung)) continue;
    asks |= worker;
    ladder.push_back(rung);
  }
  if (ladder == recipe.ladder) return recipe;
  Json canonical = recipe.canonical;
  // A maker's only own rung alone is no ladder.
  if (!asks && recipe.maker->is_own_rung == nullptr) ladder.clear();
  canonical["make"]["ladder"] = ladder;
  return recipe_from_json(canonical, recipe.name);
}

}  // namespace lathe::loop
