// Every table that runs here against the scalar one: every type, shapes with borders, ordinary and
// adversarial values, bit for bit. (NaN is NaN: its sign and payload are the processor's.)
#include "infer/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace lathe::infer {
namespace {

using Random = std::mt19937;

bool same_bits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

::testing::AssertionResult same(const std::vector<float>& got, const std::vector<float>& want) {
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!same_bits(got[i], want[i]))
      return ::testing::AssertionFailure()
             << "at " << i << " of " << want.size() << ": " << got[i] << " for " << want[i];
  return ::testing::AssertionSuccess();
}

// Memory at a multiple of 64.
struct Aligned {
  explicit Aligned(std::size_t bytes) : memory(bytes + 64) {
    data = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64);
  }
  std::vector<std::byte> memory;
  std::byte* data;
};

enum class Values { kOrdinary, kZero, kLarge, kTiny, kBroken };

// `kind` for the scales; codes are random throughout, with runs of all ones for the extremes.
std::vector<std::byte> rows_of(const TensorTypeInfo& info, std::size_t count, Values kind,
                               Random& random) {
  std::vector<std::byte> bytes(count / info.block * info.block_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  if (kind == Values::kBroken) return bytes;  // scales of any bits: infinities, NaNs, subnormals
  const auto scale = [&](std::byte* at) {
    float value = std::ldexp(static_cast<float>(random() % 2001) - 1000.0f, -17);
    if (kind == Values::kZero && random() % 2 == 0) value = 0;
    if (kind == Values::kLarge) value = 65504;
    if (kind == Values::kTiny) value = std::ldexp(static_cast<float>(random() % 5), -24);
    const std::uint16_t bits = f32_to_f16(value);
    std::memcpy(at, &bits, 2);
  };
  for (std::size_t at = 0; at < bytes.size(); at += info.block_bytes) {
    std::byte* b = bytes.data() + at;
    if (kind == Values::kLarge) std::memset(b, random() % 2 ? 0xff : 0x80, info.block_bytes);
    switch (info.type) {
      case TensorType::kF32: {
        const float x = std::ldexp(static_cast<float>(random() % 2001) - 1000.0f, -9);
        std::memcpy(b, &x, 4);
        break;
      }
      case TensorType::kBF16:
        b[1] = static_cast<std::byte>(0x3c + 0x80 * (random() % 2));
        break;
      case TensorType::kQ2_K:
        scale(b + 80), scale(b + 82);
        break;
      case TensorType::kQ3_K:
        scale(b + 108);
        break;
      case TensorType::kQ6_K:
        scale(b + 208);
        break;
      case TensorType::kQ4_1:
      case TensorType::kQ5_1:
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
        scale(b), scale(b + 2);
        break;
      case TensorType::kMXFP4:
        b[0] = static_cast<std::byte>(kind == Values::kTiny ? random() % 4 : 110 + random() % 20);
        break;
      case TensorType::kTQ1_0:
        scale(b + 52);
        break;
      case TensorType::kTQ2_0:
        scale(b + 64);
        break;
      case TensorType::kIQ1_M: {
        std::byte d[2];
        scale(d);
        for (int i = 0; i < 4; ++i) {  // a nibble in the top of each word
          const unsigned nibble = std::to_integer<unsigned>(d[i / 2]) >> 4 * (i % 2) & 15;
          b[49 + 2 * i] = (b[49 + 2 * i] & std::byte{15}) | static_cast<std::byte>(nibble << 4);
        }
        break;
      }
      case TensorType::kNVFP4:
        break;
      default:
        scale(b);
    }
  }
  return bytes;
}

std::vector<float> activations_of(std::size_t n, Values kind, Random& random) {
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& value : x) {
    value = normal(random);
    if (kind == Values::kZero && random() % 2 == 0) value = 0;
    if (kind == Values::kLarge) value = random() % 2 ? 1e4f : -1e4f;
    if (kind == Values::kTiny) value *= 1e-38f;
    if (kind == Values::kBroken && random() % 300 == 0)
      value = random() % 2 ? std::numeric_limits<float>::infinity() : std::nanf("");
  }
  return x;
}

struct Quantized {
  std::vector<std::int8_t> q;
  std::vector<float> scale;
  std::vector<std::int16_t> sum;
};

Quantized quantize(const KernelTable& table, const std::vector<float>& x, std::size_t k) {
  Quantized out = {std::vector<std::int8_t>(x.size()), std::vector<float>(x.size() / 32),
                   std::vector<std::int16_t>(x.size() / 16)};
  for (std::size_t at = 0; at < x.size(); at += k)
    table.quantize(x.data() + at, k, out.q.data() + at, out.scale.data() + at / 32,
                   out.sum.data() + at / 16);
  return out;
}

struct Shape {
  std::size_t k, rows;
};

class Table : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }
  const KernelTable& scalar() const { return *kernel_tables().front(); }
};

class Product {
 public:
  Product(const PackedType& type, const TensorTypeInfo& info, const std::vector<std::byte>& src,
          Shape shape)
      : type_(type), shape_(shape), panels_((shape.rows + 15) / 16 * type.panel_bytes(shape.k)) {
    const std::size_t row_bytes = shape.k / info.block * info.block_bytes;
    std::fill(panels_.memory.begin(), panels_.memory.end(), std::byte{0x5a});
    for (std::size_t row = 0; row < shape.rows; row += 16)
      type.pack(src.data() + row * row_bytes, row_bytes,
                std::min<std::size_t>(16, shape.rows - row), shape.k,
                panels_.data + row / 16 * type.panel_bytes(shape.k));
  }

  std::vector<float> times(const Quantized& x, const std::vector<float>& floats,
                           std::size_t tokens) const {
    const std::size_t stride = shape_.rows + 5;
    std::vector<float> out(tokens * stride, 1234.5f);
    type_.matmul(
        {panels_.data, shape_.rows, shape_.k, tokens,
         type_.integer ? QuantizedRows{x.q.data(), x.scale.data(), x.sum.data()} : QuantizedRows{},
         type_.integer ? nullptr : floats.data(), out.data(), stride});
    return out;
  }

  std::vector<float> unpacked() const {
    std::vector<float> out(shape_.rows * shape_.k);
    for (std::size_t row = 0; row < shape_.rows; ++row)
      type_.unpack(panels_.data + row / 16 * type_.panel_bytes(shape_.k), row % 16, shape_.k,
                   out.data() + row * shape_.k);
    return out;
  }

 private:
  const PackedType& type_;
  Shape shape_;
  Aligned panels_;
};

TEST_P(Table, UnpackIsDecode) {
  Random random(1);
  for (const TensorTypeInfo& info : tensor_types())
    for (const Values kind : {Values::kOrdinary, Values::kLarge, Values::kTiny, Values::kBroken}) {
      const Shape shape = {512, 37};
      const auto src = rows_of(info, shape.rows * shape.k, kind, random);
      std::vector<float> want(shape.rows * shape.k);
      info.decode(src.data(), want.data(), want.size());
      const Product product(packed_type(table(), info.type), info, src, shape);
      EXPECT_TRUE(same(product.unpacked(), want)) << info.name;
    }
}

TEST_P(Table, ProductsAreTheScalarOnes) {
  Random random(2);
  const std::size_t widths[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 24, 31, 40};
  for (const TensorTypeInfo& info : tensor_types()) {
    const std::size_t unit = std::max<std::size_t>(info.block, 32);
    const Shape shapes[] = {
        {unit, 1}, {3 * unit, 16}, {unit == 256 ? 2304u : 2112 / unit * unit, 50}, {256, 100}};
    for (const Shape shape : shapes)
      for (const Values kind :
           {Values::kOrdinary, Values::kZero, Values::kLarge, Values::kTiny, Values::kBroken}) {
        const auto src = rows_of(info, shape.rows * shape.k, kind, random);
        const Product product(packed_type(table(), info.type), info, src, shape);
        const Product truth(packed_type(scalar(), info.type), info, src, shape);
        const auto x = activations_of(40 * shape.k, kind, random);
        const Quantized q = quantize(scalar(), x, shape.k);
        const auto want = truth.times(q, x, 40);
        for (const std::size_t tokens : widths) {
          const auto got = product.times(q, x, tokens);
          ASSERT_TRUE(
              same(got, {want.begin(), want.begin() + static_cast<std::ptrdiff_t>(got.size())}))
              << info.name << " k " << shape.k << " rows " << shape.rows << " tokens " << tokens
              << " values " << static_cast<int>(kind);
        }
      }
  }
}

// More tokens than one pass takes.
TEST_P(Table, ManyTokens) {
  Random random(3);
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kF16}) {
    const TensorTypeInfo& info = tensor_type_info(type);
    const Shape shape = {256, 20};
    const auto src = rows_of(info, shape.rows * shape.k, Values::kOrdinary, random);
    const auto x = activations_of(531 * shape.k, Values::kOrdinary, random);
    const Quantized q = quantize(scalar(), x, shape.k);
    EXPECT_TRUE(same(Product(packed_type(table(), type), info, src, shape).times(q, x, 531),
                     Product(packed_type(scalar(), type), info, src, shape).times(q, x, 531)))
        << info.name;
  }
}

TEST_P(Table, QuantizeIsTheScalarOne) {
  Random random(4);
  for (const Values kind :
       {Values::kOrdinary, Values::kZero, Values::kLarge, Values::kTiny, Values::kBroken}) {
    const auto x = activations_of(1024, kind, random);
    const Quantized got = quantize(table(), x, 256), want = quantize(scalar(), x, 256);
    EXPECT_EQ(got.q, want.q);
    EXPECT_EQ(got.sum, want.sum);
    EXPECT_TRUE(same(got.scale, want.scale));
  }
}

TEST_P(Table, RowOperationsAreTheScalarOnes) {
  Random random(5);
  for (const std::size_t n : {1u, 7u, 16u, 33u, 576u, 4099u})
    for (const Values kind :
         {Values::kOrdinary, Values::kZero, Values::kLarge, Values::kTiny, Values::kBroken}) {
      const auto a = activations_of(n, kind, random), b = activations_of(n, kind, random);
      const auto each = [&](auto operation) {
        std::vector<float> got = a, want = a;
        operation(table(), got);
        operation(scalar(), want);
        EXPECT_TRUE(same(got, want)) << n << " values " << static_cast<int>(kind);
      };
      each([&](const KernelTable& t, auto& x) {
        t.rms_norm(x.data(), b.data(), n, 1e-6f, x.data());
      });
      each([&](const KernelTable& t, auto& x) {
        t.layer_norm(x.data(), b.data(), n, 1e-6f, x.data());
      });
      each([&](const KernelTable& t, auto& x) { t.silu_mul(x.data(), b.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) { t.gelu_mul(x.data(), b.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) { t.gelu(x.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) { t.soft_cap(x.data(), n, 3); });
      each([&](const KernelTable& t, auto& x) {
        t.clamped_silu_mul(x.data(), b.data(), n, x.data());
      });
      each([&](const KernelTable& t, auto& x) { t.sigmoid_mul(b.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) { t.relu_squared(x.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) { t.mul(b.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) {
        t.recurrent.softplus(x.data(), b.data(), n, x.data());
      });
      each([&](const KernelTable& t, auto& x) { t.recurrent.silu(x.data(), n); });
      each([&](const KernelTable& t, auto& x) { t.recurrent.sigmoid(x.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) { t.recurrent.unit_norm(x.data(), n, 1e-6f, 0.5f); });
      each([&](const KernelTable& t, auto& x) {
        t.recurrent.decay(x.data(), b.data(), a.data(), n, x.data());
      });
      each([&](const KernelTable& t, auto& x) { t.add(b.data(), n, x.data()); });
      each([&](const KernelTable& t, auto& x) { t.add_scaled(b.data(), 0.3f, n, x.data()); });
      each([&](const KernelTable& t, auto& x) { x.push_back(t.max(x.data(), n)); });
      each([&](const KernelTable& t, auto& x) { x.push_back(t.exp_sum(x.data(), n, 0.7f)); });
      each([&](const KernelTable& t, auto& x) {
        t.rope(x.data(), b.data(), b.data() + n / 2, n / 2 * 2, false);
      });
      each([&](const KernelTable& t, auto& x) {
        t.rope(x.data(), b.data(), b.data() + n / 2, n / 2 * 2, true);
      });
      each([&](const KernelTable& t, auto& x) {
        float m = 0.5f, l = 2;
        t.merge(&m, &l, x.data(), 0.25f, 3, b.data(), n);
        x.push_back(m);
        x.push_back(l);
      });
    }
}

TEST_P(Table, ConvolutionsAreTheScalarOnes) {
  Random random(6);
  for (const std::size_t taps : {1u, 2u, 3u, 4u, 7u})
    for (const std::size_t n : {1u, 15u, 64u, 257u}) {
      const auto x = activations_of(taps * n, Values::kOrdinary, random);
      const auto w = activations_of(taps * n, Values::kOrdinary, random);
      std::vector<const float*> rows;
      for (std::size_t j = 0; j < taps; ++j) rows.push_back(x.data() + j * n);
      std::vector<float> got(n), want(n);
      for (const float* bias : {static_cast<const float*>(nullptr), x.data()}) {
        table().recurrent.convolve(rows.data(), w.data(), bias, taps, n, got.data());
        scalar().recurrent.convolve(rows.data(), w.data(), bias, taps, n, want.data());
        EXPECT_TRUE(same(got, want)) << taps << " taps, " << n;
      }
    }
}

// Whatever the size of a head, and however the tokens are cut into calls.
TEST_P(Table, DeltaNetsAreTheScalarOnes) {
  Random random(8);
  for (const std::size_t size : {1u, 8u, 16u, 33u, 48u, 80u, 128u})
    for (const Values kind : {Values::kOrdinary, Values::kLarge, Values::kTiny, Values::kBroken}) {
      constexpr std::size_t kTokens = 9;
      const std::size_t stride = 3 * size + 5;
      const auto x = activations_of(kTokens * stride, kind, random);
      const std::size_t row = size + 1;
      const auto scalars = activations_of(row * kTokens, Values::kOrdinary, random);
      const auto begin = activations_of(size * size, Values::kOrdinary, random);
      const auto run = [&](const KernelTable& t, std::size_t at_once, bool each_key) {
        std::vector<float> state = begin, out(kTokens * size);
        for (std::size_t i = 0; i < kTokens; i += at_once)
          t.recurrent.delta({.state = state.data(),
                             .size = size,
                             .tokens = std::min(at_once, kTokens - i),
                             .q = x.data() + i * stride,
                             .k = x.data() + i * stride + size,
                             .v = x.data() + i * stride + 2 * size,
                             .stride = stride,
                             .decay = scalars.data() + row * i + 1,
                             .beta = scalars.data() + row * i,
                             .scalar_stride = row,
                             .out = out.data() + i * size,
                             .out_stride = size,
                             .each_key = each_key});
        out.insert(out.end(), state.begin(), state.end());
        return out;
      };
      for (const bool each_key : {false, true}) {
        const auto want = run(scalar(), 1, each_key);
        for (const std::size_t at_once : {1u, 4u, 9u})
          EXPECT_TRUE(same(run(table(), at_once, each_key), want))
              << size << ", " << at_once << " at once";
      }
    }
}

TEST_P(Table, ScansAreTheScalarOnes) {
  Random random(9);
  for (const std::size_t size : {1u, 16u, 33u, 64u, 80u})
    for (const std::size_t states : {1u, 16u, 128u}) {
      constexpr std::size_t kTokens = 7;
      const std::size_t stride = size + 2 * states + 3;
      const auto x = activations_of(kTokens * stride, Values::kOrdinary, random);
      const auto scalars = activations_of(2 * kTokens, Values::kOrdinary, random);
      const auto begin = activations_of(size * states, Values::kOrdinary, random);
      const auto run = [&](const KernelTable& t, std::size_t at_once) {
        std::vector<float> state = begin, out(kTokens * size);
        for (std::size_t i = 0; i < kTokens; i += at_once)
          t.recurrent.scan({.state = state.data(),
                            .states = states,
                            .size = size,
                            .tokens = std::min(at_once, kTokens - i),
                            .x = x.data() + i * stride,
                            .b = x.data() + i * stride + size,
                            .c = x.data() + i * stride + size + states,
                            .stride = stride,
                            .decay = scalars.data() + 2 * i,
                            .dt = scalars.data() + 2 * i + 1,
                            .scalar_stride = 2,
                            .skip = 0.7f,
                            .out = out.data() + i * size,
                            .out_stride = size});
        out.insert(out.end(), state.begin(), state.end());
        return out;
      };
      const auto want = run(scalar(), 1);
      for (const std::size_t at_once : {1u, 4u, 7u})
        EXPECT_TRUE(same(run(table(), at_once), want)) << size << " × " << states;
    }
}

TEST_P(Table, TrainingRowsAreTheScalarOnes) {
  Random random(7);
  for (const std::size_t n : {1u, 7u, 16u, 33u, 576u, 4099u})
    for (const Values kind :
         {Values::kOrdinary, Values::kZero, Values::kLarge, Values::kTiny, Values::kBroken}) {
      const auto a = activations_of(n, kind, random), b = activations_of(n, kind, random);
      const auto d = activations_of(n, Values::kOrdinary, random);
      const auto each = [&](auto operation) {
        std::vector<float> got = d, want = d;
        operation(table().train, got);
        operation(scalar().train, want);
        EXPECT_TRUE(same(got, want)) << n << " values " << static_cast<int>(kind);
      };
      each([&](const TrainKernels& t, auto& x) { x[0] = t.dot(a.data(), b.data(), n); });
      each([&](const TrainKernels& t, auto& x) { t.scale(x.data(), 0.3f, n); });
      each([&](const TrainKernels& t, auto& x) {
        x.resize(2 * n);
        t.silu_mul_backward(a.data(), b.data(), d.data(), n, x.data(), x.data() + n);
      });
      each([&](const TrainKernels& t, auto& x) {
        x.push_back(t.rms_norm_backward(a.data(), b.data(), d.data(), n, 1e-6f, x.data()));
      });
      each([&](const TrainKernels& t, auto& x) {
        t.rms_weight_backward(a.data(), 0.7f, b.data(), n, x.data());
      });
      each(
          [&](const TrainKernels& t, auto& x) { t.softmax_backward(a.data(), 0.3f, n, x.data()); });
      each([&](const TrainKernels& t, auto& x) {
        std::vector<float> first = a, second(n, 0.25f);
        t.adam({.count = n,
                .value = x.data(),
                .gradient = b.data(),
                .first = first.data(),
                .second = second.data(),
                .scale = 0.6f,
                .beta1 = 0.9f,
                .beta2 = 0.95f,
                .rate = 0.01f,
                .second_scale = 3.0f,
                .epsilon = 1e-8f,
                .decay = 0.999f});
        x.insert(x.end(), first.begin(), first.end());
        x.insert(x.end(), second.begin(), second.end());
      });
    }
}

// Every size of a tile, A and B lying either way, nothing written beside it.
TEST_P(Table, TilesAreTheScalarOnes) {
  Random random(8);
  for (std::size_t rows = 1; rows <= kTileRows; ++rows)
    for (const std::size_t columns : {1u, 15u, 16u, 17u, 31u, 32u})
      for (const std::size_t k : {1u, 5u, 40u}) {
        const auto a = activations_of(kTileRows * 64, Values::kOrdinary, random);
        const auto b = activations_of(64 * 64, Values::kOrdinary, random);
        const bool turned = random() % 2, add = random() % 2;
        const auto run = [&](const KernelTable& table) {
          std::vector<float> c(kTileRows * 40, 0.5f);
          table.train.tile({.rows = rows,
                            .columns = columns,
                            .k = k,
                            .a = a.data(),
                            .a_row = turned ? 1u : 41u,
                            .a_k = turned ? kTileRows : 1,
                            .b = b.data(),
                            .b_k = 37,
                            .c = c.data(),
                            .c_row = 40,
                            .add = add});
          return c;
        };
        const auto got = run(table());
        ASSERT_TRUE(same(got, run(scalar()))) << rows << "×" << columns << "×" << k;
        for (std::size_t i = 0; i < got.size(); ++i)
          if (i / 40 >= rows || i % 40 >= columns) {
            ASSERT_EQ(got[i], 0.5f) << "written beside";
          }
      }
}

// `kv`: a position's key, then its value.
std::vector<float> attend(const KernelTable& table, KvType type, const KvShape& shape,
                          const std::vector<float>& q, const std::vector<float>& kv,
                          const std::vector<std::uint8_t>& first,
                          const std::vector<std::uint8_t>& last, float cap,
                          const std::vector<float>& slope, const std::vector<float>& at) {
  const KvFormat& format = table.kv_format(type);
  Aligned chunk(format.chunk_bytes(shape)), values(format.chunk_bytes({.value = shape.value}));
  std::fill(chunk.memory.begin(), chunk.memory.end(), std::byte{0xff});  // NaNs, where not stored
  const std::size_t row = shape.key + shape.value, written = kv.size() / row;
  const std::size_t columns = first.size();
  for (std::size_t slot = 0; slot < written; ++slot)
    format.store(chunk.data, shape, slot, kv.data() + slot * row,
                 kv.data() + slot * row + shape.key);
  std::vector<float> m(columns), l(columns), o(columns * shape.value, 9.0f);
  const Quantized q8 = quantize(table, q, shape.key);
  format.attend({.chunk = chunk.data,
                 .shape = shape,
                 .columns = columns,
                 .q = q.data(),
                 .q_rows = {q8.q.data(), q8.scale.data(), q8.sum.data()},
                 .first = first.data(),
                 .last = last.data(),
                 .m = m.data(),
                 .l = l.data(),
                 .o = o.data(),
                 .ahead = chunk.data,
                 .cap = cap,
                 .values = values.data,
                 .slope = slope.empty() ? nullptr : slope.data(),
                 .at = at.data()});
  o.insert(o.end(), m.begin(), m.end());
  o.insert(o.end(), l.begin(), l.end());
  return o;
}

TEST_P(Table, AttentionIsTheScalarOne) {
  Random random(6);
  for (const KvType type :
       {KvType::kF32, KvType::kF16, KvType::kQ8_0, KvType::kQ5_1, KvType::kQ4_0})
    for (const KvShape& shape :
         {KvShape::of(32), KvShape::of(64), KvShape::of(96), KvShape::of(128), KvShape::of(256),
          KvShape{192, 128}, KvShape{32, 96}, KvShape{96, 64, true}, KvShape{576, 512, true}})
      for (int round = 0; round < 12; ++round) {
        const Values kind = static_cast<Values>(round % 5);
        const std::size_t written = 1 + random() % kChunk, columns = 1 + random() % 9;
        const auto kv = activations_of(written * (shape.key + shape.value), kind, random);
        const auto q = activations_of(columns * shape.key,
                                      kind == Values::kBroken ? Values::kOrdinary : kind, random);
        std::vector<std::uint8_t> first(columns), last(columns);
        for (std::size_t c = 0; c < columns; ++c) {
          first[c] = static_cast<std::uint8_t>(random() % 3 ? 0 : random() % written);
          last[c] = static_cast<std::uint8_t>(random() % 3 ? written : random() % (written + 1));
        }
        const float cap = round % 3 == 0 ? 2.0f : 0.0f;
        // A distance bias in every second round; queries before, in and behind the chunk.
        std::vector<float> slope(round % 2 == 0 ? columns : 0), at(columns);
        for (float& each : slope) each = std::ldexp(static_cast<float>(random() % 256), -9);
        for (float& each : at) each = static_cast<float>(random() % 300) - 100;
        const auto got = attend(table(), type, shape, q, kv, first, last, cap, slope, at);
        const auto want = attend(scalar(), type, shape, q, kv, first, last, cap, slope, at);
        ASSERT_TRUE(same(got, want))
            << "type " << static_cast<int>(type) << " head " << shape.key << " " << shape.value
            << " columns " << columns << " values " << static_cast<int>(kind);
        // A column alone gives what it gives among others.
        const std::size_t c = random() % columns;
        const auto begin = q.begin() + static_cast<std::ptrdiff_t>(c * shape.key);
        const auto alone =
            attend(table(), type, shape, {begin, begin + static_cast<std::ptrdiff_t>(shape.key)},
                   kv, {first[c]}, {last[c]}, cap,
                   slope.empty() ? std::vector<float>() : std::vector<float>{slope[c]}, {at[c]});
        for (std::size_t d = 0; d < shape.value; ++d)
          ASSERT_TRUE(same_bits(alone[d], want[c * shape.value + d]));
      }
}

TEST_P(Table, SharedValuesAreThoseOfTheKeys) {
  Random random(8);
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    const KvShape shared{96, 64, true}, apart{96, 64};
    auto kv = activations_of(kChunk * 160, Values::kOrdinary, random);
    for (std::size_t slot = 0; slot < kChunk; ++slot)
      std::copy_n(kv.data() + slot * 160, 64, kv.data() + slot * 160 + 96);
    const auto q = activations_of(3 * 96, Values::kOrdinary, random);
    const std::vector<std::uint8_t> first{0, 5, 63}, last{64, 40, 64};
    EXPECT_TRUE(same(attend(table(), type, shared, q, kv, first, last, 0, {}, {}),
                     attend(table(), type, apart, q, kv, first, last, 0, {}, {})));
    const KvFormat& format = table().kv_format(type);
    EXPECT_EQ(format.chunk_bytes(shared) + format.chunk_bytes({.value = 64}),
              format.chunk_bytes(apart));
  }
}

// Keys alone, as an indexer has them, and those of a latent with its shared values.
TEST_P(Table, ScoresAreTheScalarOnes) {
  Random random(9);
  for (const KvFormat& format : table().kv)
    for (const KvShape& shape :
         {KvShape{64, 0, true}, KvShape{128, 0, true}, KvShape{96, 64, true}})
      for (int round = 0; round < 10; ++round) {
        const Values kind = static_cast<Values>(round % 5);
        const std::size_t columns = 1 + random() % 9;
        const auto k = activations_of(kChunk * shape.key, kind, random);
        const auto q = activations_of(columns * shape.key,
                                      kind == Values::kBroken ? Values::kOrdinary : kind, random);
        const Quantized q8 = quantize(table(), q, shape.key);
        const auto scores = [&](const KernelTable& of) {
          const KvFormat& kv = of.kv_format(format.type);
          Aligned chunk(kv.chunk_bytes(shape));
          for (std::size_t slot = 0; slot < kChunk; ++slot)
            kv.store(chunk.data, shape, slot, k.data() + slot * shape.key, nullptr);
          std::vector<float> out(columns * kChunk);
          kv.score({chunk.data,
                    shape,
                    columns,
                    q.data(),
                    {q8.q.data(), q8.scale.data(), q8.sum.data()},
                    out.data(),
                    chunk.data});
          return out;
        };
        ASSERT_TRUE(same(scores(table()), scores(scalar())))
            << "type " << static_cast<int>(format.type) << " head " << shape.key << " columns "
            << columns << " values " << static_cast<int>(kind);
      }
}

// Attention over what was gathered is attention over the same positions stored one after the other.
TEST_P(Table, GatheredPositionsAreThoseStored) {
  Random random(10);
  for (const KvFormat& format : table().kv)
    for (const KvShape& shape : {KvShape{96, 64, true}, KvShape{576, 512, true}}) {
      std::vector<Aligned> chunks;
      for (int i = 0; i < 3; ++i) chunks.emplace_back(format.chunk_bytes(shape));
      const auto k = activations_of(3 * kChunk * shape.key, Values::kOrdinary, random);
      for (std::size_t at = 0; at < 3 * kChunk; ++at)
        format.store(chunks[at / kChunk].data, shape, at % kChunk, k.data() + at * shape.key,
                     nullptr);
      const std::size_t count = 1 + random() % kChunk;
      Aligned gathered(format.chunk_bytes(shape)), stored(format.chunk_bytes(shape));
      std::vector<KvFormat::Position> from;
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = random() % (3 * kChunk);
        from.push_back({chunks[at / kChunk].data, at % kChunk});
        format.store(stored.data, shape, i, k.data() + at * shape.key, nullptr);
      }
      format.gather(gathered.data, shape, count, from.data());
      EXPECT_EQ(std::memcmp(gathered.data, stored.data, format.chunk_bytes(shape)), 0)
          << "type " << static_cast<int>(format.type) << " head " << shape.key;
    }
}

INSTANTIATE_TEST_SUITE_P(Here, Table,
                         ::testing::ValuesIn(kernel_tables().begin(), kernel_tables().end()),
                         [](const auto& each) {
                           // To GoogleTest "neon-dotprod" is no name.
                           std::string name(each.param->name);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Registry, TheBestIsLastAndNamesAreFound) {
  EXPECT_EQ(kernel_tables().front()->name, "scalar");
  EXPECT_EQ(&best_kernel_table(), kernel_tables().back());
  for (const KernelTable* table : kernel_tables()) EXPECT_EQ(find_kernel_table(table->name), table);
  EXPECT_EQ(find_kernel_table("abacus"), nullptr);
}

}  // namespace
}  // namespace lathe::infer
