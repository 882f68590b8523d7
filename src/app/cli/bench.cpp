// lathe bench MODEL…: the machine's own figures for a model, as a table and as JSON that can be
// compared later.
#include "app/bench/bench.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "app/cli/local_model.h"
#include "app/cli/output_file.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/version.h"
#include "ground/sys/machine.h"

namespace lathe::app {
namespace {

struct BenchFlags {
  bool force = false;
  std::vector<std::string> models;
  ModelFlags model;
  BenchPlan plan;
  std::string out, compare;
};

std::string row_line(const BenchRow& row) {
  return fmt::format("{:<28} {:>6}  {:>10.2f} {:<6} ({:.2f} … {:.2f})\n", row.what, row.size,
                     row.figure.median, row.unit, row.figure.low, row.figure.high);
}

Json row_json(const BenchRow& row) {
  return {{"what", row.what},      {"size", row.size},
          {"unit", row.unit},      {"median", row.figure.median},
          {"low", row.figure.low}, {"high", row.figure.high}};
}

Result<Json> bench_one(const App& app, const BenchFlags& flags, const std::string& path) {
  ModelFlags model = flags.model;
  model.path = path;
  LATHE_TRY(const std::string hash, sha256_file(path));
  LATHE_TRY(LocalModel local, open_model(app, model, [](infer::EngineOptions& options) {
              options.kv_tokens = infer::kChunk;
            }));
  const Machine machine = read_machine();
  const std::uint64_t bytes = local.file->file_bytes(), resident = resident_bytes();
  BenchPlan plan = flags.plan;
  plan.kv = local.engine->executor().options().kv;
  if (!app.json) {
    print(fmt::format("{} · {} · {} · {} threads · kernels {}\n", path, format_bytes(bytes),
                      machine.cpu.empty() ? "unknown processor" : machine.cpu, local.team->size(),
                      local.model->kernels().name));
    print(fmt::format("loaded in {:.2f} s ({:.2f} GB/s), resident {}, weights {}\n",
                      local.load_seconds, static_cast<double>(bytes) / local.load_seconds / 1e9,
                      format_bytes(resident), format_bytes(local.model->weight_bytes())));
  }
  LATHE_TRY(const auto rows, bench_model(*local.model, *local.tokenizer, *local.team, plan,
                                         *app.stop, [&](const BenchRow& row) {
                                           if (!app.json) print(row_line(row));
                                         }));
  Json list = Json::array();
  for (const BenchRow& row : rows) list.push_back(row_json(row));
  return Json{{"model", path},
              {"sha256", hash},
              {"date", format_utc(system_clock().unix_ms())},
              {"lathe", program_version()},
              {"numerics", kNumerics},
              {"cpu", machine.cpu},
              {"isa", machine.isa},
              {"threads", local.team->size()},
              {"kernels", local.model->kernels().name},
              {"kv", flags.model.kv},
              {"load_seconds", local.load_seconds},
              {"resident_bytes", resident},
              {"weight_bytes", local.model->weight_bytes()},
              {"rows", std::move(list)}};
}

Status run_bench(const App& app, const BenchFlags& flags) {
  if (!flags.out.empty()) LATHE_TRY_STATUS(check_output(flags.out, {}, flags.force));
  Json reports = Json::array();
  for (const std::string& path : flags.models) {
    LATHE_TRY(Json report, bench_one(app, flags, path));
    reports.push_back(std::move(report));
  }
  if (app.json) print_json(reports);
  if (!flags.out.empty())
    LATHE_TRY_STATUS(write_file_atomic(flags.out, dump_json(reports, 2) + "\n"));
  return {};
}

Result<Json> read_report(const std::string& path) {
  LATHE_TRY(const std::string text, read_file(path));
  auto parsed = parse_json(text);
  if (!parsed) return at(path, parsed.error());
  const bool report = parsed->is_array() && std::ranges::all_of(*parsed, [](const Json& model) {
                        return model.is_object() && json_at(model, "rows").is_array();
                      });
  if (!report) return invalid("{}: this is no report of `lathe bench`", path);
  return *parsed;
}

// Rows of both reports that measure the same, B as a multiple of A.
Status compare(const App& app, const std::string& a_path, const std::string& b_path) {
  LATHE_TRY(const Json a, read_report(a_path));
  LATHE_TRY(const Json b, read_report(b_path));
  if (a.size() != b.size())
    return invalid("{} has {} models, {} has {}: measure the same ones in the same order", a_path,
                   a.size(), b_path, b.size());
  Json out = Json::array();
  std::string text;
  for (std::size_t i = 0; i < a.size(); ++i) {
    text += fmt::format("A {} {} {}\nB {} {} {}\n", json_string(a[i], "model"),
                        json_string(a[i], "kernels"), json_string(a[i], "date"),
                        json_string(b[i], "model"), json_string(b[i], "kernels"),
                        json_string(b[i], "date"));
    for (const Json& row : json_at(a[i], "rows")) {
      for (const Json& other : json_at(b[i], "rows")) {
        if (json_at(row, "what") != json_at(other, "what") ||
            json_at(row, "size") != json_at(other, "size"))
          continue;
        const double from = json_number(row, "median", 0), to = json_number(other, "median", 0);
        if (from <= 0) continue;
        out.push_back({{"what", row["what"]},
                       {"size", row["size"]},
                       {"a", from},
                       {"b", to},
                       {"ratio", to / from}});
        text += fmt::format("{:<28} {:>6}  {:>10.2f} {:>10.2f} {:<6} ×{:.3f}\n",
                            json_string(row, "what"), json_int(row, "size", 0), from, to,
                            json_string(row, "unit"), to / from);
      }
    }
  }
  if (out.empty()) return invalid("{} and {} measure nothing the same", a_path, b_path);
  if (app.json)
    print_json(out);
  else
    print(text);
  return {};
}

}  // namespace

void add_bench(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<BenchFlags>();
  auto pair = std::make_shared<std::vector<std::string>>();
  CLI::App* command = cli.add_subcommand("bench", "Measure models on this machine");
  command->add_option("model", flags->models, "GGUF files");
  command->add_option("--threads", flags->model.threads,
                      "Threads that compute (default: one a core)");
  command->add_option("--kv", flags->model.kv, "Type of the KV cache: f16, q8_0, q5_1, q4_0 or f32")
      ->capture_default_str();
  command->add_option("--kernels", flags->model.kernels, "Instruction set (default: the best one)");
  command->add_option("--repeat", flags->plan.repeat, "Repetitions of each figure")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--prompts", flags->plan.prompts, "Sizes of prompts")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--answer", flags->plan.answer, "Tokens of an answer")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--widths", flags->plan.widths, "Widths of a step")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command->add_option("--streams", flags->plan.streams, "Streams at once")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 32));
  command->add_option("--depths", flags->plan.depths, "Decode after so many tokens")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--out", flags->out, "Write the report as JSON");
  add_force_flag(*command, flags->force);
  command->add_option("--compare", *pair, "Two reports: B as a multiple of A")->expected(2);
  command->callback([&app, &action, flags, pair] {
    action = [&app, flags, pair] {
      Status status = invalid("name a model, or two reports with --compare");
      if (pair->size() == 2) {
        status = compare(app, (*pair)[0], (*pair)[1]);
      } else if (!flags->models.empty()) {
        status = run_bench(app, *flags);
      }
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
