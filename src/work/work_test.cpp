// Usage adds up, requests are JSON with all that decides an answer.
#include "work/work.h"

#include <gtest/gtest.h>

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

TEST(RequestJson, EverythingThatDecidesTheAnswerIsInIt) {
  Request request;
  request.messages = {{"user", "q"}};
  const std::string base = canonical_json(to_json(request));
  const auto differs = [&](auto change) {
    Request other = request;
    change(other);
    return canonical_json(to_json(other)) != base;
  };
  EXPECT_TRUE(differs([](Request& r) { r.messages[0].content = "p"; }));
  EXPECT_TRUE(differs([](Request& r) { r.messages[0].role = "system"; }));
  EXPECT_TRUE(differs([](Request& r) { r.max_tokens = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.temperature = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.top_p = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.seed = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.stop = {"x"}; }));
  EXPECT_TRUE(differs([](Request& r) { r.schema = Json::object(); }));
  EXPECT_TRUE(differs([](Request& r) { r.top_logprobs = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.n_index = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.lap = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.attempt = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.prompt = ""; }));
  EXPECT_TRUE(differs([](Request& r) { r.prompt_ids = {0}; }));
  EXPECT_TRUE(differs([](Request& r) { r.suffix = "x"; }));
  EXPECT_TRUE(differs([](Request& r) { r.json_object = true; }));
  EXPECT_TRUE(differs([](Request& r) { r.grammar = "x"; }));
  EXPECT_TRUE(differs([](Request& r) { r.tools = Json::array(); }));
  EXPECT_TRUE(differs([](Request& r) { r.template_variables = Json::object(); }));
  EXPECT_TRUE(differs([](Request& r) { r.candidates = 2; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.top_k = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.min_p = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.typical_p = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.repeat_penalty = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.frequency_penalty = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.presence_penalty = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.sampling.logit_bias = {{3, 0}}; }));
  EXPECT_TRUE(differs([](Request& r) { r.messages[0].calls = {{"i", "n", "{}"}}; }));
  EXPECT_TRUE(differs([](Request& r) { r.messages[0].call_id = "i"; }));
  // What makes an answer faster and never different does not decide it.
  EXPECT_FALSE(differs([](Request& r) { r.time_limit = Milliseconds(1); }));
  EXPECT_FALSE(differs([](Request& r) { r.prediction = "x"; }));
  EXPECT_FALSE(differs([](Request& r) { r.keep_prefix = true; }));
}

TEST(Reach, Names) {
  for (const Reach reach : {Reach::kLocal, Reach::kLan, Reach::kAny})
    EXPECT_EQ(parse_reach(reach_name(reach)), reach);
  EXPECT_EQ(parse_reach("Local"), std::nullopt);
  EXPECT_EQ(parse_reach(""), std::nullopt);
}

}  // namespace
}  // namespace lathe
