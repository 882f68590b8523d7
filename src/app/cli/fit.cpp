// lathe fit MODEL[:context[:streams]]…: whether models fit into memory together, from their headers
// alone.
#include <charconv>

#include "app/cli/link_contact.h"
#include "app/cli/local_model.h"
#include "app/cli/model_library.h"
#include "app/cli/pool_flags.h"
#include "app/cli/shown.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "infer/engine/footprint.h"
#include "infer/link/cut.h"
#include "infer/link/link_speed.h"
#include "infer/link/linked_rows.h"
#include "infer/link/tcp_wire.h"
#include "serve/pool/catalog.h"
#include "serve/pool/listener.h"
#include "serve/pool/senses.h"
#include "serve/pool/speaker.h"

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
  std::string blind = {};  // why the encoder beside it cannot be used; "": it can, or is not there
  infer::Footprint bytes;
  std::uint64_t encoder = 0;      // of pictures and sounds, beside the model; 0: there is none
  std::uint64_t token_bytes = 0;  // that a token reads
  std::size_t layers = 0, width = 0;
  std::size_t half = 0;  // layers of the first of two machines; 0: it cannot be cut
  // On each of several machines by rows; absent: it cannot be divided so.
  std::optional<std::uint64_t> rows_bytes = {};
  std::uint64_t gathered_bytes = 0;
};

// What a question comes to.
struct FitAnswer {
  std::vector<Fit> fits;
  infer::Footprint sum;
  std::uint64_t encoders = 0;
  std::string kv;
  std::size_t threads = 0;
  std::uint64_t memory = 0;
  std::size_t boxes = 1;
  double bandwidth = 0, exchange = 0, link = 0;  // bytes a second, seconds; 0: not said

  infer::BoxesAdvice advice(const Fit& fit) const {
    return infer::advise_boxes({.model_bytes = fit.bytes.total().on_host() + fit.encoder,
                                .rows_bytes = fit.rows_bytes,
                                .box_bytes = memory,
                                .token_bytes = fit.token_bytes,
                                .bytes_per_second = bandwidth,
                                .exchange_seconds = exchange,
                                .link_bytes_per_second = link,
                                .layers = fit.layers,
                                .width = fit.width,
                                .gathered_bytes = fit.gathered_bytes,
                                .boxes = boxes});
  }
  std::uint64_t needed() const { return sum.total().on_host() + encoders; }
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
  const bool own = numbers.size() == 2 && numbers[0].empty();
  const auto context = own ? std::optional(std::size_t{0}) : parse_count(numbers[0]);
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

// The encoder that a server would find beside the model, by its header.
Status size_encoder(Fit& fit, const fs::path& path, const infer::Blueprint& blueprint,
                    std::size_t threads) {
  LATHE_TRY(const serve::Catalog catalog, serve::Catalog::read(path));
  if (catalog.models().empty() || catalog.models().front().eyes.empty()) return {};
  const auto senses = serve::Senses::open(catalog.models().front().eyes, blueprint);
  if (!senses) {
    fit.blind = senses.error().message;
    return {};
  }
  LATHE_TRY(fit.encoder,
            serve::Senses::bytes(**senses, infer::best_kernel_table(),
                                 serve::Senses::threads_beside(static_cast<int>(threads))));
  return {};
}

// A model that writes sounds down, as a server has it: its buffers, and one sound as samples.
Result<Fit> size_listener(Wish wish, const serve::CatalogModel& model, int threads) {
  LATHE_TRY(const auto file, serve::ListenerFile::open(model));
  LATHE_TRY(serve::BookedBytes booked,
            serve::Listener::bytes(*file, infer::best_kernel_table(), threads));
  Fit fit;
  fit.architecture = file->info.architecture;
  fit.bytes.weights = std::move(booked.weights);
  fit.bytes.scratch = std::move(booked.scratch);
  fit.encoder = booked.media.total();
  fit.wish = {.path = std::move(wish.path), .context = 0, .streams = 1};
  return fit;
}

// A talker and what lies beside it, with the longest text and its frames: one is spoken at a time.
Result<Fit> size_speaker(Wish wish, const serve::CatalogModel& model, int threads) {
  LATHE_TRY(const auto file, serve::SpeakerFile::open(model));
  LATHE_TRY(serve::BookedBytes booked,
            serve::Speaker::bytes(*file, infer::best_kernel_table(), threads));
  Fit fit;
  fit.architecture = file->info.architecture;
  fit.bytes.weights = std::move(booked.weights);
  fit.bytes.scratch = std::move(booked.scratch);
  fit.bytes.kv = std::move(booked.media);
  fit.wish = {.path = std::move(wish.path), .context = file->info.context, .streams = 1};
  return fit;
}

// What only hears or only speaks, one sound or text at a time.
Result<Fit> size_alone(Wish wish, const fs::path& path, bool hears, std::size_t threads) {
  if (wish.context != 0 || wish.streams != 1)
    return invalid("{}: {} at a time, and has no context to choose", wish.path,
                   hears ? "writes one sound down" : "speaks one text");
  LATHE_TRY(const serve::Catalog catalog, serve::Catalog::read(path));
  if (catalog.models().empty()) return invalid("{}: is no model", wish.path);
  const serve::CatalogModel& model = catalog.models().front();
  const int count = static_cast<int>(threads);
  return hears ? size_listener(std::move(wish), model, count)
               : size_speaker(std::move(wish), model, count);
}

Result<Fit> size_model(const App& app, const std::string& text, infer::KvType kv,
                       std::size_t threads, std::size_t boxes) {
  LATHE_TRY(Wish wish, parse_wish(app, text));
  const fs::path path = model_path(app, wish.path);
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(path));
  const bool hears = infer::WhisperModel::is_one(file);
  if (hears) return size_alone(std::move(wish), path, hears, threads);
  LATHE_TRY(const infer::Blueprint blueprint, infer::read_blueprint(file));
  if (blueprint.codes != 0) return size_alone(std::move(wish), path, hears, threads);
  if (wish.context == 0) wish.context = blueprint.context;
  const infer::ExecutorOptions options =
      infer::ExecutorOptions{.kv = kv}.of(blueprint, wish.context);
  const auto size = [&](const infer::ModelPart& part) -> Result<infer::Footprint> {
    LATHE_TRY(const infer::ExecutorSizes sizes,
              infer::cpu_sizes(file, blueprint, {&infer::best_kernel_table(), threads}, options,
                               wish.context, part));
    return infer::footprint(blueprint, sizes, options,
                            {.positions = wish.context, .streams = wish.streams});
  };
  auto bytes = size({});
  if (!bytes) return invalid("{}: {}", wish.path, bytes.error().message);
  Fit fit;
  fit.architecture = blueprint.architecture;
  fit.runs = blueprint.runs();
  fit.bytes = std::move(*bytes);
  fit.token_bytes = infer::token_bytes(file, blueprint);
  fit.layers = blueprint.layers.size();
  fit.width = blueprint.embedding;
  LATHE_TRY_STATUS(size_encoder(fit, path, blueprint, threads));
  fit.half = infer::choose_cut(file, blueprint, infer::best_kernel_table(), 0).value_or(0);
  if (boxes > 1 && infer::check_rows(blueprint)) {
    LATHE_TRY(const infer::Footprint rows, size({.rows = {0, boxes}}));
    fit.rows_bytes = rows.total().on_host() + fit.encoder + infer::LinkedRows::bytes_for(blueprint);
    fit.gathered_bytes = infer::gathered_bytes(blueprint, boxes);
  }
  fit.wish = std::move(wish);
  return fit;
}

std::string_view use_name(infer::BoxesUse use) {
  switch (use) {
    case infer::BoxesUse::kOne:
      return "one";
    case infer::BoxesUse::kReplicas:
      return "replicas";
    case infer::BoxesUse::kLayers:
      return "layers";
    case infer::BoxesUse::kRows:
      return "rows";
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
                " (calculated, one stream: {:.1f} tokens a second by layers, {:.1f} by rows)",
                1 / advice.layers_seconds, 1 / advice.rows_seconds);
  switch (advice.use) {
    case infer::BoxesUse::kOne:
      return "it fits one box";
    case infer::BoxesUse::kReplicas:
      return fmt::format("it fits one box: serve it on each of the {}, without a link",
                         answer.boxes);
    case infer::BoxesUse::kLayers:
      return fmt::format("its layers one behind the other, `lathe serve --link`{}{}",
                         fit.half == 0 ? ""
                                       : fmt::format(", the first of two boxes with {} of {}",
                                                     fit.half, fit.layers),
                         speeds);
    case infer::BoxesUse::kRows:
      return fmt::format("its matrices by rows, `lathe serve --link … --link-split rows`{}",
                         speeds);
    case infer::BoxesUse::kTooSmall:
      return fmt::format("it does not fit {} boxes", answer.boxes);
  }
  return "";
}

// `windows`: with what a step and the prefix index add to them; `eyes`: with encoders.
std::string row(std::string_view name, std::string_view context, std::string_view streams,
                const infer::Footprint& bytes, std::uint64_t encoder, bool windows, bool eyes) {
  const auto shown = [](std::uint64_t part) { return part == 0 ? "-" : format_bytes(part); };
  const auto cell = [&](const DeviceBytes& part) { return shown(part.total()); };
  std::string out =
      fmt::format("{:<40} {:>9} {:>7} {:>10} {:>10} {:>10} {:>10}", name, context, streams,
                  cell(bytes.weights), cell(bytes.kv), cell(bytes.state), cell(bytes.scratch));
  if (windows) out += fmt::format(" {:>10} {:>10}", cell(bytes.step), cell(bytes.prefix));
  if (eyes) out += fmt::format(" {:>10}", shown(encoder));
  return out + fmt::format(" {:>10}\n", format_bytes(bytes.total().total() + encoder));
}

std::string table(const FitAnswer& answer) {
  const std::vector<Fit>& fits = answer.fits;
  const infer::Footprint& sum = answer.sum;
  const bool windows = (sum.step + sum.prefix).total() != 0, eyes = answer.encoders != 0;
  std::string out = fmt::format("{:<40} {:>9} {:>7} {:>10} {:>10} {:>10} {:>10}", "model",
                                "context", "streams", "weights", "KV", "state", "scratch");
  if (windows) out += fmt::format(" {:>10} {:>10}", "step", "(prefix)");
  if (eyes) out += fmt::format(" {:>10}", "encoder");
  out += fmt::format(" {:>10}\n", "sum");
  for (const Fit& fit : fits) {
    out += row(clip_utf8(fs::path(fit.wish.path).filename().string(), 40),
               fit.wish.context == 0 ? "-" : fmt::format("{}", fit.wish.context),
               fmt::format("{}", fit.wish.streams), fit.bytes, fit.encoder, windows, eyes);
  }
  if (fits.size() > 1) out += row("together", "", "", sum, answer.encoders, windows, eyes);
  const std::uint64_t needed = answer.needed(), memory = answer.memory;
  const bool fits_in = answer.fits_in();
  out += fmt::format("memory {}, {} {}\n", format_bytes(memory), fits_in ? "to spare" : "missing",
                     format_bytes(fits_in ? memory - needed : needed - memory));
  for (const Fit& fit : fits) {
    if (!fit.runs)
      out += fmt::format("{}: {} can be sized but not run yet\n", fit.wish.path, fit.architecture);
    if (!fit.blind.empty())
      out += fmt::format("{}: will be served without the encoder beside it: {}\n", fit.wish.path,
                         fit.blind);
  }
  return out;
}

Json bytes_json(const infer::Footprint& bytes, std::uint64_t encoder) {
  DeviceBytes all = bytes.total();
  all.add(kHostDevice, encoder);
  return {{"weights", bytes.weights.total()},
          {"kv", bytes.kv.total()},
          {"step", bytes.step.total()},
          {"prefix", bytes.prefix.total()},
          {"state", bytes.state.total()},
          {"scratch", bytes.scratch.total()},
          {"encoder", encoder},
          {"sum", all.total()},
          {"devices", to_json(all)}};
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
  answer.link = question.link_bytes;
  for (const std::string& text : question.models) {
    LATHE_TRY(answer.fits.emplace_back(), size_model(app, text, kv, answer.threads, answer.boxes));
    answer.sum += answer.fits.back().bytes;
    answer.encoders += answer.fits.back().encoder;
  }
  return answer;
}

Json answer_json(const FitAnswer& answer) {
  Json models = Json::array();
  for (const Fit& fit : answer.fits) {
    Json model = bytes_json(fit.bytes, fit.encoder);
    model.update({{"file", fit.wish.path},
                  {"architecture", fit.architecture},
                  {"runs", fit.runs},
                  {"context", fit.wish.context},
                  {"streams", fit.wish.streams}});
    if (answer.boxes > 1) {
      const infer::BoxesAdvice advice = answer.advice(fit);
      model["boxes"] = {{"use", use_name(advice.use)}, {"first_layers", fit.half}};
      if (answer.bandwidth > 0)
        model["boxes"].update({{"layers_seconds", advice.layers_seconds},
                               {"rows_seconds", advice.rows_seconds},
                               {"exchange_seconds", answer.exchange},
                               {"link_bytes_per_second", answer.link}});
    }
    models.push_back(std::move(model));
  }
  return {{"models", std::move(models)},
          {"together", bytes_json(answer.sum, answer.encoders)},
          {"kv_type", answer.kv},
          {"threads", answer.threads},
          {"memory", answer.memory},
          {"spare",
           static_cast<std::int64_t>(answer.memory) - static_cast<std::int64_t>(answer.needed())},
          {"fits", answer.fits_in()}};
}

// The question with what was measured of the link to a `lathe link` of the same file.
Result<FitQuestion> measured(const App& app, FitQuestion question, const std::string& address) {
  constexpr Milliseconds kConnect{1500};
  if (question.models.size() != 1)
    return invalid("--link is for one model; {} are asked for", question.models.size());
  LATHE_TRY(const Wish wish, parse_wish(app, question.models.front()));
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(model_path(app, wish.path)));
  LATHE_TRY(const std::string identity, infer::link_identity(file));
  LATHE_TRY_STATUS(record_link(app, serve::ContactKind::kOut, address));
  LATHE_TRY(auto wire, infer::connect_tcp(address, kConnect));
  LATHE_TRY(const infer::LinkSpeed speed, infer::measure_link(std::move(wire), identity));
  question.exchange_us = speed.exchange_seconds * 1e6;
  question.link_bytes = speed.bytes_per_second;
  return question;
}

std::string link_text(const FitAnswer& answer) {
  if (answer.link == 0) return "";
  return fmt::format("the link, measured: {:.0f} µs for a small frame, {:.2f} GB a second\n",
                     answer.exchange * 1e6, answer.link * 1e-9);
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
  auto link = std::make_shared<std::string>();
  command
      ->add_option("--link", *link,
                   "HOST:PORT of a `lathe link` of the same file: what an exchange takes and how "
                   "many bytes go over a second is measured")
      ->needs("--bandwidth")
      ->excludes("--exchange");
  command->callback([&app, &action, flags, link] {
    action = [&app, flags, link] {
      const Result<FitQuestion> question =
          link->empty() ? Result<FitQuestion>(*flags) : measured(app, *flags, *link);
      if (!question) return report_error(app, question.error());
      const auto answer = fit_models(*question, app);
      if (!answer) return report_error(app, answer.error());
      if (app.json)
        print_json(answer_json(*answer));
      else
        print(table(*answer) + link_text(*answer));
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
