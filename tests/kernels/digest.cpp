// Runs one table of kernels over fixed inputs and prints a digest a line: every type, several
// shapes, every row operation, attention, training. The same lines must come out for every table on
// every machine. It needs nothing but the rooms kernels and quant, so that it can be built for
// another processor without any library. Built with -DLATHE_TABLE=<a table of kernels/tables.h>.
#include <cstdio>
#include <cstring>
#include <vector>

#include "infer/kernels/tables.h"

namespace lathe {
namespace {

struct Random {
  std::uint64_t state;

  std::uint32_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state >> 33);
  }
  // -4 … 4, exact in f32 on every machine.
  float value() { return static_cast<float>(static_cast<int>(next() % 65537) - 32768) / 8192.0f; }
};

struct Digest {
  std::uint64_t hash = 1469598103934665603u;

  void add(const float* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, x + i, 4);
      if (x[i] != x[i]) bits = 0x7fc00000u;  // NaN is NaN
      hash = (hash ^ bits) * 1099511628211u;
    }
  }
  void print(const char* what, std::size_t a, std::size_t b) const {
    std::printf("%s %zu %zu %016llx\n", what, a, b, static_cast<unsigned long long>(hash));
  }
};

struct Row {
  infer::TensorType type;
  const char* name;
  std::size_t block, bytes;
};
constexpr Row kRows[] = {
    {infer::TensorType::kF32, "F32", 1, 4},
    {infer::TensorType::kF16, "F16", 1, 2},
    {infer::TensorType::kBF16, "BF16", 1, 2},
    {infer::TensorType::kQ4_0, "Q4_0", 32, 18},
    {infer::TensorType::kQ4_1, "Q4_1", 32, 20},
    {infer::TensorType::kQ5_0, "Q5_0", 32, 22},
    {infer::TensorType::kQ5_1, "Q5_1", 32, 24},
    {infer::TensorType::kQ8_0, "Q8_0", 32, 34},
    {infer::TensorType::kQ2_K, "Q2_K", 256, 84},
    {infer::TensorType::kQ3_K, "Q3_K", 256, 110},
    {infer::TensorType::kQ4_K, "Q4_K", 256, 144},
    {infer::TensorType::kQ5_K, "Q5_K", 256, 176},
    {infer::TensorType::kQ6_K, "Q6_K", 256, 210},
    {infer::TensorType::kIQ4_NL, "IQ4_NL", 32, 18},
    {infer::TensorType::kIQ4_XS, "IQ4_XS", 256, 136},
    {infer::TensorType::kMXFP4, "MXFP4", 32, 17},
    {infer::TensorType::kNVFP4, "NVFP4", 64, 36},
    {infer::TensorType::kTQ1_0, "TQ1_0", 256, 54},
    {infer::TensorType::kTQ2_0, "TQ2_0", 256, 66},
    {infer::TensorType::kQ1_0, "Q1_0", 128, 18},
    {infer::TensorType::kQ2_0, "Q2_0", 64, 18},
    {infer::TensorType::kIQ1_S, "IQ1_S", 256, 50},
    {infer::TensorType::kIQ1_M, "IQ1_M", 256, 56},
    {infer::TensorType::kIQ2_XXS, "IQ2_XXS", 256, 66},
    {infer::TensorType::kIQ2_XS, "IQ2_XS", 256, 74},
    {infer::TensorType::kIQ2_S, "IQ2_S", 256, 82},
    {infer::TensorType::kIQ3_XXS, "IQ3_XXS", 256, 98},
    {infer::TensorType::kIQ3_S, "IQ3_S", 256, 110},
};

std::byte* aligned(std::vector<std::byte>& memory, std::size_t bytes) {
  memory.assign(bytes + 64, std::byte{0});
  return memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64);
}

void products(const infer::KernelTable& table, const Row& row, std::size_t k, std::size_t rows,
              bool any_bits) {
  const infer::PackedType* type = nullptr;
  for (const infer::PackedType& candidate : table.types)
    if (candidate.type == row.type) type = &candidate;
  Random random{k * 131 + rows};
  const std::size_t row_bytes = k / row.block * row.bytes;
  std::vector<std::byte> src(rows * row_bytes);
  // Without bit 6 of any byte no half float is infinite and no number is large.
  for (std::byte& byte : src)
    byte = static_cast<std::byte>(random.next() & (any_bits ? 0xff : 0xbf));
  std::vector<std::byte> memory;
  std::byte* panels = aligned(memory, (rows + 15) / 16 * type->panel_bytes(k));
  Digest unpacked;
  for (std::size_t r = 0; r < rows; r += 16) {
    std::byte* panel = panels + r / 16 * type->panel_bytes(k);
    const std::size_t n = rows - r < 16 ? rows - r : 16;
    type->pack(src.data() + r * row_bytes, row_bytes, n, k, panel);
    std::vector<float> line(k);
    for (std::size_t lane = 0; lane < n; ++lane) {
      type->unpack(panel, lane, k, line.data());
      unpacked.add(line.data(), k);
    }
  }
  unpacked.print("unpack", k, rows);
  constexpr std::size_t kMost = 37;
  std::vector<float> x(kMost * k), scale(kMost * k / 32);
  std::vector<std::int8_t> q(kMost * k);
  std::vector<std::int16_t> sum(kMost * k / 16);
  for (float& value : x) value = random.value();
  for (std::size_t t = 0; t < kMost; ++t)
    table.quantize(&x[t * k], k, &q[t * k], &scale[t * k / 32], &sum[t * k / 16]);
  for (const std::size_t tokens : {1u, 2u, 5u, 8u, 9u, 37u}) {
    std::vector<float> out(tokens * rows);
    type->matmul({panels, rows, k, tokens,
                  type->integer ? infer::QuantizedRows{q.data(), scale.data(), sum.data()}
                                : infer::QuantizedRows{},
                  type->integer ? nullptr : x.data(), out.data(), rows});
    Digest digest;
    digest.add(out.data(), out.size());
    digest.print(row.name, k, tokens);
  }
}

void row_operations(const infer::KernelTable& table, std::size_t n) {
  Random random{n};
  std::vector<float> a(n), b(n), out(n);
  for (std::size_t i = 0; i < n; ++i) a[i] = random.value() * 9, b[i] = random.value();
  Digest digest;
  const auto done = [&] { digest.add(out.data(), n); };
  table.rms_norm(a.data(), b.data(), n, 1e-5f, out.data()), done();
  table.silu_mul(a.data(), b.data(), n, out.data()), done();
  table.add(a.data(), n, out.data()), done();
  table.add_scaled(a.data(), 0.37f, n, out.data()), done();
  table.rope(out.data(), b.data(), b.data() + n / 2, n / 2 * 2, true), done();
  table.rope(out.data(), b.data(), b.data() + n / 2, n / 2 * 2, false), done();
  float m = 1, l = 2;
  table.merge(&m, &l, out.data(), 0.5f, 3, a.data(), n), done();
  const float largest = table.max(a.data(), n);
  out = a;
  const float total = table.exp_sum(out.data(), n, largest);
  done();
  for (const float value : {m, l, largest, total}) digest.add(&value, 1);
  digest.print("rows", n, 0);
}

void training(const infer::TrainKernels& train, std::size_t n) {
  Random random{n};
  std::vector<float> a(n), b(n), out(2 * n);
  for (std::size_t i = 0; i < n; ++i) a[i] = random.value(), b[i] = random.value();
  Digest digest;
  const auto done = [&] { digest.add(out.data(), 2 * n); };
  train.silu_mul_backward(a.data(), b.data(), b.data(), n, out.data(), out.data() + n), done();
  out[0] = train.rms_norm_backward(a.data(), b.data(), a.data(), n, 1e-5f, out.data()), done();
  train.rms_weight_backward(a.data(), 0.7f, b.data(), n, out.data()), done();
  train.softmax_backward(a.data(), 0.3f, n, out.data()), done();
  train.scale(out.data(), 0.01f, n), done();
  out[0] = train.dot(a.data(), b.data(), n), done();
  std::vector<float> first = a, second(n, 0.25f);
  train.adam({n, out.data(), b.data(), first.data(), second.data(), 0.6f, 0.9f, 0.95f, 0.01f, 3.0f,
              1e-8f, 0.999f});
  done();
  digest.print("training", n, 0);
}

void tiles(const infer::TrainKernels& train, std::size_t rows, std::size_t columns) {
  Random random{rows * 100 + columns};
  std::vector<float> a(infer::kTileRows * 50), b(50 * 40), c(infer::kTileRows * 40, 0.5f);
  for (float& value : a) value = random.value();
  for (float& value : b) value = random.value();
  for (const bool turned : {false, true})
    train.tile({rows, columns, 50, a.data(), turned ? 1u : 50u, turned ? infer::kTileRows : 1,
                b.data(), 40, c.data(), 40, turned});
  Digest digest;
  digest.add(c.data(), c.size());
  digest.print("tile", rows, columns);
}

void attention(const infer::KernelTable& table, const infer::KvFormat& kv,
               const infer::KvShape& shape) {
  Random random{shape.key};
  std::vector<std::byte> memory, room;
  std::byte* chunk = aligned(memory, kv.chunk_bytes(shape));
  std::vector<float> k(shape.key), v(shape.value);
  for (std::size_t slot = 0; slot < infer::kChunk; ++slot) {
    for (float& value : k) value = random.value();
    for (float& value : v) value = random.value();
    kv.store(chunk, shape, slot, k.data(), v.data());
  }
  constexpr std::size_t kColumns = 7;
  const std::uint8_t first[kColumns] = {0, 0, 5, 63, 10, 20, 0};
  const std::uint8_t last[kColumns] = {64, 33, 17, 64, 10, 64, 1};
  std::vector<float> q(kColumns * shape.key), m(kColumns), l(kColumns), o(kColumns * shape.value);
  for (float& value : q) value = random.value() / 8;
  std::vector<std::int8_t> q8(q.size());
  std::vector<float> scale(q.size() / infer::kActivationBlock);
  std::vector<std::int16_t> sum(q.size() / 16);
  table.quantize(q.data(), q.size(), q8.data(), scale.data(), sum.data());
  kv.attend({.chunk = chunk,
             .shape = shape,
             .columns = kColumns,
             .q = q.data(),
             .q_rows = {q8.data(), scale.data(), sum.data()},
             .first = first,
             .last = last,
             .m = m.data(),
             .l = l.data(),
             .o = o.data(),
             .ahead = nullptr,
             .values = aligned(room, kv.chunk_bytes({.value = shape.value}))});
  // The slots backwards, in a chunk of their own: what is gathered has the keys that it was made
  // of.
  std::vector<std::byte> other;
  std::byte* gathered = aligned(other, kv.chunk_bytes(shape));
  std::vector<infer::KvFormat::Position> from;
  for (std::size_t slot = infer::kChunk; slot-- > 0;) from.push_back({chunk, slot});
  kv.gather(gathered, shape, from.size(), from.data());
  std::vector<float> scores(kColumns * infer::kChunk);
  kv.score({gathered,
            shape,
            kColumns,
            q.data(),
            {q8.data(), scale.data(), sum.data()},
            scores.data(),
            nullptr});
  Digest digest;
  for (const auto* values : {&m, &l, &o, &scores}) digest.add(values->data(), values->size());
  constexpr const char* kNames[] = {"kv f32", "kv f16", "kv q8_0", "kv q5_1", "kv q4_0"};
  digest.print(kNames[static_cast<int>(kv.type)], shape.key, shape.value);
}

}  // namespace
}  // namespace lathe

int main() {
  using namespace lathe;
  const infer::KernelTable& table = infer::LATHE_TABLE;
  for (const Row& row : kRows)
    for (const bool any_bits : {false, true}) {
      products(table, row, 256, 21, any_bits);
      products(table, row, 2304, 33, any_bits);
    }
  for (const std::size_t n : {5u, 16u, 100u, 1030u}) row_operations(table, n);
  for (const std::size_t n : {5u, 16u, 100u, 1030u}) training(table.train, n);
  for (const std::size_t rows : {1u, 5u, 6u, 7u, 12u})
    for (const std::size_t columns : {7u, 16u, 23u, 32u}) tiles(table.train, rows, columns);
  for (const infer::KvFormat& kv : table.kv)
    for (const infer::KvShape& shape :
         {infer::KvShape::of(32), infer::KvShape::of(64), infer::KvShape::of(96),
          infer::KvShape::of(128), infer::KvShape{192, 128}, infer::KvShape{96, 64, true}})
      attention(table, kv, shape);
}
