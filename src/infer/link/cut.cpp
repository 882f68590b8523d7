// Cuts: what layers need of each other, and what they weigh.
#include "infer/link/cut.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "ground/base/hash.h"

namespace lathe::infer {
namespace {

// The furthest layer before `layer` that it reads more of than the residual stream.
std::size_t reads_back_to(const Blueprint& blueprint, std::size_t layer) {
  const LayerSpec& spec = blueprint.layers[layer];
  if (const auto attends = spec.attends(); attends && attends->kv_of) return *attends->kv_of;
  const auto indexer_of = [&](std::size_t i) {
    const auto* latent = std::get_if<LatentAttentionSpec>(&blueprint.layers[i].mixer);
    return latent != nullptr && latent->indexer ? &*latent->indexer : nullptr;
  };
  const IndexerSpec* indexer = indexer_of(layer);
  if (indexer == nullptr || indexer->own) return layer;
  for (std::size_t i = layer; i-- > 0;)
    if (const IndexerSpec* before = indexer_of(i); before != nullptr && before->own) return i;
  return 0;
}

constexpr std::size_t kSample = 4096;
constexpr std::size_t kGathersOfLayer = 4;

void add_number(Sha256& hash, std::uint64_t number) {
  hash.add({reinterpret_cast<const char*>(&number), sizeof number});
}

struct AddValue {
  Sha256& hash;
  void operator()(bool value) const { add_number(hash, value ? 1 : 0); }
  void operator()(std::int64_t value) const { add_number(hash, static_cast<std::uint64_t>(value)); }
  void operator()(std::uint64_t value) const { add_number(hash, value); }
  void operator()(double value) const { add_number(hash, std::bit_cast<std::uint64_t>(value)); }
  void operator()(const std::string& value) const {
    add_number(hash, value.size());
    hash.add(value);
  }
  template <class T>
  void operator()(const std::vector<T>& values) const {
    add_number(hash, values.size());
    for (const T& value : values) (*this)(value);
  }
};

}  // namespace

ModelPart LinkPlan::first() const {
  if (split == LinkSplit::kRows) return {.rows = {0, 2}};
  return {.layers = {0, layers}};
}

ModelPart LinkPlan::second() const {
  if (split == LinkSplit::kRows) return {.rows = {1, 2}};
  return {.layers = {layers, SIZE_MAX}};
}

Status check_linkable(const Blueprint& blueprint) {
  const auto refuse = [&](std::string_view why) {
    return invalid("{} cannot stand on two machines: {}", blueprint.architecture, why);
  };
  if (!blueprint.generates) return refuse("it is an encoder, whose layers see whole texts");
  if (blueprint.codes != 0) return refuse("it speaks, in codes of sound");
  if (!blueprint.head.empty()) return refuse("it has a head behind its last layer");
  if (blueprint.layer_input != 0) return refuse("each of its layers reads a token's own embedding");
  if (blueprint.layers.size() < 2) return refuse("it has one layer");
  return {};
}

Status check_cut(const Blueprint& blueprint, std::size_t cut) {
  LATHE_TRY_STATUS(check_linkable(blueprint));
  const std::size_t count = blueprint.layers.size();
  if (cut == 0 || cut >= count)
    return invalid("{} layers on one machine and the rest of {} on the other leave one without",
                   cut, count);
  if (cut < blueprint.deepstack)
    return invalid("the first {} layers stand on one machine: pictures are added behind each",
                   blueprint.deepstack);
  for (std::size_t i = cut; i < count; ++i)
    if (const std::size_t back = reads_back_to(blueprint, i); back < cut)
      return invalid(
          "it cannot be cut behind {} layers: layer {} reads what layer {} has; take at most {} or "
          "more than {}",
          cut, i, back, back, i);
  return {};
}

Result<std::size_t> choose_cut(const Gguf& file, const Blueprint& blueprint,
                               const KernelTable& kernels, std::size_t asked) {
  LATHE_TRY_STATUS(check_linkable(blueprint));
  if (asked != 0) {
    LATHE_TRY_STATUS(check_cut(blueprint, asked));
    return asked;
  }
  std::size_t best = 0;
  std::uint64_t least = UINT64_MAX;
  for (std::size_t cut = 1; cut < blueprint.layers.size(); ++cut) {
    if (!check_cut(blueprint, cut)) continue;
    const std::uint64_t larger =
        std::max(weight_bytes(file, blueprint, kernels, LinkPlan{.layers = cut}.first()),
                 weight_bytes(file, blueprint, kernels, LinkPlan{.layers = cut}.second()));
    if (larger >= least) continue;
    least = larger;
    best = cut;
  }
  if (best == 0)
    return invalid(
        "{} cannot stand on two machines: wherever it is cut, a layer reads what one on "
        "the other side has",
        blueprint.architecture);
  return best;
}

Status check_rows(const Blueprint& blueprint) {
  LATHE_TRY_STATUS(check_linkable(blueprint));
  if (blueprint.deepstack == 0) return {};
  return invalid(
      "the matrices of {} cannot stand on two machines by rows: pictures are added behind its "
      "first {} layers; put its layers one behind the other (layers)",
      blueprint.architecture, blueprint.deepstack);
}

Status check_plan(const Blueprint& blueprint, const LinkPlan& plan) {
  if (plan.split == LinkSplit::kLayers) return check_cut(blueprint, plan.layers);
  if (plan.layers != 0)
    return invalid("by rows, all layers stand on both machines; {} of them were asked for",
                   plan.layers);
  return check_rows(blueprint);
}

Result<LinkPlan> choose_plan(const Gguf& file, const Blueprint& blueprint,
                             const KernelTable& kernels, LinkSplit split, std::size_t layers) {
  LinkPlan plan{.split = split, .layers = layers};
  if (split == LinkSplit::kLayers) {
    LATHE_TRY(plan.layers, choose_cut(file, blueprint, kernels, layers));
  }
  LATHE_TRY_STATUS(check_plan(blueprint, plan));
  return plan;
}

Result<std::string> link_identity(const Gguf& file) {
  Sha256 hash;
  for (const auto& [key, value] : file.metadata()) {
    AddValue{hash}(key);
    std::visit(AddValue{hash}, value);
  }
  std::vector<std::byte> sample(kSample);
  for (const GgufTensor& tensor : file.tensors()) {
    AddValue{hash}(tensor.name);
    add_number(hash, static_cast<std::uint64_t>(tensor.type));
    for (const std::uint64_t dimension : tensor.shape) add_number(hash, dimension);
    const auto bytes = std::span(sample).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(kSample, tensor.bytes)));
    LATHE_TRY_STATUS(file.read(tensor, 0, bytes));
    hash.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  return hash.hex();
}

std::uint64_t link_model(std::string_view identity) {
  std::uint64_t number = 0;
  const std::string_view first = identity.substr(0, 16);
  std::from_chars(first.data(), first.data() + first.size(), number, 16);
  return number;
}

std::uint64_t token_bytes(const Gguf& file, const Blueprint& blueprint) {
  std::uint64_t bytes = 0;
  for (const TensorSpec& spec : tensors_of(blueprint)) {
    const GgufTensor* tensor = file.find_tensor(spec.name);
    const bool looked_up =
        spec.slot == Slot::kLayerEmbedding || (spec.slot == Slot::kEmbedding && !blueprint.tied);
    if (tensor == nullptr || spec.vector || looked_up) continue;
    const bool all = spec.experts == 1 || spec.heads;
    const std::uint64_t part =
        spec.is_part() ? tensor->bytes / spec.file_rows * spec.rows : tensor->bytes;
    bytes += all ? part : part / spec.experts * blueprint.layers[spec.layer].ffn.experts_used;
  }
  return bytes;
}

std::uint64_t gathered_bytes(const Blueprint& blueprint, std::size_t machines) {
  const RowShare here{0, machines};
  std::uint64_t rows = 0;
  for (const TensorSpec& spec : tensors_of(blueprint)) {
    if (!is_divided(spec, blueprint)) continue;
    const std::uint64_t elsewhere = spec.rows - here.of(spec.rows).count;
    rows += elsewhere * (spec.experts == 1 ? 1 : blueprint.layers[spec.layer].ffn.experts_used);
  }
  return rows * sizeof(float);
}

BoxesAdvice advise_boxes(const BoxesQuestion& question) {
  const auto boxes = static_cast<double>(question.boxes);
  const double all = static_cast<double>(question.token_bytes) / question.bytes_per_second;
  const double byte = question.link_bytes_per_second > 0 ? 1 / question.link_bytes_per_second : 0;
  const auto row = static_cast<double>(question.width * sizeof(float));
  const auto exchanges = static_cast<double>(kGathersOfLayer * question.layers);
  BoxesAdvice advice{.use = BoxesUse::kLayers,
                     .layers_seconds = all + (boxes - 1) * (question.exchange_seconds + row * byte),
                     .rows_seconds = all / boxes + exchanges * question.exchange_seconds +
                                     static_cast<double>(question.gathered_bytes) * byte};
  const bool rows_fit = question.rows_bytes && *question.rows_bytes <= question.box_bytes;
  if (question.model_bytes <= question.box_bytes)
    advice.use = question.boxes > 1 ? BoxesUse::kReplicas : BoxesUse::kOne;
  else if (static_cast<double>(question.model_bytes) >
           boxes * static_cast<double>(question.box_bytes))
    advice.use = BoxesUse::kTooSmall;
  else if (rows_fit && question.exchange_seconds > 0 && advice.rows_seconds < advice.layers_seconds)
    advice.use = BoxesUse::kRows;
  return advice;
}

}  // namespace lathe::infer
