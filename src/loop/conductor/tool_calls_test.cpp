// Calls of tools in a run: what is written down when, what is answered from there, and what is
// never called a second time.
#include "loop/conductor/tool_calls.h"

#include <gmock/gmock.h>

#include <thread>

#include "ground/base/hash.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const StopFlag kNever;

// "look" only reads, "send" does something.
class FakeTools final : public ForeignTools {
 public:
  std::vector<Tool> tools() const override { return {{"look"}, {"send"}}; }
  bool reads_only(const std::string& tool) const override { return tool == "look"; }
  std::map<std::string, std::string> definitions() const override { return {}; }
  Status unchanged(const std::map<std::string, std::string>&) const override { return {}; }
  Result<ToolAnswer> make_call(const FunctionCall& call, const std::function<Status()>& about_to,
                               const StopFlag&) override {
    if (refuses) return ToolAnswer{"refused", false};
    LATHE_TRY_STATUS(about_to());
    done.push_back(call.name + call.arguments);
    if (dies) return fail(ErrorKind::kUnavailable, "it ended");
    return ToolAnswer{fmt::format("answer {}", done.size()), ok};
  }

  bool refuses = false, dies = false, ok = true;
  std::vector<std::string> done;
};

// A record in memory, as a journal keeps it.
struct Journal {
  std::vector<Event> events;
  std::map<std::string, std::string> blobs;
  bool full = false;

  ToolCalls::Book book() {
    return {[this](Event event) -> Status {
              if (full) return fail(ErrorKind::kUnavailable, "the disk is full");
              const std::scoped_lock lock(mutex);
              events.push_back(std::move(event));
              return {};
            },
            [this](std::string_view bytes) -> Result<std::string> {
              const std::scoped_lock lock(mutex);
              blobs[sha256_hex(bytes)] = bytes;
              return sha256_hex(bytes);
            },
            [this](const std::string& blob) -> Result<std::string> { return blobs.at(blob); }};
  }
  // What a state that was read from it knows.
  std::map<std::string, ToolCallState> known() const {
    std::map<std::string, ToolCallState> known;
    for (const Event& event : events) {
      if (const auto* begun = std::get_if<ToolBegun>(&event)) known[begun->key].once = begun->once;
      if (const auto* answered = std::get_if<ToolAnswered>(&event)) {
        ToolCallState& state = known.at(answered->key);
        state.answered = true;
        state.ok = answered->ok;
        state.blob = answered->blob;
      }
    }
    return known;
  }
  std::mutex mutex;
};

FunctionCall call_of(const char* name, const char* arguments = R"({"a":1,"b":2})") {
  return {"1", name, arguments};
}

class ToolCallsTest : public ::testing::Test {
 protected:
  std::string text_of(ToolCalls& calls, const FunctionCall& call, int lap = 1) {
    const auto answer = calls.call(tools_, CallId::make(0, lap, 0), call, kNever);
    return answer ? (answer->ok ? "" : "error: ") + answer->text : answer.error().message;
  }

  FakeTools tools_;
  Journal journal_;
  ToolCalls calls_{journal_.book(), {}};
};

TEST_F(ToolCallsTest, AnIdenticalCallIsAnsweredFromTheRecord) {
  for (const char* tool : {"look", "send"}) {
    const std::string first = text_of(calls_, call_of(tool));
    EXPECT_EQ(text_of(calls_, call_of(tool, R"({"b": 2, "a": 1})")), first);
    EXPECT_NE(text_of(calls_, call_of(tool, R"({"a":2})")), first);
  }
  EXPECT_EQ(tools_.done.size(), 4U);
  EXPECT_EQ(journal_.events.size(), 8U);
  const auto& begun = std::get<ToolBegun>(journal_.events[4]);
  EXPECT_EQ(begun.tool, "send");
  EXPECT_EQ(begun.arguments, R"({"a":1,"b":2})");
  EXPECT_TRUE(begun.once);
  EXPECT_EQ(journal_.blobs.at(std::get<ToolAnswered>(journal_.events[5]).blob), "answer 3");
}

TEST_F(ToolCallsTest, WhatReadsIsCalledAgainForAnotherCandidateAndWhatDoesIsNot) {
  EXPECT_NE(text_of(calls_, call_of("look"), 1), text_of(calls_, call_of("look"), 2));
  EXPECT_EQ(text_of(calls_, call_of("send"), 1), text_of(calls_, call_of("send"), 2));
}

TEST_F(ToolCallsTest, AfterAnInterruptionNothingIsDoneTwice) {
  tools_.dies = true;
  EXPECT_EQ(text_of(calls_, call_of("look")), "it ended");
  EXPECT_EQ(text_of(calls_, call_of("send")), "it ended");
  tools_.dies = false;
  ASSERT_EQ(journal_.events.size(), 2U);
  for (int resumed = 0; resumed < 2; ++resumed) {
    ToolCalls later(journal_.book(), journal_.known());
    EXPECT_THAT(text_of(later, call_of("send")), HasSubstr("error: its outcome is not known"));
    EXPECT_EQ(text_of(later, call_of("look")), "answer 3");
  }
  EXPECT_THAT(text_of(calls_, call_of("send"), 2), HasSubstr("not known"));
  EXPECT_EQ(tools_.done.size(), 3U);
}

TEST_F(ToolCallsTest, WhatWasRefusedIsNoCall) {
  tools_.refuses = true;
  EXPECT_EQ(text_of(calls_, call_of("send")), "error: refused");
  EXPECT_TRUE(journal_.events.empty());
  tools_.refuses = false;
  EXPECT_EQ(text_of(calls_, call_of("send")), "answer 1");
}

TEST_F(ToolCallsTest, WithoutARecordNothingIsCalled) {
  journal_.full = true;
  EXPECT_EQ(text_of(calls_, call_of("send")), "the disk is full");
  EXPECT_TRUE(tools_.done.empty());
}

TEST_F(ToolCallsTest, AFailureIsRecordedToo) {
  tools_.ok = false;
  EXPECT_EQ(text_of(calls_, call_of("send")), "error: answer 1");
  ToolCalls later(journal_.book(), journal_.known());
  EXPECT_EQ(text_of(later, call_of("send")), "error: answer 1");
}

TEST_F(ToolCallsTest, CandidatesSideBySideDoItOnce) {
  std::vector<std::thread> candidates;
  FakeTools many[8];
  std::vector<std::string> said(8);
  for (std::size_t i = 0; i < said.size(); ++i)
    candidates.emplace_back([&, i] {
      const auto answer =
          calls_.call(many[i], CallId::make(0, 1, static_cast<int>(i)), call_of("send"), kNever);
      said[i] = answer ? answer->text : "";
    });
  for (std::thread& each : candidates) each.join();
  std::size_t done = 0;
  for (const FakeTools& each : many) done += each.done.size();
  EXPECT_EQ(done, 1U);
  EXPECT_THAT(said, ::testing::Each("answer 1"));
}

}  // namespace
}  // namespace lathe::loop
