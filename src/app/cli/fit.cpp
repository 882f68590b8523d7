// lathe fit MODEL[:context[:streams]]…: whether models fit into memory together, from their headers
// alone.
#include <charconv>

#include "app/cli/local_model.h"
#include "app/cli/model_library.h"
#include "app/cli/pool_flags.h"
#include "app/cli/shown.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "infer/engine/footprint.h"
#include "infer/link/cut.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMaxStreams = 4096;

struct Wish {
  std::string path;
  std::size_t context = 0;  // 0: the model's
  std::size_t streams = 1;
};

struct Fit {
  Wish wish;
  std::string architecture;
  bool runs = true;
  infer::Footprint bytes;
  std::uint64_t token_bytes = 0;  // that a token reads
  std::size_t layers = 0;
  std::size_t half = 0;  // layers of the first of two machines; 0: it cannot be cut
};

// What a question comes to.
struct FitAnswer {
  std::vector<Fit> fits;
  infer::Footprint sum;
  std::string kv;
  std::size_t threads = 0;
  std::uint64_t memory = 0;
  std::size_t boxes = 1;
  double bandwidth = 0, exchange = 0;  // bytes a second, seconds; 0: not said

  infer::BoxesAdvice advice(const Fit& fit) const {
    return infer::advise_boxes({.model_bytes = fit.bytes.total().on_host(),
                                .box_bytes = memory,
                                .token_bytes = fit.token_bytes,
                                .bytes_per_second = bandwidth,
                                .exchange_seconds = exchange,
                                .layers = fit.layers,
                                .boxes = boxes});
  }
  std::uint64_t needed() const { return sum.total().on_host(); }
  bool fits_in() const { return needed() <= memory; }
};

// "8192", "100K", "1M": K and M are thousands and millions. Absent for anything else.
std::optional<std::size_t> parse_count(std::string_view text) {
  std::size_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count == 0 || count > (std::size_t{1} << 32)) return {};
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.empty()) return count;
  if (unit == "K" || unit == "k") return count * 1000;
  if (unit == "M" || unit == "m") return count * 1'000'000;
  return {};
}

// A path may hold colons itself: what is a file as it stands is no context.
Result<Wish> parse_wish(const App& app, const std::string& text) {
  Wish wish{.path = text};
  std::error_code error;
  const auto is_model = [&](const std::string& name) {
    return fs::exists(name, error) || model_path(app, name) != name;
  };
  if (is_model(text)) return wish;
  std::vector<std::string> numbers;
  while (numbers.size() < 2 && !is_model(wish.path)) {
    const auto colon = wish.path.rfind(':');
    if (colon == std::string::npos) break;
    numbers.insert(numbers.begin(), wish.path.substr(colon + 1));
    wish.path.resize(colon);
  }
  if (numbers.empty()) return wish;
  const auto context = parse_count(numbers[0]);
  if (!context) {
    return invalid("{}: the context is '{}'; it must be a number of tokens, like 8192, 100K or 1M",
                   text, numbers[0]);
  }
  wish.context = *context;
  if (numbers.size() == 1) return wish;
  const auto streams = parse_count(numbers[1]);
  if (!streams || *streams > kMaxStreams) {
    return invalid("{}: the number of streams is '{}'; it must lie in [1, {}]", text, numbers[1],
                   kMaxStreams);
  }
  wish.streams = *streams;
  return wish;
}

Result<Fit> size_model(const App& app, const std::string& text, infer::KvType kv,
                       std::size_t threads) {
  LATHE_TRY(Wish wish, parse_wish(app, text));
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(model_path(app, wish.path)));
  LATHE_TRY(const infer::Blueprint blueprint, infer::read_blueprint(file));
  if (wish.context == 0) wish.context = blueprint.context;
  const infer::ExecutorOptions options =
      infer::ExecutorOptions{.kv = kv}.of(blueprint, wish.context);
  const auto sizes = infer::cpu_sizes(file, blueprint, {&infer::best_kernel_table(), threads},
                                      options, wish.context);
  if (!sizes) return invalid("{}: {}", wish.path, sizes.error().message);
  auto bytes = infer::footprint(blueprint, *sizes, options,
                                {.positions = wish.context, .streams = wish.streams});
  if (!bytes) return invalid("{}: {}", wish.path, bytes.error().message);
  const auto half = infer::choose_cut(file, blueprint, infer::best_kernel_table(), 0);
  return Fit{std::move(wish),
             blueprint.architecture,
             blueprint.runs(),
             std::move(*bytes),
             infer::token_bytes(file, blueprint),
             blueprint.layers.size(),
             half.value_or(0)};
}

std::string_view use_name(infer::BoxesUse use) {
  switch (use) {
    case infer::BoxesUse::kOne:
      return "one";
    case infer::BoxesUse::kReplicas:
      return "replicas";
    case infer::BoxesUse::kPipeline:
      return "pipeline";
    case infer::BoxesUse::kTensor:
      return "tensor";
    case infer::BoxesUse::kTooSmall:
      return "too_small";
  }
  return "";
}

std::string advice_text(const FitAnswer& answer, const Fit& fit) {
  const infer::BoxesAdvice advice = answer.advice(fit);
  const std::string speeds =
      answer.bandwidth == 0
          ? ""
          : fmt::format(
                " (calculated, one stream: {:.1f} tokens a second; with matrices split {:.1f})",
                1 / advice.pipeline_seconds, 1 / advice.tensor_seconds);
  switch (advice.use) {
    case infer::BoxesUse::kOne:
      return "it fits one box";
    case infer::BoxesUse::kReplicas:
      return fmt::format("it fits one box: serve it on each of the {}, without a link",
                         answer.boxes);
    case infer::BoxesUse::kPipeline:
      return fmt::format("its layers one behind the other, `lathe serve --link`{}{}",
                         fit.half == 0 ? ""
                                       : fmt::format(", the first of two boxes with {} of {}",
                                                     fit.half, fit.layers),
                         speeds);
    case infer::BoxesUse::kTensor:
      return fmt::format(
          "an engine that splits matrices would be faster than layers one behind the other, which "
          "is what lathe does{}",
          speeds);
    case infer::BoxesUse::kTooSmall:
      return fmt::format("it does not fit {} boxes", answer.boxes);
  }
  return "";
}

// `windows`: with what a step and the prefix index add to them.
std::string row(std::string_view name, std::string_view context, std::string_view streams,
                const infer::Footprint& bytes, bool windows) {
  const auto cell = [](const DeviceBytes& part) {
    return part.total() == 0 ? "-" : format_bytes(part.total());
  };
  std::string out =
      fmt::format("{:<40} {:>9} {:>7} {:>10} {:>10} {:>10} {:>10}", name, context, streams,
                  cell(bytes.weights), cell(bytes.kv), cell(bytes.state), cell(bytes.scratch));
  if (windows) out += fmt::format(" {:>10} {:>10}", cell(bytes.step), cell(bytes.prefix));
  return out + fmt::format(" {:>10}\n", format_bytes(bytes.total().total()));
}

std::string table(const std::vector<Fit>& fits, const infer::Footprint& sum, std::uint64_t memory) {
  const bool windows = (sum.step + sum.prefix).total() != 0;
  std::string out = fmt::format("{:<40} {:>9} {:>7} {:>10} {:>10} {:>10} {:>10}", "model",
                                "context", "streams", "weights", "KV", "state", "scratch");
  if (windows) out += fmt::format(" {:>10} {:>10}", "step", "(prefix)");
  out += fmt::format(" {:>10}\n", "sum");
  for (const Fit& fit : fits) {
    out += row(clip_utf8(fs::path(fit.wish.path).filename().string(), 40),
               fmt::format("{}", fit.wish.context), fmt::format("{}", fit.wish.streams), fit.bytes,
               windows);
  }
  if (fits.size() > 1) out += row("together", "", "", sum, windows);
  const std::uint64_t needed = sum.total().on_host();
  const bool fits_in = needed <= memory;
  out += fmt::format("memory {}, {} {}\n", format_bytes(memory), fits_in ? "to spare" : "missing",
                     format_bytes(fits_in ? memory - needed : needed - memory));
  for (const Fit& fit : fits) {
    if (!fit.runs)
      out += fmt::format("{}: {} can be sized but not run yet\n", fit.wish.path, fit.architecture);
  }
  return out;
}

Json bytes_json(const infer::Footprint& bytes) {
  return {{"weights", bytes.weights.total()}, {"kv", bytes.kv.total()},
          {"step", bytes.step.total()},       {"prefix", bytes.prefix.total()},
          {"state", bytes.state.total()},     {"scratch", bytes.scratch.total()},
          {"sum", bytes.total().total()},     {"devices", to_json(bytes.total())}};
}

Result<FitAnswer> fit_models(const FitQuestion& question, const App& app) {
  LATHE_TRY(const infer::KvType kv, parse_kv(question.kv));
  FitAnswer answer;
  answer.kv = question.kv;
  LATHE_TRY(answer.memory, memory_for_models(question.memory));
  LATHE_TRY(const int cores, choose_threads(0));
  answer.threads = static_cast<std::size_t>(cores);
  answer.boxes = question.boxes;
  if (!question.bandwidth.empty()) {
    LATHE_TRY(const std::uint64_t bandwidth, parse_bytes(question.bandwidth));
    answer.bandwidth = static_cast<double>(bandwidth);
  }
  answer.exchange = question.exchange_us * 1e-6;
  for (const std::string& text : question.models) {
    LATHE_TRY(answer.fits.emplace_back(), size_model(app, text, kv, answer.threads));
    answer.sum += answer.fits.back().bytes;
  }
  return answer;
}

Json answer_json(const FitAnswer& answer) {
  Json models = Json::array();
  for (const Fit& fit : answer.fits) {
    Json model = bytes_json(fit.bytes);
    model.update({{"file", fit.wish.path},
                  {"architecture", fit.architecture},
                  {"runs", fit.runs},
                  {"context", fit.wish.context},
                  {"streams", fit.wish.streams}});
    if (answer.boxes > 1) {
      const infer::BoxesAdvice advice = answer.advice(fit);
      model["boxes"] = {{"use", use_name(advice.use)}, {"first_layers", fit.half}};
      if (answer.bandwidth > 0)
        model["boxes"].update({{"pipeline_seconds", advice.pipeline_seconds},
                               {"tensor_seconds", advice.tensor_seconds}});
    }
    models.push_back(std::move(model));
  }
  return {{"models", std::move(models)},
          {"together", bytes_json(answer.sum)},
          {"kv_type", answer.kv},
          {"threads", answer.threads},
          {"memory", answer.memory},
          {"spare",
           static_cast<std::int64_t>(answer.memory) - static_cast<std::int64_t>(answer.needed())},
          {"fits", answer.fits_in()}};
}

}  // namespace

Result<Json> fit_shown(const FitQuestion& question, const App& app) {
  LATHE_TRY(const FitAnswer answer, fit_models(question, app));
  return answer_json(answer);
}

void add_fit(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<FitQuestion>();
  CLI::App* command =
      cli.add_subcommand("fit", "Whether models fit into memory together, from their headers");
  command
      ->add_option("MODEL", flags->models,
                   "GGUF files or names of `lathe models`, each as FILE[:context[:streams]]; a "
                   "context is a number of tokens, "
                   "like 8192, 100K (thousands) or 1M (default: the model's)")
      ->required();
  command->add_option("--memory", flags->memory,
                      "For all of them, like 128GiB (default: what `lathe serve` would take here)");
  command->add_option("--kv", flags->kv, "Type of the KV cache: f16, q8_0, q5_1, q4_0 or f32")
      ->capture_default_str();
  command
      ->add_option("--boxes", flags->boxes,
                   "Machines with that memory each: how one model is best put on them")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--bandwidth", flags->bandwidth,
                      "Bytes of memory that one of them reads a second, like 273GB");
  command
      ->add_option("--exchange", flags->exchange_us,
                   "Microseconds of one small exchange between two of them, as measured")
      ->check(CLI::NonNegativeNumber)
      ->needs("--bandwidth");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const auto answer = fit_models(*flags, app);
      if (!answer) return report_error(app, answer.error());
      if (app.json)
        print_json(answer_json(*answer));
      else
        print(table(answer->fits, answer->sum, answer->memory));
      if (!app.json && answer->boxes > 1)
        for (const Fit& fit : answer->fits)
          print(fmt::format("{} boxes, {}: {}\n", answer->boxes,
                            fs::path(fit.wish.path).filename().string(),
                            advice_text(*answer, fit)));
      return static_cast<int>(answer->fits_in() ? kExitPassed : kExitFailed);
    };
  });
}

}  // namespace lathe::app
