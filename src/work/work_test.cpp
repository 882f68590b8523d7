#include "work/work.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Usage, AddsAndKeepsTrackOfWhatWasCounted) {
  const Usage counted{10, 4, 5, Milliseconds(7), 1, true};
  Usage sum;
  sum += counted;
  EXPECT_TRUE(sum.counted) << "nothing plus counted is counted";
  sum += counted;
  EXPECT_EQ(sum.prompt_tokens, 20);
  EXPECT_EQ(sum.cached_tokens, 8);
  EXPECT_EQ(sum.completion_tokens, 10);
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
  const Usage usage{10, 4, 5, Milliseconds(7), 2, true};
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
  EXPECT_TRUE(differs([](Request& r) { r.temperature = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.top_p = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.seed = 0; }));
  EXPECT_TRUE(differs([](Request& r) { r.stop = {"x"}; }));
  EXPECT_TRUE(differs([](Request& r) { r.schema = Json::object(); }));
  EXPECT_TRUE(differs([](Request& r) { r.top_logprobs = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.n_index = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.lap = 1; }));
  EXPECT_TRUE(differs([](Request& r) { r.attempt = 1; }));
  EXPECT_FALSE(differs([](Request& r) { r.time_limit = Milliseconds(1); }));
}

TEST(Reach, Names) {
  for (const Reach reach : {Reach::kLocal, Reach::kLan, Reach::kAny})
    EXPECT_EQ(parse_reach(reach_name(reach)), reach);
  EXPECT_EQ(parse_reach("Local"), std::nullopt);
  EXPECT_EQ(parse_reach(""), std::nullopt);
}

}  // namespace
}  // namespace lathe
