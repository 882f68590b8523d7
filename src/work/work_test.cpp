// Usage adds up; tools as JSON; what a request is by itself.
#include "work/work.h"

#include "work/caller.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lathe {
namespace {

TEST(Usage, AddsAndKeepsTrackOfWhatWasCounted) {
  const Usage counted{10, 4, 5, Milliseconds(7), 1, true, 1, 2, 3};
  Usage sum;
  sum += counted;
  EXPECT_TRUE(sum.counted) << "nothing plus counted is counted";
  sum += counted;
  EXPECT_EQ(sum.prompt_tokens, 20);
  EXPECT_EQ(sum.cached_tokens, 8);
  EXPECT_EQ(sum.completion_tokens, 10);
  EXPECT_EQ(sum.reasoning_tokens, 2);
  EXPECT_EQ(sum.accepted_tokens, 4);
  EXPECT_EQ(sum.rejected_tokens, 6);
  EXPECT_EQ(sum.wall.count(), 14);
  EXPECT_EQ(sum.calls, 2);
  sum += Usage{};
  EXPECT_TRUE(sum.counted) << "no call adds no doubt";
  sum += Usage{0, 0, 0, Milliseconds(1), 1, false};
  EXPECT_FALSE(sum.counted) << "one uncounted call makes the sum a lower bound";
  sum += counted;
  EXPECT_FALSE(sum.counted);
}

TEST(Usage, JsonRoundTrip) {
  const Usage usage{10, 4, 5, Milliseconds(7), 2, true, 1, 2, 3};
  EXPECT_EQ(to_json(usage_from_json(to_json(usage))), to_json(usage));
  EXPECT_FALSE(usage_from_json(Json::object()).counted);
}

TEST(Usage, WhatItTookIsKnownWhereItIsOfAllCalls) {
  Usage one{.wall = Milliseconds(7), .calls = 1};
  one.busy_us = 40;
  one.millijoules = 5;
  one.energy_scope = "socket";
  EXPECT_EQ(to_json(usage_from_json(to_json(one))), to_json(one));
  Usage other_answer;  // of the same request
  other_answer.busy_us = 2;
  Usage sum;
  sum += one;
  sum += other_answer;
  EXPECT_EQ(sum.busy_us, 42);
  EXPECT_EQ(sum.millijoules, 5);
  EXPECT_EQ(sum.energy_scope, "socket");

  Usage of_the_card = one;
  of_the_card.energy_scope = "gpu";
  sum += of_the_card;
  EXPECT_EQ(sum.busy_us, 82);
  EXPECT_FALSE(sum.millijoules) << "two scopes are not one sum";
  EXPECT_EQ(sum.energy_scope, "");

  const Usage elsewhere{.wall = Milliseconds(7), .calls = 1};
  sum += elsewhere;
  EXPECT_FALSE(sum.busy_us);
  EXPECT_FALSE(to_json(sum).contains("busy_us"));
}

TEST(CallClass, Names) {
  for (const CallClass each : {CallClass::kInteractive, CallClass::kBackground})
    EXPECT_EQ(parse_class(class_name(each)), each);
  EXPECT_EQ(parse_class("batch"), std::nullopt);
}

TEST(ToolJson, IsOpenAisShapeWithoutWhatIsNotSaid) {
  EXPECT_EQ(dump_json(to_json(Tool{.name = "f"})),
            R"({"type":"function","function":{"name":"f"}})");
  const Tool whole{"f", "does it", {{"type", "object"}}, false};
  EXPECT_EQ(dump_json(to_json(whole)),
            R"({"type":"function","function":{"name":"f","description":"does it",)"
            R"("parameters":{"type":"object"},"strict":false}})");
}

TEST(Request, IsATalkUnlessSaidOtherwise) {
  Request request;
  ASSERT_NE(request.talk(), nullptr);
  EXPECT_TRUE(request.talk()->messages.empty());
  EXPECT_EQ(request.form, AnswerForm(FreeForm()));
  request.ask = TextPrompt{"x"};
  EXPECT_EQ(request.talk(), nullptr);
  request.ask = TokenPrompt{{1}};
  EXPECT_EQ(request.talk(), nullptr);
}

TEST(Reach, Names) {
  for (const Reach reach : {Reach::kLocal, Reach::kLan, Reach::kAny})
    EXPECT_EQ(parse_reach(reach_name(reach)), reach);
  EXPECT_EQ(parse_reach("Local"), std::nullopt);
  EXPECT_EQ(parse_reach(""), std::nullopt);
}

TEST(Likelihood, OfTheTokensThatEndBehindTheContext) {
  const Continuation asked{.context = "Is it", .text = " so"};
  const double unknown = std::nan("");
  const auto sum = [&](std::vector<WeighedToken> tokens) {
    const auto likelihood = likelihood_of(asked, tokens);
    return likelihood ? fmt::format("{} of {}", likelihood->log_likelihood, likelihood->tokens)
                      : "error: " + likelihood.error().message;
  };
  EXPECT_EQ(sum({{2, unknown}, {3, -1}, {2, -2}, {1, -0.5}}), "-2.5 of 2");
  EXPECT_EQ(sum({{2, unknown}, {4, -1}, {2, -2}}), "-3 of 2") << "one lies in both";
  EXPECT_EQ(sum({{3, unknown}, {3, -1}, {3, -2}}), "-2 of 1") << "a blank of the vocabulary's";
  EXPECT_EQ(sum({{2, unknown}, {3, -1}}).substr(0, 6), "error:");
  EXPECT_EQ(sum({{8, unknown}}).substr(0, 6), "error:");
  EXPECT_EQ(sum({}).substr(0, 6), "error:");
}

}  // namespace
}  // namespace lathe
