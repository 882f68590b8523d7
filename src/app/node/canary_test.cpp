// Canaries: what they see of a worker's answer, and which nodes are odd.
#include "app/node/canaries.h"

#include <gmock/gmock.h>

#include <cmath>

namespace lathe::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Said final : public Worker {
 public:
  Reply reply = {};
  Request asked = {};
  WorkerInfo info() const override { return {.name = "said", .model = "m", .where = ""}; }
  Result<Reply> complete(const Request& request, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    asked = request;
    return reply;
  }
};

std::string canary(Said& worker) {
  const StopFlag never;
  return canary_of(worker, never).value();
}

TEST(Canary, SeesTheLastBitOfAProbability) {
  Said worker;
  worker.reply.text = "the same";
  worker.reply.logprobs = {{"the", -0.25, {{"the", -0.25}, {"a", -1.5}}}, {" same", -0.75, {}}};
  const std::string first = canary(worker);
  EXPECT_EQ(canary(worker), first);
  EXPECT_EQ(worker.asked.max_tokens, 32);
  EXPECT_TRUE(worker.asked.sampling.seed);
  worker.reply.logprobs[0].top[1].second = std::nextafter(-1.5, 0.0);
  EXPECT_NE(canary(worker), first);
  worker.reply.logprobs[0].top[1].second = -1.5;
  EXPECT_EQ(canary(worker), first);
  worker.reply.logprobs[1].token = " sam";
  EXPECT_NE(canary(worker), first);
}

TEST(Canary, AWorkerWithoutProbabilitiesHasNone) {
  Said worker;
  const StopFlag never;
  const auto none = canary_of(worker, never);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("said: it gives no log probabilities"));
}

books::NodeRow node(const std::string& id, const Json& canaries) {
  books::NodeRow row;
  row.id = id;
  row.load = {{"canary", canaries}};
  return row;
}

TEST(OddNodes, TheTrustedOneIsRightElseMost) {
  const std::vector<books::NodeRow> nodes{node("a", {{"m", "1:x"}}), node("b", {{"m", "1:y"}}),
                                          node("c", {{"m", "1:y"}})};
  EXPECT_THAT(odd_ones(nodes, "a"), ElementsAre(OddNode{"b", "m"}, OddNode{"c", "m"}));
  EXPECT_THAT(odd_ones(nodes, "b"), ElementsAre(OddNode{"a", "m"}));
  EXPECT_THAT(odd_ones(nodes, "elsewhere"), ElementsAre(OddNode{"a", "m"}));
}

TEST(OddNodes, WhereNobodyKnowsBothAreOdd) {
  const std::vector<books::NodeRow> two{node("a", {{"m", "1:x"}}), node("b", {{"m", "1:y"}})};
  EXPECT_THAT(odd_ones(two, "elsewhere"), ElementsAre(OddNode{"a", "m"}, OddNode{"b", "m"}));
}

TEST(OddNodes, OtherModelsNumericsAndStatesAreNotCompared) {
  std::vector<books::NodeRow> nodes{node("a", {{"m", "1:x"}, {"n", "1:z"}}),
                                    node("b", {{"m", "2:y"}}), node("c", {{"n", "1:z"}})};
  EXPECT_THAT(odd_ones(nodes, "a"), IsEmpty());
  nodes.push_back(node("d", {{"m", "1:y"}}));
  nodes.back().state = books::NodeState::kQuarantined;
  EXPECT_THAT(odd_ones(nodes, "a"), IsEmpty());
}

TEST(OddNodes, WhatNodesSayMayBeAnything) {
  std::vector<books::NodeRow> nodes{node("a", Json::array({1})), node("b", {{"m", 7}}),
                                    node("c", nullptr)};
  nodes.push_back({});
  nodes.back().load = "prose";
  EXPECT_THAT(odd_ones(nodes, "a"), IsEmpty());
}

TEST(OddNodes, GetNothingMore) {
  const auto store = books::memory_leases();
  ASSERT_TRUE(store->put_node(node("good", {{"m", "1:x"}})));
  ASSERT_TRUE(store->put_node(node("bad", {{"m", "1:y"}})));
  std::map<std::string, Json> seen;
  EXPECT_THAT(quarantine_odd_ones(*store, "good", seen).value(), ElementsAre(OddNode{"bad", "m"}));
  const auto nodes = store->nodes().value();
  EXPECT_EQ(nodes[0].state, books::NodeState::kQuarantined);
  EXPECT_EQ(nodes[1].state, books::NodeState::kActive);
}

// The machine that drives the run may say its canaries by its server alone.
TEST(OddNodes, WhatWasSaidBeforeCounts) {
  const auto store = books::memory_leases();
  std::map<std::string, Json> seen;
  ASSERT_TRUE(store->put_node(node("good", {{"m", "1:x"}})));
  EXPECT_THAT(quarantine_odd_ones(*store, "good", seen).value(), IsEmpty());
  books::NodeRow other = node("good", {});
  other.load = {{"name", "good"}};
  ASSERT_TRUE(store->put_node(other));
  ASSERT_TRUE(store->put_node(node("bad", {{"m", "1:y"}})));
  EXPECT_THAT(quarantine_odd_ones(*store, "good", seen).value(), ElementsAre(OddNode{"bad", "m"}));
}

TEST(Canaries, AreMadeAgainAndThoseThatFailAreNotSaid) {
  std::mutex mutex;
  int made = 0;
  Canaries::Options options;
  options.models = [] { return std::vector<std::string>{"good", "deaf"}; };
  options.make = [&](const std::string& model, const StopFlag&) -> Result<std::string> {
    const std::scoped_lock lock(mutex);
    if (model == "deaf") return fail(ErrorKind::kUnavailable, "it says nothing");
    return fmt::format("1:{}", ++made);
  };
  std::vector<std::string> log;
  options.log = [&](const std::string& line) {
    const std::scoped_lock lock(mutex);
    log.push_back(line);
  };
  options.every = Milliseconds(5);
  Json said;
  {
    const Canaries canaries(std::move(options));
    for (int i = 0; i < 60'000 && json_string(said, "good") < "1:2"; ++i) {
      std::this_thread::sleep_for(Milliseconds(2));
      said = canaries.said();
    }
  }
  EXPECT_GE(json_string(said, "good"), "1:2");
  EXPECT_FALSE(said.contains("deaf"));
  EXPECT_EQ(log.front(), "deaf has no canary: it says nothing");
}

}  // namespace
}  // namespace lathe::app
