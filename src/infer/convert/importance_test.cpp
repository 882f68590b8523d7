// Importance matrices through files, llama.cpp's older form, and damaged ones.
#include "infer/convert/importance.h"

#include <gmock/gmock.h>

#include <cstring>

namespace lathe::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ImportanceTest : public ::testing::Test {
 protected:
  fs::path path(std::string_view name) const { return directory_->path() / name; }

 private:
  Result<TempDir> directory_ = TempDir::make();
};

GgufTensor tensor(std::string name, std::uint64_t columns, std::uint64_t experts) {
  return {std::move(name), TensorType::kF32, {columns, 8, experts, 1}, 3, 0, 0, 0};
}

TEST_F(ImportanceTest, ComesBackFromItsFile) {
  ImportanceMatrix matrix;
  matrix.of["blk.0.attn_q.weight"] = {{2, 4, 6, 8}, {2}};
  matrix.of["blk.0.ffn_up_exps.weight"] = {{3, 9, 5, 7}, {3, 0}};
  matrix.datasets = {"a.txt"};
  matrix.chunks = 5;
  matrix.chunk_tokens = 512;
  ASSERT_TRUE(write_importance(matrix, path("m.gguf")));
  const auto again = read_importance(path("m.gguf"));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->chunks, 5u);
  EXPECT_EQ(again->chunk_tokens, 512u);
  EXPECT_THAT(again->datasets, ElementsAre("a.txt"));
  EXPECT_THAT(*column_weights(*again, tensor("blk.0.attn_q.weight", 4, 1)),
              ElementsAre(1, 2, 3, 4));
  // An expert that no token went to.
  EXPECT_THAT(*column_weights(*again, tensor("blk.0.ffn_up_exps.weight", 2, 2)),
              ElementsAre(1, 3, 1, 1));
  EXPECT_THAT(*column_weights(*again, tensor("blk.1.attn_q.weight", 4, 1)), IsEmpty());
  const auto wrong = column_weights(*again, tensor("blk.0.attn_q.weight", 8, 1));
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("another model"));
}

std::string legacy() {
  std::string bytes;
  const auto add = [&bytes](auto value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto text = [&](std::string_view value) {
    add(static_cast<std::int32_t>(value.size()));
    bytes += value;
  };
  add(std::int32_t{1});
  text("blk.3.ffn_down.weight");
  add(std::int32_t{4});
  add(std::int32_t{2});
  add(8.0f), add(2.0f);
  add(std::int32_t{40});
  text("wiki");
  return bytes;
}

TEST_F(ImportanceTest, TheOlderFormIsRead) {
  ASSERT_TRUE(write_file_atomic(path("m.dat"), legacy()));
  const auto matrix = read_importance(path("m.dat"));
  ASSERT_TRUE(matrix) << matrix.error().message;
  EXPECT_THAT(*column_weights(*matrix, tensor("blk.3.ffn_down.weight", 2, 1)),
              ElementsAre(2, 0.5f));
  EXPECT_EQ(matrix->chunks, 40u);
  EXPECT_THAT(matrix->datasets, ElementsAre("wiki"));
}

TEST_F(ImportanceTest, DamagedFilesAreRefused) {
  const std::string whole = legacy();
  const std::size_t entries = whole.size() - 4 - 4 - 4;  // older still: without the text's name
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_TRUE(write_file_atomic(path("m.dat"), whole.substr(0, size)));
    EXPECT_EQ(read_importance(path("m.dat")).has_value(), size == entries) << size;
  }
  for (const std::size_t at : {0u, 4u, 29u, 33u}) {
    std::string broken = whole;
    std::memset(broken.data() + at, 0x7f, 4);
    ASSERT_TRUE(write_file_atomic(path("m.dat"), broken));
    EXPECT_EQ(read_importance(path("m.dat")).has_value(), at == 29) << at;  // 29: any count will do
  }
  std::string nan = whole;
  std::memset(nan.data() + 37, 0xff, 4);
  ASSERT_TRUE(write_file_atomic(path("m.dat"), nan));
  EXPECT_THAT(read_importance(path("m.dat")).error().message, HasSubstr("nan"));
}

}  // namespace
}  // namespace lathe::infer
