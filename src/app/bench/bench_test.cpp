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

// A counter that takes a joule at each look: between two looks there is one.
TEST_F(BenchModel, JoulesOfPromptsAndAnswersStandApart) {
  double taken = 0;
  const auto rows = run({.repeat = 2,
                         .prompts = {8},
                         .answer = 4,
                         .widths = {1},
                         .streams = {1},
                         .joules = [&] { return std::optional(taken += 1); },
                         .rest = Milliseconds(40)});
  ASSERT_TRUE(rows) << rows.error().message;
  const auto figure = [&](std::string_view what) {
    const auto row = std::ranges::find(*rows, what, &BenchRow::what);
    EXPECT_NE(row, rows->end()) << what;
    return row == rows->end() ? Figure() : row->figure();
  };
  EXPECT_EQ(figure("prefill, energy").median, 1.0 / 8);
  EXPECT_EQ(figure("decode, energy").median, 1.0 / 4);
  EXPECT_GT(figure("at rest").median, 0);
  EXPECT_LE(figure("at rest").median, 1 / 0.04);
  EXPECT_LT(figure("prefill, energy above rest").high, 1.0 / 8);
  EXPECT_LT(figure("decode, energy above rest").high, 1.0 / 4);
  // It can be read at first, and then no longer: no figure is made up.
  int looks = 0;
  const auto gone =
      run({.repeat = 1,
           .prompts = {8},
           .answer = 4,
           .widths = {1},
           .streams = {1},
           .joules = [&] { return ++looks < 5 ? std::optional(1.0 * looks) : std::nullopt; },
           .rest = Milliseconds(1)});
  ASSERT_TRUE(gone) << gone.error().message;
  for (const BenchRow& row : *gone)
    EXPECT_FALSE(row.what.contains("energy")) << row.what << ": left out, and the rest is kept";
  EXPECT_NE(std::ranges::find(*gone, "prefill", &BenchRow::what), gone->end());
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
