// Names and orders of PEFT.
#include "infer/tune/peft_names.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::string_view kEnding = ".weight";

// Whose name stands for the tensor's: layers that the file has in one matrix have one name.
Slot named_slot(const TensorSpec& spec) {
  if (!spec.is_part()) return spec.slot;
  return spec.slot == Slot::kGate || spec.slot == Slot::kUp ? Slot::kUp : Slot::kMixed;
}

bool is_module(const HfTensor& tensor, bool of_experts) {
  constexpr Take kOrders[] = {Take::kAll, Take::kValueHeads, Take::kMixedValueHeads,
                              Take::kValueHeadColumns};
  return tensor.name.ends_with(kEnding) &&
         std::ranges::find(kOrders, tensor.take) != std::end(kOrders) &&
         (tensor.name.find("{}") != std::string_view::npos) == of_experts;
}

// The place of a value head's number where the heads of a key head stand side by side.
std::size_t by_key_head(const LayerSpec& layer, std::size_t at) {
  const auto& net = std::get<DeltaNetSpec>(layer.mixer);
  const std::size_t head = at / net.size;
  return (net.key_head(head) * net.shared() + head / net.key_heads) * net.size + at % net.size;
}

}  // namespace

std::string PeftModule::path(std::size_t layer, std::size_t expert) const {
  // Layers of one part alone stand in another model.
  const std::string_view root = name.starts_with("mixer.") ? "backbone" : "model";
  return fmt::format("{}.layers.{}.{}", root, layer, fmt::format(fmt::runtime(name), expert));
}

std::optional<PeftModule> peft_module(const Blueprint& blueprint, const TensorSpec& spec) {
  const Slot slot = named_slot(spec);
  for (const HfFamily& family : hf_families()) {
    if (family.gguf != blueprint.architecture && family.with_experts != blueprint.architecture)
      continue;
    for (const auto& list : {family.mixer, family.own, family.ffn})
      for (const HfTensor& tensor : list)
        if (tensor.slot == slot && is_module(tensor, spec.experts > 1))
          return PeftModule{.name = tensor.name.substr(0, tensor.name.size() - kEnding.size()),
                            .take = tensor.take,
                            .pairs = family.pairs && (slot == Slot::kQ || slot == Slot::kK)};
  }
  return std::nullopt;
}

// GGUF's heads that turn in pairs have (pair, half) where Hugging Face's have (half, pair).
std::size_t peft_row(const PeftModule& module, const LayerSpec& layer, const TensorSpec& spec,
                     std::size_t row) {
  if (module.pairs) {
    const std::size_t dim = layer.attention()->head_dim, in_head = row % dim;
    return row - in_head + in_head % 2 * (dim / 2) + in_head / 2;
  }
  if (module.take != Take::kValueHeads && module.take != Take::kMixedValueHeads) return row;
  const std::size_t before = spec.rows - std::get<DeltaNetSpec>(layer.mixer).values();
  return row < before ? row : before + by_key_head(layer, row - before);
}

std::size_t peft_column(const PeftModule& module, const LayerSpec& layer, std::size_t column) {
  return module.take == Take::kValueHeadColumns ? by_key_head(layer, column) : column;
}

}  // namespace lathe::infer
