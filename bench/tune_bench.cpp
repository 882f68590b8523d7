// Measures training on this machine: the multipliers' float peak, the products of a training step
// as shares of it, whole steps of a model with random weights, and how long a large quantized base
// would take to get an adapter. The best round counts: whatever else runs here can only slow a
// round down.
//   lathe_tune_bench [--json] [--table NAME] [--threads N]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "bench/limits.h"
#include "ground/base/random.h"
#include "infer/formats/gguf_writer.h"
#include "infer/tune/trainer.h"

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
double float_peak(infer::ThreadTeam& team) {
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

using Report = nlohmann::ordered_json;

// The three products of a linear layer: y = x·Wᵀ (with W laid out first), dx = dy·W, dW = dyᵀ·x.
void bench_products(const Options& options, const infer::KernelTable& table,
                    infer::ThreadTeam& team, double peak, Report& report) {
  if (!options.json)
    fmt::print("{:20} {:>16} {:>16} {:>16}\n", "GFLOP/s of products", "forward", "to inputs",
               "to weights");
  for (const Shape& s : kShapes) {
    const std::size_t in_row = infer::padded_row(s.in), out_row = infer::padded_row(s.out);
    infer::Scratch<float> x, y, w, panels;
    if (!x.reserve(s.tokens * in_row) || !y.reserve(s.tokens * out_row) ||
        !w.reserve(s.out * s.in) || !panels.reserve(s.out * s.in))
      throw std::runtime_error("no memory");
    std::fill_n(x.data(), s.tokens * in_row, 0.5f);
    std::fill_n(y.data(), s.tokens * out_row, 0.25f);
    std::fill_n(w.data(), s.out * s.in, 0.125f);
    const double operations = 2.0 * static_cast<double>(s.tokens * s.out * s.in);
    const auto run = [&](const infer::Gemm& product) {
      infer::multiply(team, table.train, {&product, 1});
    };
    const double forward = best_rate(operations, [&] {
      team.run(s.out / infer::kTileColumns, [&](std::size_t p, int) {
        infer::transpose_panel(w.data() + p * infer::kTileColumns * s.in, s.in, infer::kTileColumns,
                               s.in, panels.data() + p * infer::kTileColumns * s.in);
      });
      run({.rows = s.tokens,
           .columns = s.out,
           .k = s.in,
           .a = x.data(),
           .a_row = in_row,
           .b = panels.data(),
           .b_k = infer::kTileColumns,
           .b_panel = infer::kTileColumns * s.in,
           .c = y.data(),
           .c_row = out_row});
    });
    const double inputs = best_rate(operations, [&] {
      run({.rows = s.tokens,
           .columns = s.in,
           .k = s.out,
           .a = y.data(),
           .a_row = out_row,
           .b = w.data(),
           .b_k = s.in,
           .c = x.data(),
           .c_row = in_row});
    });
    const double weights = best_rate(operations, [&] {
      run({.rows = s.out,
           .columns = s.in,
           .k = s.tokens,
           .a = y.data(),
           .a_row = 1,
           .a_k = out_row,
           .b = x.data(),
           .b_k = in_row,
           .c = w.data(),
           .c_row = s.in});
    });
    report["product_gflops"][s.name] = {forward, inputs, weights};
    if (!options.json)
      fmt::print("{:20} {:9.1f} ({:2.0f} %) {:9.1f} ({:2.0f} %) {:9.1f} ({:2.0f} %)\n", s.name,
                 forward, 100 * forward / peak, inputs, 100 * inputs / peak, weights,
                 100 * weights / peak);
  }
}

struct Size {
  const char* name;
  std::size_t width, layers, hidden, heads, kv_heads, vocabulary;
  std::size_t experts = 0, used = 0;
  bool bf16 = false;
  infer::TensorType type = infer::TensorType::kF32;
};
constexpr Size kSizes[] = {{"2.6M", 192, 6, 512, 6, 2, 1024},
                           {"5.0M", 256, 6, 768, 4, 2, 1024},
                           {"5.0M, bf16", 256, 6, 768, 4, 2, 1024, 0, 0, true},
                           {"4 of 16 experts", 256, 6, 192, 4, 2, 1024, 16, 4}};
constexpr std::size_t kDocument = 140, kTrained = 40;  // tokens of an example, and of its answer

// So many random numbers near 0, or ones, as the file has them.
std::vector<std::byte> row_of(infer::TensorType type, std::size_t count, bool ones,
                              std::size_t seed) {
  std::vector<float> values(count, 1.0f);
  for (std::size_t j = 0; j < count && !ones; ++j)
    values[j] = static_cast<float>(uniform_at(1, seed, j) - 0.5) * 0.04f;
  const infer::TensorTypeInfo& info = infer::tensor_type_info(type);
  std::vector<std::byte> bytes(count / info.block * info.block_bytes);
  info.encode(values.data(), bytes.data(), count, {});
  return bytes;
}

// A llama (or a Mixtral) with random weights and tied embeddings. Of a quantized one all rows of a
// matrix are the same: its products take as long.
void write_model(const Size& size, const fs::path& path) {
  const std::size_t dim = size.width / size.heads, kv = size.kv_heads * dim;
  auto writer = infer::GgufWriter::create(path).value();
  writer.add("general.architecture", std::string("llama"));
  const std::pair<const char*, std::size_t> numbers[] = {
      {"context_length", 512},
      {"embedding_length", size.width},
      {"block_count", size.layers},
      {"feed_forward_length", size.hidden},
      {"attention.head_count", size.heads},
      {"attention.head_count_kv", size.kv_heads}};
  for (const auto& [key, value] : numbers)
    writer.add("llama." + std::string(key), std::uint64_t{value});
  writer.add("llama.attention.layer_norm_rms_epsilon", 1e-5);
  if (size.experts != 0) {
    writer.add("llama.expert_count", std::uint64_t{size.experts});
    writer.add("llama.expert_used_count", std::uint64_t{size.used});
  }
  std::vector<std::pair<std::size_t, std::size_t>> shapes;
  const auto add = [&](const std::string& name, std::size_t rows, std::size_t k,
                       std::size_t experts = 0) {
    const std::uint64_t shape[] = {k, rows, experts};
    const std::size_t dimensions = rows == 1 ? 1 : experts == 0 ? 2 : 3;
    writer.add_tensor(name, rows == 1 ? infer::TensorType::kF32 : size.type,
                      std::span(shape).first(dimensions));
    shapes.emplace_back(rows * std::max<std::size_t>(1, experts), k);
  };
  add("token_embd.weight", size.vocabulary, size.width);
  for (std::size_t i = 0; i < size.layers; ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    add(block + "attn_norm.weight", 1, size.width);
    add(block + "attn_q.weight", size.width, size.width);
    add(block + "attn_k.weight", kv, size.width);
    add(block + "attn_v.weight", kv, size.width);
    add(block + "attn_output.weight", size.width, size.width);
    add(block + "ffn_norm.weight", 1, size.width);
    if (size.experts != 0) add(block + "ffn_gate_inp.weight", size.experts, size.width);
    const char* kind = size.experts == 0 ? ".weight" : "_exps.weight";
    add(fmt::format("{}ffn_gate{}", block, kind), size.hidden, size.width, size.experts);
    add(fmt::format("{}ffn_up{}", block, kind), size.hidden, size.width, size.experts);
    add(fmt::format("{}ffn_down{}", block, kind), size.width, size.hidden, size.experts);
  }
  add("output_norm.weight", 1, size.width);
  writer.begin_data().value();
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const auto [rows, k] = shapes[i];
    const bool ones = rows == 1, whole = ones || size.type == infer::TensorType::kF32;
    const auto bytes =
        row_of(ones ? infer::TensorType::kF32 : size.type, whole ? rows * k : k, ones, i);
    for (std::size_t r = 0; r < (whole ? 1 : rows); ++r) writer.write(bytes).value();
  }
  writer.finish().value();
}

std::vector<infer::Example> random_examples(std::size_t count, std::size_t tokens,
                                            std::size_t trained, std::size_t vocabulary) {
  std::vector<infer::Example> examples(count);
  for (std::size_t e = 0; e < count; ++e)
    for (std::size_t i = 0; i < tokens; ++i) {
      examples[e].tokens.push_back(static_cast<std::int32_t>(random_at(2, e, i) % vocabulary));
      examples[e].trained.push_back(i >= tokens - trained);
    }
  return examples;
}

// The best step's tokens a second.
double best_pace(infer::TuneModel& model, const infer::KernelTable& table, infer::ThreadTeam& team,
                 std::vector<infer::Example> examples, infer::TrainOptions train) {
  double best = 0;
  std::uint64_t tokens = 0;
  auto last = Clock::now();
  train.progress = [&](const infer::TrainProgress& now) {
    const auto at = Clock::now();
    best = std::max(best, static_cast<double>(now.point.tokens - tokens) /
                              std::chrono::duration<double>(at - last).count());
    tokens = now.point.tokens;
    last = at;
  };
  infer::Trainer::create(model, team, table, std::move(examples), {}, train).value()->run().value();
  return best;
}

// Whole steps, AdamW included; the operations are those of the products alone.
void bench_training(const Options& options, const infer::KernelTable& table,
                    infer::ThreadTeam& team, double peak, Report& report) {
  const TempDir directory = TempDir::make().value();
  if (!options.json)
    fmt::print("\n{:27} {:>16} {:>16} {:>16}\n", "training, whole steps", "tokens/s", "GFLOP/s",
               "MiB of a step");
  for (const Size& size : kSizes) {
    write_model(size, directory.path() / "model.gguf");
    const auto model =
        infer::TuneModel::load(infer::Gguf::open(directory.path() / "model.gguf").value(), {})
            .value();
    infer::TrainOptions train;
    train.bf16_activations = size.bf16;
    const double best = best_pace(
        *model, table, team, random_examples(700, kDocument, kTrained, size.vocabulary), train);
    const double head = static_cast<double>(size.vocabulary * size.width);
    // Of the experts those that a token uses.
    const double idle = static_cast<double>((size.experts - size.used) * size.layers * 3 *
                                            size.width * size.hidden);
    const double layers = static_cast<double>(model->parameters().count()) - head - idle;
    const double attention = static_cast<double>(size.layers * size.width * kDocument);
    const double each = 6 * layers + 6 * head * kTrained / kDocument + 6 * attention;
    const std::uint64_t bytes = infer::Network::bytes(
        *model, static_cast<std::size_t>(options.threads),
        {.max_tokens = train.micro_tokens, .longest = kDocument, .bf16 = size.bf16});
    report["training"][size.name] = {
        {"tokens_per_second", best}, {"gflops", best * each / 1e9}, {"step_bytes", bytes}};
    if (!options.json)
      fmt::print("{:27} {:16.0f} {:9.1f} ({:2.0f} %) {:16.0f}\n",
                 fmt::format("llama {}, full", size.name), best, best * each / 1e9,
                 best * each / 1e7 / peak, static_cast<double>(bytes) / (1 << 20));
  }
}

struct Base {
  Size size;           // with all layers
  bool checkpointing;  // what keeping all activations of 1024 tokens would take is too much
};
constexpr Base kBases[] = {
    {{"1 B", 2048, 16, 8192, 32, 8, 128256, 0, 0, false, infer::TensorType::kQ4_0}, false},
    {{"7 B", 4096, 32, 14336, 32, 8, 32000, 0, 0, false, infer::TensorType::kQ4_0}, true}};

// Seconds a token of one step of 1024, by the processor time of all threads: a step takes too long
// to find a moment in which nothing else runs.
double adapter_step(const Size& size, bool checkpointing, const infer::KernelTable& table,
                    infer::ThreadTeam& team) {
  const TempDir directory = TempDir::make().value();
  write_model(size, directory.path() / "model.gguf");
  const auto model =
      infer::TuneModel::load(infer::Gguf::open(directory.path() / "model.gguf").value(),
                             infer::LoraOptions{})
          .value();
  infer::TrainOptions train;
  train.batch_tokens = train.micro_tokens = 1024;
  train.gradient_checkpointing = checkpointing;
  const auto trainer =
      infer::Trainer::create(*model, team, table, random_examples(2, 512, 128, size.vocabulary), {},
                             train)
          .value();
  const std::clock_t start = std::clock();
  trainer->run().value();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / team.size() / 1024;
}

// An adapter on a base of which one layer, then three, are measured; what all of them would take is
// an estimate: the time of one layer so many times, and that of what stands outside.
void bench_adapters(const Options& options, const infer::KernelTable& table,
                    infer::ThreadTeam& team, Report& report) {
  if (!options.json)
    fmt::print("\n{:27} {:>16} {:>24}\n", "LoRA, all layers (estimate)", "tokens/s",
               "tokens in 8 hours");
  for (const Base& base : kBases) {
    Size size = base.size;
    size.layers = 1;
    const double one = adapter_step(size, base.checkpointing, table, team);
    size.layers = 3;
    const double each = (adapter_step(size, base.checkpointing, table, team) - one) / 2;
    const double all = one + each * static_cast<double>(base.size.layers - 1);
    report["adapter"][base.size.name] = {{"tokens_per_second_estimate", 1 / all},
                                         {"layer_seconds_a_token", each}};
    if (!options.json)
      fmt::print("{:27} {:16.1f} {:24.0f}\n", base.size.name, 1 / all, 8 * 3600 / all);
  }
}

void bench(const Options& options) {
  const infer::KernelTable* table =
      options.table.empty() ? &infer::best_kernel_table() : infer::find_kernel_table(options.table);
  if (table == nullptr) throw std::runtime_error("no such table: " + options.table);
  infer::ThreadTeam team(options.threads);
  const double peak = float_peak(team);
  Report report{{"table", table->name}, {"threads", options.threads}, {"peak_gflops", peak}};
  if (!options.json)
    fmt::print("{} on {} threads, float peak {:.0f} GFLOP/s\n\n", table->name, options.threads,
               peak);
  bench_products(options, *table, team, peak, report);
  bench_training(options, *table, team, peak, report);
  bench_adapters(options, *table, team, report);
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
