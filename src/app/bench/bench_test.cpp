// What a benchmark of a model reports: every planned size, once, with figures that can be; how fast
// is not asked here.
#include "app/bench/bench.h"

#include <gmock/gmock.h>

#include <cmath>

#include "infer/models/vocabulary.h"

namespace lathe::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct BenchModel : ::testing::Test {
  BenchModel() : team(2) {
    auto vocabulary = infer::read_vocabulary(file);
    tokenizer = *infer::Tokenizer::make(std::move(*vocabulary));
    model =
        *infer::Model::load(file, team, {.kernels = &infer::best_kernel_table(), .progress = {}});
  }
  Result<std::vector<BenchRow>> run(const BenchPlan& plan) {
    return bench_model(*model, *tokenizer, team, plan, stop,
                       [&](const BenchRow& row) { heard.emplace_back(row.what, row.size); });
  }
  infer::Gguf file = *infer::Gguf::open(LATHE_SOURCE_DIR "/tests/data/models/llama-q4_0.gguf");
  infer::ThreadTeam team;
  std::unique_ptr<infer::Tokenizer> tokenizer;
  std::unique_ptr<infer::Model> model;
  StopFlag stop;
  std::vector<std::pair<std::string, std::size_t>> heard;
};

TEST_F(BenchModel, ReportsEveryPlannedSizeOnce) {
  const auto rows = run({.repeat = 2,
                         .prompts = {8, 16},
                         .answer = 6,
                         .widths = {1, 2},
                         .streams = {2},
                         .depths = {24}});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_THAT(heard,
              UnorderedElementsAre(Pair("prefill", 8), Pair("prefill", 16), Pair("decode", 6),
                                   Pair("decode, weights read", 6), Pair("plain reads", 6),
                                   Pair("decode, of plain reads", 6), Pair("step", 1),
                                   Pair("step", 2), Pair("streams", 2), Pair("decode at depth", 24),
                                   Pair("first token, new prompt", 16),
                                   Pair("first token, cached prompt", 16)));
  ASSERT_EQ(rows->size(), heard.size());
  EXPECT_EQ(rows->front().what, "prefill");
  for (const BenchRow& row : *rows) {
    EXPECT_EQ(row.samples.size(), 2) << row.what;
    EXPECT_GT(row.figure().low, 0) << row.what;
    EXPECT_TRUE(std::isfinite(row.figure().high)) << row.what;
  }
}

TEST_F(BenchModel, RefusesWhatGoesBeyondTheContext) {
  const auto rows = run({.prompts = {1'000'000}});
  ASSERT_FALSE(rows);
  EXPECT_THAT(rows.error().message, HasSubstr("1000000"));
  EXPECT_TRUE(heard.empty());
}

TEST_F(BenchModel, StopsWhenAsked) {
  stop.raise();
  const auto rows = run({});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().kind, ErrorKind::kCancelled);
}

TEST_F(BenchModel, KeepsTheRowsThatAreCompleteWhenItIsStopped) {
  std::vector<std::string> told;
  const auto rows =
      bench_model(*model, *tokenizer, team,
                  {.repeat = 2, .prompts = {8}, .answer = 6, .widths = {1, 2}, .streams = {2}},
                  stop, [&](const BenchRow& row) {
                    told.push_back(row.what);
                    stop.raise();
                  });
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->size(), told.size());
  EXPECT_LT(told.size(), 8);
  for (const BenchRow& row : *rows) EXPECT_EQ(row.samples.size(), 2) << row.what;
}

}  // namespace
}  // namespace lathe::app
