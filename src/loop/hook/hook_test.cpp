// Texts pass a hook only where every step of it said so, in time.
#include "loop/hook/hook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ground/base/file.h"
#include "ground/sys/sandbox.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HookTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TempDir::make();
    ASSERT_TRUE(made);
    dir_.emplace(*std::move(made));
    place_.recipe_dir = dir_->path();
  }
  void write(const std::string& name, const std::string& text, bool program = false) {
    ASSERT_TRUE(write_file_atomic(dir_->path() / name, text));
    if (program) fs::permissions(dir_->path() / name, fs::perms::owner_all);
  }
  Hook hook(const std::vector<std::string>& steps) {
    auto parsed = parse_hook(steps, dir_->path());
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
    return parsed ? *std::move(parsed) : Hook{};
  }
  std::string problem(const std::vector<std::string>& steps) {
    const auto parsed = parse_hook(steps, dir_->path());
    return parsed ? "" : parsed.error().message;
  }
  HookAnswer ask(const Hook& hook, const std::string& text) {
    return ask_hook(hook, text, {.place = place_, .stop = stop_});
  }

  std::optional<TempDir> dir_;
  Place place_;
  StopFlag stop_;
};

TEST_F(HookTest, PassesWhatEveryStepPasses) {
  write("short.toml", "kind = \"text\"\nmax_words = 4\n");
  const Hook both = hook({"rules:no_secrets", "judge:short.toml"});
  EXPECT_TRUE(ask(both, "Good morning to you.").passed);
  const HookAnswer secret = ask(both, "The password is hunter22.");
  EXPECT_FALSE(secret.passed);
  EXPECT_EQ(secret.by, "rules:no_secrets");
  EXPECT_EQ(secret.why, "holds a password");
  EXPECT_THAT(secret.why, ::testing::Not(HasSubstr("hunter")));
  const HookAnswer words = ask(both, "Good morning to all of you.");
  EXPECT_FALSE(words.passed);
  EXPECT_EQ(words.by, "judge:short.toml");
  EXPECT_TRUE(ask(Hook{}, "anything").passed) << "without a step nothing is held back";
}

TEST_F(HookTest, AProgramDecidesByItsExitCodeAlone) {
  if (const Status works = sandbox_works(); !works) GTEST_FAIL() << works.error().message;
  write("approve", "#!/bin/sh\ngrep -q please \"$1\"\n", true);
  Hook polite = hook({"command:./approve"});
  polite.budget = Milliseconds(60'000);  // this machine may be busy
  EXPECT_TRUE(ask(polite, "Come in, please.").passed);
  const HookAnswer rude = ask(polite, "Come in.");
  EXPECT_FALSE(rude.passed);
  EXPECT_EQ(rude.by, "command:./approve");
  // One that crashes, and one that only talks of approval.
  write("crash", "#!/bin/sh\nkill -SEGV $$\n", true);
  Hook crash = hook({"command:./crash"});
  crash.budget = polite.budget;
  EXPECT_FALSE(ask(crash, "x").passed);
  write("prose", "#!/bin/sh\necho this is fine, pass it\nexit 1\n", true);
  Hook prose = hook({"command:./prose"});
  prose.budget = polite.budget;
  EXPECT_FALSE(ask(prose, "x").passed);
  Hook gone = hook({"command:no-such-program"});
  gone.budget = polite.budget;
  EXPECT_FALSE(ask(gone, "x").passed);
}

TEST_F(HookTest, WhatComesTooLateHoldsBack) {
  write("slow", "#!/bin/sh\nsleep 600\n", true);
  Hook slow = hook({"command:./slow"});
  slow.budget = Milliseconds(50);
  const HookAnswer answer = ask(slow, "x");
  EXPECT_FALSE(answer.passed);
  EXPECT_EQ(answer.by, "command:./slow");
  EXPECT_EQ(answer.why, "took longer than 50 ms");
  EXPECT_LT(answer.took, Milliseconds(300'000)) << "the sleep was ended";
}

TEST_F(HookTest, StoppedIsHeldBack) {
  stop_.raise();
  const HookAnswer answer = ask(hook({"rules:no_secrets"}), "x");
  EXPECT_FALSE(answer.passed);
  EXPECT_EQ(answer.why, "stopped");
}

TEST_F(HookTest, AdviceHoldsEverythingBackAndIsRefused) {
  write("policy.toml", "kind = \"rubric\"\nworker = \"judge\"\ncriteria = [\"Is it polite?\"]\n");
  EXPECT_THAT(problem({"judge:policy.toml"}), HasSubstr("only advises"));
}

TEST_F(HookTest, WrongStepsAreNamed) {
  write("bad.toml", "kind = \"txet\"\n");
  write("none.toml", "max_words = 3\n");
  EXPECT_THAT(problem({"no_secrets"}), HasSubstr("hook 'no_secrets'"));
  EXPECT_THAT(problem({"rules:other"}), HasSubstr("only rules:no_secrets"));
  EXPECT_THAT(problem({"judge:bad.toml"}), HasSubstr("txet"));
  EXPECT_THAT(problem({"judge:none.toml"}), HasSubstr("kind"));
  EXPECT_THAT(problem({"judge:gone.toml"}), HasSubstr("gone.toml"));
  EXPECT_THAT(problem({"command:"}), HasSubstr("command"));
  EXPECT_THAT(problem({}), IsEmpty());
}

}  // namespace
}  // namespace lathe::loop
