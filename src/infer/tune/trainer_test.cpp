// The loop around the network: a training that is broken off and goes on has the same curve and
// weights, bit for bit; what is wrong with a checkpoint is said; validation keeps the best.
#include "infer/tune/trainer.h"

#include <fstream>

#include "infer/tune/twin_test.h"

namespace lathe::infer {
namespace {

std::vector<Example> documents(std::size_t count, std::uint64_t seed) {
  std::vector<Example> out(count);
  for (std::size_t e = 0; e < count; ++e)
    for (std::size_t i = 0; i < 4 + e % 7; ++i) {
      // Each token follows from the last one, so there is something to learn.
      const auto last =
          i == 0 ? random_at(seed, e, 0) : static_cast<std::uint64_t>(out[e].tokens.back()) * 5 + 3;
      out[e].tokens.push_back(static_cast<std::int32_t>(last % 24));
      out[e].trained.push_back(1);
    }
  return out;
}

class TrainerTest : public ::testing::Test {
 protected:
  struct Outcome {
    TrainReport report;
    std::vector<float> values;
  };

  void SetUp() override { write_tiny_model(base_, {}); }
  fs::path path(const char* name) const { return dir_.path() / name; }

  // A training of its own process: everything anew but for the checkpoint.
  Result<Outcome> train(TrainOptions options, int threads = 2) {
    LATHE_TRY(const Gguf file, Gguf::open(base_));
    LATHE_TRY(auto model, TuneModel::load(file, std::nullopt));
    ThreadTeam team(threads);
    LATHE_TRY(auto trainer, Trainer::create(*model, team, best_kernel_table(), documents(40, 1),
                                            documents(6, 2), std::move(options)));
    LATHE_TRY(TrainReport report, trainer->run());
    const auto values = model->parameters().values();
    return Outcome{std::move(report), {values.begin(), values.end()}};
  }

  TrainOptions options() const {
    TrainOptions options;
    options.epochs = 3;
    options.batch_tokens = 60;
    options.micro_tokens = 25;
    options.rate = 5e-3;
    options.evaluations = 6;
    options.patience = 0;
    return options;
  }

  void expect_resumable();

  TempDir dir_ = *TempDir::make();
  fs::path base_ = path("tiny.gguf");
};

void expect_same(const TrainReport& a, const TrainReport& b) {
  ASSERT_EQ(a.curve.size(), b.curve.size());
  for (std::size_t i = 0; i < a.curve.size(); ++i) {
    EXPECT_EQ(a.curve[i].step, b.curve[i].step);
    EXPECT_EQ(a.curve[i].loss, b.curve[i].loss) << i;
    EXPECT_EQ(a.curve[i].norm, b.curve[i].norm) << i;
    EXPECT_EQ(a.curve[i].validation, b.curve[i].validation) << i;
  }
}

void TrainerTest::expect_resumable() {
  const auto whole = train(options());
  ASSERT_TRUE(whole) << whole.error().message;
  const std::size_t steps = whole->report.curve.size();
  ASSERT_GT(steps, 12u);
  EXPECT_LT(whole->report.curve.back().loss, 0.7 * whole->report.curve.front().loss);
  for (const std::size_t at : {std::size_t{1}, steps / 2, steps - 1}) {
    TrainOptions first = options();
    StopFlag stop;
    first.stop = &stop;
    first.checkpoint = path("checkpoint");
    first.progress = [&](const TrainProgress& now) {
      if (now.point.step == at) stop.raise();
    };
    const auto begun = train(first);
    ASSERT_TRUE(begun) << begun.error().message;
    EXPECT_TRUE(begun->report.stopped);
    EXPECT_EQ(begun->report.steps, at);
    TrainOptions second = options();
    second.checkpoint = path("checkpoint");
    const auto ended = train(second, 1);
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_EQ(ended->report.resumed_at, at);
    expect_same(ended->report, whole->report);
    EXPECT_EQ(ended->values, whole->values);
    fs::remove(path("checkpoint"));
  }
}

TEST_F(TrainerTest, GoesOnBitForBitFromEveryStep) {
  expect_resumable();
}

TEST_F(TrainerTest, AModelWithStatesGoesOnToo) {
  base_ = fs::path(LATHE_SOURCE_DIR) / "tests/data/models/qwen35.gguf";
  expect_resumable();
}

// Rounded activations: the same training whether they are kept or computed twice, not that of
// floats, and it learns as well.
TEST_F(TrainerTest, ActivationsInBf16) {
  TrainOptions rounded = options();
  rounded.bf16_activations = true;
  const auto kept = train(rounded);
  ASSERT_TRUE(kept) << kept.error().message;
  rounded.gradient_checkpointing = true;
  const auto twice = train(rounded, 1);
  ASSERT_TRUE(twice) << twice.error().message;
  expect_same(twice->report, kept->report);
  EXPECT_EQ(twice->values, kept->values);
  const auto floats = train(options());
  EXPECT_NE(floats->values, kept->values);
  EXPECT_EQ(floats->report.curve.front().loss, kept->report.curve.front().loss);
  EXPECT_NEAR(floats->report.curve.back().loss, kept->report.curve.back().loss, 0.02);
}

TEST_F(TrainerTest, TheBestValidationIsKeptAndNoBetterOneEndsIt) {
  TrainOptions wild = options();
  wild.rate = 0.5;  // far too fast: it gets worse
  wild.epochs = 20;
  wild.evaluations = 40;
  wild.patience = 3;
  const auto outcome = train(wild);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->report.early);
  EXPECT_LT(outcome->report.steps, outcome->report.total_steps);
  ASSERT_TRUE(outcome->report.best_validation);
  double least = 1e9;
  std::uint64_t at = 0;
  for (const CurvePoint& point : outcome->report.curve)
    if (point.validation && *point.validation < least) least = *point.validation, at = point.step;
  EXPECT_EQ(*outcome->report.best_validation, least);
  EXPECT_EQ(outcome->report.best_step, at);
}

TEST_F(TrainerTest, AnotherTrainingsCheckpointIsRefused) {
  TrainOptions first = options();
  StopFlag stop;
  stop.raise();
  first.stop = &stop;
  first.checkpoint = path("checkpoint");
  first.fingerprint = "one";
  ASSERT_TRUE(train(first));
  TrainOptions second = options();
  second.checkpoint = path("checkpoint");
  second.fingerprint = "two";
  const auto refused = train(second);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--fresh"), std::string::npos);
  // A damaged one too: nothing is trained on half of it.
  fs::resize_file(path("checkpoint"), fs::file_size(path("checkpoint")) / 2);
  EXPECT_FALSE(train(first));
}

TEST_F(TrainerTest, ACheckpointThatCannotBeWrittenLeavesTheLastAndTheTraining) {
  TrainOptions set = options();
  set.checkpoint = path("missing") / "checkpoint";  // a directory that is not there
  set.checkpoint_every = Milliseconds(0);
  std::size_t warnings = 0;
  set.warn = [&](const std::string& text) {
    ++warnings;
    EXPECT_NE(text.find("missing"), std::string::npos);
  };
  const auto outcome = train(set);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(warnings, outcome->report.curve.size());
  EXPECT_EQ(outcome->values, train(options())->values);
}

}  // namespace
}  // namespace lathe::infer
