// A tiny Whisper with random weights against an independent float64 evaluation of them, and the
// same bits whatever else is in a step, on every kernel table and any number of threads.
#include "infer/whisper/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "infer/encoders/encoder_test.h"

namespace lathe::infer {
namespace {

using ::testing::HasSubstr;

constexpr std::int32_t kTokens[] = {1,  11,  35,  73, 125, 191, 271, 46, 154, 276, 93,  243,
                                    88, 266, 139, 26, 246, 161, 90,  33, 309, 280, 265, 264};

struct Loaded {
  explicit Loaded(const std::string& name, int threads = 2,
                  const KernelTable& kernels = best_kernel_table())
      : team(threads), file(*Gguf::open(media(name))) {
    WeightLoading loading;
    loading.kernels = &kernels;
    model = std::move(*WhisperModel::open(file, team, loading));
  }
  void hear(const std::vector<std::int16_t>& samples) {
    const MelReader reader(samples, model->mel(), team);
    EXPECT_TRUE(model->encode(reader.read(0, 2 * model->sizes().sound_rows), nullptr));
  }
  std::vector<float> step(std::vector<WhisperModel::Row> rows) {
    const auto logits = *model->step(rows, nullptr);
    return {logits.begin(), logits.end()};
  }
  ThreadTeam team;
  Gguf file;
  std::unique_ptr<WhisperModel> model;
};

TEST(WhisperModel, IsTheTruth) {
  Loaded loaded("ggml-tiny-random.bin");
  loaded.hear(three_seconds());
  const auto sound = loaded.model->sound();
  EXPECT_LT(relative_error({sound.begin(), sound.end()},
                           read_floats(media("ggml-tiny-random.s3.enc.truth.f32"))),
            5e-5);
  // Of what the other program's encoder made.
  const std::vector<float> theirs = read_floats(media("ggml-tiny-random.s3.enc.f32"));
  ASSERT_TRUE(loaded.model->look_at(theirs, nullptr));
  auto sequence = *loaded.model->begin();
  std::vector<WhisperModel::Row> rows;
  for (const std::int32_t token : kTokens) rows.push_back({.sequence = &sequence, .token = token});
  EXPECT_LT(
      relative_error(loaded.step(rows), read_floats(media("ggml-tiny-random.s3.logits.truth.f32"))),
      5e-5);
  EXPECT_EQ(sequence.size(), std::size(kTokens));
}

// Token by token, in company, after a copy: the logits are those of all at once.
TEST(WhisperModel, ARowDoesNotDependOnTheOthers) {
  std::vector<float> expected;
  for (const KernelTable* kernels : kernel_tables()) {
    for (const int threads : {1, 3}) {
      if (threads == 3 && kernels != kernel_tables().back()) continue;
      Loaded loaded("ggml-tiny-random.bin", threads, *kernels);
      loaded.hear(three_seconds());
      auto whole = *loaded.model->begin();
      std::vector<WhisperModel::Row> rows;
      for (const std::int32_t token : kTokens) rows.push_back({.sequence = &whole, .token = token});
      const std::vector<float> all = loaded.step(rows);
      if (expected.empty()) expected = all;
      ASSERT_EQ(all, expected) << kernels->name << " " << threads;
      const std::size_t width = loaded.model->sizes().vocabulary;
      auto one = *loaded.model->begin(), other = *loaded.model->begin();
      for (std::size_t i = 0; i < std::size(kTokens); ++i) {
        std::vector<WhisperModel::Row> two = {{.sequence = &one, .token = kTokens[i]}};
        if (i == 9) loaded.model->copy(one, other);
        if (i >= 9)
          two.insert(two.begin() + static_cast<std::ptrdiff_t>(i % 2),
                     {.sequence = &other, .token = kTokens[i], .wanted = i % 3 != 0});
        const std::vector<float> logits = loaded.step(two);
        for (std::size_t at = 0; at < logits.size(); at += width)
          ASSERT_EQ(std::memcmp(&logits[at], &all[i * width], width * sizeof(float)), 0) << i;
      }
    }
  }
}

TEST(WhisperModel, BytesAreKnownFromTheHeader) {
  Loaded loaded("ggml-tiny-random.bin");
  const auto bytes = *WhisperModel::bytes(loaded.file, best_kernel_table(), 2);
  EXPECT_GT(bytes.weights, fs::file_size(media("ggml-tiny-random.bin")) / 2);
  EXPECT_GT(bytes.scratch, bytes.sequence);
  EXPECT_GE(bytes.sequence, 2u * 2 * 448 * 32 * sizeof(float));
}

// Integers of the header, changed one by one.
TEST(WhisperModel, HeadersAreBoundedAndTold) {
  const std::string whole = *read_file(media("ggml-tiny-random.bin"));
  const TempDir dir = std::move(*TempDir::make());
  const auto refused = [&](std::size_t field, std::uint32_t value) {
    std::string changed = whole;
    std::memcpy(changed.data() + 4 + 4 * field, &value, sizeof(value));
    const fs::path path = dir.path() / "m.bin";
    std::ofstream(path, std::ios::binary) << changed;
    const auto file = Gguf::open(path);
    if (!file) return file.error().message;
    const auto bytes = WhisperModel::bytes(*file, best_kernel_table(), 1);
    return bytes ? std::string("it is taken") : bytes.error().message;
  };
  EXPECT_THAT(refused(0, 321), HasSubstr("decoder.token_embedding.weight"));
  EXPECT_THAT(refused(1, 1501), HasSubstr("a.position_embd.weight"));
  EXPECT_THAT(refused(2, 48), HasSubstr("its encoder 2 in 48"));
  EXPECT_THAT(refused(3, 3), HasSubstr("its encoder 3 in 32"));
  EXPECT_THAT(refused(4, 3), HasSubstr("a.blk.2."));
  EXPECT_THAT(refused(5, 5000), HasSubstr("whisper.text.context_length"));
  EXPECT_THAT(refused(5, 449), HasSubstr("decoder.positional_embedding"));
  EXPECT_THAT(refused(8, 3), HasSubstr("decoder.blocks.2."));
  for (std::size_t field = 0; field < 10; ++field)
    EXPECT_THAT(refused(field, 0), HasSubstr(" is 0"));
}

TEST(WhisperModel, AFileThatIsNoneSaysSo) {
  const Gguf other = *Gguf::open(media("gemma3.mmproj.gguf"));
  EXPECT_FALSE(WhisperModel::is_one(other));
  const auto bytes = WhisperModel::bytes(other, best_kernel_table(), 1);
  ASSERT_FALSE(bytes);
  EXPECT_THAT(bytes.error().message, HasSubstr("whisper.vocab_size"));
}

}  // namespace
}  // namespace lathe::infer
