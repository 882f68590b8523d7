// Facts: their states, what is recalled, and that what is forgotten is nowhere.
#include "books/memory/memory.h"

#include <gmock/gmock.h>

namespace lathe::books {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MemoryTest : public ::testing::Test {
 protected:
  Memory open() const {
    auto memory = Memory::open(dir_.path());
    EXPECT_TRUE(memory) << memory.error().message;
    return *std::move(memory);
  }
  // Proposed, and accepted by a person.
  static std::int64_t known(Memory& memory, const std::string& text,
                            const std::string& scope = "user",
                            std::optional<std::int64_t> expires = {}) {
    static std::int64_t seq = 0;
    const auto id =
        memory.propose({.scope = scope, .text = text, .run = "r", .blob = "b", .seq = ++seq});
    EXPECT_TRUE(id && *id);
    EXPECT_TRUE(memory.accept(**id, "person", expires));
    return **id;
  }
  static std::vector<std::string> recalled(Memory& memory, const std::string& question,
                                           std::int64_t now = 1) {
    const std::vector<std::string> scopes{"user", "recipe:say"};
    std::vector<std::string> texts;
    const auto facts = memory.recall(question, scopes, now);
    EXPECT_TRUE(facts) << facts.error().message;
    for (const Fact& fact : *facts) texts.push_back(fact.text);
    return texts;
  }
  TempDir dir_ = *TempDir::make();
};

TEST_F(MemoryTest, AFactIsUsedOnceItIsAccepted) {
  Memory memory = open();
  const Fact proposed{.scope = "recipe:say",
                      .text = "  the port: 8080 ",
                      .run = "run-1",
                      .blob = "b1",
                      .seq = 7,
                      .made_ms = 5};
  const auto id = memory.propose(proposed);
  ASSERT_TRUE(id && *id);
  EXPECT_EQ(*memory.propose(proposed), std::nullopt) << "once for each record";
  EXPECT_THAT(recalled(memory, "Which port?"), IsEmpty());
  EXPECT_THAT(*memory.accept(**id, "person", {}), IsEmpty());
  EXPECT_THAT(recalled(memory, "Which PORT is it?", 9), ElementsAre("the port: 8080"));
  EXPECT_THAT(recalled(memory, "quite another thing"), IsEmpty());
  const Fact fact = *memory.fact(**id);
  EXPECT_EQ(fact.run, "run-1");
  EXPECT_EQ(fact.seq, 7);
  EXPECT_EQ(fact.made_ms, 5);
  EXPECT_EQ(fact.by, "person");
  EXPECT_EQ(fact.uses, 1);
  EXPECT_EQ(fact.last_used_ms, 9);
  EXPECT_TRUE(memory.retire(**id, "person"));
  EXPECT_THAT(recalled(memory, "Which port?"), IsEmpty());
  EXPECT_FALSE(memory.propose({.scope = "user", .text = " \n"}));
  EXPECT_FALSE(memory.propose({.scope = "user", .text = std::string(kMaxFactBytes + 1, 'x')}));
  EXPECT_FALSE(memory.fact(99));
}

TEST_F(MemoryTest, TheOlderOfTwoThatContradictEachOtherIsRetired) {
  Memory memory = open();
  const auto first = known(memory, "The port: 8080");
  const auto elsewhere = known(memory, "The port: 8080", "recipe:say");
  const auto other = known(memory, "The host: a");
  const auto second =
      memory.propose({.scope = "user", .text = "the  port: 9090", .run = "r", .blob = "b2"});
  const auto retired = memory.accept(**second, "person", {});
  ASSERT_TRUE(retired);
  ASSERT_EQ(retired->size(), 1U);
  EXPECT_EQ(retired->front().text, "The port: 8080");
  EXPECT_EQ(memory.fact(first)->state, FactState::kRetired);
  EXPECT_EQ(memory.fact(first)->by, fmt::format("fact {}", **second));
  EXPECT_EQ(memory.fact(elsewhere)->state, FactState::kAccepted);
  EXPECT_EQ(memory.fact(other)->state, FactState::kAccepted);
  const auto plain = known(memory, "it has no subject");
  known(memory, "it has no subject either");
  EXPECT_EQ(memory.fact(plain)->state, FactState::kAccepted);
}

TEST_F(MemoryTest, RecallKeepsToScopesTimesAndBytes) {
  Memory memory = open();
  known(memory, "port of others: 1", "recipe:other");
  known(memory, "port until ten: 2", "user", 10);
  EXPECT_THAT(recalled(memory, "port", 9), ElementsAre("port until ten: 2"));
  EXPECT_THAT(recalled(memory, "port", 10), IsEmpty());
  for (int i = 0; i < 10; ++i)
    known(memory, fmt::format("fact{} cable: {}", i, std::string(400, 'x')));
  EXPECT_EQ(recalled(memory, "cable").size(), 3U) << "of 400 bytes each, in 1,536";
}

TEST_F(MemoryTest, WhatIsForgottenIsInNoFile) {
  const auto holds = [&](std::string_view text) {
    const auto files = list_files(dir_.path());
    for (const std::string& file : *files)
      if (read_file(dir_.path() / file)->contains(text)) return true;
    return false;
  };
  Memory memory = open();
  const auto id = known(memory, "the secretword: swordfish");
  known(memory, "the other: stays");
  EXPECT_TRUE(holds("swordfish"));
  const auto old = memory.forget(id);
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_EQ(old->text, "the secretword: swordfish");
  EXPECT_FALSE(holds("swordfish"));
  EXPECT_FALSE(holds("ecretword"));
  EXPECT_TRUE(holds("stays"));
  EXPECT_EQ(memory.fact(id)->state, FactState::kForgotten);
  EXPECT_EQ(memory.fact(id)->text, "");
  EXPECT_FALSE(memory.accept(id, "person", {}));
  EXPECT_THAT(recalled(memory, "swordfish"), IsEmpty());
  EXPECT_EQ(fs::status(dir_.path() / "memory.db").permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
}

}  // namespace
}  // namespace lathe::books
