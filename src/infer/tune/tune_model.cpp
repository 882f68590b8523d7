#include "infer/tune/tune_model.h"

#include <algorithm>
#include <cmath>

#include "ground/base/random.h"
#include "ground/base/text.h"
#include "infer/tensor/matrix.h"

namespace lathe {
namespace {

constexpr std::string_view kTargets[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                         "ffn_gate", "ffn_up", "ffn_down"};

// What this model has that there is no backward pass for.
Status check_trainable(const Gguf& file, const Blueprint& blueprint) {
  const std::string place = file.path().string();
  for (const LayerSpec& layer : blueprint.layers) {
    const char* what = layer.recurrent.state_bytes != 0 ? "recurrent layers"
                       : layer.ffn.experts != 0         ? "experts"
                       : layer.attention.window != 0    ? "sliding windows"
                                                        : nullptr;
    if (what != nullptr)
      return invalid(
          "{}: {} has {}, which Lathe cannot train; it trains dense llama, qwen2 and qwen3", place,
          blueprint.architecture, what);
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
    if (!lora_) return declare(*tensor, 1, size, false, into);
    LATHE_TRY(std::vector<float> values, load_floats(file_, *tensor));
    into.value = model_.frozen_floats_.emplace_back(std::move(values)).data();
    model_.frozen_bytes_ += size * sizeof(float);
    return {};
  }

  Status linear(const std::string& block, std::string_view part, std::size_t rows, std::size_t k,
                bool bias, Linear& into) {
    const std::string name = block + std::string(part);
    LATHE_TRY_STATUS(matrix(name + ".weight", rows, k, into));
    if (bias) LATHE_TRY_STATUS(vector(name + ".bias", rows, into.bias));
    if (!lora_) return {};
    const auto& targets = lora_->targets;
    if (!targets.empty() && std::ranges::find(targets, part) == targets.end()) return {};
    into.rank = lora_->rank;
    into.lora_scale = static_cast<float>(lora_->alpha / static_cast<double>(lora_->rank));
    add(into.name + ".lora_a", lora_->rank, k, true, into.lora_a, nullptr);
    add(into.name + ".lora_b", rows, lora_->rank, true, into.lora_b, nullptr);
    return {};
  }

  Status matrix(const std::string& name, std::size_t rows, std::size_t k, Linear& into) {
    LATHE_TRY(const GgufTensor* tensor, find(name, rows, k));
    into.name = name;
    into.rows = rows;
    into.k = k;
    if (!lora_) return declare(*tensor, rows, k, true, into.weight);
    LATHE_TRY(Pages pages, Pages::allocate(static_cast<std::size_t>(tensor->bytes)));
    LATHE_TRY_STATUS(
        file_.read(*tensor, 0, {pages.data(), static_cast<std::size_t>(tensor->bytes)}));
    into.frozen = pages.data();
    into.type = &tensor_type_info(tensor->type);
    const std::string scale = name.substr(0, name.rfind('.')) + ".scale";
    if (file_.find_tensor(scale) != nullptr) {
      LATHE_TRY(const GgufTensor* factor, find(scale, 1, 1));
      LATHE_TRY(const auto values, load_floats(file_, *factor));
      into.frozen_scale = values.front();
    } else if (tensor->type == TensorType::kF32) {
      into.weight.value = reinterpret_cast<float*>(pages.data());
    }
    model_.frozen_bytes_ += pages.size();
    model_.frozen_.push_back(std::move(pages));
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

  Result<const GgufTensor*> find(const std::string& name, std::size_t rows, std::size_t k) const {
    const GgufTensor* tensor = file_.find_tensor(name);
    const std::string place = file_.path().string();
    if (tensor == nullptr) return invalid("{}: the tensor {} is missing", place, name);
    if (tensor->shape != std::array<std::uint64_t, 4>{k, rows, 1, 1})
      return invalid("{}: the tensor {} is {}×{}×{}×{} and must be {}×{}×1×1", place, name,
                     tensor->shape[0], tensor->shape[1], tensor->shape[2], tensor->shape[3], k,
                     rows);
    return tensor;
  }

  Status declare(const GgufTensor& tensor, std::size_t rows, std::size_t k, bool decays,
                 Weights& into) {
    if (tensor.type != TensorType::kF32 && tensor.type != TensorType::kF16 &&
        tensor.type != TensorType::kBF16)
      return invalid(
          "{}: the tensor {} is {}; full training wants F32, F16 or BF16 weights (a quantized base "
          "is trained with an adapter: leave --full out)",
          file_.path().string(), tensor.name, tensor_type_info(tensor.type).name);
    add(tensor.name, rows, k, decays, into, &tensor);
    return {};
  }

  void add(const std::string& name, std::size_t rows, std::size_t k, bool decays, Weights& into,
           const GgufTensor* tensor) {
    model_.parameters_.add(name, rows, k, decays);
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
  LATHE_TRY_STATUS(
      binder.matrix("token_embd.weight", blueprint.vocabulary, width, model->embedding_));
  model->layers_.resize(blueprint.layers.size());
  for (std::size_t i = 0; i < model->layers_.size(); ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    const AttentionSpec& attention = blueprint.layers[i].attention;
    const std::size_t q = attention.heads * attention.head_dim;
    const std::size_t kv = attention.kv_heads * attention.head_dim;
    const std::size_t hidden = blueprint.layers[i].ffn.hidden;
    const bool bias = attention.qkv_bias;
    TuneLayer& layer = model->layers_[i];
    LATHE_TRY_STATUS(binder.vector(block + "attn_norm.weight", width, layer.attention_norm));
    LATHE_TRY_STATUS(binder.linear(block, "attn_q", q, width, bias, layer.q));
    LATHE_TRY_STATUS(binder.linear(block, "attn_k", kv, width, bias, layer.k));
    LATHE_TRY_STATUS(binder.linear(block, "attn_v", kv, width, bias, layer.v));
    LATHE_TRY_STATUS(
        binder.linear(block, "attn_output", width, q, attention.output_bias, layer.output));
    if (attention.qk_norm) {
      const std::size_t dim = attention.head_dim;
      LATHE_TRY_STATUS(binder.vector(block + "attn_q_norm.weight", dim, layer.q_norm));
      LATHE_TRY_STATUS(binder.vector(block + "attn_k_norm.weight", dim, layer.k_norm));
    }
    LATHE_TRY_STATUS(binder.vector(block + "ffn_norm.weight", width, layer.ffn_norm));
    LATHE_TRY_STATUS(binder.linear(block, "ffn_gate", hidden, width, false, layer.gate));
    LATHE_TRY_STATUS(binder.linear(block, "ffn_up", hidden, width, false, layer.up));
    LATHE_TRY_STATUS(binder.linear(block, "ffn_down", width, hidden, false, layer.down));
  }
  LATHE_TRY_STATUS(binder.vector("output_norm.weight", width, model->output_norm_));
  if (!blueprint.tied)
    LATHE_TRY_STATUS(binder.matrix("output.weight", blueprint.vocabulary, width, model->head_));
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

}  // namespace lathe
