// One model, or one server, measured as a profile wants it.
#include <algorithm>
#include <thread>

#include "app/bench/live_target.h"
#include "app/cli/bench_flags.h"
#include "app/cli/consent_gate.h"
#include "app/cli/pool_flags.h"
#include "app/cli/running_server.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/sys/guarded_process.h"
#include "ground/sys/machine.h"
#include "ground/sys/subprocess.h"
#include "infer/models/vocabulary.h"
#include "serve/net/http_call.h"

namespace lathe::app {
namespace {

constexpr double kSearchSeconds = 10;  // of a point, where the best one is only looked for

void say(const App& app, const std::string& text) {
  if (!app.json) print(text);
}

struct FileMark {
  std::uint64_t bytes = 0;
  fs::file_time_type changed = {};
  bool operator==(const FileMark&) const = default;
};
FileMark mark_of(const fs::path& path) {
  std::error_code error;
  return {fs::file_size(path, error), fs::last_write_time(path, error)};
}

std::string hash_of(const Json& parts) {
  return sha256_hex(canonical_json(parts));
}

// Prefill, decode, widths, streams, depths, in the engine alone.
Status measure_engine(const App& app, const BenchFlags& flags, const std::string& path,
                      BenchPlan plan, Json& model) {
  ModelFlags wanted = flags.model;
  wanted.path = path;
  LATHE_TRY(LocalModel local, open_model(app, wanted, [](infer::EngineOptions& options) {
              options.kv_tokens = infer::kChunk;
            }));
  const std::uint64_t bytes = local.file->file_bytes(), resident = resident_bytes();
  plan.kv = local.engine->executor().options().kv;
  say(app, fmt::format("{} · {} · {} threads · kernels {}\n", path, format_bytes(bytes),
                       local.team->size(), local.model->kernels().name));
  say(app, fmt::format("loaded in {:.2f} s ({:.2f} GB/s), resident {}, weights {}\n",
                       local.load_seconds, static_cast<double>(bytes) / local.load_seconds / 1e9,
                       format_bytes(resident), format_bytes(local.model->weight_bytes())));
  EnergyMeter meter;
  plan.joules = [&meter] { return meter.joules(); };
  if (!meter.joules()) say(app, fmt::format("energy: {}\n", meter.description()));
  LATHE_TRY(const auto rows,
            bench_model(*local.model, *local.tokenizer, *local.team, plan, *app.stop,
                        [&](const BenchRow& row) { say(app, row_line(row)); }));
  if (app.stop->raised()) say(app, "stopped: the figures that are complete are kept\n");
  Json list = Json::array();
  for (const BenchRow& row : rows) list.push_back(row_json(row));
  model["kernels"] = local.model->kernels().name;
  model["threads"] = local.team->size();
  model["load_seconds"] = decimal(local.load_seconds);
  model["resident_bytes"] = resident;
  model["weight_bytes"] = local.model->weight_bytes();
  model["bytes_per_token"] = local.model->bytes_per_token();
  model["rows"] = std::move(list);
  return {};
}

// Loads; and with the profile sustained, the best of them for long.
Result<Json> measure_target(const App& app, Target& target, const std::string& name, ServePlan plan,
                            double sustained_seconds) {
  say(app, fmt::format("{}: {} prompts of about {} tokens, answers of {}{}\n", name,
                       plan.shape.warm ? "cached" : "new", plan.shape.prompt_tokens,
                       plan.shape.answer_tokens, plan.shape.bias.empty() ? " at most" : ""));
  LATHE_TRY(const ServeResult result,
            measure_serve(target, plan, *app.stop,
                          [&](const Point& point) { say(app, point_line(point)); }));
  say(app, serve_lines(result));
  Json turn = {{"target", name}, {"where", target.where()}, {"serve", serve_json(plan, result)}};
  if (sustained_seconds <= 0 || result.stopped) return turn;
  Sensors sensors;
  const Load load{best_of(result.closed).load.arrival, sustained_seconds, plan.seed};
  say(app, fmt::format(
               "sustained: {}, {}\n", load_name(load),
               format_duration(Milliseconds(static_cast<std::int64_t>(sustained_seconds * 1e3)))));
  LATHE_TRY(const SustainedResult sustained,
            measure_sustained(target, load, plan.shape, result.calibration, plan.slo, sensors,
                              *app.stop, [&](const Reading& reading) {
                                if (app.terminal && !app.json)
                                  fmt::print(stderr, "\r{:.0f} s\x1b[K",
                                             static_cast<double>(reading.at_us) / 1e6);
                              }));
  if (app.terminal && !app.json) fmt::print(stderr, "\r\x1b[K");
  say(app, sustained_lines(sustained));
  turn["sustained"] = sustained_json(plan.slo, sustained);
  return turn;
}

// What of the plan a profile wants.
Result<ServePlan> plan_of(const BenchFlags& flags) {
  ServePlan plan = flags.serve;
  LATHE_TRY(const Milliseconds point, parse_duration(flags.seconds));
  plan.seconds = static_cast<double>(point.count()) / 1e3;
  plan.seed = flags.plan.seed;
  plan.shape.warm = flags.cache == "warm";
  if (flags.profile == "serve") return plan;
  plan.seconds = std::min(plan.seconds, kSearchSeconds);
  if (flags.profile == "sustained") plan.shares.clear();
  return plan;
}

Result<double> sustained_seconds(const BenchFlags& flags) {
  if (flags.profile != "sustained") return 0.0;
  const auto minutes = parse_decimal(flags.minutes);
  if (!minutes || *minutes * 60 < 2 || *minutes > 7 * 24 * 60)
    return invalid("--minutes is '{}'; it must lie in [0.05, 10080]", flags.minutes);
  return *minutes * 60;
}

struct OtherServer {
  std::unique_ptr<GuardedProcess> process;
  std::unique_ptr<Target> target;
};

// Starts BIN with the model and a free port, and waits until it says that it is ready.
Result<OtherServer> start_beside(const App& app, const std::string& beside,
                                 const std::string& model) {
  const std::string rest = beside.substr(beside.find(':') + 1);
  const std::string program = rest.substr(0, rest.find(':'));
  LATHE_TRY(const std::uint16_t port, free_port());
  GuardedCommand command{.guard = app.program,
                         .argv = {program, "-m", fs::absolute(model).string(), "--host",
                                  "127.0.0.1", "--port", std::to_string(port)},
                         .env = program_places(app).env,
                         .cwd = fs::current_path(),
                         .log = app.config_dir / "programs" / "bench-beside.log"};
  if (program.size() < rest.size())
    for (const std::string& flag : split(rest.substr(program.size() + 1), ' '))
      if (!flag.empty()) command.argv.push_back(flag);
  LATHE_TRY_STATUS(make_directories(command.log.parent_path()));
  OtherServer server;
  LATHE_TRY(server.process, GuardedProcess::start(command));
  const std::string base = fmt::format("http://127.0.0.1:{}", port);
  const Milliseconds until = system_clock().monotonic() + Milliseconds(600'000);
  for (;;) {
    if (const auto end = server.process->ended(Milliseconds(200)))
      return fail(ErrorKind::kUnavailable, "{} ended before it was ready ({}); see {}", program,
                  *end, command.log.string());
    if (app.stop->raised()) return fail(ErrorKind::kCancelled, "stopped");
    const auto answer = serve::http_call(
        {.url = base + "/health", .body = {}, .headers = {}, .total_limit = Milliseconds(2'000)},
        *app.stop);
    if (answer && answer->status == 200) break;
    if (system_clock().monotonic() > until)
      return fail(ErrorKind::kTimeout, "{} was not ready within 10 minutes; see {}", program,
                  command.log.string());
  }
  LATHE_TRY(server.target, server_target({.url = base + "/v1"}, *app.stop));
  return server;
}

// The two in turns, ours first, twice: what drifts meets both.
Result<Json> measure_beside(const App& app, const BenchFlags& flags, const ModelFlags& model,
                            ServePlan plan) {
  plan.shares.clear();
  Json turns = Json::array();
  for (int round = 1; round <= 2; ++round) {
    {
      LATHE_TRY(const PooledModel ours, open_pooled(app, model));
      LATHE_TRY(Json turn,
                measure_target(app, *ours.target, fmt::format("lathe, turn {}", round), plan, 0));
      turns.push_back(std::move(turn));
    }
    if (app.stop->raised()) break;
    LATHE_TRY(const OtherServer other, start_beside(app, flags.beside, model.path));
    LATHE_TRY(Json turn, measure_target(app, *other.target,
                                        fmt::format("llama-server, turn {}", round), plan, 0));
    turns.push_back(std::move(turn));
    if (app.stop->raised()) break;
  }
  return turns;
}

}  // namespace

Result<Json> file_json(const std::string& path, const std::string& sha256) {
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(path));
  LATHE_TRY(const std::string architecture, file.text_or("general.architecture", ""));
  LATHE_TRY(const std::string chat, file.text_or("tokenizer.chat_template", ""));
  LATHE_TRY(const auto tokens, file.texts("tokenizer.ggml.tokens"));
  LATHE_TRY(const auto merges, file.texts("tokenizer.ggml.merges"));
  std::map<std::string, std::uint64_t> types;
  std::uint64_t parameters = 0;
  for (const infer::GgufTensor& tensor : file.tensors()) {
    types[std::string(infer::tensor_type_name(static_cast<std::uint32_t>(tensor.type)))] +=
        tensor.bytes;
    parameters += tensor.elements();
  }
  return Json{{"model", path},
              {"sha256", sha256},
              {"file_bytes", file.file_bytes()},
              {"architecture", architecture},
              {"parameters", parameters},
              {"bytes_by_type", types},
              {"template_sha256", chat.empty() ? Json() : Json(sha256_hex(chat))},
              {"tokenizer_sha256", hash_of({{"tokens", tokens}, {"merges", merges}})}};
}

Result<std::map<int, double>> no_ends(const std::string& path) {
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(path));
  LATHE_TRY(infer::VocabularySpec spec, infer::read_vocabulary(file));
  LATHE_TRY(const auto tokenizer, infer::Tokenizer::make(std::move(spec)));
  std::map<int, double> bias;
  for (const infer::TokenId id : tokenizer->end_tokens()) bias[id] = -100;
  return bias;
}

Status check_plan(const BenchFlags& flags) {
  LATHE_TRY(const ServePlan plan, plan_of(flags));
  LATHE_TRY_STATUS(check(Load{ClosedLoop{}, plan.seconds, plan.seed}));
  LATHE_TRY([[maybe_unused]] const double seconds, sustained_seconds(flags));
  return {};
}

Result<PooledModel> open_pooled(const App& app, const ModelFlags& flags) {
  LATHE_TRY(serve::PoolOptions options, local_pool_options(app));
  LATHE_TRY(options.threads, choose_threads(flags.threads));
  LATHE_TRY(options.kernels, choose_kernels(flags.kernels));
  options.max_tokens = 1 << 20;
  serve::CatalogModel model{.name = fs::path(flags.path).stem().string(), .file = flags.path};
  model.kv = flags.kv;
  const std::string name = model.name;
  serve::Catalog catalog;
  LATHE_TRY_STATUS(catalog.add(std::move(model)));
  PooledModel pooled;
  pooled.pool = std::make_unique<serve::Pool>(std::move(catalog), std::move(options));
  LATHE_TRY_STATUS(pooled.pool->load(name));
  pooled.target = host_target(*pooled.pool, name);
  return pooled;
}

Result<Json> measure_model(const App& app, const BenchFlags& flags, const std::string& path) {
  LATHE_TRY(const ServePlan base, plan_of(flags));
  LATHE_TRY(const double long_seconds, sustained_seconds(flags));
  const FileMark mark = mark_of(path);
  LATHE_TRY(const std::string hash, sha256_file(path));
  LATHE_TRY(Json model, file_json(path, hash));
  model["kv"] = flags.model.kv;
  model["quality"] = kNotChecked;
  model["rows"] = Json::array();
  model["turns"] = Json::array();
  if (flags.profile == "quick" || flags.profile == "full")
    LATHE_TRY_STATUS(measure_engine(app, flags, path, flags.plan, model));
  if (flags.profile != "quick" && !app.stop->raised()) {
    ModelFlags wanted = flags.model;
    wanted.path = path;
    ServePlan plan = base;
    if (!flags.beside.empty()) {
      LATHE_TRY(model["turns"], measure_beside(app, flags, wanted, plan));
    } else {
      LATHE_TRY(plan.shape.bias, no_ends(path));
      LATHE_TRY(const PooledModel pooled, open_pooled(app, wanted));
      LATHE_TRY(Json turn, measure_target(app, *pooled.target, "lathe", plan, long_seconds));
      model["turns"].push_back(std::move(turn));
    }
  }
  if (!flags.quality.empty() && !app.stop->raised()) {
    auto quality = measure_quality(app, flags, path);
    // What was measured before is worth keeping.
    if (quality)
      model["quality"] = std::move(*quality);
    else if (quality.error().kind != ErrorKind::kCancelled)
      model["quality"] = fmt::format("{}: {}", kNotChecked, quality.error().message);
  }
  model["replaced"] = false;
  if (mark_of(path) != mark) {
    LATHE_TRY(const std::string now, sha256_file(path));
    if (now != hash) model["replaced"] = now;
  }
  return model;
}

Result<Json> measure_server(const App& app, const BenchFlags& flags, const std::string& url) {
  LATHE_TRY(const ServePlan plan, plan_of(flags));
  LATHE_TRY(const double long_seconds, sustained_seconds(flags));
  const auto mark = url.find('#');
  LATHE_TRY(serve::ConsentGate consent, consent_gate_of(app, kConsentWait));
  LATHE_TRY(const auto target,
            server_target({.url = url.substr(0, mark),
                           .model = mark == url.npos ? "" : url.substr(mark + 1),
                           .api_key = server_key(),
                           .allowed = parse_reach(flags.allow).value_or(Reach::kLocal),
                           .contacts = app.contacts.get(),
                           .allowed_by = fmt::format("bench --against, --allow {}", flags.allow),
                           .consent = std::move(consent)},
                          *app.stop));
  LATHE_TRY(Json turn, measure_target(app, *target, target->where(), plan, long_seconds));
  return Json{{"model", target->where()},
              {"sha256", Json()},
              {"quality", kNotChecked},
              {"rows", Json::array()},
              {"turns", Json::array({std::move(turn)})},
              {"replaced", false}};
}

}  // namespace lathe::app
