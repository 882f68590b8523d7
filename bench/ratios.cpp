// How many times as fast one way is as another that does the same work on this machine: the kernels
// of each instruction set beside their scalar twins, beside plain reads, and eight tokens at once
// beside one by one. The two take turns, on one thread, so that what else runs here slows both.
// tools/perf.py compares what it prints with what bench/ratios.json has.
//   lathe_ratios [--rounds N] [--table NAME]
// prints {"TABLE": {"RATIO": [one a round, …], …}, …}.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <time.h>

#include "infer/kernels/kernels.h"
#include "infer/tensor/memory.h"

namespace lathe {
namespace {

using Work = std::function<void()>;
constexpr std::size_t kColumns = 2048;  // of every matrix
constexpr std::size_t kWidest = 64;     // tokens
constexpr std::size_t kNear = 128;      // rows of a matrix in the second-level cache

// Of this thread on a processor: what others take from it does not count.
double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double seconds_of(const Work& work, int times) {
  const double start = thread_seconds();
  for (int i = 0; i < times; ++i) work();
  return (thread_seconds() - start) / times;
}

// So often that it takes two milliseconds: less is the clock's and the scheduler's.
int repetitions(const Work& work) {
  work();
  const double once = std::max(seconds_of(work, 1), 1e-7);
  return std::max(1, static_cast<int>(0.002 / once));
}

// The time of `slow` over that of `fast`, a round each. Who goes first changes.
std::vector<double> ratios(const Work& slow, const Work& fast, int rounds) {
  const int slow_times = repetitions(slow), fast_times = repetitions(fast);
  std::vector<double> all;
  for (int round = 0; round < rounds; ++round) {
    const bool slow_first = round % 2 == 0;
    double slow_seconds = slow_first ? seconds_of(slow, slow_times) : 0;
    const double fast_seconds = seconds_of(fast, fast_times);
    if (!slow_first) slow_seconds = seconds_of(slow, slow_times);
    all.push_back(slow_seconds / fast_seconds);
  }
  return all;
}

// Random activations, the same for every table.
struct Activations {
  std::vector<float> x = std::vector<float>(kWidest * kColumns);
  std::vector<std::int8_t> q = std::vector<std::int8_t>(x.size());
  std::vector<float> scale = std::vector<float>(x.size() / 32);
  std::vector<std::int16_t> sum = std::vector<std::int16_t>(x.size() / 16);

  explicit Activations(const infer::KernelTable& table) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : x) value = normal(random);
    for (std::size_t t = 0; t < kWidest; ++t)
      table.quantize(&x[t * kColumns], kColumns, &q[t * kColumns], &scale[t * kColumns / 32],
                     &sum[t * kColumns / 16]);
  }
};

// So many rows of one type, packed for one table: one panel again and again.
class Matrix {
 public:
  Matrix(const infer::PackedType& type, std::size_t rows) : type_(type), rows_(rows) {
    const infer::TensorTypeInfo& info = infer::tensor_type_info(type.type);
    const std::size_t row_bytes = kColumns / info.block * info.block_bytes;
    std::mt19937 random(2);
    std::vector<std::byte> source(infer::kPanelRows * row_bytes);
    // Bits that make no number subnormal, infinite or large in any type.
    for (std::byte& byte : source) byte = std::byte((random() & 0x3b) | 0x20);
    const std::size_t panel = type.panel_bytes(kColumns), panels = rows / infer::kPanelRows;
    memory_.resize(panels * panel + 64);
    data_ = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64);
    type.pack(source.data(), row_bytes, infer::kPanelRows, kColumns, data_);
    for (std::size_t p = 1; p < panels; ++p) std::memcpy(data_ + p * panel, data_, panel);
  }

  std::span<const std::byte> bytes() const {
    return {data_, rows_ / infer::kPanelRows * type_.panel_bytes(kColumns)};
  }
  void times(const Activations& in, std::size_t first_token, std::size_t tokens,
             std::vector<float>& out) const {
    const std::size_t at = first_token * kColumns;
    const infer::QuantizedRows rows{&in.q[at], &in.scale[at / 32], &in.sum[at / 16]};
    type_.matmul({data_, rows_, kColumns, tokens, type_.integer ? rows : infer::QuantizedRows{},
                  type_.integer ? nullptr : &in.x[at], out.data(), rows_});
  }

 private:
  const infer::PackedType& type_;
  std::size_t rows_;
  std::vector<std::byte> memory_;
  std::byte* data_;
};

class Table {
 public:
  Table(const infer::KernelTable& table, int rounds) : table_(table), rounds_(rounds) {}

  nlohmann::json measure() {
    for (const infer::PackedType& type : table_.types) products(type);
    for (const infer::TensorType type :
         {infer::TensorType::kQ4_0, infer::TensorType::kQ4_K, infer::TensorType::kQ8_0})
      from_memory(type);
    attention();
    row_operations();
    return std::move(found_);
  }

 private:
  void compare(const std::string& name, const Work& slow, const Work& fast) {
    found_[name] = ratios(slow, fast, rounds_);
  }

  void products(const infer::PackedType& type) {
    const std::string name(infer::tensor_type_info(type.type).name);
    const Matrix ours(type, kNear), twin(packed_type(scalar_, type.type), kNear);
    std::vector<float> out(kWidest * kNear);
    for (const std::size_t tokens : {std::size_t{1}, kWidest})
      compare(
          fmt::format("{}, {} token{} over scalar", name, tokens, tokens == 1 ? "" : "s"),
          [&] { twin.times(in_, 0, tokens, out); }, [&] { ours.times(in_, 0, tokens, out); });
    compare(
        name + ", 8 tokens over one by one",
        [&] {
          for (std::size_t t = 0; t < 8; ++t) ours.times(in_, t, 1, out);
        },
        [&] { ours.times(in_, 0, 8, out); });
  }

  // What a step of one token waits for.
  void from_memory(infer::TensorType type) {
    constexpr std::size_t kFar = std::size_t{64} << 20;
    const infer::PackedType& packed = packed_type(table_, type);
    const std::size_t rows = kFar / packed.panel_bytes(kColumns) * infer::kPanelRows;
    const Matrix matrix(packed, rows);
    std::vector<float> out(rows);
    compare(
        fmt::format("{}, from memory over plain reads", infer::tensor_type_info(type).name),
        [&] { infer::read_all(matrix.bytes()); }, [&] { matrix.times(in_, 0, 1, out); });
  }

  void attention() {
    constexpr std::size_t kHead = 128, kQueries = 4;
    constexpr infer::KvShape kShape = infer::KvShape::of(kHead);
    constexpr const char* kNames[] = {"f32", "f16", "q8_0"};
    for (int kv = 0; kv < 3; ++kv) {
      const auto attend = [&, kv](const infer::KernelTable& table) {
        const infer::KvFormat& format = table.kv[kv];
        auto chunk = std::make_shared<std::vector<std::byte>>(format.chunk_bytes(kShape) + 64);
        std::byte* data = chunk->data();
        data += 64 - reinterpret_cast<std::uintptr_t>(data) % 64;
        for (std::size_t slot = 0; slot < infer::kChunk; ++slot)
          format.store(data, kShape, slot, &in_.x[slot * kHead], &in_.x[(slot + 64) * kHead]);
        return [&, data, chunk, attend = format.attend] {
          const infer::QuantizedRows rows{in_.q.data(), in_.scale.data(), in_.sum.data()};
          const std::uint8_t first[kQueries] = {}, last[kQueries] = {64, 64, 64, 64};
          float m[kQueries], l[kQueries], o[kQueries * kHead];
          attend({data, kShape, kQueries, in_.x.data(), rows, first, last, m, l, o, nullptr});
        };
      };
      compare(fmt::format("attention, {} over scalar", kNames[kv]), attend(scalar_),
              attend(table_));
    }
  }

  void row_operations() {
    std::vector<float> out(kColumns), weight(kColumns, 0.5f);
    const auto pair = [&](const char* name, const auto& operation) {
      compare(
          fmt::format("{} over scalar", name), [&] { operation(scalar_); },
          [&] { operation(table_); });
    };
    const float* x = in_.x.data();
    pair("rms_norm", [&](const infer::KernelTable& table) {
      table.rms_norm(x, weight.data(), kColumns, 1e-5f, out.data());
    });
    pair("silu_mul", [&](const infer::KernelTable& table) {
      table.silu_mul(x, x + kColumns, kColumns, out.data());
    });
    pair("quantize", [&](const infer::KernelTable& table) {
      table.quantize(x, kColumns, q_.data(), scale_.data(), sum_.data());
    });
    pair("exp_sum", [&](const infer::KernelTable& table) {
      std::copy_n(x, kColumns, out.data());
      table.exp_sum(out.data(), kColumns, 4.0f);
    });
  }

  const infer::KernelTable& table_;
  const infer::KernelTable& scalar_ = *infer::find_kernel_table("scalar");
  const int rounds_;
  const Activations in_{table_};
  std::vector<std::int8_t> q_ = std::vector<std::int8_t>(kColumns);
  std::vector<float> scale_ = std::vector<float>(kColumns / 32);
  std::vector<std::int16_t> sum_ = std::vector<std::int16_t>(kColumns / 16);
  nlohmann::json found_;
};

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  int rounds = 15;
  std::string only;
  CLI::App app("Measures ratios of Lathe's kernels");
  app.add_option("--rounds", rounds, "how often each two take turns")->check(CLI::Range(3, 999));
  app.add_option("--table", only, "only this instruction set");
  CLI11_PARSE(app, argc, argv);
  nlohmann::json all = nlohmann::json::object();
  for (const lathe::infer::KernelTable* table : lathe::infer::kernel_tables())
    if (table->name != "scalar" && (only.empty() || table->name == only))
      all[std::string(table->name)] = lathe::Table(*table, rounds).measure();
  fmt::print("{}\n", all.dump());
}
