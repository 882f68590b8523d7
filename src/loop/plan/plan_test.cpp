// Plans that are read, and those that are refused before anything runs.
#include "loop/plan/plan.h"

#include <gmock/gmock.h>

#include "ground/base/random.h"
#include "loop/plan/globs.h"
#include "loop/plan/recipes.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr PlanRules kInRepository{.unnamed = Reach::kLan};

constexpr std::string_view kHead = R"(plan = 1
goal = "Add CSV export to the report"
whole = ["tests:all"]
[judge.all]
kind = "tests"
command = "python3 tests/run.py"
format = "tap"
[judge.csv]
kind = "tests"
command = "python3 tests/run.py csv"
format = "tap"
)";

struct TaskText {
  std::string id, writes = "", deps = "", more = "";
};

std::string task_text(const TaskText& task) {
  return fmt::format(R"([[task]]
id = "{}"
do = "Do it."
kind = "code"
deps = [{}]
writes = ["{}"]
judges = ["tests:csv"]
{}
)",
                     task.id, task.deps,
                     task.writes.empty() ? "src/" + task.id + ".py" : task.writes, task.more);
}

std::string plan_text(std::initializer_list<TaskText> tasks, std::string top = "") {
  std::string text = top + std::string(kHead);
  for (const TaskText& task : tasks) text += task_text(task);
  return text;
}

std::string refused(std::string_view text, const PlanRules& rules = kInRepository) {
  const auto plan = parse_plan(text, "plan.toml", rules);
  return plan ? "" : plan.error().message;
}

TEST(Plan, IsRead) {
  const std::string text = plan_text(
      {{"parser"}, {"writer", "", "\"parser\"", "reads = [\"src/parser.py\"]\ndifficulty = 2"}});
  const auto plan = parse_plan(text, "plan.toml", kInRepository);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->goal, "Add CSV export to the report");
  ASSERT_EQ(plan->tasks.size(), 2U);
  EXPECT_THAT(plan->tasks[1].deps, ElementsAre(0U));
  EXPECT_THAT(plan->order, ElementsAre(0U, 1U));
  EXPECT_EQ(plan->tasks[1].difficulty, 2);
  EXPECT_EQ(plan->tasks[0].label, Reach::kLan);
  EXPECT_THAT(plan->notes, IsEmpty());
  // What it comes to is the same plan again.
  const auto again = parse_plan(dump_json(plan->canonical), "again", kInRepository);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->sha256, plan->sha256);
  EXPECT_EQ(again->canonical, plan->canonical);
}

TEST(Plan, TasksAreRecipes) {
  const auto plan =
      parse_plan(plan_text({{"parser"}}, "protect = [\"tests/**\"]\n"), "plan.toml", kInRepository);
  ASSERT_TRUE(plan) << plan.error().message;
  const std::vector<std::string> ladder{"small", "big"};
  const auto recipe = task_recipe(*plan, 0, ladder, "x");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_THAT(recipe->ladder, ElementsAre("small", "big"));
  EXPECT_EQ(recipe->privacy, Reach::kLan);
  EXPECT_THAT(option_strings(recipe->make_options, "may_write"), ElementsAre("src/parser.py"));
  EXPECT_THAT(option_strings(recipe->make_options, "protect"), ElementsAre("tests/**"));
  ASSERT_EQ(recipe->judges.size(), 1U);
  EXPECT_THAT(option_strings(recipe->judges[0].options, "protect"), ElementsAre("tests/**"));
  const auto merge = merge_recipe(*plan, kInRepository, "x");
  ASSERT_TRUE(merge) << merge.error().message;
  EXPECT_EQ(merge->maker->name, "given");
  EXPECT_EQ(merge->judges[0].name, "all");
}

TEST(Plan, CirclesArePrinted) {
  EXPECT_THAT(refused(plan_text({{"a", "", "\"c\""}, {"b", "", "\"a\""}, {"c", "", "\"b\""}})),
              HasSubstr("has a circle: a → c → b → a"));
  EXPECT_THAT(refused(plan_text({{"a", "", "\"a\""}})),
              AllOf(HasSubstr("task 'a'"), HasSubstr("names the task itself")));
  // Of what is read, too.
  EXPECT_THAT(refused(plan_text({{"a", "", "", "reads = [\"src/b.py\"]"},
                                 {"b", "", "", "reads = [\"src/c.py\"]"},
                                 {"c", "", "", "reads = [\"src/a.py\"]"}})),
              HasSubstr("has a circle"));
}

TEST(Plan, WhoReadsWaits) {
  const auto plan = parse_plan(plan_text({{"a", "", "", "reads = [\"src/**\"]"}, {"b"}}),
                               "plan.toml", kInRepository);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->tasks[0].deps, ElementsAre(1U));
  EXPECT_THAT(plan->order, ElementsAre(1U, 0U));
  EXPECT_THAT(plan->notes,
              ElementsAre("a waits for b too: it reads 'src/**', and that writes 'src/b.py'"));
  EXPECT_THAT(refused(plan_text({{"a", "", "", "reads = [\"src/b.py\"]"},
                                 {"b", "", "", "reads = [\"src/a.py\"]"}})),
              HasSubstr("each read what the other writes"));
}

TEST(Plan, WritesAreApartOrInOrder) {
  EXPECT_THAT(refused(plan_text({{"a", "src/**"}, {"b", "**"}})),
              AllOf(HasSubstr("task 'b'"), HasSubstr("at the same time"), HasSubstr("'a' writes")));
  EXPECT_EQ(refused(plan_text({{"a", "src/**"}, {"b", "**", "\"a\""}})), "");
  // Through another.
  EXPECT_EQ(refused(plan_text({{"a", "x.py"}, {"b", "", "\"a\""}, {"c", "x.py", "\"b\""}})), "");
  EXPECT_THAT(refused(plan_text({{"a", "src/report"}, {"b", "src/report/x.py"}})),
              HasSubstr("at the same time"));
}

TEST(Plan, WhatIsHeldStays) {
  EXPECT_THAT(refused(plan_text({{"a", "tests/a.py"}}, "protect = [\"tests/**\"]\n")),
              HasSubstr("'tests/**' is protected"));
  EXPECT_THAT(refused(plan_text({{"a", ".git/config"}})), HasSubstr("version control"));
  EXPECT_THAT(refused(plan_text({{"a", "../a.py"}})), HasSubstr("outside the tree"));
  EXPECT_THAT(refused(plan_text({{"a", "/etc/passwd"}})), HasSubstr("outside the tree"));
  EXPECT_THAT(refused(plan_text({{"a", "a//b"}})), HasSubstr("outside the tree"));
  EXPECT_THAT(refused(plan_text({{"a", "a\\\\b"}})), HasSubstr("backslashes"));
  EXPECT_THAT(refused(plan_text({{"a", std::string(161, 'x')}})), HasSubstr("up to 160 bytes"));
  const auto plan = parse_plan(plan_text({{"a", "src/**"}}), "plan.toml", kInRepository);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(check_links(*plan, std::vector<std::string>{"docs/link"}));
  EXPECT_FALSE(check_links(*plan, std::vector<std::string>{"src/link"}));
  EXPECT_FALSE(check_links(*plan, std::vector<std::string>{"src"}));
}

TEST(Plan, Names) {
  EXPECT_THAT(refused(plan_text({{"a"}, {"a", "b.py"}})), HasSubstr("as another task's is"));
  for (const std::string& id :
       {std::string("A"), std::string("a b"), std::string("a\\nb"), std::string("a\\u0000b"),
        std::string(100'000, 'x'), std::string(41, 'x')})
    EXPECT_THAT(refused(plan_text({{id, "x.py"}})),
                AllOf(HasSubstr("but must be 1 to 40 small letters"), HasSubstr("plan.toml:")))
        << id.substr(0, 10);
  EXPECT_LT(refused(plan_text({{std::string(100'000, 'x'), "x.py"}})).size(), 300U);
  EXPECT_THAT(refused(plan_text({{"a", "", "\"parsr\""}, {"parser"}})),
              HasSubstr("names 'parsr', which is no task; did you mean 'parser'?"));
}

TEST(Plan, Kinds) {
  const std::string text = plan_text({{"a"}});
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string changed = text;
    const auto at = changed.find(from);
    return refused(changed.replace(at, from.size(), to));
  };
  EXPECT_THAT(with("kind = \"code\"", "kind = \"cod\""), HasSubstr("did you mean 'code'"));
  EXPECT_THAT(with("kind = \"code\"", "kind = \"given\""), HasSubstr("is not a maker"));
  EXPECT_THAT(with("kind = \"code\"", "kind = \"voice\""), HasSubstr("makes no text"));
  EXPECT_THAT(with("judges = [\"tests:csv\"]", "judges = [\"test:csv\"]"),
              HasSubstr("there is no [judge.csv] with kind = \"test\"; did you mean 'tests:csv'?"));
  EXPECT_THAT(with("judges = [\"tests:csv\"]", "judges = []"),
              HasSubstr("no judge that is a gate"));
  EXPECT_THAT(with("judges = [\"tests:csv\"]", "judges = [\"text\"]"),
              HasSubstr("no judge that is a gate"));
  EXPECT_THAT(with("judges = [\"tests:csv\"]", "judges = [\"nobody\"]"), HasSubstr("not a judge"));
  EXPECT_THAT(with("whole = [\"tests:all\"]", "whole = []"), HasSubstr("no judge that is a gate"));
  EXPECT_THAT(with("whole = [\"tests:all\"]\n", ""), HasSubstr("whole"));
  EXPECT_THAT(with("format = \"tap\"", "format = \"tip\""),
              HasSubstr("format 'tip' is not one of"));
  EXPECT_THAT(with("do = \"Do it.\"", "do = \"\""), HasSubstr("1 to 4000 characters"));
  EXPECT_THAT(with("do = \"Do it.\"", "do = \"" + std::string(4001, 'x') + "\""),
              HasSubstr("this one has 4001"));
  EXPECT_THAT(with("id =", "idd ="),
              HasSubstr("task[0].idd is not known here; did you mean 'id'?"));
  EXPECT_THAT(with("plan = 1", "plan = 2"), HasSubstr("plans of format 1"));
}

TEST(Plan, SingleFilesOfOtherMakers) {
  const auto text = [](std::string_view writes) {
    return fmt::format(R"(plan = 1
goal = "g"
whole = ["secrets"]
[[task]]
id = "notes"
do = "Write notes."
kind = "text"
writes = {}
judges = ["secrets"]
)",
                       writes);
  };
  EXPECT_EQ(refused(text("[\"NOTES.md\"]")), "");
  EXPECT_THAT(refused(text("[\"docs/**\"]")), HasSubstr("must be one file without stars"));
  EXPECT_THAT(refused(text("[\"a.md\", \"b.md\"]")), HasSubstr("must be one file without stars"));
}

TEST(Plan, DepthAndNumber) {
  std::string chain(kHead), many(kHead);
  for (int i = 0; i < 9; ++i)
    chain += task_text({fmt::format("t{}", i), "", i == 0 ? "" : fmt::format("\"t{}\"", i - 1)});
  EXPECT_THAT(refused(chain), AllOf(HasSubstr("task 't8'"), HasSubstr("number 9 of a chain")));
  for (int i = 0; i < 10'000; ++i) many += "[[task]]\nid = \"x\"\n";
  EXPECT_THAT(refused(many), HasSubstr("has 10000 tables, and 64 tasks are the most"));
}

TEST(Plan, LabelsNeverGrowLooser) {
  const std::string inputs =
      "inputs = [{path=\"src\", privacy=\"lan\"}, {path=\"open\", privacy=\"cloud\"}, "
      "{path=\"secrets.env\", privacy=\"local\"}]\n";
  const auto with = [&](const TaskText& task) { return refused(plan_text({task}, inputs)); };
  EXPECT_EQ(with({"a", "open/a.py", "", "privacy = \"cloud\""}), "");
  EXPECT_THAT(with({"a", "open/a.py", "", "reads = [\"src/x.py\"]\nprivacy = \"cloud\""}),
              AllOf(HasSubstr("task 'a'"), HasSubstr("the input 'src' is \"lan\""),
                    HasSubstr("write privacy = \"lan\"")));
  EXPECT_THAT(with({"a", "open/a.py", "", "reads = [\"*.env\"]\nprivacy = \"lan\""}),
              HasSubstr("'secrets.env' is \"local\""));
  EXPECT_THAT(with({"a", "new.py", "", "privacy = \"cloud\""}), HasSubstr("is of no input"));
  EXPECT_THAT(refused(plan_text({{"a", "new.py", "", "privacy = \"lan\""}}), {}),
              HasSubstr("write privacy = \"local\""));
  EXPECT_THAT(refused(plan_text({{"a", "open/a.py", "", "privacy = \"local\""},
                                 {"b", "open/b.py", "\"a\"", "privacy = \"cloud\""}},
                                inputs)),
              HasSubstr("the result of 'a' is \"local\""));
  EXPECT_THAT(with({"a", "open/a.py", "", "privacy = \"any\""}), HasSubstr("local | lan | cloud"));
}

TEST(Plan, FilesAndTheirLabels) {
  const std::vector<PlanInput> inputs{{"src", Reach::kLan}, {"src/key", Reach::kLocal}};
  EXPECT_EQ(label_of(inputs, "src/a.py", kInRepository), Reach::kLan);
  EXPECT_EQ(label_of(inputs, "src/key", kInRepository), Reach::kLocal);
  EXPECT_EQ(label_of(inputs, "srcs/a.py", {}), Reach::kLocal);
  EXPECT_EQ(label_of(std::vector<PlanInput>{{"a*b", Reach::kLocal}}, "a*b", kInRepository),
            Reach::kLocal);
}

TEST(Plan, Bombs) {
  EXPECT_THAT(refused("The plan is to write a parser first."), HasSubstr("plan.toml"));
  EXPECT_THAT(refused(""), HasSubstr("plan"));
  EXPECT_THAT(refused(std::string(2 << 20, '#')), HasSubstr("too many"));
  EXPECT_THAT(refused("a = " + std::string(100'000, '[')), HasSubstr("plan.toml"));
  EXPECT_THAT(refused("{\"a\": " + std::string(100'000, '[')), HasSubstr("plan.toml"));
  EXPECT_THAT(refused("{\"plan\": 1, \"plan\": 1}"), HasSubstr("plan.toml"));
  EXPECT_THAT(refused("plan = 1\xff"), HasSubstr("not valid UTF-8"));
  std::string keys;
  for (int i = 0; i < 60'000; ++i) keys += fmt::format("k{}=1\n", i);
  EXPECT_THAT(refused(keys), HasSubstr("keys"));
}

// What holds of every plan that is taken, whatever it looks like.
TEST(Plan, RandomOnes) {
  int taken = 0, left = 0;
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    std::uint64_t place = 0;
    const auto draw = [&](std::uint64_t below) { return random_at(seed, 4, place++) % below; };
    constexpr std::string_view kGlobs[] = {"src/a.py", "src/b.py", "src/*",  "lib/**",
                                           "lib/x/y",  "c.py",     "d/*.py", "d/e.py"};
    constexpr std::string_view kLabels[] = {"local", "lan", "cloud"};
    std::string text = fmt::format(
                           "inputs = [{{path=\"src\", privacy=\"{}\"}}, {{path=\"lib\", "
                           "privacy=\"{}\"}}]\n",
                           kLabels[draw(3)], kLabels[draw(3)]) +
                       std::string(kHead);
    const std::uint64_t count = 1 + draw(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      TaskText task{fmt::format("t{}", i), std::string(kGlobs[draw(8)])};
      if (i > 0 && draw(2) == 0) task.deps = fmt::format("\"t{}\"", draw(i));
      if (draw(2) == 0) task.more += fmt::format("reads = [\"{}\"]\n", kGlobs[draw(8)]);
      if (draw(2) == 0) task.more += fmt::format("privacy = \"{}\"\n", kLabels[draw(3)]);
      text += task_text(task);
    }
    const auto plan = parse_plan(text, "plan.toml", kInRepository);
    if (!plan) {
      ++left;
      EXPECT_THAT(plan.error().message, HasSubstr("plan.toml:"));
      continue;
    }
    ++taken;
    const auto before = ancestors_of(plan->tasks, plan->order);
    for (std::size_t i = 0; i < plan->tasks.size(); ++i) {
      for (const std::size_t dep : plan->tasks[i].deps)
        EXPECT_LE(plan->tasks[i].label, plan->tasks[dep].label) << text;
      for (const auto* globs : {&plan->tasks[i].reads, &plan->tasks[i].writes})
        for (const std::string& glob : *globs)
          for (const PlanInput& input : plan->inputs)
            if (globs_overlap(glob, input.path + "/**")) {
              EXPECT_LE(plan->tasks[i].label, input.label) << text;
            }
      for (std::size_t j = 0; j < i; ++j) {
        if ((before[i] >> j & 1) == 0 && (before[j] >> i & 1) == 0) {
          EXPECT_FALSE(globs_overlap(plan->tasks[i].writes[0], plan->tasks[j].writes[0])) << text;
        }
      }
    }
  }
  EXPECT_GT(taken, 300);
  EXPECT_GT(left, 300);
}

}  // namespace
}  // namespace lathe::loop
