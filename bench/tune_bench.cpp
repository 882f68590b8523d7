// Measures training on this machine: the multipliers' float peak, then the products of a training
// step as shares of it. The best of 9 rounds: whatever else runs here can only slow a round down.
//   lathe_tune_bench [--json] [--table NAME] [--threads N]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "bench/limits.h"
#include "infer/tensor/gemm.h"
#include "infer/tensor/memory.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  bool json = false;
  std::string table;
  int threads = 2;
};

double best_rate(double operations, const auto& work) {
  double best = 0;
  for (int round = 0; round < 9; ++round) {
    const auto start = Clock::now();
    work();
    best = std::max(best,
                    operations / std::chrono::duration<double>(Clock::now() - start).count() / 1e9);
  }
  return best;
}

// The larger of the float peaks, GFLOP/s on all threads.
double float_peak(ThreadTeam& team) {
  double best = 0;
  for (const Peak& peak : peaks()) {
    if (!std::string_view(peak.name).starts_with("fma")) continue;
    const double once = peak.run();  // also wakes the clock
    best = std::max(best, best_rate(once * team.size(), [&] {
                      team.run(static_cast<std::size_t>(team.size()),
                               [&](std::size_t, int) { peak.run(); });
                    }));
  }
  return best;
}

struct Shape {
  const char* name;
  std::size_t tokens, out, in;
};
constexpr Shape kShapes[] = {
    {"attention 256x256", 2048, 256, 256},  {"ffn up 768x256", 2048, 768, 256},
    {"ffn down 256x768", 2048, 256, 768},   {"head 1024x256", 2048, 1024, 256},
    {"ffn up 3072x1024", 1024, 3072, 1024}, {"ffn down 1024x3072", 1024, 1024, 3072},
};

// The three products of a linear layer: y = x·Wᵀ (with W laid out first), dx = dy·W, dW = dyᵀ·x.
void bench(const Options& options) {
  const KernelTable* table =
      options.table.empty() ? &best_kernel_table() : find_kernel_table(options.table);
  if (table == nullptr) throw std::runtime_error("no such table: " + options.table);
  ThreadTeam team(options.threads);
  const double peak = float_peak(team);
  nlohmann::ordered_json report{
      {"table", table->name}, {"threads", options.threads}, {"peak_gflops", peak}};
  if (!options.json)
    fmt::print("{} on {} threads, float peak {:.0f} GFLOP/s\n{:20} {:>16} {:>16} {:>16}\n",
               table->name, options.threads, peak, "", "forward", "to inputs", "to weights");
  for (const Shape& s : kShapes) {
    const std::size_t in_row = s.in + 16, out_row = s.out + 16;
    Scratch<float> x, y, w, panels;
    if (!x.reserve(s.tokens * in_row) || !y.reserve(s.tokens * out_row) ||
        !w.reserve(s.out * s.in) || !panels.reserve(s.out * s.in))
      throw std::runtime_error("no memory");
    std::fill_n(x.data(), s.tokens * in_row, 0.5f),
        std::fill_n(y.data(), s.tokens * out_row, 0.25f);
    std::fill_n(w.data(), s.out * s.in, 0.125f);
    const double operations = 2.0 * static_cast<double>(s.tokens * s.out * s.in);
    const double forward = best_rate(operations, [&] {
      team.run(s.out / kTileColumns, [&](std::size_t p, int) {
        transpose_panel(w.data() + p * kTileColumns * s.in, s.in, kTileColumns, s.in,
                        panels.data() + p * kTileColumns * s.in);
      });
      const Gemm product{.rows = s.tokens,
                         .columns = s.out,
                         .k = s.in,
                         .a = x.data(),
                         .a_row = in_row,
                         .b = panels.data(),
                         .b_k = kTileColumns,
                         .b_panel = kTileColumns * s.in,
                         .c = y.data(),
                         .c_row = out_row};
      multiply(team, table->train, {&product, 1});
    });
    const double inputs = best_rate(operations, [&] {
      const Gemm product{.rows = s.tokens,
                         .columns = s.in,
                         .k = s.out,
                         .a = y.data(),
                         .a_row = out_row,
                         .b = w.data(),
                         .b_k = s.in,
                         .c = x.data(),
                         .c_row = in_row};
      multiply(team, table->train, {&product, 1});
    });
    const double weights = best_rate(operations, [&] {
      const Gemm product{.rows = s.out,
                         .columns = s.in,
                         .k = s.tokens,
                         .a = y.data(),
                         .a_row = 1,
                         .a_k = out_row,
                         .b = x.data(),
                         .b_k = in_row,
                         .c = w.data(),
                         .c_row = s.in};
      multiply(team, table->train, {&product, 1});
    });
    report["gflops"][s.name] = {forward, inputs, weights};
    if (!options.json)
      fmt::print("{:20} {:9.1f} ({:2.0f} %) {:9.1f} ({:2.0f} %) {:9.1f} ({:2.0f} %)\n", s.name,
                 forward, 100 * forward / peak, inputs, 100 * inputs / peak, weights,
                 100 * weights / peak);
  }
  if (options.json) fmt::print("{}\n", report.dump());
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  lathe::Options options;
  CLI::App app("Training speed");
  app.add_flag("--json", options.json, "One JSON object");
  app.add_option("--table", options.table, "Instruction set (default: the best one)");
  app.add_option("--threads", options.threads, "Threads that compute")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  lathe::bench(options);
}
