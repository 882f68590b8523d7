// What a planner is asked, and plans as files.
#include "loop/plan/planner.h"

#include <gmock/gmock.h>

#include "ground/schema/json_schema.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

const Json& written() {
  static const Json plan =
      parse_json(R"({"plan": 1, "goal": "say \"hi\"\n\u007f", "protect": ["tests/**"],
  "judge": {"all": {"kind": "tests", "command": "python3 tests/run.py", "format": "tap"}}, "whole": ["tests:all"],
  "task": [{"id": "a", "do": "x\n\"\"\"y\\", "kind": "code", "deps": [], "reads": [], "writes": ["a.py"],
            "judges": ["tests:all"], "difficulty": 2}]})")
          .value();
  return plan;
}

TEST(Planner, WhatTheSchemaTakesIsRead) {
  const auto schema = JsonSchema::compile(plan_schema());
  ASSERT_TRUE(schema) << schema.error().message;
  EXPECT_TRUE(schema->validate(written()).value().empty());
  const auto plan = parse_plan(dump_json(written()), "draft", {});
  EXPECT_TRUE(plan) << plan.error().message;
}

TEST(Planner, AFileIsTheSamePlan) {
  const auto plan = parse_plan(dump_json(written()), "draft", {});
  ASSERT_TRUE(plan) << plan.error().message;
  const std::string toml = plan_toml(plan->canonical);
  const auto again = parse_plan(toml, "plan.toml", {});
  ASSERT_TRUE(again) << again.error().message << "\n" << toml;
  EXPECT_EQ(again->sha256, plan->sha256) << toml;
}

TEST(Planner, IsToldWhatIsWrong) {
  const Request first = planner_request({"Do it.", {"a.py"}, "make test"}, "", "");
  EXPECT_THAT(std::get<Talk>(first.ask).messages, SizeIs(2));
  EXPECT_THAT(
      std::get<Talk>(first.ask).messages[1].content.text(),
      AllOf(HasSubstr("Do it."), HasSubstr("a.py"), HasSubstr("All tests run by: make test")));
  EXPECT_TRUE(std::holds_alternative<SchemaForm>(first.form));
  const Request again =
      planner_request({"Do it.", {"a.py"}, ""}, "{}", "draft: plan must be given");
  EXPECT_THAT(std::get<Talk>(again.ask).messages, SizeIs(4));
  EXPECT_THAT(std::get<Talk>(again.ask).messages[3].content.text(),
              HasSubstr("draft: plan must be given"));
}

}  // namespace
}  // namespace lathe::loop
