// lathe bench MODEL…: the machine's own figures for a model, as lines, as a record that can be
// compared, verified and signed, and as a page.
#include "app/bench/bench.h"

#include <algorithm>

#include "app/bench/page.h"
#include "app/cli/bench_flags.h"
#include "app/cli/output_file.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr int kFewestRepetitions = 5;  // of figures that may be published

fs::path best_path(const App& app) {
  return app.config_dir / "bench_best.json";
}

// The best that was ever recorded here; a file that cannot be read is none.
std::optional<MachineSpeed> read_best(const App& app) {
  const auto text = read_file(best_path(app), 1 << 16);
  const auto json = text ? parse_json(*text) : Result<Json>(Json());
  if (!json) return {};
  const auto memory = parse_decimal(json_string(*json, "memory_gb"));
  const auto int8 = parse_decimal(json_string(*json, "int8_gop"));
  if (!memory || !int8) return {};
  return MachineSpeed{*memory, *int8};
}

void keep_best(const App& app, const MachineState& state) {
  const MachineSpeed before = state.best.value_or(MachineSpeed{});
  const MachineSpeed best{std::max(before.memory_gb, state.speed.memory_gb),
                          std::max(before.int8_gop, state.speed.int8_gop)};
  const Json json = {{"memory_gb", decimal(best.memory_gb)}, {"int8_gop", decimal(best.int8_gop)}};
  auto status = make_directories(app.config_dir);
  if (status) status = write_file_atomic(best_path(app), dump_json(json) + "\n");
  if (!status) print_note("note: " + status.error().message);
}

Result<MachineState> preflight(const App& app, int threads) {
  infer::ThreadTeam team(threads);
  MachineState state = read_machine_state();
  LATHE_TRY(state.speed, measure_machine(team));
  state.best = read_best(app);
  keep_best(app, state);
  if (!app.json)
    print(fmt::format("this machine: reads {:.1f} GB/s, computes {:.0f} int8 GOP/s\n",
                      state.speed.memory_gb, state.speed.int8_gop));
  return state;
}

Status check_flags(const BenchFlags& flags) {
  const bool loads = flags.profile == "serve" || flags.profile == "sustained";
  if (flags.models.empty() && flags.against.empty())
    return invalid("name a model, a server with --against, or two records with --compare");
  if (!flags.against.empty() && !loads)
    return invalid(
        "--against needs --profile serve or sustained: of a server nothing else can be "
        "measured");
  if (!flags.beside.empty() && flags.profile != "serve")
    return invalid("--beside needs --profile serve");
  if (!flags.beside.empty() && !flags.beside.starts_with("llama-server:"))
    return invalid("--beside {}: write it as llama-server:PROGRAM or llama-server:PROGRAM:FLAGS",
                   clip_utf8(flags.beside, 100));
  const Slo& slo = flags.serve.slo;
  if (!(slo.first_ms > 0) || !(slo.gap_ms > 0))
    return invalid("--slo-first {} and --slo-gap {}: both must be above 0", slo.first_ms,
                   slo.gap_ms);
  LATHE_TRY_STATUS(check_plan(flags));
  if (!flags.quality.empty()) {
    if (flags.models.empty())
      return invalid("--quality needs a model's file: servers do not tell all that they compute");
    for (const std::string& path : flags.models) LATHE_TRY_STATUS(check_quality(flags, path));
  }
  return check_record_files(flags.files, flags.force);
}

// Everything that is measured, one after the other.
Result<Json> measure_all(const App& app, const BenchFlags& flags) {
  Json models = Json::array();
  for (const std::string& path : flags.models) {
    LATHE_TRY(Json model, measure_model(app, flags, path));
    models.push_back(std::move(model));
    if (app.stop->raised()) return models;
  }
  for (const std::string& url : flags.against) {
    LATHE_TRY(Json model, measure_server(app, flags, url));
    models.push_back(std::move(model));
    if (app.stop->raised()) return models;
  }
  return models;
}

// What was wrong while it was measured: clocks, models, a comparison that failed.
std::vector<std::string> faults_in(const Json& models, const Clocks& before) {
  std::vector<std::string> faults = clock_faults(before, read_clocks());
  for (const Json& model : models)
    if (json_at(model, "replaced").is_string())
      faults.push_back(fmt::format("{}: was replaced while it was measured; it is {} now",
                                   json_string(model, "model"), json_string(model, "replaced")));
  for (const Json& model : models)
    if (const std::string quality = json_string(model, "quality");
        quality.size() > kNotChecked.size())
      faults.push_back(fmt::format("{}: quality {}", json_string(model, "model"), quality));
  return faults;
}

Status run_bench(const App& app, const BenchFlags& flags) {
  LATHE_TRY_STATUS(check_flags(flags));
  LATHE_TRY(const int threads, choose_threads(flags.model.threads));
  const Clocks before = read_clocks();
  const std::int64_t started = system_clock().unix_ms();
  LATHE_TRY(const MachineState state, preflight(app, threads));
  Sensors sensors;
  const Reading first = sensors.read(0);
  LATHE_TRY(Json models, measure_all(app, flags));
  std::vector<std::string> objections = objections_to(state);
  if (flags.plan.repeat < kFewestRepetitions)
    objections.push_back(fmt::format("fewer than {} repetitions", kFewestRepetitions));
  if (app.stop->raised()) objections.push_back("it was stopped");
  const std::vector<std::string> faults = faults_in(models, before);
  const Json sensors_json = {
      {"first", to_json(first)},
      {"last", to_json(sensors.read(read_clocks().steady_us - before.steady_us))},
      {"energy_scope", sensors.energy_scope()},
      {"energy", sensors.energy_description()}};
  const bool publishable = objections.empty() && faults.empty();
  const Json record = {{"schema", kBenchSchema},
                       {"kind", kBenchKind},
                       {"profile", flags.profile},
                       {"program", program_json()},
                       {"machine", machine_json(threads)},
                       {"preflight", to_json(state)},
                       {"sensors", sensors_json},
                       {"started", format_utc(started)},
                       {"wall_us", read_clocks().steady_us - before.steady_us},
                       {"seed", flags.plan.seed},
                       {"publishable", publishable},
                       {"objections", objections},
                       {"faults", faults},
                       {"models", std::move(models)}};
  if (app.json) {
    print_raw(record_text(record));
  } else {
    for (const std::string& fault : faults) print("found: " + fault + "\n");
    for (const Json& model : json_at(record, "models"))
      if (const Json& quality = json_at(model, "quality"); quality.is_string())
        print(fmt::format("{}: quality: {}\n", json_string(model, "model"), kNotChecked));
    print(publishable ? "publishable: yes\n"
                      : fmt::format("publishable: no: {}\n", join(objections, "; ")));
  }
  return write_record(app, flags.files, record);
}

void add_engine_flags(CLI::App& command, BenchFlags& flags) {
  command.add_option("--threads", flags.model.threads,
                     "Threads that compute (default: one a core)");
  command.add_option("--kv", flags.model.kv, "Type of the KV cache: f16, q8_0, q5_1, q4_0 or f32")
      ->capture_default_str();
  command.add_option("--kernels", flags.model.kernels, "Instruction set (default: the best one)");
  command.add_option("--repeat", flags.plan.repeat, "Repetitions of each figure")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command.add_option("--prompts", flags.plan.prompts, "Sizes of prompts")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command.add_option("--answer", flags.plan.answer, "Tokens of an answer")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 20));
  command.add_option("--widths", flags.plan.widths, "Widths of a step")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command.add_option("--streams", flags.plan.streams, "Streams at once")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 32));
  command.add_option("--depths", flags.plan.depths, "Decode after so many tokens")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 24));
  command.add_option("--seed", flags.plan.seed, "Of prompts, orders and arrivals")
      ->capture_default_str();
}

void add_load_flags(CLI::App& command, BenchFlags& flags) {
  command.add_option("--prompt", flags.serve.shape.prompt_tokens, "Tokens of a prompt, about")
      ->capture_default_str()
      ->check(CLI::Range(8, 1 << 24));
  command.add_option("--cache", flags.cache, "cold: new prompts; warm: the same one each time")
      ->check(CLI::IsMember({"cold", "warm"}))
      ->capture_default_str();
  command.add_option("--people", flags.serve.people, "Closed loops of so many requests at once")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 512));
  command
      .add_option("--shares", flags.serve.shares,
                  "Arrivals, as shares of what the best closed loop answered")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(0.01, 100.0));
  command.add_option("--seconds", flags.seconds, "How long a point lasts")->capture_default_str();
  command.add_option("--minutes", flags.minutes, "How long --profile sustained lasts")
      ->capture_default_str();
  command.add_option("--slo-first", flags.serve.slo.first_ms, "Milliseconds to the first token")
      ->capture_default_str();
  command
      .add_option("--slo-gap", flags.serve.slo.gap_ms,
                  "Milliseconds between two pieces of an answer, 95 % of them")
      ->capture_default_str();
  command.add_option("--against", flags.against, "A server: URL or URL#MODEL; may be given again")
      ->take_all();
  command.add_option("--allow", flags.allow, "How far --against may reach")
      ->check(CLI::IsMember({"local", "lan", "any"}))
      ->capture_default_str();
  command.add_option("--beside", flags.beside,
                     "llama-server:PROGRAM[:FLAGS] in turns with this program, twice");
}

void add_quality_flags(CLI::App& command, BenchFlags& flags) {
  command.add_option("--quality", flags.quality,
                     "The F16 or Q8_0 file of the same model: how far the model is from it");
  command.add_option("--quality-tokens", flags.quality_tokens, "Tokens of text for --quality")
      ->capture_default_str()
      ->check(CLI::Range(kFewestQualityTokens, std::size_t{1} << 20));
}

}  // namespace

Status check_record_files(const RecordFiles& files, bool force) {
  if (!files.sign.empty() && files.out.empty())
    return invalid("--sign needs --out: a signature belongs to a file");
  if (!files.sign.empty()) LATHE_TRY_STATUS(check_key(files.sign));
  for (const std::string& out : {files.out, files.html})
    if (!out.empty()) LATHE_TRY_STATUS(check_output(out, {}, force));
  if (!files.sign.empty()) LATHE_TRY_STATUS(check_output(files.out + ".sig", {}, force));
  return {};
}

Status write_record(const App& app, const RecordFiles& files, const Json& record) {
  const std::string text = record_text(record);
  if (!files.html.empty()) LATHE_TRY_STATUS(write_file_atomic(files.html, bench_page(record)));
  if (files.out.empty()) return {};
  LATHE_TRY_STATUS(write_file_atomic(files.out, text));
  if (files.sign.empty()) return {};
  LATHE_TRY(const SshKeygen keygen, find_ssh_keygen());
  StopFlag never;  // Ctrl-C ended the measuring; what there is is signed
  LATHE_TRY(const std::string signature, sign(keygen, files.sign, text, never));
  LATHE_TRY_STATUS(write_file_atomic(files.out + ".sig", signature));
  if (!app.json) print(fmt::format("signed: {}.sig\n", files.out));
  return {};
}

void add_bench(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<BenchFlags>();
  auto pair = std::make_shared<std::vector<std::string>>();
  CLI::App* command = cli.add_subcommand("bench", "Measure models on this machine");
  command->add_option("model", flags->models, "GGUF files");
  command
      ->add_option("--profile", flags->profile,
                   "quick: the engine alone; serve: under growing load; full: both, shorter; "
                   "sustained: the best load for long")
      ->check(CLI::IsMember({"quick", "full", "serve", "sustained"}))
      ->capture_default_str();
  add_engine_flags(*command, *flags);
  add_load_flags(*command, *flags);
  add_quality_flags(*command, *flags);
  command->add_option("--out", flags->files.out, "Write the record as JSON");
  command->add_option("--html", flags->files.html, "Write the record as a page");
  command->add_option("--sign", flags->files.sign,
                      "Sign --out with this SSH key: FILE.sig beside it");
  add_force_flag(*command, flags->force);
  command->add_option("--compare", *pair, "Two records: B as a multiple of A")->expected(2);
  add_bench_verify(*command, app, action);
  add_bench_grid(*command, app, action);
  command->callback([&app, &action, flags, pair, command] {
    if (!command->get_subcommands().empty()) return;
    flags->serve.shape.answer_tokens = static_cast<int>(flags->plan.answer);
    action = [&app, flags, pair] {
      const Status status =
          pair->size() == 2 ? compare_records(app, (*pair)[0], (*pair)[1]) : run_bench(app, *flags);
      if (!status) return report_error(app, status.error());
      return int{app.stop->raised() ? kExitStopped : kExitPassed};
    };
  });
}

}  // namespace lathe::app
