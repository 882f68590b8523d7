// A model as the trainer holds it: parts frozen, parts trained.
#include "infer/tune/tune_model.h"

#include <algorithm>
#include <cmath>

#include "ground/base/random.h"
#include "ground/base/text.h"
#include "infer/tensor/memory.h"

namespace lathe::infer {
namespace {

// Those whose every part there is a backward pass for.
Status check_trainable(const Gguf& file, const Blueprint& blueprint) {
  constexpr std::string_view kTrained[] = {"llama", "qwen2", "qwen3", "qwen3moe"};
  const bool trained = std::ranges::find(kTrained, blueprint.architecture) != std::end(kTrained);
  const bool routed = std::ranges::all_of(blueprint.layers, [](const LayerSpec& layer) {
    return layer.ffn.router == RouterRule::kSoftmax && layer.ffn.shared_hidden == 0;
  });
  if (trained && routed) return {};
  return invalid("{}: {}{} cannot be trained; Lathe trains llama, qwen2, qwen3 and qwen3moe",
                 file.path().string(), blueprint.architecture,
                 trained ? " with its kind of router" : "");
}

Status check_targets(const std::vector<std::string>& targets) {
  const std::vector<std::string> known = lora_targets();
  for (const std::string& target : targets)
    if (std::ranges::find(known, target) == known.end())
      return invalid("LoRA target '{}' is no linear layer; there are {}", target,
                     join(known, ", "));
  return {};
}

}  // namespace

std::vector<std::string> lora_targets() {
  std::vector<std::string> targets;
  for (const SlotInfo& info : slot_infos())
    if (info.adapts) targets.emplace_back(info.part);
  return targets;
}

// First declares every parameter, then, once the arena is there, fills it.
class TuneModel::Filler {
 public:
  Filler(const Gguf& file, TuneModel& model, const std::optional<LoraOptions>& lora)
      : file_(file), model_(model), lora_(lora) {}

  Status add(const BoundTensor& bound) {
    const TensorSpec& spec = bound.spec;
    const SlotInfo& info = slot_info(spec.slot);
    TuneLayer& layer = info.in_layer ? model_.layers_[spec.layer] : model_.outside_;
    if (spec.slot == Slot::kRopeFactors) {
      LATHE_TRY(model_.rope_factors_, load_floats(file_, *bound.tensor));
      return {};
    }
    if (spec.vector)
      return vector(bound,
                    info.bias_of ? layer.linear[*info.bias_of].bias : layer.vector[spec.slot]);
    Linear& linear = layer.linear[spec.slot];
    linear = {.rows = spec.rows, .k = spec.k, .experts = spec.experts};
    LATHE_TRY_STATUS(matrix(bound, linear));
    if (lora_ && info.adapts) adapt(spec.name, info.part, linear);
    return {};
  }

  // The arena, and what it starts with.
  Status fill() {
    Parameters& parameters = model_.parameters_;
    LATHE_TRY_STATUS(parameters.allocate());
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      const Parameter& parameter = parameters.list()[i];
      *pending_[i].into = parameters.weights(i);
      float* value = parameters.value(parameter);
      if (pending_[i].tensor != nullptr) {
        LATHE_TRY(const auto values, load_floats(file_, *pending_[i].tensor));
        std::ranges::copy(values, value);
      } else if (parameter.name.ends_with(".lora_a")) {
        const double bound = 1 / std::sqrt(static_cast<double>(parameter.k));
        for (std::size_t j = 0; j < parameter.size(); ++j)
          value[j] = static_cast<float>((2 * uniform_at(lora_->seed, i, j) - 1) * bound);
      }
    }
    return {};
  }

 private:
  struct Pending {
    Weights* into;
    const GgufTensor* tensor;  // nullptr: an adapter's
  };

  Status vector(const BoundTensor& bound, Weights& into) {
    if (!lora_) return declare(*bound.tensor, {.name = bound.spec.name, .k = bound.spec.k}, into);
    LATHE_TRY(into.value, frozen_floats(*bound.tensor));
    return {};
  }

  Status matrix(const BoundTensor& bound, Linear& into) {
    const GgufTensor& tensor = *bound.tensor;
    if (!lora_)
      return declare(tensor,
                     {.name = tensor.name,
                      .rows = into.rows,
                      .k = into.k,
                      .experts = into.experts,
                      .decays = true},
                     into.weight);
    const auto bytes = static_cast<std::size_t>(tensor.bytes);
    LATHE_TRY(Pages pages, Pages::allocate(bytes));
    LATHE_TRY_STATUS(file_.read(tensor, 0, {pages.data(), bytes}));
    into.frozen = pages.data();
    into.type = &tensor_type_info(tensor.type);
    if (bound.scale != nullptr) {
      LATHE_TRY(into.frozen_scale, frozen_floats(*bound.scale));
    } else if (tensor.type == TensorType::kF32) {
      into.weight.value = reinterpret_cast<float*>(pages.data());
    }
    model_.frozen_bytes_ += pages.size();
    model_.frozen_.push_back(std::move(pages));
    return {};
  }

  void adapt(const std::string& name, std::string_view part, Linear& into) {
    const auto& targets = lora_->targets;
    if (!targets.empty() && std::ranges::find(targets, part) == targets.end()) return;
    into.rank = lora_->rank;
    into.lora_scale = static_cast<float>(lora_->alpha / static_cast<double>(lora_->rank));
    const auto side = [&](const char* ending, std::size_t rows, std::size_t k, Weights& weights) {
      add({.name = name + ending, .rows = rows, .k = k, .experts = into.experts, .decays = true},
          weights, nullptr);
    };
    side(".lora_a", into.rank, into.k, into.lora_a);
    side(".lora_b", into.rows, into.rank, into.lora_b);
  }

  Result<float*> frozen_floats(const GgufTensor& tensor) {
    LATHE_TRY(std::vector<float> values, load_floats(file_, tensor));
    model_.frozen_bytes_ += values.size() * sizeof(float);
    return model_.frozen_floats_.emplace_back(std::move(values)).data();
  }

  Status declare(const GgufTensor& tensor, Parameter parameter, Weights& into) {
    if (tensor.type != TensorType::kF32 && tensor.type != TensorType::kF16 &&
        tensor.type != TensorType::kBF16)
      return invalid(
          "{}: the tensor {} is {}; full training wants F32, F16 or BF16 weights (a quantized base "
          "is trained with an adapter: leave --full out)",
          file_.path().string(), tensor.name, tensor_type_info(tensor.type).name);
    add(std::move(parameter), into, &tensor);
    return {};
  }

  void add(Parameter parameter, Weights& into, const GgufTensor* tensor) {
    model_.parameters_.add(std::move(parameter));
    pending_.push_back({&into, tensor});
  }

  const Gguf& file_;
  TuneModel& model_;
  const std::optional<LoraOptions>& lora_;
  std::vector<Pending> pending_;  // by parameter
};

Result<std::unique_ptr<TuneModel>> TuneModel::load(const Gguf& file,
                                                   const std::optional<LoraOptions>& lora) {
  std::unique_ptr<TuneModel> model(new TuneModel);
  LATHE_TRY(model->blueprint_, read_runnable_blueprint(file));
  const Blueprint& blueprint = model->blueprint_;
  LATHE_TRY_STATUS(check_trainable(file, blueprint));
  if (lora) LATHE_TRY_STATUS(check_targets(lora->targets));
  LATHE_TRY(const std::vector<BoundTensor> tensors, bind_tensors(file, blueprint));
  model->layers_.resize(blueprint.layers.size());
  Filler filler(file, *model, lora);
  for (const BoundTensor& bound : tensors) LATHE_TRY_STATUS(filler.add(bound));
  LATHE_TRY_STATUS(filler.fill());
  return model;
}

void TuneModel::embed(std::int32_t token, float* out) const {
  const auto row = static_cast<std::size_t>(token);
  LATHE_CHECK(token >= 0 && row < blueprint_.vocabulary);
  const Linear& embedding = this->embedding();
  if (embedding.weight.value != nullptr) {
    std::copy_n(embedding.weight.value + row * embedding.k, embedding.k, out);
    return;
  }
  const TensorTypeInfo& info = *embedding.type;
  info.decode(embedding.frozen + row * (embedding.k / info.block * info.block_bytes), out,
              embedding.k);
}

}  // namespace lathe::infer
