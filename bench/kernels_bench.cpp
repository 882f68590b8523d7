// Measures the kernels on this machine: what memory and the multipliers can give, then every type
// on every table. Weights are far larger than the caches for narrow products. The best of
// 9 rounds: whatever else runs here can only slow a round down.
//   lathe_kernels_bench [--json] [--table NAME] [--type NAME] [--threads N] [--mib N]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sys/mman.h>

#include "bench/limits.h"
#include "infer/kernels/kernels.h"
#include "infer/tensor/memory.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(const auto& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr int kRounds = 9;

// work(thread) on so many threads at once.
void on_threads(unsigned threads, const auto& work) {
  std::vector<std::jthread> team;
  for (unsigned i = 1; i < threads; ++i) team.emplace_back([&work, i] { work(i); });
  work(0);
}

struct Arena {
  explicit Arena(std::size_t bytes)
      : size((bytes + (2u << 20) - 1) >> 21 << 21),
        data(static_cast<std::byte*>(mmap(nullptr, size + (2u << 20), PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    data += (2u << 20) - reinterpret_cast<std::uintptr_t>(data) % (2u << 20);
    madvise(data, size, MADV_HUGEPAGE);
  }
  std::size_t size;
  std::byte* data;
};

struct Options {
  bool json = false;
  std::string table, type;
  unsigned threads = 2;
  std::size_t mib = 1024;
};

struct Problem {
  const infer::PackedType& type;
  std::size_t k, rows, panel_bytes;
  const std::byte* panels;
  const std::vector<std::int8_t>& q;
  const std::vector<float>& scale;
  const std::vector<std::int16_t>& sum;
  const std::vector<float>& x;
  std::vector<float>& out;

  // Tokens in all rows, the panels split evenly.
  void run(std::size_t tokens, unsigned threads) const {
    on_threads(threads, [&](unsigned i) {
      const std::size_t all = rows / infer::kPanelRows;
      const std::size_t first = all * i / threads, last = all * (i + 1) / threads;
      type.matmul({panels_at(first), (last - first) * infer::kPanelRows, k, tokens,
                   type.integer ? infer::QuantizedRows{q.data(), scale.data(), sum.data()}
                                : infer::QuantizedRows{},
                   type.integer ? nullptr : x.data(), out.data() + first * infer::kPanelRows,
                   rows});
    });
  }
  const std::byte* panels_at(std::size_t panel) const { return panels + panel * panel_bytes; }
};

nlohmann::json measure(const infer::KernelTable& table, const infer::PackedType& type,
                       const Options& options, const Arena& arena, std::vector<float>& out) {
  const infer::TensorTypeInfo& info = infer::tensor_type_info(type.type);
  const std::size_t k = 2048, widest = 512;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(widest * k);
  for (float& value : x) value = normal(random);
  std::vector<std::int8_t> q(x.size());
  std::vector<float> scale(x.size() / 32);
  std::vector<std::int16_t> sum(x.size() / 16);
  for (std::size_t t = 0; t < widest; ++t)
    table.quantize(&x[t * k], k, &q[t * k], &scale[t * k / 32], &sum[t * k / 16]);

  // 16 rows of small random numbers, packed once and repeated.
  const std::size_t row_bytes = k / info.block * info.block_bytes, bytes = type.panel_bytes(k);
  std::vector<std::byte> rows(16 * row_bytes);
  for (std::byte& byte : rows) byte = static_cast<std::byte>(random() & 0x3b);
  if (!type.integer || type.type == infer::TensorType::kMXFP4)  // no subnormal numbers
    for (std::size_t i = 0; i < rows.size(); i += type.integer ? 1 : info.block_bytes)
      rows[i + (type.integer ? 0 : info.block_bytes - 1)] = std::byte{0x3b};
  const std::size_t panels = std::min(options.mib << 20, arena.size) / bytes;
  type.pack(rows.data(), row_bytes, 16, k, arena.data);
  for (std::size_t p = 1; p < panels; ++p) std::memcpy(arena.data + p * bytes, arena.data, bytes);

  const std::size_t narrow_rows = panels * 16, wide_rows = std::min<std::size_t>(narrow_rows, 2048);
  out.resize(std::max(32 * narrow_rows, widest * wide_rows));
  const Problem narrow{type, k, narrow_rows, bytes, arena.data, q, scale, sum, x, out};
  const Problem wide{type, k, wide_rows, bytes, arena.data, q, scale, sum, x, out};
  nlohmann::json row = {
      {"table", table.name},
      {"type", info.name},
      {"threads", options.threads},
      {"bits_per_weight", 8.0 * static_cast<double>(bytes) / (16.0 * static_cast<double>(k))}};
  constexpr std::size_t kWidths[] = {1, 2, 4, 8, 16, 32};
  std::vector<double> times[std::size(kWidths)], limit;
  for (int round = 0; round < kRounds; ++round) {
    limit.push_back(seconds_of([&] {
      on_threads(options.threads, [&](unsigned i) {
        const std::size_t part = panels * bytes / options.threads / 64 * 64;
        infer::read_all({arena.data + i * part, part});
      });
    }));
    for (std::size_t w = 0; w < std::size(kWidths); ++w)
      times[w].push_back(seconds_of([&] { narrow.run(kWidths[w], options.threads); }));
  }
  const double one = *std::ranges::min_element(times[0]),
               gb = static_cast<double>(panels * bytes) * 1e-9;
  row["gb_per_s"] = gb / one;
  row["of_read"] = *std::ranges::min_element(limit) / one;
  for (std::size_t w = 1; w < std::size(kWidths); ++w)
    row["step"][std::to_string(kWidths[w])] = *std::ranges::min_element(times[w]) / one;
  for (const std::size_t tokens : {256u, 512u}) {
    std::vector<double> t;
    for (int round = 0; round < kRounds; ++round)
      t.push_back(seconds_of([&] { wide.run(tokens, options.threads); }));
    row["gop_per_s"][std::to_string(tokens)] =
        2e-9 * static_cast<double>(tokens * k * wide_rows) / *std::ranges::min_element(t);
  }
  return row;
}

void print(const nlohmann::json& r) {
  fmt::print(
      "{:12} {:7} {:5.2f} {:6.1f} {:5.0f}% | {:5.2f} {:5.2f} {:5.2f} {:5.2f} {:5.2f} | {:6.0f} "
      "{:6.0f}\n",
      r["table"].get<std::string>(), r["type"].get<std::string>(),
      r["bits_per_weight"].get<double>(), r["gb_per_s"].get<double>(),
      100 * r["of_read"].get<double>(), r["step"]["2"].get<double>(), r["step"]["4"].get<double>(),
      r["step"]["8"].get<double>(), r["step"]["16"].get<double>(), r["step"]["32"].get<double>(),
      r["gop_per_s"]["256"].get<double>(), r["gop_per_s"]["512"].get<double>());
  std::fflush(stdout);
}

int run(const Options& options) {
  const Arena arena(options.mib << 20);
  std::memset(arena.data, 1, arena.size);
  nlohmann::json report = {{"threads", options.threads}, {"rows", nlohmann::json::array()}};
  std::vector<double> read;
  for (int i = 0; i < kRounds; ++i)
    read.push_back(seconds_of([&] {
      on_threads(options.threads, [&](unsigned t) {
        const std::size_t part = arena.size / options.threads / 64 * 64;
        infer::read_all({arena.data + part * t, part});
      });
    }));
  report["read_gb_per_s"] =
      static_cast<double>(arena.size) * 1e-9 / *std::ranges::min_element(read);
  for (const Peak& peak : peaks()) {
    std::vector<double> rates;
    for (int i = 0; i < kRounds; ++i) {
      std::vector<double> operations(options.threads);
      const double seconds = seconds_of(
          [&] { on_threads(options.threads, [&](unsigned t) { operations[t] = peak.run(); }); });
      double all = 0;
      for (const double n : operations) all += n;
      rates.push_back(all * 1e-9 / seconds);
    }
    report["peak_gop_per_s"][peak.name] = *std::ranges::max_element(rates);
  }
  if (!options.json) {
    fmt::print("{} threads: reads {:.1f} GB/s", options.threads,
               report["read_gb_per_s"].get<double>());
    if (report.contains("peak_gop_per_s"))
      for (const auto& [name, value] : report["peak_gop_per_s"].items())
        fmt::print(", {} {:.0f} Gop/s", name, value.get<double>());
    fmt::print(
        "\ntable        type     bits   GB/s of read | cost of width 2, 4, 8, 16, 32 | Gop/s 256 "
        "512\n");
  }
  std::vector<float> out;
  for (const infer::KernelTable* table : infer::kernel_tables()) {
    if (options.table.empty() ? table->name == "scalar" : table->name != options.table) continue;
    for (const infer::PackedType& type : table->types) {
      if (!options.type.empty() && tensor_type_info(type.type).name != options.type) continue;
      report["rows"].push_back(measure(*table, type, options, arena, out));
      if (!options.json) print(report["rows"].back());
    }
  }
  if (options.json) fmt::print("{}\n", report.dump(2));
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  lathe::Options options;
  CLI::App app("Measures Lathe's kernels");
  app.add_flag("--json", options.json, "JSON instead of a table");
  app.add_option("--table", options.table, "only this table (the scalar one only when named)");
  app.add_option("--type", options.type, "only this type, as Q4_K");
  app.add_option("--threads", options.threads, "threads")->check(CLI::Range(1u, 256u));
  app.add_option("--mib", options.mib, "size of the weights")->check(CLI::Range(16u, 16384u));
  CLI11_PARSE(app, argc, argv);
  return lathe::run(options);
}
