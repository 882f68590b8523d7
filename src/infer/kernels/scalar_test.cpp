// The scalar kernels against double precision, the decoders of infer/quant and the C library. The
// other tables are held to the scalar one, bit for bit, by kernels_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "infer/kernels/kernels.h"

namespace lathe::infer {
namespace {

const KernelTable& scalar() {
  return *find_kernel_table("scalar");
}

std::vector<float> gaussian(std::size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> x(n);
  for (float& value : x) value = normal(random);
  return x;
}

// Rows of a type as random bytes whose half floats (and E8M0 bytes) are of ordinary size.
std::vector<std::byte> random_rows(const TensorTypeInfo& info, std::size_t rows, std::size_t k,
                                   unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(rows * k / info.block * info.block_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  const auto f16 = [](std::byte* at, float value) {
    const std::uint16_t bits = f32_to_f16(value);
    std::memcpy(at, &bits, 2);
  };
  for (std::size_t at = 0; at < bytes.size(); at += info.block_bytes) {
    std::byte* b = bytes.data() + at;
    const float d = (static_cast<float>(random() % 1000) + 1) * 1e-5f;
    switch (info.type) {
      case TensorType::kF32:
        std::memcpy(b, &d, 4);
        break;
      case TensorType::kF16:
        f16(b, d);
        break;
      case TensorType::kBF16:
        b[1] = std::byte{0x3d};
        break;
      case TensorType::kQ2_K:
        f16(b + 80, d), f16(b + 82, d);
        break;
      case TensorType::kQ3_K:
        f16(b + 108, -d);
        break;
      case TensorType::kQ6_K:
        f16(b + 208, d);
        break;
      case TensorType::kQ4_1:
      case TensorType::kQ5_1:
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
        f16(b, d), f16(b + 2, d * 3);
        break;
      case TensorType::kMXFP4:
        b[0] = static_cast<std::byte>(118 + random() % 10);
        break;
      case TensorType::kTQ1_0:
        f16(b + 52, d);
        break;
      case TensorType::kTQ2_0:
        f16(b + 64, -d);
        break;
      case TensorType::kIQ1_M:  // an exponent of 7: its highest bits stand in the last word
        b[55] = (b[55] & std::byte{15}) | std::byte{0x10};
        break;
      case TensorType::kNVFP4:
        break;
      default:
        f16(b, d);
    }
  }
  return bytes;
}

struct Panels {
  std::vector<std::byte> memory;
  std::byte* data;
};

Panels pack(const PackedType& type, const TensorTypeInfo& info, const std::vector<std::byte>& src,
            std::size_t rows, std::size_t k) {
  const std::size_t panels = (rows + kPanelRows - 1) / kPanelRows, bytes = type.panel_bytes(k);
  EXPECT_EQ(bytes % 64, 0u);
  Panels out;
  out.memory.resize(panels * bytes + 64);
  out.data = out.memory.data() + (64 - reinterpret_cast<std::uintptr_t>(out.memory.data()) % 64);
  const std::size_t row_bytes = k / info.block * info.block_bytes;
  for (std::size_t p = 0; p < panels; ++p)
    type.pack(src.data() + p * kPanelRows * row_bytes, row_bytes,
              std::min(kPanelRows, rows - p * kPanelRows), k, out.data + p * bytes);
  return out;
}

class ScalarType : public ::testing::TestWithParam<TensorType> {};

TEST_P(ScalarType, UnpackIsDecode) {
  const TensorTypeInfo& info = tensor_type_info(GetParam());
  const PackedType& type = packed_type(scalar(), GetParam());
  const std::size_t rows = 21, k = 512, row_bytes = k / info.block * info.block_bytes;
  const auto src = random_rows(info, rows, k, 3);
  const Panels panels = pack(type, info, src, rows, k);
  for (std::size_t r = 0; r < 32; ++r) {
    std::vector<float> want(k, 0.0f), got(k);
    if (r < rows) info.decode(src.data() + r * row_bytes, want.data(), k);
    type.unpack(panels.data + r / 16 * type.panel_bytes(k), r % 16, k, got.data());
    if (r < rows) {
      EXPECT_EQ(std::memcmp(got.data(), want.data(), k * sizeof(float)), 0) << info.name << r;
    }
  }
}

// The float operations of one output are 3 a block (5 with minima), each with a relative error of
// 2^-24 of a partial result, which is below Σ|w·x| (Σ|scale·w·x| + Σ|min·x| for types with minima).
TEST_P(ScalarType, MatmulIsTheProduct) {
  const TensorTypeInfo& info = tensor_type_info(GetParam());
  const PackedType& type = packed_type(scalar(), GetParam());
  const std::size_t rows = 19, k = 768, row_bytes = k / info.block * info.block_bytes;
  const auto src = random_rows(info, rows, k, 5);
  const Panels panels = pack(type, info, src, rows, k);
  for (const std::size_t tokens : {1u, 2u, 9u}) {
    std::vector<float> x = gaussian(tokens * k, 7);
    std::fill_n(x.begin() + 32, 32, 0.0f);
    std::vector<std::int8_t> q(x.size());
    std::vector<float> scale(x.size() / 32);
    std::vector<std::int16_t> sum(x.size() / 16);
    for (std::size_t t = 0; t < tokens; ++t)
      scalar().quantize(x.data() + t * k, k, q.data() + t * k, scale.data() + t * k / 32,
                        sum.data() + t * k / 16);
    if (type.integer)
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(q[i]) * scale[i / 32];
    const std::size_t stride = rows + 3;
    std::vector<float> out(tokens * stride, 77.0f);
    type.matmul({panels.data,
                 rows,
                 k,
                 tokens,
                 {q.data(), scale.data(), sum.data()},
                 x.data(),
                 out.data(),
                 stride});
    for (std::size_t r = 0; r < rows; ++r) {
      std::vector<float> w(k);
      info.decode(src.data() + r * row_bytes, w.data(), k);
      for (std::size_t t = 0; t < tokens; ++t) {
        double want = 0, size = 0;
        for (std::size_t i = 0; i < k; ++i) {
          want += double{w[i]} * x[t * k + i];
          size += std::abs(double{w[i]} * x[t * k + i]);
        }
        const double steps = type.integer ? 5.0 * k / 32 : 1.0 * k;
        // Scale and minimum cancel in w, never by more than this factor in these rows.
        EXPECT_NEAR(out[t * stride + r], want, size * 8 * steps * 0x1p-24) << info.name << r;
      }
    }
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t r = rows; r < stride; ++r) EXPECT_EQ(out[t * stride + r], 77.0f);
  }
}

std::vector<TensorType> all_types() {
  std::vector<TensorType> types;
  for (const TensorTypeInfo& info : tensor_types()) types.push_back(info.type);
  return types;
}

INSTANTIATE_TEST_SUITE_P(Types, ScalarType, ::testing::ValuesIn(all_types()),
                         [](const auto& param) {
                           return std::string(tensor_type_info(param.param).name);
                         });

TEST(Scalar, HasEveryType) {
  EXPECT_EQ(scalar().types.size(), tensor_types().size());
}

TEST(Scalar, QuantizeRoundsToTheNearest) {
  const std::vector<float> x = gaussian(256, 1);
  std::int8_t q[256];
  float scale[8];
  std::int16_t sum[16];
  scalar().quantize(x.data(), 256, q, scale, sum);
  for (std::size_t i = 0; i < 256; ++i) {
    EXPECT_LE(std::abs(x[i] - static_cast<float>(q[i]) * scale[i / 32]), scale[i / 32] * 0.50001f);
    EXPECT_LE(std::abs(q[i]), 127);
  }
  for (std::size_t h = 0; h < 16; ++h) {
    int total = 0;
    for (std::size_t i = 0; i < 16; ++i) total += q[16 * h + i];
    EXPECT_EQ(sum[h], total);
  }
}

TEST(Scalar, QuantizeBorders) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  for (const float odd : {0.0f, 1e-44f, 1e-38f, 3.4e38f, inf, -inf, nan}) {
    float x[32] = {};
    x[5] = odd;
    std::int8_t q[32];
    float scale;
    std::int16_t sum[2];
    scalar().quantize(x, 32, q, &scale, sum);
    if (!std::isfinite(odd)) {
      EXPECT_TRUE(std::isnan(scale));
      EXPECT_EQ(q[5], 0);
    } else if (odd > 1e30f) {
      EXPECT_EQ(q[5], 127);
    } else {
      EXPECT_EQ(scale, 0.0f) << odd;
      EXPECT_EQ(sum[0], 0);
    }
  }
  float ties[32] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f};
  std::int8_t q[32];
  float scale;
  std::int16_t sum[2];
  scalar().quantize(ties, 32, q, &scale, sum);
  EXPECT_EQ(scale, 1.0f);
  EXPECT_EQ(std::vector<int>(q, q + 6), (std::vector<int>{127, 0, 2, 2, 0, -2}));
}

TEST(Scalar, ExpIsTheCLibrarys) {
  std::vector<float> x;
  for (float v = -87.3f; v < 88.3f; v += 0.0137f) x.push_back(v);
  std::vector<float> y = x;
  scalar().exp_sum(y.data(), y.size(), 0);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(y[i] / std::exp(double{x[i]}), 1, 2.5e-7) << x[i];
  float odd[] = {-std::numeric_limits<float>::infinity(), -88, 89, std::nanf(""), 0};
  scalar().exp_sum(odd, 5, 0);
  EXPECT_EQ(odd[0], 0);
  EXPECT_EQ(odd[1], 0);
  EXPECT_TRUE(std::isinf(odd[2]));
  EXPECT_TRUE(std::isnan(odd[3]));
  EXPECT_EQ(odd[4], 1);
}

// Far out, where e^x alone would overflow or vanish.
TEST(Scalar, DecayOfAnyInput) {
  const float rate = -0.5f, zero = 0;
  for (const float x : {-200.0f, -90.0f, -30.0f, -1e-3f, 0.0f, 1e-3f, 30.0f, 90.0f, 150.0f}) {
    float out = 0;
    scalar().recurrent.decay(&x, &zero, &rate, 1, &out);
    const double softplus = x > 40 ? double{x} : std::log1p(std::exp(double{x}));
    EXPECT_NEAR(out, std::exp(-0.5 * softplus), 1e-6 * std::exp(-0.5 * softplus)) << x;
  }
}

// The formulas of recurrent_kernels.h in double, for a head of a state-space layer.
TEST(Scalar, Scan) {
  constexpr std::size_t kSize = 8, kStates = 16, kTokens = 40, kStride = kSize + 2 * kStates;
  const auto x = gaussian(kTokens * kStride, 31);
  const auto raw = gaussian(2 * kTokens, 32);
  std::vector<float> scalars(raw.size()), state(kSize * kStates), out(kTokens * kSize);
  for (std::size_t i = 0; i < raw.size(); ++i) scalars[i] = 1 / (1 + std::exp(-raw[i]));
  scalar().recurrent.scan({.state = state.data(),
                           .states = kStates,
                           .size = kSize,
                           .tokens = kTokens,
                           .x = x.data(),
                           .b = x.data() + kSize,
                           .c = x.data() + kSize + kStates,
                           .stride = kStride,
                           .decay = scalars.data(),
                           .dt = scalars.data() + 1,
                           .scalar_stride = 2,
                           .skip = 0.5f,
                           .out = out.data(),
                           .out_stride = kSize});
  std::vector<double> s(kSize * kStates);
  for (std::size_t t = 0; t < kTokens; ++t) {
    const float *in = x.data() + t * kStride, *b = in + kSize, *c = b + kStates;
    for (std::size_t j = 0; j < kSize; ++j) {
      double answer = 0.5 * in[j];
      for (std::size_t i = 0; i < kStates; ++i) {
        double& each = s[i * kSize + j];
        each = each * scalars[2 * t] + double{b[i]} * scalars[2 * t + 1] * in[j];
        answer += each * c[i];
      }
      EXPECT_NEAR(out[t * kSize + j], answer, 2e-5);
    }
  }
}

// One head, token by token in double: the formula of recurrent_kernels.h.
void expect_delta(bool each_key) {
  constexpr std::size_t kSize = 16, kTokens = 40, kRow = kSize + 1;
  auto x = gaussian(kTokens * 3 * kSize, 21);
  const auto raw = gaussian(kRow * kTokens, 22);
  std::vector<float> scalars(raw.size()), state(kSize * kSize), out(kTokens * kSize);
  for (std::size_t i = 0; i < raw.size(); ++i) scalars[i] = 1 / (1 + std::exp(-raw[i]));
  for (std::size_t t = 0; t < kTokens; ++t)
    for (std::size_t part = 0; part < 2; ++part)
      scalar().recurrent.unit_norm(x.data() + (3 * t + part) * kSize, kSize, 1e-6f, 1);
  scalar().recurrent.delta({.state = state.data(),
                            .size = kSize,
                            .tokens = kTokens,
                            .q = x.data(),
                            .k = x.data() + kSize,
                            .v = x.data() + 2 * kSize,
                            .stride = 3 * kSize,
                            .decay = scalars.data() + 1,
                            .beta = scalars.data(),
                            .scalar_stride = kRow,
                            .out = out.data(),
                            .out_stride = kSize,
                            .each_key = each_key});
  std::vector<double> s(kSize * kSize);
  for (std::size_t t = 0; t < kTokens; ++t) {
    const float *q = x.data() + 3 * t * kSize, *k = q + kSize, *v = k + kSize;
    const float *beta = scalars.data() + kRow * t, *decay = beta + 1;
    for (std::size_t i = 0; i < s.size(); ++i) s[i] *= decay[each_key ? i / kSize : 0];
    for (std::size_t j = 0; j < kSize; ++j) {
      double known = 0, answer = 0;
      for (std::size_t i = 0; i < kSize; ++i) known += s[i * kSize + j] * k[i];
      for (std::size_t i = 0; i < kSize; ++i) {
        s[i * kSize + j] += k[i] * (v[j] - known) * beta[0];
        answer += s[i * kSize + j] * q[i];
      }
      EXPECT_NEAR(out[t * kSize + j], answer, 1e-5);
    }
  }
}

TEST(Scalar, DeltaNet) {
  expect_delta(false);
}

TEST(Scalar, DeltaNetWithADecayForEachKey) {
  expect_delta(true);
}

TEST(Scalar, NormSiluRopeAndSums) {
  for (const std::size_t n : {1u, 15u, 16u, 100u, 2048u}) {
    const auto x = gaussian(n, 11), w = gaussian(n, 12);
    std::vector<float> out(n);
    double square = 0, total = 0, top = -1e30;
    for (const float v : x)
      square += double{v} * v, total += std::exp(double{v}), top = std::max(top, double{v});
    scalar().rms_norm(x.data(), w.data(), n, 1e-5f, out.data());
    for (std::size_t i = 0; i < n; ++i) {
      const double want = x[i] / std::sqrt(square / static_cast<double>(n) + 1e-5) * w[i];
      EXPECT_NEAR(out[i], want, std::abs(want) * 1e-5);
    }
    scalar().silu_mul(x.data(), w.data(), n, out.data());
    for (std::size_t i = 0; i < n; ++i) {
      const double want = x[i] / (1 + std::exp(-double{x[i]})) * w[i];
      EXPECT_NEAR(out[i], want, std::abs(want) * 1e-6);
    }
    double mean = 0, variance = 0;
    for (const float v : x) mean += v / static_cast<double>(n);
    for (const float v : x) variance += std::pow(v - mean, 2) / static_cast<double>(n);
    scalar().layer_norm(x.data(), w.data(), n, 1e-5f, out.data());
    for (std::size_t i = 0; i < n; ++i) {
      const double want = (x[i] - mean) / std::sqrt(variance + 1e-5) * w[i];
      EXPECT_NEAR(out[i], want, std::abs(want) * 1e-5 + 1e-6);
    }
    scalar().gelu_mul(x.data(), w.data(), n, out.data());
    std::vector<float> capped = x, near = x, alone(n);
    scalar().gelu(x.data(), n, alone.data());
    for (float& v : near) v /= 100;
    scalar().soft_cap(capped.data(), n, 2);
    scalar().soft_cap(near.data(), n, 2);
    for (std::size_t i = 0; i < n; ++i) {
      const double v = x[i];
      const double gelu =
          v / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
      EXPECT_NEAR(out[i], gelu * w[i], std::abs(gelu * w[i]) * 2e-6 + 1e-7);
      EXPECT_NEAR(alone[i], gelu, std::abs(gelu) * 2e-6 + 1e-7);
      EXPECT_NEAR(capped[i], 2 * std::tanh(v / 2), std::abs(v) * 1e-6);
      EXPECT_NEAR(near[i], 2 * std::tanh(v / 200), std::abs(v) * 1e-8);
    }
    scalar().clamped_silu_mul(x.data(), w.data(), n, out.data());
    std::vector<float> gated = w, squashed = x, unit = x, kept = x;
    scalar().sigmoid_mul(x.data(), n, gated.data());
    scalar().recurrent.silu(squashed.data(), n);
    scalar().recurrent.unit_norm(unit.data(), n, 1e-6f, 3);
    scalar().recurrent.decay(x.data(), w.data(), w.data(), n, kept.data());
    for (std::size_t i = 0; i < n; ++i) {
      const double g = std::min(double{x[i]}, 7.0), u = std::clamp(double{w[i]}, -7.0, 7.0);
      const double clamped = g / (1 + std::exp(-1.702 * g)) * (u + 1);
      EXPECT_NEAR(out[i], clamped, std::abs(clamped) * 1e-6);
      const double sigmoid = 1 / (1 + std::exp(-double{x[i]}));
      EXPECT_NEAR(gated[i], w[i] * sigmoid, std::abs(w[i] * sigmoid) * 1e-6);
      EXPECT_NEAR(squashed[i], x[i] * sigmoid, std::abs(x[i] * sigmoid) * 1e-6);
      EXPECT_NEAR(unit[i], 3 * x[i] / std::sqrt(square), 3e-6);
      const double decay = std::exp(w[i] * std::log1p(std::exp(double{x[i]} + double{w[i]})));
      EXPECT_NEAR(kept[i], decay, decay * 1e-5);
    }
    std::vector<float> e = x;
    EXPECT_NEAR(scalar().exp_sum(e.data(), n, 0), total, total * 1e-5);
    EXPECT_EQ(scalar().max(x.data(), n), static_cast<float>(top));
    std::vector<float> sum = w;
    scalar().add(x.data(), n, sum.data());
    EXPECT_EQ(sum[n - 1], w[n - 1] + x[n - 1]);
    scalar().add_scaled(x.data(), 0.5f, n, sum.data());
    EXPECT_NEAR(sum[n - 1], w[n - 1] + 1.5 * x[n - 1], 1e-5);
  }
  const float nans[] = {std::nanf(""), std::nanf("")}, one[] = {std::nanf(""), -3, std::nanf("")};
  EXPECT_TRUE(std::isnan(scalar().max(nans, 2)));
  EXPECT_EQ(scalar().max(one, 3), -3);

  const float c[] = {0.6f, 0.0f}, s[] = {0.8f, 1.0f};
  float pairs[] = {1, 2, 3, 4, 9}, neox[] = {1, 2, 3, 4, 9};
  scalar().rope(pairs, c, s, 4, false);
  scalar().rope(neox, c, s, 4, true);
  EXPECT_NEAR(pairs[0], 0.6 - 1.6, 1e-6);
  EXPECT_NEAR(pairs[1], 0.8 + 1.2, 1e-6);
  EXPECT_NEAR(pairs[2], -4, 1e-6);
  EXPECT_NEAR(pairs[3], 3, 1e-6);
  EXPECT_NEAR(neox[0], 0.6 - 2.4, 1e-6);
  EXPECT_NEAR(neox[2], 0.8 + 1.8, 1e-6);
  EXPECT_NEAR(neox[1], -4, 1e-6);
  EXPECT_NEAR(neox[3], 2, 1e-6);
  EXPECT_EQ(pairs[4], 9);
}

// Attention over two chunks, merged, against one softmax in double precision.
TEST(Scalar, AttendAndMergeAreSoftmax) {
  const double tolerance[] = {1e-5, 2e-3, 3e-2, 0.15, 0.4};
  for (const KvFormat& kv : scalar().kv) {
    const std::size_t dim = 64, columns = 3;
    const std::size_t begin[] = {0, 10, 70}, end[] = {100, 64, 128};
    // The second one's scores fall with the distance, the third one's from outside.
    const std::vector<float> slope = {0, 0.25f, 0.125f};
    const auto place = [&](std::size_t c) { return 35 * c; };
    const auto q = gaussian(columns * dim, 21, 0.3f), k = gaussian(128 * dim, 22),
               v = gaussian(128 * dim, 23);
    std::vector<std::int8_t> q8(q.size());
    std::vector<float> scale(q.size() / kActivationBlock);
    std::vector<std::int16_t> sum(q.size() / 16);
    scalar().quantize(q.data(), q.size(), q8.data(), scale.data(), sum.data());
    std::vector<std::byte> chunk(kv.chunk_bytes(KvShape::of(dim)));
    EXPECT_EQ(chunk.size() % 64, 0u);
    std::vector<float> m(columns, -std::numeric_limits<float>::infinity()), l(columns),
        o(columns * dim);
    for (std::size_t part = 0; part < 2; ++part) {
      for (std::size_t slot = 0; slot < kChunk; ++slot) {
        const std::size_t at = (part * kChunk + slot) * dim;
        kv.store(chunk.data(), KvShape::of(dim), slot, k.data() + at, v.data() + at);
      }
      std::uint8_t first[columns], last[columns];
      const auto local = [part](std::size_t at) {
        return static_cast<std::uint8_t>(
            std::min(std::max(at, part * kChunk) - part * kChunk, kChunk));
      };
      for (std::size_t c = 0; c < columns; ++c) first[c] = local(begin[c]), last[c] = local(end[c]);
      std::vector<float> m2(columns), l2(columns), o2(columns * dim), at(columns);
      for (std::size_t c = 0; c < columns; ++c)
        at[c] = static_cast<float>(place(c)) - static_cast<float>(part * kChunk);
      kv.attend({chunk.data(),
                 KvShape::of(dim),
                 columns,
                 q.data(),
                 {q8.data(), scale.data(), sum.data()},
                 first,
                 last,
                 m2.data(),
                 l2.data(),
                 o2.data(),
                 nullptr,
                 0,
                 nullptr,
                 slope.data(),
                 at.data()});
      for (std::size_t c = 0; c < columns; ++c)
        scalar().merge(&m[c], &l[c], o.data() + c * dim, m2[c], l2[c], o2.data() + c * dim, dim);
    }
    for (std::size_t c = 0; c < columns; ++c) {
      std::vector<double> p;
      double top = -1e30, total = 0;
      for (std::size_t t = begin[c]; t < end[c]; ++t) {
        double s = 0;
        for (std::size_t d = 0; d < dim; ++d) s += double{q[c * dim + d]} * k[t * dim + d];
        s -= double{slope[c]} * std::abs(static_cast<double>(t) - static_cast<double>(place(c)));
        p.push_back(s);
        top = std::max(top, s);
      }
      for (double& s : p) s = std::exp(s - top), total += s;
      for (std::size_t d = 0; d < dim; ++d) {
        double want = 0;
        for (std::size_t t = begin[c]; t < end[c]; ++t)
          want += p[t - begin[c]] * v[t * dim + d] / total;
        EXPECT_NEAR(o[c * dim + d] / l[c], want, tolerance[static_cast<int>(kv.type)]);
      }
    }
  }
}

TEST(Scalar, MergeOfNothing) {
  const float none = -std::numeric_limits<float>::infinity();
  float m = none, l = 0, o[16] = {}, o2[16] = {4};
  scalar().merge(&m, &l, o, none, 0, o2, 16);
  EXPECT_EQ(m, none);
  EXPECT_EQ(o[0], 0);
  scalar().merge(&m, &l, o, -3, 2, o2, 16);
  EXPECT_EQ(m, -3);
  EXPECT_EQ(l, 2);
  EXPECT_EQ(o[0], 4);
  scalar().merge(&m, &l, o, none, 0, o2, 16);
  EXPECT_EQ(l, 2);
}

}  // namespace
}  // namespace lathe::infer
