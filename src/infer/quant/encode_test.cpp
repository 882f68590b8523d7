// Encoders against llama.cpp's errors, at their borders, and bit for bit.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "infer/quant/codebook.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {
namespace {

std::vector<std::byte> encode(const TensorTypeInfo& info, const std::vector<float>& x,
                              std::span<const float> importance = {}) {
  std::vector<std::byte> blocks(x.size() / info.block * info.block_bytes, std::byte{0xa5});
  info.encode(x.data(), blocks.data(), x.size(), importance);
  return blocks;
}

std::vector<float> decode(const TensorTypeInfo& info, const std::vector<std::byte>& blocks) {
  std::vector<float> x(blocks.size() / info.block_bytes * info.block);
  info.decode(blocks.data(), x.data(), x.size());
  return x;
}

double rms_error(const TensorTypeInfo& info, const std::vector<float>& x) {
  const std::vector<float> got = decode(info, encode(info, x));
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(double{got[i]} - x[i], 2);
  return std::sqrt(sum / static_cast<double>(x.size()));
}

class Random {
 public:
  float uniform() {  // in [0, 1)
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<float>(state_ >> 8) * 0x1p-24f;
  }
  // Like weights: nearly normal, with an outlier now and then.
  std::vector<float> weights(std::size_t count) {
    std::vector<float> x(count);
    for (std::size_t i = 0; i < count; ++i) {
      float sum = -3;
      for (int j = 0; j < 6; ++j) sum += uniform();
      x[i] = 0.03f * sum * (i % 97 == 0 ? 4.0f : 1.0f);
    }
    return x;
  }

 private:
  std::uint32_t state_ = 1;
};

// The figures are the RMS errors of llama.cpp's quantizers on the same numbers.
TEST(Encode, ErrorIsBelowLlamaCpps) {
  struct Row {
    std::string_view type;
    double cosine, weights;
  };
  constexpr Row kRows[] = {
      {"Q4_0", 7.1844e-02, 2.4013e-03},    {"Q4_1", 7.3280e-02, 1.9736e-03},
      {"Q5_0", 3.7798e-02, 1.2028e-03},    {"Q5_1", 3.5612e-02, 9.5432e-04},
      {"Q8_0", 4.7520e-03, 1.5166e-04},    {"Q2_K", 2.9867e-01, 7.3101e-03},
      {"Q3_K", 1.6074e-01, 3.9411e-03},    {"Q4_K", 6.2703e-02, 1.8083e-03},
      {"Q5_K", 3.3987e-02, 9.2428e-04},    {"Q6_K", 1.6624e-02, 4.7871e-04},
      {"IQ4_NL", 7.9618e-02, 1.9870e-03},  {"IQ4_XS", 8.0528e-02, 2.0153e-03},
      {"MXFP4", 1.2039e-01, 2.8807e-03},   {"NVFP4", 1.4957e-01, 2.2796e-03},
      {"IQ1_S", 6.2449e-01, 1.2796e-02},   {"IQ1_M", 7.8103e-01, 1.3744e-02},
      {"IQ2_XXS", 4.7439e-01, 8.8619e-03}, {"IQ2_XS", 4.1693e-01, 7.4991e-03},
      {"IQ2_S", 3.4063e-01, 6.8643e-03},   {"IQ3_XXS", 2.7723e-01, 5.6041e-03},
      {"IQ3_S", 1.9964e-01, 4.2020e-03},   {"TQ1_0", 5.5571e-01, 2.0218e-02},
      {"TQ2_0", 5.5571e-01, 2.0218e-02},   {"Q1_0", 6.2030e-01, 1.4782e-02},
      {"Q2_0", 5.5518e-01, 1.6995e-02},
  };
  constexpr std::size_t kCount = 16384;
  std::vector<float> cosine(kCount);
  for (std::size_t i = 0; i < kCount; ++i) cosine[i] = 0.1f + 2 * std::cos(static_cast<float>(i));
  const std::vector<float> weights = Random().weights(kCount);
  for (const Row& row : kRows) {
    const TensorTypeInfo& info = *find_tensor_type(row.type);
    const double on_cosine = rms_error(info, cosine), on_weights = rms_error(info, weights);
    EXPECT_LE(on_cosine, row.cosine * 1.0001) << row.type;
    EXPECT_LE(on_weights, row.weights * 1.0001) << row.type;
    EXPECT_GT(on_weights, row.weights / 2.5) << row.type << ": too good to be true";
  }
}

// Whatever vectors the processor has. The digests are FNV-1a of the bytes, without and with
// importance.
TEST(Encode, GivesTheSameBitsEverywhere) {
  struct Row {
    std::string_view type;
    std::uint64_t digest;
  };
  constexpr Row kRows[] = {{"F32", 0x40fae5839acdbdb1},     {"F16", 0xd51fbb5e5e106d79},
                           {"BF16", 0xb396f36ba2fceec9},    {"Q4_0", 0x35aaa7bcb787bf3e},
                           {"Q4_1", 0x7b00f6afa84aa670},    {"Q5_0", 0xaac15e0c40767090},
                           {"Q5_1", 0xb5f6b4f608ed90cf},    {"Q8_0", 0x68d1230345e9efc5},
                           {"Q2_K", 0xf9e6184738c654bf},    {"Q3_K", 0x43f790130f035bbe},
                           {"Q4_K", 0x75559ccfdae0698f},    {"Q5_K", 0xe0e8a1f2024133e2},
                           {"Q6_K", 0xa72cf9bcf12726d4},    {"IQ4_NL", 0xca5920a9db62f258},
                           {"IQ4_XS", 0x99dd3546db09fabe},  {"MXFP4", 0x030e45f83065d5bf},
                           {"NVFP4", 0x7c7d81237810d44b},   {"IQ1_S", 0x1171f57d6a3cbc3d},
                           {"IQ1_M", 0xf400ef1e5c0a36ac},   {"IQ2_XXS", 0xfb029708fd1a3677},
                           {"IQ2_XS", 0xb957c435a1a6176a},  {"IQ2_S", 0xa8e5a86cb59acb77},
                           {"IQ3_XXS", 0xfc8e5499cacb9b8b}, {"IQ3_S", 0xb80d4b13458cdb10},
                           {"TQ1_0", 0xa33e3481f09cb397},   {"TQ2_0", 0xf10ec98974b5e960},
                           {"Q1_0", 0xd2926d54ada4dacb},    {"Q2_0", 0x3500564c1f40b183}};
  Random random;
  const std::vector<float> x = random.weights(16384);
  std::vector<float> importance = random.weights(16384);
  for (float& each : importance) each *= each;
  for (const Row& row : kRows) {
    const TensorTypeInfo& info = *find_tensor_type(row.type);
    std::uint64_t digest = 14695981039346656037U;
    for (const auto& weights : {std::span<const float>(), std::span<const float>(importance)})
      for (const std::byte byte : encode(info, x, weights))
        digest = (digest ^ std::to_integer<std::uint64_t>(byte)) * 1099511628211U;
    EXPECT_EQ(digest, row.digest) << row.type;
  }
  EXPECT_EQ(std::size(kRows), tensor_types().size());
}

TEST(Encode, TernaryWeightsSurvive) {
  for (const std::string_view name : {"TQ1_0", "TQ2_0", "Q2_0", "Q1_0"}) {
    Random random;
    std::vector<float> x(2048);
    for (float& value : x) {
      const float sign = random.uniform() < 0.5f ? -0.03125f : 0.03125f;
      value = name != "Q1_0" && random.uniform() < 0.4f ? 0.0f : sign;
    }
    const TensorTypeInfo& info = *find_tensor_type(name);
    EXPECT_EQ(decode(info, encode(info, x)), x) << name;
  }
}

// Every bit of a block is read and written: any bytes come back.
TEST(Encode, CodebookBlocksSurvive) {
  std::mt19937 random(1);
  for (const CodebookType& type : kCodebookTypes)
    for (int round = 0; round < 50; ++round) {
      std::vector<std::byte> block(type.block_bytes), again(type.block_bytes);
      for (std::byte& byte : block) byte = static_cast<std::byte>(random());
      for (std::size_t j = 0; j < 8; ++j) {
        CodebookBlock fields;
        type.read(block.data(), j, fields);
        type.write(fields, j, again.data());
      }
      const float d = type.d(block.data());
      if (std::isnan(d)) continue;
      type.put_d(again.data(), f32_to_f16(d));
      EXPECT_EQ(again, block) << static_cast<int>(type.type);
    }
}

TEST(Encode, EveryTypeHasAnEncoder) {
  for (const TensorTypeInfo& info : tensor_types()) EXPECT_NE(info.encode, nullptr) << info.name;
}

TEST(Encode, ZerosStayZeros) {
  for (const TensorTypeInfo& info : tensor_types()) {
    for (const float value : decode(info, encode(info, std::vector<float>(512, 0.0f))))
      ASSERT_EQ(value, 0.0f) << info.name;
  }
}

// What a block can say without loss comes back to the last bit, whatever the other blocks hold.
TEST(Encode, ValuesOfABlockSurvive) {
  for (const std::string_view name :
       {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "MXFP4", "NVFP4"}) {
    const TensorTypeInfo& info = *find_tensor_type(name);
    std::vector<std::byte> blocks = encode(info, Random().weights(4096));
    const std::vector<float> x = decode(info, blocks);
    const std::vector<float> again = decode(info, encode(info, x));
    // A block whose codes don't reach an end of their range may be scaled anew; its values are then
    // within the rounding of f16.
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(again[i], x[i], std::fabs(x[i]) * 0x1p-9) << name << " " << i;
  }
}

TEST(Encode, ABlockDoesNotDependOnItsNeighbours) {
  for (const TensorTypeInfo& info : tensor_types()) {
    const std::vector<float> x = Random().weights(1024);
    const std::vector<std::byte> whole = encode(info, x);
    const std::vector<float> second(x.begin() + 256, x.begin() + 512);
    const std::vector<std::byte> alone = encode(info, second);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(),
                           whole.begin() + static_cast<std::ptrdiff_t>(alone.size())))
        << info.name;
  }
}

TEST(Encode, ImportanceMovesTheErrorElsewhere) {
  for (const TensorTypeInfo& info : tensor_types()) {
    if (info.block == 1 || info.type == TensorType::kQ8_0) continue;
    const std::vector<float> x = Random().weights(4096);
    std::vector<float> importance(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) importance[i] = i % 4 == 0 ? 1.0f : 0.01f;
    const auto error = [&](const std::vector<float>& got) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); i += 4) sum += std::pow(double{got[i]} - x[i], 2);
      return sum;
    };
    EXPECT_LT(error(decode(info, encode(info, x, importance))),
              error(decode(info, encode(info, x))))
        << info.name;
  }
}

TEST(Encode, ExtremesGiveFiniteValues) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const TensorTypeInfo& info : tensor_types()) {
    if (info.block == 1) continue;
    for (const float value : {1e-45f, 1e-30f, -1e-6f, 1e6f, -1e30f, 3e38f}) {
      std::vector<float> x = Random().weights(512);
      x[5] = value;
      x[300] = -value;
      for (const float got : decode(info, encode(info, x)))
        ASSERT_TRUE(std::isfinite(got)) << info.name << " " << value;
    }
    // Callers refuse these; here they only must not break anything.
    for (const float value : {inf, -inf, std::nanf("")}) {
      std::vector<float> x = Random().weights(512);
      x[5] = value;
      encode(info, x);
      encode(info, std::vector<float>(512, value));
    }
  }
}

TEST(Encode, ConstantAndOneSidedBlocks) {
  for (const TensorTypeInfo& info : tensor_types()) {
    if (info.block == 1) continue;
    for (const float value : {0.25f, -0.25f}) {
      for (const float got : decode(info, encode(info, std::vector<float>(512, value))))
        ASSERT_NEAR(got, value, 0.01) << info.name;
    }
    std::vector<float> x(512);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1 + static_cast<float>(i % 7) / 100;
    const double error = rms_error(info, x);
    EXPECT_LT(error, 0.12) << info.name;  // symmetric types must spend half of their codes in vain
  }
}

}  // namespace
}  // namespace lathe::infer
