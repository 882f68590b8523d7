// A model as the trainer holds it: parts frozen, parts trained.
#include "infer/tune/tune_model.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ground/base/random.h"
#include "ground/base/text.h"
#include "infer/tensor/memory.h"
#include "infer/tune/trainable.h"

namespace lathe::infer {
namespace {

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
    if (spec.slot == Slot::kRopeFactors || spec.slot == Slot::kRopeFactorsLong ||
        spec.slot == Slot::kRopeFactorsShort) {
      LATHE_TRY(model_.rope_factors_[spec.slot], load_floats(file_, *bound.tensor));
      return {};
    }
    if (spec.slot == Slot::kMixedBias) {
      std::size_t first = 0;
      for (const Slot part : {Slot::kQ, Slot::kK, Slot::kV}) {
        LATHE_TRY_STATUS(vector(bound, layer.linear[part].bias, first));
        first += layer.linear[part].rows;
      }
      return {};
    }
    if (spec.vector)
      return vector(bound,
                    info.bias_of ? layer.linear[*info.bias_of].bias : layer.vector[spec.slot]);
    Linear& linear = layer.linear[spec.slot];
    linear = {.rows = spec.rows,
              .k = spec.k,
              .experts = spec.experts,
              .expert_rows = spec.is_part() ? spec.file_rows : spec.rows};
    LATHE_TRY_STATUS(matrix(bound, linear));
    if (lora_ && info.adapts) adapt(spec, info.part, linear);
    return {};
  }

  // The arena, and what it starts with.
  Status fill() {
    Parameters& parameters = model_.parameters_;
    LATHE_TRY_STATUS(parameters.allocate());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const Parameter& parameter = parameters.list()[i];
      float* value = parameters.value(parameter);
      if (tensors_[i] != nullptr) {
        LATHE_TRY(const auto values, load_floats(file_, *tensors_[i]));
        std::ranges::copy(values, value);
      } else if (parameter.name.ends_with(".lora_a")) {
        const double bound = 1 / std::sqrt(static_cast<double>(parameter.k));
        for (std::size_t j = 0; j < parameter.size(); ++j)
          value[j] = static_cast<float>((2 * uniform_at(lora_->seed, i, j) - 1) * bound);
      }
    }
    for (const Pending& pending : pending_) {
      *pending.into = parameters.weights(pending.parameter);
      pending.into->value += pending.offset;
      pending.into->gradient += pending.offset;
    }
    return {};
  }

 private:
  // From so many numbers on of a parameter.
  struct Pending {
    Weights* into;
    std::size_t parameter, offset;
  };

  Status vector(const BoundTensor& bound, Weights& into, std::size_t offset = 0) {
    if (!lora_ && bound.spec.slot != Slot::kScoreBias)
      return declare(*bound.tensor,
                     {.name = bound.spec.name, .rows = bound.spec.rows, .k = bound.spec.k}, into,
                     offset);
    LATHE_TRY(into.value, frozen_floats(*bound.tensor));
    into.value += offset;
    return {};
  }

  Status matrix(const BoundTensor& bound, Linear& into) {
    const GgufTensor& tensor = *bound.tensor;
    if (!lora_)
      return declare(tensor,
                     {.name = tensor.name,
                      .rows = into.expert_rows,
                      .k = into.k,
                      .experts = into.experts,
                      .decays = true},
                     into.weight, bound.spec.first_row * into.k);
    const auto bytes = static_cast<std::size_t>(tensor.bytes);
    std::byte*& data = matrices_[tensor.name];
    if (data == nullptr) {
      LATHE_TRY(Pages pages, Pages::allocate(bytes));
      LATHE_TRY_STATUS(file_.read(tensor, 0, {pages.data(), bytes}));
      data = pages.data();
      model_.frozen_bytes_ += pages.size();
      model_.frozen_.push_back(std::move(pages));
    }
    into.type = &tensor_type_info(tensor.type);
    into.frozen =
        data + bound.spec.first_row * (into.k / into.type->block * into.type->block_bytes);
    if (bound.scale != nullptr) {
      LATHE_TRY(into.frozen_scale, frozen_floats(*bound.scale));
    } else if (tensor.type == TensorType::kF32) {
      into.weight.value = reinterpret_cast<float*>(data) + bound.spec.first_row * into.k;
    }
    return {};
  }

  void adapt(const TensorSpec& spec, std::string_view part, Linear& into) {
    if (!is_target(part) && !(spec.is_part() && is_target_joint(spec))) return;
    into.rank = lora_->rank;
    into.lora_scale = static_cast<float>(lora_->alpha / static_cast<double>(lora_->rank));
    const auto side = [&](const char* ending, std::size_t rows, std::size_t k, Weights& weights,
                          std::size_t offset) {
      add({.name = spec.name + ending,
           .rows = rows,
           .k = k,
           .experts = into.experts,
           .decays = true},
          weights, offset, nullptr);
    };
    side(".lora_a", into.rank, into.k, into.lora_a, 0);
    side(".lora_b", into.expert_rows, into.rank, into.lora_b, spec.first_row * into.rank);
  }

  bool is_target(std::string_view part) const {
    const auto& targets = lora_->targets;
    return targets.empty() || std::ranges::find(targets, part) != targets.end();
  }
  // A matrix of several layers is adapted whole where one of them is a target.
  bool is_target_joint(const TensorSpec& spec) const {
    if (spec.slot == Slot::kGate || spec.slot == Slot::kUp)
      return is_target(slot_info(Slot::kGate).part) || is_target(slot_info(Slot::kUp).part);
    return std::ranges::any_of(std::array{Slot::kQ, Slot::kK, Slot::kV, Slot::kMixed},
                               [&](Slot slot) { return is_target(slot_info(slot).part); });
  }

  Result<float*> frozen_floats(const GgufTensor& tensor) {
    LATHE_TRY(std::vector<float> values, load_floats(file_, tensor));
    model_.frozen_bytes_ += values.size() * sizeof(float);
    return model_.frozen_floats_.emplace_back(std::move(values)).data();
  }

  Status declare(const GgufTensor& tensor, Parameter parameter, Weights& into, std::size_t offset) {
    if (tensor.type != TensorType::kF32 && tensor.type != TensorType::kF16 &&
        tensor.type != TensorType::kBF16)
      return invalid(
          "{}: the tensor {} is {}; full training wants F32, F16 or BF16 weights (a quantized base "
          "is trained with an adapter: leave --full out)",
          file_.path().string(), tensor.name, tensor_type_info(tensor.type).name);
    add(std::move(parameter), into, offset, &tensor);
    return {};
  }

  // A parameter that is there already, whole, gets another user.
  void add(Parameter parameter, Weights& into, std::size_t offset, const GgufTensor* tensor) {
    const auto [known, fresh] = parameters_.try_emplace(parameter.name, tensors_.size());
    pending_.push_back({&into, known->second, offset});
    if (!fresh) return;
    model_.parameters_.add(std::move(parameter));
    tensors_.push_back(tensor);
  }

  const Gguf& file_;
  TuneModel& model_;
  const std::optional<LoraOptions>& lora_;
  std::vector<Pending> pending_;
  std::vector<const GgufTensor*> tensors_;         // by parameter; nullptr: an adapter's
  std::map<std::string, std::size_t> parameters_;  // by name
  std::map<std::string, std::byte*> matrices_;     // frozen ones, by name
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
  if (model->parameters_.list().empty())
    return invalid("{}: the model has no {}", file.path().string(), join(lora->targets, ", "));
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
