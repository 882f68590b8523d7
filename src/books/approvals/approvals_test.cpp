// The table of approvals: what is kept, for whom, and what a broken file comes to.
#include "books/approvals/approvals.h"

#include <gmock/gmock.h>

#include <thread>

namespace lathe::books {
namespace {

using ::testing::HasSubstr;

Approval tool(const std::string& name, Decision decision = Decision::kAsked) {
  return {"tool", {{"server", "db"}, {"definitions", "abc"}, {"tool", name}}, decision, 7};
}

TEST(Approvals, ADecisionIsForOneSubjectAlone) {
  const TempDir directory = *TempDir::make();
  const Approvals table(directory.path() / "config" / "approvals.json");
  EXPECT_TRUE(table.all()->empty());
  EXPECT_EQ(*table.find(tool("query")), std::nullopt);
  ASSERT_TRUE(table.put(tool("query")));
  EXPECT_EQ(*table.find(tool("query")), Decision::kAsked);
  ASSERT_TRUE(table.put(tool("query", Decision::kAllowed)));
  EXPECT_EQ(table.all()->size(), 1U);
  EXPECT_EQ(*table.find(tool("query")), Decision::kAllowed);
  EXPECT_EQ(*table.find(tool("drop")), std::nullopt);
  Approval other = tool("query");
  other.subject["definitions"] = "abd";
  EXPECT_EQ(*table.find(other), std::nullopt);
  EXPECT_NE(other.id(), tool("query").id());
  EXPECT_EQ(tool("query", Decision::kRefused).id(), tool("query").id());
  ASSERT_TRUE(table.forget(tool("query").id()));
  EXPECT_TRUE(table.all()->empty());
  EXPECT_EQ(table.forget(tool("query").id()).error().kind, ErrorKind::kNotFound);
}

TEST(Approvals, SeveralWritersLoseNothing) {
  const TempDir directory = *TempDir::make();
  const fs::path file = directory.path() / "approvals.json";
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i)
    writers.emplace_back([&, i] {
      for (int j = 0; j < 5; ++j)
        EXPECT_TRUE(Approvals(file).put(tool(fmt::format("{}-{}", i, j))));
    });
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(Approvals(file).all()->size(), 20U);
  const auto mode = fs::status(file).permissions();
  EXPECT_EQ(mode, fs::perms::owner_read | fs::perms::owner_write);
}

TEST(Approvals, FactsTellNoSubjectsApart) {
  const TempDir directory = *TempDir::make();
  const Approvals table(directory.path() / "approvals.json");
  Approval asked = tool("query");
  asked.facts = {{"run", "r1"}};
  EXPECT_EQ(asked.id(), tool("query").id());
  EXPECT_EQ(table.find_or_put(asked)->facts.at("run"), "r1");
  Approval later = tool("query", Decision::kAllowed);
  later.facts = {{"run", "r2"}};
  EXPECT_EQ(table.find_or_put(later)->decision, Decision::kAsked) << "the first stands";
  ASSERT_TRUE(table.update(asked.id(), [](Approval& row) -> Status {
    row.facts["run"] = "r3";
    return {};
  }));
  EXPECT_EQ(table.all()->front().facts.at("run"), "r3");
  EXPECT_FALSE(table.update(asked.id(), [](Approval& row) -> Status {
    row.facts["run"] = "r4";
    return invalid("no");
  }));
  EXPECT_EQ(table.all()->front().facts.at("run"), "r3");
  EXPECT_EQ(table.update("nobody", [](Approval&) -> Status { return {}; }).error().kind,
            ErrorKind::kNotFound);
}

TEST(Approvals, ABrokenFileAllowsNothing) {
  const TempDir directory = *TempDir::make();
  const fs::path file = directory.path() / "approvals.json";
  for (const char* text :
       {"", "[]", "{}", R"({"version":2,"approvals":[]})", R"({"version":1,"approvals":[{}]})",
        R"({"version":1,"approvals":[{"subject":{"a":1},"decision":"allowed"}]})",
        R"({"version":1,"approvals":[{"subject":{"a":"1"},"decision":"asked","facts":{"a":1}}]})",
        R"({"version":1,"approvals":[{"subject":{"a":"1"},"decision":"yes"}]})"}) {
    ASSERT_TRUE(write_file_atomic(file, text));
    const auto found = Approvals(file).find(tool("query"));
    ASSERT_FALSE(found) << text;
    EXPECT_THAT(found.error().message, HasSubstr("approvals.json"));
    EXPECT_FALSE(Approvals(file).put(tool("query")));
  }
}

}  // namespace
}  // namespace lathe::books
