// Tools as models get to see them: names that cannot be mixed up, answers that have an end.
#include "work/tool_set.h"

#include <gmock/gmock.h>

namespace lathe {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(ToolSet, NamesOfServersCannotBeMixedUp) {
  EXPECT_EQ(foreign_tool_name("db", "lathe_look"), "db__lathe_look");
  // Both ways of reading "a__b__c" would have to begin with a server's name that has no '_'.
  EXPECT_EQ(foreign_tool_name("a", "b__c"), "a__b__c");
  ToolServer server;
  server.command = {"x"};
  for (const char* name : {"", "a__b", "A", "a b", "a/b", "ä", "abcdefghijklmnopqrstu"}) {
    server.name = name;
    EXPECT_FALSE(check_tool_server(server)) << name;
  }
  server.name = "abcdefghij-klmnop-12";
  EXPECT_TRUE(check_tool_server(server));
  for (const std::string tool : {"", "a b", "a.b", "a\n", "ä"})
    EXPECT_FALSE(foreign_tool_name("a", tool)) << tool;
  EXPECT_TRUE(foreign_tool_name("a", std::string(61, 'x')));
  EXPECT_FALSE(foreign_tool_name("a", std::string(62, 'x')));
}

TEST(ToolSet, WhatCannotBeHeldIsRefused) {
  ToolServer server;
  server.name = "a";
  server.command = {"x"};
  server.privacy = Reach::kLan;
  EXPECT_THAT(check_tool_server(server).error().message, HasSubstr("cannot be held"));
  server.privacy = Reach::kAny;
  EXPECT_TRUE(check_tool_server(server));
  server.allow = {"fine", "not fine"};
  EXPECT_THAT(check_tool_server(server).error().message, HasSubstr("'not fine'"));
  server.allow.clear();
  server.command.clear();
  EXPECT_THAT(check_tool_server(server).error().message,
              HasSubstr("either a command, which is a program, or a url"));
}

TEST(ToolSet, AThirdTimeIsOneTooMany) {
  Repeats repeats;
  const FunctionCall call{"1", "f", R"({"a":1,"b":2})"}, other{"2", "f", R"({"a":2})"};
  EXPECT_TRUE(repeats.take(call));
  EXPECT_TRUE(repeats.take({"9", "f", R"({ "b": 2, "a": 1 })"}));  // the same but for its looks
  EXPECT_TRUE(repeats.take(other));
  EXPECT_TRUE(repeats.take({"3", "g", call.arguments}));
  EXPECT_FALSE(repeats.take(call));
  repeats.clear_others(call);
  EXPECT_FALSE(repeats.take(call));
  repeats.clear_others(other);
  EXPECT_TRUE(repeats.take(call));
}

TEST(ToolSet, AnAnswerHasAnEnd) {
  EXPECT_EQ(answer_for_prompt({"x"}), "x");
  EXPECT_EQ(answer_for_prompt({"no", false}), "error: no");
  const std::string just(64 << 10, 'x');
  EXPECT_EQ(answer_for_prompt({just}), just);
  const std::string cut = answer_for_prompt({just + "é"});
  EXPECT_LE(cut.size(), just.size());
  EXPECT_THAT(cut, EndsWith("(65538 bytes in all)"));
  EXPECT_EQ(answer_for_prompt({"a\xff"}), "a\uFFFD");
}

}  // namespace
}  // namespace lathe
