// A model as the trainer holds it: parts frozen, parts trained.
#include "infer/tune/tune_model.h"

#include <algorithm>
#include <cmath>

#include "ground/base/random.h"
#include "ground/base/text.h"
#include "infer/tensor/matrix.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kTargets[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                         "ffn_gate", "ffn_up", "ffn_down"};

// What this model has that there is no backward pass for.
Status check_trainable(const Gguf& file, const Blueprint& blueprint) {
  const std::string place = file.path().string();
  for (const LayerSpec& layer : blueprint.layers) {
    const char* what = layer.recurrent.state_bytes != 0 ? "recurrent layers"
                       : layer.attention.window != 0    ? "sliding windows"
                                                        : nullptr;
    if (what != nullptr)
      return invalid(
          "{}: {} has {}, which Lathe cannot train; it trains llama, qwen2, qwen3 and qwen3moe",
          place, blueprint.architecture, what);
  }
  return {};
}

Status check_targets(const std::vector<std::string>& targets) {
  for (const std::string& target : targets)
    if (std::ranges::find(kTargets, target) == std::end(kTargets)) {
      std::vector<std::string> known(std::begin(kTargets), std::end(kTargets));
      return invalid("LoRA target '{}' is no linear layer; there are {}", target,
                     join(known, ", "));
    }
  return {};
}

}  // namespace

std::span<const std::string_view> lora_targets() {
  return kTargets;
}

// First declares every parameter, then, once the arena is there, fills it.
class TuneModel::Binder {
 public:
  Binder(const Gguf& file, TuneModel& model, const std::optional<LoraOptions>& lora)
      : file_(file), model_(model), lora_(lora) {}

  Status vector(const std::string& name, std::size_t size, Weights& into) {
    LATHE_TRY(const GgufTensor* tensor, find(name, 1, size));
    if (!lora_) return declare(*tensor, {.name = name, .k = size}, into);
    LATHE_TRY(into.value, frozen_floats(*tensor));
    return {};
  }

  // part: as lora_targets() calls it; suffix: of the tensor's name behind that.
  Status linear(const std::string& block, std::string_view part, std::string_view suffix, bool bias,
                Linear& into) {
    const std::string name = block + std::string(part) + std::string(suffix);
    LATHE_TRY_STATUS(matrix(name + ".weight", into));
    if (bias) LATHE_TRY_STATUS(vector(name + ".bias", into.rows, into.bias));
    if (!lora_) return {};
    const auto& targets = lora_->targets;
    if (!targets.empty() && std::ranges::find(targets, part) == targets.end()) return {};
    into.rank = lora_->rank;
    into.lora_scale = static_cast<float>(lora_->alpha / static_cast<double>(lora_->rank));
    const auto adapt = [&](const char* side, std::size_t rows, std::size_t k, Weights& weights) {
      add({.name = name + ".weight" + side,
           .rows = rows,
           .k = k,
           .experts = into.experts,
           .decays = true},
          weights, nullptr);
    };
    adapt(".lora_a", into.rank, into.k, into.lora_a);
    adapt(".lora_b", into.rows, into.rank, into.lora_b);
    return {};
  }

  Status matrix(const std::string& name, Linear& into) {
    LATHE_TRY(const GgufTensor* tensor, find(name, into.rows, into.k, into.experts));
    if (!lora_)
      return declare(
          *tensor,
          {.name = name, .rows = into.rows, .k = into.k, .experts = into.experts, .decays = true},
          into.weight);
    LATHE_TRY(Pages pages, Pages::allocate(static_cast<std::size_t>(tensor->bytes)));
    LATHE_TRY_STATUS(
        file_.read(*tensor, 0, {pages.data(), static_cast<std::size_t>(tensor->bytes)}));
    into.frozen = pages.data();
    into.type = &tensor_type_info(tensor->type);
    const std::string scale = name.substr(0, name.rfind('.')) + ".scale";
    if (file_.find_tensor(scale) != nullptr) {
      LATHE_TRY(const GgufTensor* factors, find(scale, 1, into.experts));
      LATHE_TRY(into.frozen_scale, frozen_floats(*factors));
    } else if (tensor->type == TensorType::kF32) {
      into.weight.value = reinterpret_cast<float*>(pages.data());
    }
    model_.frozen_bytes_ += pages.size();
    model_.frozen_.push_back(std::move(pages));
    return {};
  }

  Status layer(std::size_t i, TuneLayer& layer) {
    const std::string block = fmt::format("blk.{}.", i);
    const AttentionSpec& attention = model_.blueprint_.layers[i].attention;
    const FfnSpec& ffn = model_.blueprint_.layers[i].ffn;
    const std::size_t width = model_.blueprint_.embedding, dim = attention.head_dim;
    const std::size_t q = attention.heads * dim, kv = attention.kv_heads * dim;
    layer.q = {.rows = q, .k = width};
    layer.k = layer.v = {.rows = kv, .k = width};
    layer.output = {.rows = width, .k = q};
    layer.gate = layer.up = {
        .rows = ffn.hidden, .k = width, .experts = std::max<std::size_t>(1, ffn.experts)};
    layer.down = {.rows = width, .k = ffn.hidden, .experts = layer.gate.experts};
    const bool bias = attention.qkv_bias;
    LATHE_TRY_STATUS(vector(block + "attn_norm.weight", width, layer.attention_norm));
    LATHE_TRY_STATUS(linear(block, "attn_q", "", bias, layer.q));
    LATHE_TRY_STATUS(linear(block, "attn_k", "", bias, layer.k));
    LATHE_TRY_STATUS(linear(block, "attn_v", "", bias, layer.v));
    LATHE_TRY_STATUS(linear(block, "attn_output", "", attention.output_bias, layer.output));
    if (attention.qk_norm) {
      LATHE_TRY_STATUS(vector(block + "attn_q_norm.weight", dim, layer.q_norm));
      LATHE_TRY_STATUS(vector(block + "attn_k_norm.weight", dim, layer.k_norm));
    }
    LATHE_TRY_STATUS(vector(block + "ffn_norm.weight", width, layer.ffn_norm));
    if (ffn.experts != 0) {
      layer.router = {.rows = ffn.experts, .k = width};
      LATHE_TRY_STATUS(matrix(block + "ffn_gate_inp.weight", layer.router));
    }
    const std::string_view suffix = ffn.experts == 0 ? "" : "_exps";
    LATHE_TRY_STATUS(linear(block, "ffn_gate", suffix, false, layer.gate));
    LATHE_TRY_STATUS(linear(block, "ffn_up", suffix, false, layer.up));
    return linear(block, "ffn_down", suffix, false, layer.down);
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

  Result<const GgufTensor*> find(const std::string& name, std::size_t rows, std::size_t k,
                                 std::size_t experts = 1) const {
    const GgufTensor* tensor = file_.find_tensor(name);
    const std::string place = file_.path().string();
    if (tensor == nullptr) return invalid("{}: the tensor {} is missing", place, name);
    if (tensor->shape != std::array<std::uint64_t, 4>{k, rows, experts, 1})
      return invalid("{}: the tensor {} is {}×{}×{}×{} and must be {}×{}×{}×1", place, name,
                     tensor->shape[0], tensor->shape[1], tensor->shape[2], tensor->shape[3], k,
                     rows, experts);
    return tensor;
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
  Binder binder(file, *model, lora);
  const std::size_t width = blueprint.embedding;
  model->embedding_ = {.rows = blueprint.vocabulary, .k = width};
  LATHE_TRY_STATUS(binder.matrix("token_embd.weight", model->embedding_));
  model->layers_.resize(blueprint.layers.size());
  for (std::size_t i = 0; i < model->layers_.size(); ++i)
    LATHE_TRY_STATUS(binder.layer(i, model->layers_[i]));
  LATHE_TRY_STATUS(binder.vector("output_norm.weight", width, model->output_norm_));
  if (!blueprint.tied) {
    model->head_ = {.rows = blueprint.vocabulary, .k = width};
    LATHE_TRY_STATUS(binder.matrix("output.weight", model->head_));
  }
  if (blueprint.layers.front().attention.rope.frequency_factors) {
    LATHE_TRY(model->rope_factors_, load_floats(file, *file.find_tensor("rope_freqs.weight")));
  }
  LATHE_TRY_STATUS(binder.fill());
  return model;
}

void TuneModel::embed(std::int32_t token, float* out) const {
  const auto row = static_cast<std::size_t>(token);
  LATHE_CHECK(token >= 0 && row < blueprint_.vocabulary);
  if (embedding_.weight.value != nullptr) {
    std::copy_n(embedding_.weight.value + row * embedding_.k, embedding_.k, out);
    return;
  }
  const TensorTypeInfo& info = *embedding_.type;
  info.decode(embedding_.frozen + row * (embedding_.k / info.block * info.block_bytes), out,
              embedding_.k);
}

}  // namespace lathe::infer
