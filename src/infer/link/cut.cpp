// Cuts: what layers need of each other, and what they weigh.
#include "infer/link/cut.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "ground/base/hash.h"
#include "infer/cpu/model.h"

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

Status check_linkable(const Blueprint& blueprint) {
  const auto refuse = [&](std::string_view why) {
    return invalid("{} cannot stand on two machines: {}", blueprint.architecture, why);
  };
  if (!blueprint.generates) return refuse("it is an encoder, whose layers see whole texts");
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
        std::max(weight_bytes(file, blueprint, kernels, {0, cut}),
                 weight_bytes(file, blueprint, kernels, {cut, blueprint.layers.size()}));
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

BoxesAdvice advise_boxes(const BoxesQuestion& question) {
  const double all = static_cast<double>(question.token_bytes) / question.bytes_per_second;
  const double exchanges =
      static_cast<double>(kGathersOfLayer * question.layers) * question.exchange_seconds;
  const auto boxes = static_cast<double>(question.boxes);
  BoxesAdvice advice{.use = BoxesUse::kPipeline,
                     .pipeline_seconds = all + (boxes - 1) * question.exchange_seconds,
                     .tensor_seconds = all / boxes + exchanges};
  if (question.model_bytes <= question.box_bytes)
    advice.use = question.boxes > 1 ? BoxesUse::kReplicas : BoxesUse::kOne;
  else if (static_cast<double>(question.model_bytes) >
           boxes * static_cast<double>(question.box_bytes))
    advice.use = BoxesUse::kTooSmall;
  else if (question.exchange_seconds > 0 && exchanges < all / boxes)
    advice.use = BoxesUse::kTensor;
  return advice;
}

}  // namespace lathe::infer
