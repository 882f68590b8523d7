// lathe bench --quality: a model beside the bigger file of itself, in one process.
#include "app/cli/bench_flags.h"
#include "app/cli/fits_here.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/sys/machine.h"
#include "infer/models/vocabulary.h"

namespace lathe::app {
namespace {

constexpr std::string_view kBiggerKv = "f16";  // whatever the model's cache is: that counts, too

// What is compared, from the headers alone.
struct Side {
  std::string path, kv;
  infer::Gguf file;
  infer::Blueprint blueprint;
  infer::VocabularySpec vocabulary;
};

Result<Side> read_side(const std::string& path, std::string_view kv) {
  LATHE_TRY(infer::Gguf file, infer::Gguf::open(path));
  LATHE_TRY(infer::Blueprint blueprint, infer::read_runnable_blueprint(file));
  if (const Status generates = infer::check_generates(blueprint); !generates)
    return at(path, generates.error());
  LATHE_TRY(infer::VocabularySpec vocabulary, infer::read_vocabulary(file));
  return Side{path, std::string(kv), std::move(file), std::move(blueprint), std::move(vocabulary)};
}

// The same row of logits must be about the same tokens.
Status check_same_vocabulary(const Side& bigger, const Side& model) {
  const auto differ = [&](const std::string& why) -> Status {
    return invalid(
        "--quality {} and {} have different vocabularies: {}; take two files of one model",
        bigger.path, model.path, why);
  };
  if (bigger.blueprint.vocabulary != model.blueprint.vocabulary)
    return differ(
        fmt::format("{} tokens and {}", bigger.blueprint.vocabulary, model.blueprint.vocabulary));
  const auto& ours = bigger.vocabulary.tokens;
  const auto& theirs = model.vocabulary.tokens;
  if (ours.size() != theirs.size())
    return differ(fmt::format("{} tokens and {}", ours.size(), theirs.size()));
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (ours[i] != theirs[i])
      return differ(fmt::format("token {} is '{}' and '{}'", i, clip_utf8(ours[i], 40),
                                clip_utf8(theirs[i], 40)));
  return {};
}

struct Sides {
  Side bigger, model;
  QualityPlan plan = {};
};

ModelFlags flags_of(const BenchFlags& flags, const Side& side, std::size_t chunk) {
  ModelFlags own = flags.model;
  own.path = side.path;
  own.kv = side.kv;
  own.context = chunk;
  return own;
}

// Both at once, in what memory is left.
Status check_memory(const BenchFlags& flags, const Sides& sides) {
  const auto& [bigger, model, plan] = sides;
  LATHE_TRY(const infer::Footprint first,
            footprint_here(bigger.file, flags_of(flags, bigger, plan.chunk), plan.chunk));
  LATHE_TRY(const infer::Footprint second,
            footprint_here(model.file, flags_of(flags, model, plan.chunk), plan.chunk));
  const std::uint64_t a = first.total().on_host(), b = second.total().on_host();
  const auto left = read_machine().memory_left();
  if (!left || a + b <= *left) return {};
  return invalid(
      "--quality: {} takes {} and {} {}, {} together, and there is memory for {} here: take a Q8_0 "
      "file as the bigger one, or leave --quality out",
      bigger.path, format_bytes(a), model.path, format_bytes(b), format_bytes(a + b),
      format_bytes(*left));
}

Status check_same_model(const Side& bigger, const Side& model) {
  const infer::Blueprint &a = bigger.blueprint, &b = model.blueprint;
  if (a.architecture == b.architecture && a.layers.size() == b.layers.size() &&
      a.embedding == b.embedding)
    return {};
  return invalid(
      "--quality {} is another model than {}: {} with {} layers of {}, and {} with {} of {}; name "
      "the F16 or Q8_0 file that it was made of",
      bigger.path, model.path, a.architecture, a.layers.size(), a.embedding, b.architecture,
      b.layers.size(), b.embedding);
}

// How the two are compared, if they can be.
Result<Sides> read_sides(const BenchFlags& flags, const std::string& path) {
  LATHE_TRY(Side bigger, read_side(flags.quality, kBiggerKv));
  LATHE_TRY(Side model, read_side(path, flags.model.kv));
  LATHE_TRY_STATUS(check_same_vocabulary(bigger, model));
  LATHE_TRY_STATUS(check_same_model(bigger, model));
  Sides sides{std::move(bigger), std::move(model)};
  sides.plan.tokens = flags.quality_tokens;
  sides.plan.seed = flags.plan.seed;
  for (const Side* side : {&sides.bigger, &sides.model}) {
    sides.plan.chunk = std::min(sides.plan.chunk, side->blueprint.context);
    if (side->blueprint.context < kFewestQualityTokens)
      return invalid("--quality: {} has a context of {} tokens; at least {} are needed", side->path,
                     side->blueprint.context, kFewestQualityTokens);
  }
  LATHE_TRY_STATUS(check_memory(flags, sides));
  return sides;
}

Result<LocalModel> open_side(const App& app, const BenchFlags& flags, const Side& side,
                             std::size_t chunk) {
  return open_model(app, flags_of(flags, side, chunk), [&](infer::EngineOptions& options) {
    options.kv_tokens = chunk + infer::kChunk;
  });
}

}  // namespace

Status check_quality(const BenchFlags& flags, const std::string& path) {
  LATHE_TRY([[maybe_unused]] const Sides sides, read_sides(flags, path));
  return {};
}

Result<Json> measure_quality(const App& app, const BenchFlags& flags, const std::string& path) {
  LATHE_TRY(const Sides sides, read_sides(flags, path));
  const QualityPlan& plan = sides.plan;
  LATHE_TRY(const std::string hash, sha256_file(flags.quality));
  LATHE_TRY(const LocalModel bigger, open_side(app, flags, sides.bigger, plan.chunk));
  LATHE_TRY(const LocalModel model, open_side(app, flags, sides.model, plan.chunk));
  const bool shows = app.terminal && !app.json;
  const auto chunks = compare_models(
      *bigger.engine, *model.engine, *bigger.tokenizer, plan, *app.stop, [&](std::size_t done) {
        if (shows) fmt::print(stderr, "\rquality: {} of {} tokens\x1b[K", done, plan.tokens);
      });
  if (shows) fmt::print(stderr, "\r\x1b[K");
  if (!chunks) return std::unexpected(chunks.error());
  if (chunks->empty()) return Json(kNotChecked);
  Json quality = quality_json(*chunks);
  LATHE_TRY(quality["bigger"], file_json(flags.quality, hash));
  quality["bigger"]["kv"] = kBiggerKv;
  quality["stopped"] = app.stop->raised();
  if (!app.json) {
    print(fmt::format("quality, beside {}{}:\n{}", flags.quality,
                      app.stop->raised() ? ", stopped: of what was complete" : "",
                      quality_lines(quality_figures(*chunks))));
  }
  return quality;
}

}  // namespace lathe::app
