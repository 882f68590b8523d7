// Whisper's files: what is in them, as a GGUF file would have it, and every way to be broken.
#include "infer/formats/whisper_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "ground/base/file.h"

namespace lathe::infer {
namespace {

using ::testing::HasSubstr;

struct Bytes {
  std::string text;
  Bytes& put(std::uint32_t value) {
    text.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Bytes& put(std::string_view bytes) {
    text += bytes;
    return *this;
  }
  Bytes& put(const std::vector<float>& values) {
    return put(std::string_view(reinterpret_cast<const char*>(values.data()),
                                values.size() * sizeof(float)));
  }
};

// Two bands of three frequencies, two tokens of three, and two tensors.
struct Parts {
  std::uint32_t magic = kWhisperMagic, bins = 2, file_type = 1, bands = 2, width = 3;
  std::uint32_t dimensions = 2, rows = 3, type = 0;
  std::string second = "b";

  std::string bytes() const {
    Bytes out;
    out.put(magic).put(3).put(1500).put(32).put(2).put(1).put(448).put(32).put(2).put(1);
    out.put(bins).put(file_type).put(bands).put(width);
    out.put({0, 0.5F, 1, 1, 0.5F, 0});
    out.put(2).put(1).put("a").put(2).put("\xc3\x28");
    out.put(dimensions).put(1).put(type).put(2).put(rows).put("a");
    out.put({1, 2, 3, 4, 5, 6});
    out.put(1).put(static_cast<std::uint32_t>(second.size())).put(1).put(2).put(second).put("1234");
    return out.text;
  }
};

class WhisperFile : public ::testing::Test {
 protected:
  Result<Gguf> open(const std::string& bytes) {
    const fs::path path = dir_.path() / "m.bin";
    std::ofstream(path, std::ios::binary) << bytes;  // no need to wait for the disk
    return Gguf::open(path);
  }
  TempDir dir_ = std::move(*TempDir::make());
};

TEST_F(WhisperFile, IsReadAsAGgufFile) {
  const auto file = open(Parts().bytes());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->text("general.architecture"), "whisper");
  EXPECT_EQ(*file->uint("whisper.vocab_size", 0, 100), 3u);
  EXPECT_EQ(*file->uint("whisper.audio.context_length", 0, 2000), 1500u);
  EXPECT_EQ(*file->uint("whisper.mel_bins", 0, 100), 2u);
  EXPECT_EQ(*file->reals("whisper.mel_filters"), (std::vector<double>{0, 0.5, 1, 1, 0.5, 0}));
  const auto tokens = *file->texts("tokenizer.ggml.tokens");
  EXPECT_THAT(tokens, ::testing::ElementsAre("a", "\xc3\x28"));
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(*load_floats(*file, *file->find_tensor("a")), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(file->find_tensor("a")->rows(), 3u);
  EXPECT_EQ(file->find_tensor("b")->type, TensorType::kF16);
}

TEST_F(WhisperFile, SaysWhatIsWrong) {
  const auto refused = [&](const Parts& parts) {
    const auto file = open(parts.bytes());
    return file ? "it opened" : file.error().message;
  };
  EXPECT_THAT(refused({.bins = 0}), HasSubstr("whisper.mel_bins is 0"));
  EXPECT_THAT(refused({.bins = 3}),
              HasSubstr("the filters' bands is 2; it must be between 3 and 3"));
  EXPECT_THAT(refused({.file_type = 1002}), HasSubstr("version 1; version 2 is supported"));
  EXPECT_THAT(refused({.width = 1U << 30}), HasSubstr("the filters' frequencies"));
  EXPECT_THAT(refused({.dimensions = 0}), HasSubstr("tensor 0's dimensions is 0"));
  EXPECT_THAT(refused({.rows = 0}), HasSubstr("tensor 0's shape is 0"));
  EXPECT_THAT(refused({.rows = 1U << 29}), HasSubstr("larger than the file"));
  EXPECT_THAT(refused({.type = 99}), HasSubstr("tensor 'a' has the unknown type 99"));
  EXPECT_THAT(refused({.second = "a"}), HasSubstr("tensor 'a' appears twice"));
}

TEST_F(WhisperFile, AnyCutAndAnyByteGivesAnErrorOrAFile) {
  const std::string whole = Parts().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto file = open(whole.substr(0, size));
    // Between two tensors it may end.
    if (file) {
      EXPECT_LT(file->tensors().size(), 2u) << size;
    }
  }
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::string broken = whole;
    for (int i = 0; i < 3; ++i) broken[random() % broken.size()] = static_cast<char>(random());
    const auto file = open(broken);
    if (!file) continue;
    for (const GgufTensor& tensor : file->tensors()) EXPECT_TRUE(load_floats(*file, tensor));
  }
}

}  // namespace
}  // namespace lathe::infer
