// lathe show FILE.gguf: what a model file holds.
#include "app/cli/model_show.h"

#include <map>

#include "ground/base/text.h"
#include "ground/base/units.h"
#include "infer/cache/state.h"
#include "infer/models/blueprint.h"
#include "infer/models/vocabulary.h"

namespace lathe::app {
namespace {

constexpr std::size_t kTemplateLines = 8;

struct TypeShare {
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
};

// One line of the listing, and the same as JSON.
class Listing {
 public:
  void add(std::string_view label, std::string_view text) {
    lines_ += fmt::format("{:<13}{}\n", label, text);
  }
  Json json = Json::object();
  const std::string& lines() const { return lines_; }

 private:
  std::string lines_;
};

std::string format_count(std::uint64_t count) {
  const auto number = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.2f} billion", number / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} million", number / 1e6);
  return fmt::format("{}", count);
}

void list_tensors(const infer::Gguf& file, Listing& listing) {
  std::map<std::string_view, TypeShare> shares;
  std::uint64_t parameters = 0;
  for (const infer::GgufTensor& tensor : file.tensors()) {
    TypeShare& share = shares[infer::tensor_type_info(tensor.type).name];
    ++share.tensors;
    share.bytes += tensor.bytes;
    parameters += tensor.elements();
  }
  std::vector<std::pair<std::string_view, TypeShare>> order(shares.begin(), shares.end());
  std::ranges::stable_sort(order, std::greater(), [](const auto& row) { return row.second.bytes; });
  listing.add("parameters", format_count(parameters));
  listing.add("size", fmt::format("{}, {} tensors", format_bytes(file.file_bytes()),
                                  file.tensors().size()));
  listing.json.update({{"parameters", parameters},
                       {"bytes", file.file_bytes()},
                       {"tensors", file.tensors().size()},
                       {"types", Json::array()}});
  std::string_view label = "types";
  for (const auto& [type, share] : order) {
    listing.add(label, fmt::format("{:<7} {:>5} tensors  {:>10}", type, share.tensors,
                                   format_bytes(share.bytes)));
    listing.json["types"].push_back(
        {{"type", type}, {"tensors", share.tensors}, {"bytes", share.bytes}});
    label = "";
  }
}

void list_rope(const infer::RopeSpec& rope, Listing& listing) {
  std::string text = fmt::format("base {}, {} dimensions", rope.base, rope.dimensions);
  if (rope.extrapolation != 0)
    text += fmt::format(", YaRN x{} from {}", 1 / rope.scale, rope.original_context);
  else if (rope.scale != 1)
    text += fmt::format(", linear x{}", 1 / rope.scale);
  const bool factors = rope.factors != infer::RopeFactors::kNone;
  if (factors) text += ", frequency factors";
  listing.add("RoPE", text);
  listing.json["rope"] = {{"base", rope.base},
                          {"dimensions", rope.dimensions},
                          {"scale", rope.scale},
                          {"yarn", rope.extrapolation != 0},
                          {"frequency_factors", factors}};
}

// What becomes of a text that is read.
void list_reading(const infer::Blueprint& blueprint, Listing& listing) {
  if (blueprint.pooling == infer::Pooling::kNone && blueprint.head.empty()) return;
  constexpr std::string_view kNames[] = {"mean", "mean", "first token", "last token"};
  const std::string_view pooling = kNames[static_cast<std::size_t>(blueprint.pooling)];
  const std::string text = blueprint.ranks
                               ? fmt::format("scores of a query and a document, {}", pooling)
                               : fmt::format("{} numbers, {}", blueprint.text_width(), pooling);
  listing.add(blueprint.ranks ? "reranker" : "embedding", text);
  listing.json["reading"] = {{"pooling", pooling},
                             {"width", blueprint.text_width()},
                             {"ranks", blueprint.ranks},
                             {"shortens", blueprint.shortens}};
}

void list_cache(const infer::Blueprint& blueprint, Listing& listing) {
  if (!blueprint.generates) return;  // an encoder keeps nothing
  const std::vector<infer::StateSpec> states = blueprint.states();
  const infer::KernelTable& kernels = infer::best_kernel_table();
  std::string text;
  const auto add = [&](std::string_view name, infer::KvType type) {
    const infer::MemoryLayout layout(states, kernels.kv_format(type));
    const double bytes =
        static_cast<double>(infer::worst_case(layout, {.positions = infer::kChunk}).kv) /
        infer::kChunk;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name,
                        format_bytes(static_cast<std::uint64_t>(bytes)));
    listing.json["kv_bytes_per_token"][name] = bytes;
  };
  add("f16", infer::KvType::kF16);
  // Its blocks are of 32 numbers.
  if (std::ranges::all_of(states, [](const infer::StateSpec& state) {
        return state.head.key % 32 == 0 && state.head.value % 32 == 0;
      }))
    for (const infer::KvTypeName& each : infer::kv_types())
      if (infer::is_quantized(each.type)) add(each.name, each.type);
  listing.add("KV a token", text);
  const infer::MemoryLayout layout(states, kernels.kv_format(infer::KvType::kF16));
  const infer::StateBytes full = infer::worst_case(layout, {.positions = blueprint.context});
  if (full.window + full.recurrent == 0) return;
  listing.add("state", fmt::format("{} a sequence in windows (f16), {} in recurrent layers",
                                   format_bytes(full.window), format_bytes(full.recurrent)));
  listing.json["state_bytes"] = {{"window_f16", full.window}, {"recurrent", full.recurrent}};
}

void list_layers(const infer::Blueprint& blueprint, Listing& listing) {
  const auto with_ffn = std::ranges::find_if(blueprint.layers, &infer::LayerSpec::has_ffn);
  const infer::FfnSpec ffn = with_ffn == blueprint.layers.end() ? infer::FfnSpec{} : with_ffn->ffn;
  std::string text = fmt::format("{} of {}", blueprint.layers.size(), blueprint.embedding);
  listing.json.update({{"layers", blueprint.layers.size()}, {"embedding", blueprint.embedding}});
  const infer::AttentionSpec* attention = blueprint.attention();
  if (attention != nullptr) {
    text += fmt::format(": {} heads, {} KV heads of {}", attention->heads, attention->kv_heads,
                        attention->head_dim);
    listing.json.update({{"heads", attention->heads},
                         {"kv_heads", attention->kv_heads},
                         {"head_dim", attention->head_dim}});
  }
  const std::vector<infer::StateSpec> states = blueprint.states();
  const auto recurrent =
      std::ranges::count(states, infer::StateSpec::Kind::kRecurrent, &infer::StateSpec::kind);
  const auto windowed = std::ranges::count_if(
      states, [](const infer::StateSpec& state) { return state.window != 0; });
  if (recurrent != 0) text += fmt::format("; {} are recurrent", recurrent);
  if (windowed != 0) text += fmt::format("; {} see a window", windowed);
  listing.add("layers", text);
  listing.json.update({{"recurrent_layers", recurrent}, {"windowed_layers", windowed}});
  listing.add("feed-forward", ffn.experts == 0
                                  ? fmt::format("{}", ffn.hidden)
                                  : fmt::format("{} of {} experts of {}", ffn.experts_used,
                                                ffn.experts, ffn.hidden));
  listing.json.update(
      {{"feed_forward", ffn.hidden}, {"experts", ffn.experts}, {"experts_used", ffn.experts_used}});
  if (attention != nullptr) list_rope(attention->rope, listing);
}

void list_blueprint(const infer::Gguf& file, Listing& listing) {
  const auto blueprint = infer::read_blueprint(file);
  if (!blueprint) {
    listing.add("not runnable", blueprint.error().message);
    listing.json["not_runnable"] = blueprint.error().message;
    return;
  }
  if (!blueprint->runs()) {
    const auto reason = fmt::format("{} can be sized but not run yet", blueprint->architecture);
    listing.add("not runnable", reason);
    listing.json["not_runnable"] = reason;
  }
  listing.add("context", fmt::format("{} tokens", blueprint->context));
  listing.json.update({{"context", blueprint->context}, {"tied", blueprint->tied}});
  list_layers(*blueprint, listing);
  list_reading(*blueprint, listing);
  list_cache(*blueprint, listing);
}

void list_vocabulary(const infer::Gguf& file, Listing& listing) {
  const auto vocabulary = infer::read_vocabulary(file);
  if (!vocabulary) {
    listing.add("vocabulary", vocabulary.error().message);
    listing.json["vocabulary"] = nullptr;
    return;
  }
  std::string text = fmt::format("{} tokens, {}{}{}", vocabulary->tokens.size(), vocabulary->model,
                                 vocabulary->pre.empty() ? "" : "/", vocabulary->pre);
  Json json = {
      {"size", vocabulary->tokens.size()}, {"model", vocabulary->model}, {"pre", vocabulary->pre}};
  for (const auto& [name, id] :
       {std::pair("bos", vocabulary->bos), std::pair("eos", vocabulary->eos)}) {
    if (id == infer::kNoToken) continue;
    text += fmt::format(", {} {} {}", name, id,
                        clip_utf8(vocabulary->tokens[static_cast<std::size_t>(id)], 40));
    json[name] = id;
  }
  listing.add("vocabulary", text);
  listing.json["vocabulary"] = std::move(json);
}

void list_template(const std::string& source, Listing& listing) {
  listing.json["template"] = source;
  if (source.empty()) {
    listing.add("template", "none");
    return;
  }
  const std::vector<std::string_view> lines = split_lines(source);
  std::string_view label = "template";
  for (std::size_t i = 0; i < std::min(lines.size(), kTemplateLines); ++i) {
    listing.add(label, clip_utf8(lines[i], 100));
    label = "";
  }
  if (lines.size() > kTemplateLines)
    listing.add("", fmt::format("… {} lines in all; --template prints them", lines.size()));
}

}  // namespace

int show_model(const App& app, const fs::path& path, bool whole_template) {
  const auto file = infer::Gguf::open(path);
  if (!file) return report_error(app, file.error());
  const auto architecture = file->text_or("general.architecture", "");
  if (!architecture) return report_error(app, architecture.error());
  const auto name = file->text_or("general.name", "");
  if (!name) return report_error(app, name.error());
  const auto source = file->text_or("tokenizer.chat_template", "");
  if (!source) return report_error(app, source.error());
  if (whole_template) {
    app.terminal ? print(*source) : print_raw(*source);
    return kExitPassed;
  }
  Listing listing;
  listing.json = {{"file", path.string()}, {"architecture", *architecture}, {"name", *name}};
  listing.add("file", path.string());
  listing.add("architecture", *architecture);
  if (!name->empty()) listing.add("name", *name);
  list_tensors(*file, listing);
  list_blueprint(*file, listing);
  list_vocabulary(*file, listing);
  list_template(*source, listing);
  if (app.json)
    print_json(listing.json);
  else
    print(listing.lines());
  return kExitPassed;
}

}  // namespace lathe::app
