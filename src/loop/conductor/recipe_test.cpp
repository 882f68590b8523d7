// Recipes: defaults, overrides, projects, warnings, and every mistake with its place.
#include "loop/conductor/recipe.h"

#include <gmock/gmock.h>

#include "ground/base/text.h"
#include "ground/base/units.h"
#include "loop/terms/ecosystems.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kRecipe = R"toml(recipe = "r"
version = 1
[unit]
from = "failing_tests"
command = "make check"
report = "out.xml"
[make]
kind = "code"
ladder = ["coder"]
may_write = ["src/**"]
protect = ["tests/**"]
[[judge]]
kind = "tests"
[[judge]]
name = "lint"
kind = "command"
command = ["true"]
stage = "measure"
veto = true
[combine]
measure = "any"
[stop]
time = "20m"
energy = "0.2kWh"
)toml";

std::string error_of(std::string_view text, std::vector<std::string> set = {}) {
  const auto recipe = parse_recipe(text, "r.toml", set);
  return recipe ? "no error" : recipe.error().message;
}

TEST(Recipe, ReadsWhatIsWrittenAndFillsInTheRest) {
  const auto recipe = parse_recipe(kRecipe, "r.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_TRUE(recipe->from_tests());
  EXPECT_EQ(recipe->tree, ".");
  EXPECT_EQ(recipe->stop.time_ms(), 20 * 60 * 1000);
  EXPECT_DOUBLE_EQ(limit_of(recipe->stop.budgets, "energy"), 0.2 * 3.6e6);
  EXPECT_EQ(recipe->stop.laps, 6);
  EXPECT_EQ(recipe->judges[1].stage, Stage::kMeasure);
  EXPECT_TRUE(recipe->judges[1].veto);
  EXPECT_EQ(recipe->combine.at(Stage::kMeasure).how, Combine::How::kAny);
}

TEST(Recipe, ContextIsReadWithItsDefaults) {
  const auto with = [](const std::string& context) {
    return std::string(kRecipe) + "[context]\n" + context;
  };
  EXPECT_FALSE(parse_recipe(kRecipe, "r.toml")->context);
  EXPECT_FALSE(parse_recipe(kRecipe, "r.toml")->canonical.contains("context"));
  const auto recipe = parse_recipe(with("from = \"docs/**\""), "r.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  ASSERT_TRUE(recipe->context);
  EXPECT_EQ(recipe->context->from, "docs/**");
  EXPECT_EQ(recipe->context->k, 6);
  EXPECT_EQ(recipe->context->privacy, Reach::kLocal);
  const auto again = recipe_from_json(recipe->canonical);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->sha256, recipe->sha256);
  EXPECT_EQ(again->context->from, "docs/**");
  EXPECT_THAT(error_of(with("k = 2")), HasSubstr("context.from"));
  EXPECT_THAT(error_of(with("from = \"\"")), HasSubstr("context.from must not be empty"));
  EXPECT_THAT(error_of(with("from = \"d\"\nk = 51")), HasSubstr("context.k is 51"));
  EXPECT_THAT(error_of(with("from = \"d\"\nprivacy = \"far\"")), HasSubstr("context.privacy"));
  EXPECT_THAT(error_of(with("from = \"d\"\nkk = 2")), HasSubstr("did you mean 'k'"));
  EXPECT_THAT(error_of("recipe = \"r\"\nversion = 1\n[unit]\nfrom = \"u\"\n[context]\nfrom = "
                       "\"d\"\n[make]\nkind = \"voice\"\n[[judge]]\nkind = \"ears\"\n"),
              HasSubstr("makers that write a prompt"));
}

TEST(Recipe, AJudgeInheritsWhatTheUnitAndTheMakerSay) {
  const auto recipe = parse_recipe(kRecipe, "r.toml");
  ASSERT_TRUE(recipe);
  EXPECT_EQ(json_at(recipe->judges[0].options, "command"), "make check");
  EXPECT_EQ(option_string(recipe->judges[0].options, "report"), "out.xml");
  EXPECT_EQ(option_strings(recipe->judges[0].options, "protect"),
            std::vector<std::string>{"tests/**"});
}

TEST(Recipe, TheCanonicalFormReadsBackAsItself) {
  std::vector<std::string> texts{std::string(kRecipe)};
  for (const char* name : {"voice-over", "fix-tests", "extract-json", "rewrite"})
    texts.push_back(
        read_file(fs::path(LATHE_SOURCE_DIR) / "recipes" / (std::string(name) + ".toml")).value());
  for (const std::string& text : texts) {
    const auto recipe =
        parse_recipe(text, "r.toml", {}, project_values(ecosystems().front(), "/p", "/home/u"));
    ASSERT_TRUE(recipe) << recipe.error().message;
    const auto again = recipe_from_json(recipe->canonical);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(canonical_json(again->canonical), canonical_json(recipe->canonical));
    EXPECT_EQ(again->sha256, recipe->sha256);
  }
}

TEST(Recipe, AProjectFillsInWhatIsLeftOutAndNothingElse) {
  const Json project = {{"unit", {{"command", "cargo test"}, {"format", "cargo"}}},
                        {"make", {{"may_write", {"**/*.rs"}}}}};
  const auto read = [&](const std::string& unit, const std::string& make) {
    return parse_recipe("recipe = \"r\"\nversion = 1\n[unit]\nfrom = \"failing_tests\"\n" + unit +
                            "[make]\nkind = \"code\"\nladder = [\"c\"]\n" + make +
                            "[[judge]]\nkind = \"tests\"\n",
                        "r.toml", {}, project);
  };
  const auto filled = read("project = \"auto\"\nformat = \"tap\"\n", "");
  ASSERT_TRUE(filled) << filled.error().message;
  EXPECT_EQ(option_string(filled->unit_options, "command"), "cargo test");
  EXPECT_EQ(option_string(filled->unit_options, "format"), "tap");
  EXPECT_EQ(option_strings(filled->make_options, "may_write"), std::vector<std::string>{"**/*.rs"});
  EXPECT_FALSE(read("", "may_write = [\"src/**\"]\n"));  // not asked for
}

TEST(Recipe, WhatAnOwnCommandNamesIsProtected) {
  const auto protects = [](const std::string& command, const std::string& make) {
    const Json project = {{"unit", {{"command", "make.sh"}}},
                          {"make", {{"may_write", {"**"}}, {"protect", {"tests/**"}}}}};
    const auto recipe = parse_recipe(
        "recipe = \"r\"\nversion = 1\n[unit]\nfrom = \"failing_tests\"\nproject = \"auto\"\n" +
            command + "[make]\nkind = \"code\"\nladder = [\"c\"]\n" + make +
            "[[judge]]\nkind = \"tests\"\n",
        "r.toml", {}, project);
    return recipe ? join(option_strings(recipe->make_options, "protect"), " ")
                  : recipe.error().message;
  };
  EXPECT_EQ(protects("", ""), "tests/**");
  EXPECT_EQ(protects("command = \"sh ./run.sh -f x dir/a.py ../b.py *.py /bin/c.py plain\"\n", ""),
            "tests/** sh run.sh x dir/a.py plain");
  EXPECT_EQ(protects("command = \"sh run.sh\"\n", "protect = [\"a\"]\n"), "a");
}

TEST(Recipe, WarnsOfAMakerThatMayWriteEverything) {
  const std::string text =
      "recipe = \"r\"\nversion = 1\n[unit]\nfrom = \"failing_tests\"\ncommand = \"true\"\n"
      "[make]\nkind = \"code\"\nladder = [\"c\"]\nmay_write = [\"**\"]\n[[judge]]\nkind = "
      "\"tests\"\n[stop]\nlaps = 1\n";
  const auto open = parse_recipe(text, "r.toml");
  ASSERT_TRUE(open) << open.error().message;
  ASSERT_EQ(open->warnings.size(), 1U);
  EXPECT_NE(open->warnings.front().find("rewrite the tests"), std::string::npos);
  EXPECT_TRUE(parse_recipe(text, "r.toml", std::vector<std::string>{R"(make.protect=["tests/**"])"})
                  ->warnings.empty());
}

TEST(Recipe, TheHashSeesEveryChange) {
  const auto plain = parse_recipe(kRecipe, "r.toml");
  for (const char* change : {"make.best_of=3", "stop.laps=5", "judge.lint.veto=false",
                             "privacy=\"lan\"", "unit.report=\"x\""}) {
    const std::vector<std::string> set{change};
    const auto changed = parse_recipe(kRecipe, "r.toml", set);
    ASSERT_TRUE(changed) << changed.error().message;
    EXPECT_NE(changed->sha256, plain->sha256) << change;
  }
}

TEST(Recipe, ErrorsCarryTheLineAndALikelyName) {
  const auto with = [](std::string_view from, std::string_view to) {
    std::string text(kRecipe);
    const auto at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    return error_of(text.replace(at, from.size(), to));
  };
  EXPECT_THAT(with("may_write", "may_wrte"),
              HasSubstr("r.toml:10: make.may_wrte is not known here; did you mean 'may_write'?"));
  EXPECT_THAT(with("stage = \"measure\"", "stage = \"mesure\""),
              HasSubstr("r.toml:18: judge[1].stage"));
  EXPECT_THAT(with("ladder = [\"coder\"]", "ladder = []"), HasSubstr("name at least one worker"));
  EXPECT_THAT(with("time = \"20m\"", "time = \"20 minutes\""), HasSubstr("r.toml:23: stop.time"));
  EXPECT_THAT(with("time = \"20m\"", "time = 2026-01-01"), HasSubstr("dates"));
  EXPECT_THAT(with("report = \"out.xml\"", "split = \"line\""), HasSubstr("no meaning"));
  EXPECT_THAT(with("veto = true", "veto = 1"), HasSubstr("true or false"));
  EXPECT_THAT(with("veto = true", "weight = -1"), HasSubstr("weight"));
  EXPECT_THAT(with("veto = true", "scope = \"all\""), HasSubstr("unit | whole"));
  EXPECT_THAT(with("measure = \"any\"", "measure = \"3-of-1\""), HasSubstr("combine.measure"));
  EXPECT_THAT(with("measure = \"any\"", "measure = \"weighted\""), HasSubstr("weighted >= 0.8"));
  EXPECT_THAT(error_of(std::string(2 << 20, '#')), HasSubstr("too many for a recipe"));
  EXPECT_THAT(error_of(kRecipe, {"make.best_of"}), HasSubstr("key=value"));
  EXPECT_THAT(error_of(kRecipe, {"judge.nobody.veto=true"}), HasSubstr("no judge 'nobody'"));
  EXPECT_THAT(error_of(kRecipe, {"recipe.x.y=1"}), HasSubstr("not a table"));
}

TEST(Recipe, WarnsOfWhatIsUnwise) {
  const auto recipe = parse_recipe(R"toml(recipe = "r"
version = 1
[unit]
from = "x"
[make]
kind = "text"
task = "t"
ladder = ["cloud:big"]
[[judge]]
kind = "text"
max_words = 5
[[judge]]
kind = "rubric"
worker = "w"
criteria = ["Is it good?"]
)toml",
                                   "r.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_THAT(recipe->warnings,
              ::testing::UnorderedElementsAre(HasSubstr("no cap"), HasSubstr("scope = \"whole\""),
                                              HasSubstr("not calibrated"), HasSubstr("cloud:big")));
}

TEST(RecipeDocs, EveryKeyHasAMeaning) {
  const auto check = [](std::string_view where, std::span<const OptionSpec> specs) {
    for (const OptionSpec& spec : specs) EXPECT_NE(spec.help, "") << where << "." << spec.name;
  };
  for (const char* table : {"", "unit", "make", "judge", "combine", "stop", "tool"})
    check(table, recipe_options(table));
  for (const MakerKind* maker : maker_kinds()) check(maker->name, maker->options);
  for (const JudgeKind* judge : judge_kinds()) check(judge->name, judge->options);
}

constexpr std::string_view kGrid = R"toml(recipe = "g"
version = 1
[unit]
from = "tasks.jsonl"
split = "jsonl"
seeds = 3
[make]
kind = "reply"
ladder = ["small", "big"]
[[judge]]
kind = "key"
)toml";

TEST(Recipe, AGridHasOneLapUnlessItSaysOtherwise) {
  const auto grid = parse_recipe(kGrid, "g.toml");
  ASSERT_TRUE(grid) << grid.error().message;
  EXPECT_EQ(grid->seeds, 3);
  EXPECT_EQ(grid->stop.laps, 1);
  const auto again = recipe_from_json(grid->canonical);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->sha256, grid->sha256);
  EXPECT_EQ(again->stop.laps, 1);
  EXPECT_EQ(parse_recipe(kGrid, "g.toml", std::vector<std::string>{"stop.laps=4"})->stop.laps, 4);
}

constexpr std::string_view kWithTools = R"toml(recipe = "t"
version = 1
privacy = "any"
[unit]
from = "failing_tests"
command = "true"
[make]
kind = "agent"
ladder = ["coder"]
may_write = ["src/**"]
[[judge]]
kind = "tests"
[[tool]]
server = "db"
command = ["python3", "/opt/db/server.py"]
allow = ["query"]
privacy = "any"
[[tool]]
server = "notes"
command = ["notes"]
allow = ["add", "list"]
ask = "never"
root = "/srv/notes"
call_time = "5s"
env = { KEY = "x" }
)toml";

TEST(Recipe, ToolsOfOtherPrograms) {
  const auto recipe = parse_recipe(kWithTools, "t.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  ASSERT_EQ(recipe->tools.size(), 2U);
  EXPECT_EQ(recipe->tools[0].ask, AskWhen::kFirst);
  EXPECT_EQ(recipe->tools[0].privacy, Reach::kAny);
  EXPECT_EQ(recipe->tools[1].privacy, Reach::kLocal);
  EXPECT_EQ(recipe->tools[1].call_time, Milliseconds(5000));
  EXPECT_EQ(recipe->tools[1].env.at("KEY"), "x");
  const auto again = recipe_from_json(recipe->canonical);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->sha256, recipe->sha256);
  EXPECT_EQ(again->tools.size(), 2U);
}

TEST(Recipe, ToolsThatCannotBeAreRefusedWithTheirPlace) {
  const auto wrong = [](std::string_view from, std::string_view to) {
    return error_of(replace_all(kWithTools, from, to));
  };
  EXPECT_THAT(wrong("[\"query\"]", "[]"), HasSubstr("r.toml:16: tool[0].allow is empty"));
  EXPECT_THAT(wrong("\"notes\"\ncommand", "\"db\"\ncommand"), HasSubstr("tool[1].server is 'db'"));
  EXPECT_THAT(wrong("\"db\"", "\"D b\""), HasSubstr("server is 'D b'"));
  EXPECT_THAT(wrong("ask = \"never\"", "ask = \"nevr\""), HasSubstr("did you mean 'never'"));
  constexpr const char* kTooFar =
      "tool[0].privacy is \"any\", but what the recipe shows its model may go no farther than "
      "\"local\"";
  EXPECT_THAT(wrong("privacy = \"any\"\n[unit]", "[unit]"), HasSubstr(kTooFar));
  EXPECT_THAT(wrong("[make]", "[memory]\n[make]"), HasSubstr(kTooFar));
  EXPECT_THAT(wrong("privacy = \"any\"\n[[tool]]", "privacy = \"lan\"\n[[tool]]"),
              HasSubstr("cannot be held"));
  EXPECT_THAT(wrong("env = { KEY = \"x\" }", "url = \"http://x\""),
              HasSubstr("needs either a command, which is a program, or a url"));
  EXPECT_THAT(wrong("command = [\"notes\"]", "url = \"http://x\""),
              HasSubstr("root, read_only and env are of programs"));
  EXPECT_THAT(wrong("env = { KEY = \"x\" }", "token_env = \"X\""),
              HasSubstr("token_env and token_file are of servers at a url"));
  EXPECT_THAT(wrong("kind = \"agent\"", "kind = \"code\""), HasSubstr("\"code\" is none"));
}

TEST(Recipe, AGridThatCannotBeIsRefusedWithItsPlace) {
  for (const char* seeds : {"0", "-1", "10001"})
    EXPECT_THAT(error_of(kGrid, {std::string("unit.seeds=") + seeds}), HasSubstr("unit.seeds is "));
  EXPECT_THAT(error_of(kGrid, {R"(make.ladder=["a","b","a"])"}),
              HasSubstr("'a' stands there twice"));
  EXPECT_THAT(error_of(kRecipe, {"unit.seeds=2"}), HasSubstr("unit.seeds needs units"));
}

TEST(Recipe, RungsThatNobodyGivesAreLeftOutWhereTheMakerHasOneOfItsOwn) {
  constexpr std::string_view kPosters = R"toml(recipe = "p"
version = 1
[unit]
from = "titles.txt"
[make]
kind = "poster"
ladder = ["painter", "layout", "artist"]
[[judge]]
kind = "eyes"
expect = "{unit}"
)toml";
  const auto recipe = parse_recipe(kPosters, "p.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(worker_rungs(*recipe), (std::vector<std::string>{"painter", "artist"}));
  EXPECT_TRUE(does_without_workers(*recipe));
  const auto ladder_with = [&](const std::set<std::string>& here) {
    const auto found =
        with_rungs_here(*recipe, [&](const std::string& name) { return here.contains(name); });
    EXPECT_TRUE(found);
    EXPECT_EQ(found->canonical["make"]["ladder"], found->ladder);
    return found->ladder;
  };
  EXPECT_EQ(ladder_with({"painter", "artist"}), recipe->ladder);
  EXPECT_EQ(ladder_with({"artist"}), (std::vector<std::string>{"layout", "artist"}));
  EXPECT_EQ(ladder_with({}), std::vector<std::string>());
  // Without its own rung every worker is needed.
  const std::vector<std::string> only{"make.ladder=[\"painter\"]"};
  const auto painted = parse_recipe(kPosters, "p.toml", only);
  ASSERT_TRUE(painted);
  EXPECT_FALSE(does_without_workers(*painted));
  EXPECT_EQ(with_rungs_here(*painted, [](const std::string&) { return false; })->ladder,
            painted->ladder);
}

TEST(Recipe, VoicesStayWhereTheWorkerThatSpeaksIsNotThere) {
  const auto recipe = parse_recipe(R"toml(recipe = "v"
version = 1
[unit]
from = "script.md"
[make]
kind = "voice"
ladder = ["narrator", "flite:slt"]
[[judge]]
kind = "ears"
)toml",
                                   "v.toml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(worker_rungs(*recipe), std::vector<std::string>{"narrator"});
  EXPECT_TRUE(does_without_workers(*recipe));
  const auto without = with_rungs_here(*recipe, [](const std::string&) { return false; });
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_EQ(without->ladder, std::vector<std::string>{"flite:slt"});
}

}  // namespace
}  // namespace lathe::loop
