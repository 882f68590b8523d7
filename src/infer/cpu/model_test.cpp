// What is loaded of a file.
#include "infer/cpu/model.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "infer/models/tiny_model_test.h"

namespace lathe::infer {
namespace {

// A file may hold what the model has no use for: it is not loaded, and not foretold.
TEST(Model, WhatNobodyReadsIsNotBooked) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  write_tiny_model(path, {.layers = 3});
  const auto file = *Gguf::open(path);
  Blueprint blueprint = *read_blueprint(file);
  const std::uint64_t all = weight_bytes(file, blueprint, best_kernel_table());
  blueprint.layers.pop_back();
  std::uint64_t less = all;
  for (const GgufTensor& tensor : file.tensors())
    if (tensor.name.starts_with("blk.2.") && tensor.dimensions == 1)
      less -= tensor.elements() * sizeof(float);
  EXPECT_LT(weight_bytes(file, blueprint, best_kernel_table()), less);
}

// Physical memory of this process.
std::uint64_t resident() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t all = 0, held = 0;
  statm >> all >> held;
  return held * 4096;
}

// A bit more than 1 GiB, a third of it an embedding that is only looked up.
class BigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_model(path_, {.width = 2048,
                             .layers = 6,
                             .hidden = 8192,
                             .heads = 16,
                             .kv_heads = 16,
                             .head_dim = 128,
                             .vocabulary = 160'000,
                             .tied = false,
                             .type = TensorType::kQ8_0,
                             .hollow = true});
  }
  const TempDir dir_ = *TempDir::make();
  const fs::path path_ = dir_.path() / "big.gguf";
  ThreadTeam team_{2};
};

// However slowly the bytes come: what was asked to end reads no further, and gives back all it had.
TEST_F(BigFile, LoadingIsSeenAndStopped) {
  const auto file = *Gguf::open(path_);
  ASSERT_GT(file.file_bytes(), std::uint64_t{1} << 30);
  for (const std::uint64_t percent : {5, 60}) {  // in the embedding, and in matrices
    StopFlag stop;
    const std::uint64_t before = resident();
    std::uint64_t last = 0, held = 0;
    const auto slow = [&](std::uint64_t done, std::uint64_t total) {
      EXPECT_FALSE(stop.raised()) << "it went on";
      EXPECT_GE(done, last);
      EXPECT_LE(done - last, std::uint64_t{80} << 20);
      EXPECT_LE(done, total);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      last = done;
      held = resident() - before;
      if (done * 100 >= total * percent) stop.raise();
    };
    const auto model = Model::load(
        file, team_, {.kernels = &best_kernel_table(), .progress = slow, .stop = &stop});
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().kind, ErrorKind::kCancelled);
    EXPECT_LE(held, last * 5 / 4 + (std::uint64_t{96} << 20)) << "of what had come";
    EXPECT_LE(resident(), before + (std::uint64_t{64} << 20));
  }
}

TEST_F(BigFile, LoadingTakesNoMoreThanWasPromised) {
  const auto file = *Gguf::open(path_);
  const std::uint64_t promised = weight_bytes(file, *read_blueprint(file), best_kernel_table());
  const std::uint64_t before = resident();
  std::uint64_t most = 0, last = 0, all = 0;
  const auto watch = [&](std::uint64_t done, std::uint64_t total) {
    most = std::max(most, resident());
    last = done;
    all = total;
  };
  const auto model = Model::load(file, team_, {.kernels = &best_kernel_table(), .progress = watch});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(last, all);
  EXPECT_LE(most, before + promised + (std::uint64_t{64} << 20));
  EXPECT_EQ((*model)->weight_bytes(), promised);
}

// A joint matrix counts by what is read of it, and so does a part.
TEST(Model, ItIsToldHowMuchIsLoaded) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  write_tiny_model(path, {.layers = 2, .vocabulary = 512});
  const auto file = *Gguf::open(path);
  ThreadTeam team(1);
  std::uint64_t whole = 0;
  for (const ModelPart& part :
       {ModelPart{}, ModelPart{.rows = {0, 2}}, ModelPart{.rows = {1, 2}}}) {
    std::uint64_t last = 0, all = 0;
    LoadOptions options;
    options.kernels = &best_kernel_table();
    options.part = part;
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
      last = done;
      all = total;
    };
    const auto model = Model::load(file, team, options);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(last, all);
    if (part == ModelPart{})
      whole = all;
    else
      EXPECT_LT(all, whole);
    EXPECT_EQ((*model)->weight_bytes(),
              weight_bytes(file, *read_blueprint(file), best_kernel_table(), part));
  }
}

}  // namespace
}  // namespace lathe::infer
