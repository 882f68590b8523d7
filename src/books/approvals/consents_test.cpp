// Consents: whose bytes they are for, what a rule covers and is charged, what a secret does.
#include "books/approvals/consents.h"

#include <gmock/gmock.h>

#include <thread>

#include "ground/base/clock.h"
#include "ground/base/hash.h"

namespace lathe::books {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = ConsentSaid::Kind;

constexpr std::int64_t kNow = 1'800'000'000'000;  // a day in January 2027
constexpr const char* kSecretBody =
    R"({"messages":[{"content":"use AKIAIOSFODNN7EXAMPLE for it"}]})";

Outgoing outgoing(std::string_view body = R"({"model":"big"})") {
  Outgoing made;
  made.body = body;
  made.destination = "https://cloud.example:443/v1/chat/completions";
  made.model = "big";
  made.prompt_tokens = 10;
  made.answer_tokens = 100;
  made.nano = 400'000'000;
  made.currency = "USD";
  made.paths = {"src/a.cpp", "src/deep/b.cpp"};
  return made;
}

ConsentRule rule() {
  ConsentRule made;
  made.destination = "https://cloud.example:443/v1";
  made.paths = {"src/**"};
  made.nano_a_day = 1'000'000'000;
  made.currency = "USD";
  made.until_ms = kNow + 3 * kDayMs;
  return made;
}

class ConsentsTest : public ::testing::Test {
 protected:
  Kind look(const Outgoing& asked, std::int64_t now = kNow) {
    const auto said = consents_.look(Consents::question(asked, now), now);
    EXPECT_TRUE(said) << said.error().message;
    return said ? said->kind : Kind::kRefused;
  }
  std::string only_id() {
    const auto all = consents_.all();
    EXPECT_EQ(all->size(), 1U);
    return all->empty() ? "" : all->front().id();
  }

  TempDir directory_ = *TempDir::make();
  Consents consents_{Approvals(directory_.path() / "approvals.json"),
                     directory_.path() / "consents"};
};

TEST_F(ConsentsTest, AWordIsForTheseBytesToThisPlaceAlone) {
  EXPECT_EQ(look(outgoing()), Kind::kAsked);
  EXPECT_EQ(look(outgoing()), Kind::kAsked) << "asked once";
  const std::string id = only_id();
  const Approval asked = *consents_.find(id);
  EXPECT_EQ(*consents_.body(asked), outgoing().body);
  EXPECT_EQ(asked.subject.at("sha256"), sha256_hex(outgoing().body));
  ASSERT_TRUE(consents_.decide(id, Decision::kAllowed, {}, kNow));
  const auto said = consents_.look(Consents::question(outgoing(), kNow), kNow);
  EXPECT_EQ(said->kind, Kind::kAllowed);
  EXPECT_EQ(said->by, "consent " + id);
  EXPECT_EQ(look(outgoing(R"({"model":"bih"})")), Kind::kAsked) << "one byte";
  Outgoing other = outgoing();
  other.destination = "https://cloud.example:444/v1/chat/completions";
  EXPECT_EQ(look(other), Kind::kAsked) << "another place";
  other = outgoing();
  other.nano = 400'000'001'000;
  EXPECT_EQ(look(other), Kind::kAsked) << "another price";
  ASSERT_TRUE(consents_.decide(id, Decision::kRefused, {}, kNow));
  EXPECT_EQ(look(outgoing()), Kind::kRefused);
  ASSERT_TRUE(consents_.forget(id));
  EXPECT_FALSE(fs::exists(directory_.path() / "consents" / id));
  EXPECT_EQ(look(outgoing()), Kind::kAsked);
}

TEST_F(ConsentsTest, TheBytesAreForTheirOwnerAlone) {
  ASSERT_EQ(look(outgoing()), Kind::kAsked);
  const fs::path bodies = directory_.path() / "consents";
  EXPECT_EQ(fs::status(bodies).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(bodies / only_id()).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_TRUE(write_file_atomic(bodies / only_id(), "something else"));
  const auto changed = consents_.body(*consents_.find(only_id()));
  ASSERT_FALSE(changed);
  EXPECT_THAT(changed.error().message, HasSubstr("is not what consent was asked for"));
}

TEST_F(ConsentsTest, WhatRunsAskedForGoesWithThem) {
  const auto of_run = [](std::string_view body, const char* run) {
    Outgoing made = outgoing(body);
    made.about = {{"run", run}};
    return made;
  };
  for (const char* body : {"first", "second"}) ASSERT_EQ(look(of_run(body, "a")), Kind::kAsked);
  ASSERT_EQ(look(of_run("third", "b")), Kind::kAsked);
  ASSERT_EQ(look(outgoing("of no run")), Kind::kAsked);
  ASSERT_TRUE(consents_.decide(consents_.all()->front().id(), Decision::kAllowed, {}, kNow));
  EXPECT_EQ(consents_.forget_runs(std::vector<std::string>{"a", "c"}).value(), 2U);
  EXPECT_EQ(consents_.all()->size(), 2U);
  std::set<std::string> left;
  for (const auto& file : fs::directory_iterator(directory_.path() / "consents"))
    left.insert(read_file(file.path()).value());
  EXPECT_EQ(left, (std::set<std::string>{"third", "of no run"}));
  EXPECT_EQ(look(of_run("first", "a")), Kind::kAsked) << "allowed once, and asked for anew";
}

TEST_F(ConsentsTest, ASecretIsRefusedUnlessItIsNamed) {
  EXPECT_EQ(look(outgoing(kSecretBody)), Kind::kSecret);
  const std::string id = only_id();
  const auto unnamed = consents_.decide(id, Decision::kAllowed, {}, kNow);
  ASSERT_FALSE(unnamed);
  EXPECT_THAT(unnamed.error().message, HasSubstr("a key of AWS"));
  const std::vector<std::string> wrong{"a key of Google"}, right{"a key of AWS"};
  EXPECT_FALSE(consents_.decide(id, Decision::kAllowed, wrong, kNow));
  EXPECT_EQ(look(outgoing(kSecretBody)), Kind::kSecret);
  ASSERT_TRUE(consents_.decide(id, Decision::kAllowed, right, kNow));
  EXPECT_EQ(look(outgoing(kSecretBody)), Kind::kAllowed);
  ASSERT_TRUE(consents_.decide(id, Decision::kRefused, {}, kNow));
  EXPECT_EQ(look(outgoing(kSecretBody)), Kind::kSecret) << "what was named goes with the consent";
}

TEST_F(ConsentsTest, SecretsAreFoundBehindTheEscapesOfJson) {
  const Json body = {{"messages", {{{"content", "password = \"correct-horse-battery-9\""}}}}};
  EXPECT_THAT(secrets_in_body(dump_json(body)), ::testing::SizeIs(1));
  EXPECT_THAT(secrets_in_body(kSecretBody), ElementsAre("a key of AWS"));
  EXPECT_TRUE(secrets_in_body(R"({"text":"nothing of the kind"})").empty());
  std::string deep(200, '[');
  EXPECT_TRUE(secrets_in_body(deep).empty()) << "no JSON, and no crash";
}

TEST_F(ConsentsTest, NoRuleLetsASecretGo) {
  ConsentRule any = rule();
  any.paths = {"**"};
  ASSERT_TRUE(consents_.add(any, kNow));
  EXPECT_EQ(look(outgoing(kSecretBody)), Kind::kSecret);
}

TEST_F(ConsentsTest, ARuleIsChargedUntilItsMoneyIsUsed) {
  ASSERT_TRUE(consents_.add(rule(), kNow));
  const auto said = consents_.look(Consents::question(outgoing(), kNow), kNow);
  EXPECT_EQ(said->kind, Kind::kAllowed);
  EXPECT_EQ(said->by, "rule " + rule().row().id());
  EXPECT_EQ(look(outgoing("another")), Kind::kAllowed);
  EXPECT_EQ(spent_of(consents_.rules()->front(), kNow), 800'000'000);
  EXPECT_EQ(look(outgoing("a third")), Kind::kAsked) << "0.4 of the 0.2 that are left";
  EXPECT_EQ(look(outgoing("a third"), kNow + kDayMs), Kind::kAllowed) << "the next day";
  EXPECT_EQ(look(outgoing("a fourth"), kNow + 3 * kDayMs), Kind::kAsked) << "it has ended";
  ASSERT_TRUE(consents_.remove_rule(rule().row().id()));
  EXPECT_EQ(look(outgoing("a fifth"), kNow + kDayMs), Kind::kAsked);
}

TEST_F(ConsentsTest, SeveralProcessesCannotOverspendARule) {
  ASSERT_TRUE(consents_.add(rule(), kNow));
  std::atomic<int> allowed = 0;
  std::vector<std::thread> askers;
  for (int i = 0; i < 8; ++i)
    askers.emplace_back([&, i] {
      const std::string body = fmt::format("body {}", i);
      const Consents mine(Approvals(directory_.path() / "approvals.json"),
                          directory_.path() / "consents");
      const auto said = mine.look(Consents::question(outgoing(body), kNow), kNow);
      allowed += said && said->kind == Kind::kAllowed;
    });
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(allowed, 2);
  EXPECT_EQ(spent_of(consents_.rules()->front(), kNow), 800'000'000);
}

TEST(ConsentRuleTest, HoldsForWhatItSaysAndNothingElse) {
  EXPECT_EQ(rule().refuses(outgoing(), 0, kNow), "");
  const auto why = [](auto change, std::int64_t spent = 0) {
    ConsentRule made = rule();
    Outgoing asked = outgoing();
    change(made, asked);
    return made.refuses(asked, spent, kNow);
  };
  EXPECT_THAT(why([](auto&, auto& asked) { asked.paths->push_back("doc/x.md"); }),
              HasSubstr("'doc/x.md' is none of its files"));
  EXPECT_THAT(why([](auto&, auto& asked) { asked.paths.reset(); }),
              HasSubstr("does not say which files"));
  EXPECT_EQ(why([](auto& made, auto& asked) {
              asked.paths.reset();
              made.unknown_paths = true;
            }),
            "");
  EXPECT_THAT(why([](auto&, auto& asked) { asked.nano.reset(); }), HasSubstr("no price"));
  EXPECT_THAT(why([](auto&, auto& asked) { asked.currency = "EUR"; }), HasSubstr("USD"));
  EXPECT_THAT(why([](auto&, auto&) {}, 700'000'000), HasSubstr("0.7000 USD of its 1.0000 USD"));
  EXPECT_THAT(why([](auto&, auto&) {}, std::numeric_limits<std::int64_t>::max()),
              HasSubstr("a day are used"));
  for (const char* place : {"https://cloud.example:443/v10/chat", "https://cloud.example:4430/v1",
                            "http://cloud.example:443/v1/chat/completions"})
    EXPECT_THAT(why([&](auto&, auto& asked) { asked.destination = place; }),
                HasSubstr("another place"))
        << place;
}

TEST(ConsentRuleTest, ComesBackFromItsRow) {
  const auto back = ConsentRule::of(rule().row());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->row().id(), rule().row().id());
  EXPECT_EQ(back->paths, rule().paths);
  for (const char* part : {"destination", "paths", "nano_a_day", "until"}) {
    Approval broken = rule().row();
    broken.subject.erase(part);
    EXPECT_FALSE(ConsentRule::of(broken)) << part;
  }
}

}  // namespace
}  // namespace lathe::books
