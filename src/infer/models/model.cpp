// Loads weights into packed matrices.
#include "infer/models/model.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {

// Finds each tensor a blueprint needs, checks its shape against the one expected (never the other
// way round), and collects what is to be loaded.
class Model::Binder {
 public:
  explicit Binder(const Gguf& file) : file_(file) {}

  Status matrix(const std::string& name, std::size_t rows, std::size_t k, PackedMatrix& into,
                std::size_t experts = 0) {
    const std::size_t count = std::max<std::size_t>(experts, 1);
    LATHE_TRY(const GgufTensor* tensor, find(name, {k, rows, count, 1}));
    // NVFP4's second level: a number that the products of a matrix, or of an expert, are
    // multiplied by.
    std::vector<float> scales;
    const std::string scale = name.substr(0, name.rfind('.')) + ".scale";
    if (file_.find_tensor(scale) != nullptr) {
      LATHE_TRY_STATUS(floats(scale, count, scales));
      for (const float each : scales)
        if (!std::isfinite(each)) return invalid("{}: {} holds {}", path(), scale, each);
    }
    loads_.push_back({tensor, &into, std::move(scales)});
    return {};
  }
  Status floats(const std::string& name, std::size_t size, std::vector<float>& into) {
    LATHE_TRY(const GgufTensor* tensor, find(name, {size, 1, 1, 1}));
    LATHE_TRY(into, load_floats(file_, *tensor));
    bytes_ += into.size() * sizeof(float);
    return {};
  }
  Result<const GgufTensor*> find(const std::string& name,
                                 std::array<std::uint64_t, 4> shape) const {
    const GgufTensor* tensor = file_.find_tensor(name);
    if (tensor == nullptr) return invalid("{}: the tensor {} is missing", path(), name);
    if (tensor->shape != shape) {
      return invalid("{}: the tensor {} is {} and must be {}", path(), name, text(tensor->shape),
                     text(shape));
    }
    return tensor;
  }

  const std::vector<MatrixLoad>& loads() const { return loads_; }
  std::uint64_t vector_bytes() const { return bytes_; }

 private:
  std::string path() const { return file_.path().string(); }
  static std::string text(const std::array<std::uint64_t, 4>& shape) {
    return fmt::format("{}×{}×{}×{}", shape[0], shape[1], shape[2], shape[3]);
  }
  const Gguf& file_;
  std::vector<MatrixLoad> loads_;
  std::uint64_t bytes_ = 0;
};

namespace {

Status bind_attention(auto& binder, const Blueprint& blueprint, const AttentionSpec& spec,
                      const std::string& block, LayerWeights& layer) {
  const std::size_t width = blueprint.embedding;
  const std::size_t q = spec.heads * spec.head_dim, kv = spec.kv_heads * spec.head_dim;
  LATHE_TRY_STATUS(binder.floats(block + "attn_norm.weight", width, layer.attention_norm));
  LATHE_TRY_STATUS(binder.matrix(block + "attn_q.weight", q, width, layer.q));
  LATHE_TRY_STATUS(binder.matrix(block + "attn_k.weight", kv, width, layer.k));
  LATHE_TRY_STATUS(binder.matrix(block + "attn_v.weight", kv, width, layer.v));
  LATHE_TRY_STATUS(binder.matrix(block + "attn_output.weight", width, q, layer.output));
  if (spec.qkv_bias) {
    LATHE_TRY_STATUS(binder.floats(block + "attn_q.bias", q, layer.q_bias));
    LATHE_TRY_STATUS(binder.floats(block + "attn_k.bias", kv, layer.k_bias));
    LATHE_TRY_STATUS(binder.floats(block + "attn_v.bias", kv, layer.v_bias));
  }
  if (spec.output_bias) {
    LATHE_TRY_STATUS(binder.floats(block + "attn_output.bias", width, layer.output_bias));
  }
  if (spec.qk_norm) {
    LATHE_TRY_STATUS(binder.floats(block + "attn_q_norm.weight", spec.head_dim, layer.q_norm));
    LATHE_TRY_STATUS(binder.floats(block + "attn_k_norm.weight", spec.head_dim, layer.k_norm));
  }
  return {};
}

Status bind_ffn(auto& binder, const Blueprint& blueprint, const FfnSpec& spec,
                const std::string& block, LayerWeights& layer) {
  const std::size_t width = blueprint.embedding;
  const std::string kind = spec.experts == 0 ? ".weight" : "_exps.weight";
  LATHE_TRY_STATUS(binder.floats(block + "ffn_norm.weight", width, layer.ffn_norm));
  if (spec.experts != 0) {
    LATHE_TRY_STATUS(
        binder.matrix(block + "ffn_gate_inp.weight", spec.experts, width, layer.router));
  }
  LATHE_TRY_STATUS(
      binder.matrix(block + "ffn_gate" + kind, spec.hidden, width, layer.gate, spec.experts));
  LATHE_TRY_STATUS(
      binder.matrix(block + "ffn_up" + kind, spec.hidden, width, layer.up, spec.experts));
  LATHE_TRY_STATUS(
      binder.matrix(block + "ffn_down" + kind, width, spec.hidden, layer.down, spec.experts));
  return {};
}

}  // namespace

Result<std::unique_ptr<Model>> Model::load(const Gguf& file, ThreadTeam& team,
                                           const LoadOptions& options) {
  std::unique_ptr<Model> model(new Model);
  LATHE_TRY(model->blueprint_, read_runnable_blueprint(file));
  model->kernels_ = options.kernels;
  const Blueprint& blueprint = model->blueprint_;
  Binder binder(file);
  const std::size_t width = blueprint.embedding;
  LATHE_TRY(const GgufTensor* embedding,
            binder.find("token_embd.weight", {width, blueprint.vocabulary, 1, 1}));
  if (file.find_tensor("token_embd.scale") != nullptr) {
    return invalid("{}: token_embd.scale: an embedding with a scale of its own is not supported",
                   file.path().string());
  }
  LATHE_TRY_STATUS(binder.floats("output_norm.weight", width, model->output_norm_));
  if (blueprint.tied) {
    LATHE_TRY_STATUS(
        binder.matrix("token_embd.weight", blueprint.vocabulary, width, model->embedding_));
  } else {
    LATHE_TRY_STATUS(binder.matrix("output.weight", blueprint.vocabulary, width, model->output_));
  }
  const RopeSpec& rope = blueprint.layers.front().attention.rope;
  if (rope.frequency_factors) {
    LATHE_TRY_STATUS(binder.floats("rope_freqs.weight", rope.dimensions / 2, model->rope_factors_));
    for (const float factor : model->rope_factors_) {
      if (!(factor > 0)) {
        return invalid("{}: rope_freqs.weight holds {}; every factor must be positive",
                       file.path().string(), factor);
      }
    }
  }
  model->layers_.resize(blueprint.layers.size());
  for (std::size_t i = 0; i < model->layers_.size(); ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    LATHE_TRY_STATUS(
        bind_attention(binder, blueprint, blueprint.layers[i].attention, block, model->layers_[i]));
    LATHE_TRY_STATUS(
        bind_ffn(binder, blueprint, blueprint.layers[i].ffn, block, model->layers_[i]));
  }
  model->vector_bytes_ = binder.vector_bytes();

  std::uint64_t total = 0;
  for (const MatrixLoad& load : binder.loads()) total += load.tensor->bytes;
  LATHE_TRY(model->arena_, load_matrices(
                               file, binder.loads(), *options.kernels, team,
                               [&](std::uint64_t done) {
                                 if (options.progress) options.progress(done, total);
                               },
                               options.stop));
  if (!blueprint.tied) {
    LATHE_TRY(model->raw_embedding_, Pages::allocate(static_cast<std::size_t>(embedding->bytes)));
    model->raw_type_ = embedding->type;
    LATHE_TRY_STATUS(file.read(
        *embedding, 0, {model->raw_embedding_.data(), static_cast<std::size_t>(embedding->bytes)}));
  }
  return model;
}

void Model::embed(std::int32_t token, float* out) const {
  const auto row = static_cast<std::size_t>(token);
  LATHE_CHECK(token >= 0 && row < blueprint_.vocabulary);
  if (blueprint_.tied) return embedding_.row(row, out);
  const TensorTypeInfo& info = tensor_type_info(raw_type_);
  const std::size_t bytes = blueprint_.embedding / info.block * info.block_bytes;
  info.decode(raw_embedding_.data() + row * bytes, out, blueprint_.embedding);
}

std::uint64_t Model::bytes_per_token() const {
  const auto bytes = [](const PackedMatrix& m) {
    return m.empty() ? 0 : std::uint64_t{m.panel_count()} * m.panel_bytes();
  };
  std::uint64_t sum = bytes(output());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerWeights& l = layers_[i];
    const std::size_t used = std::max<std::size_t>(1, blueprint_.layers[i].ffn.experts_used);
    sum += bytes(l.q) + bytes(l.k) + bytes(l.v) + bytes(l.output) + bytes(l.router) +
           used * (bytes(l.gate) + bytes(l.up) + bytes(l.down));
  }
  return sum;
}

std::uint64_t weight_bytes(const Gguf& file, const Blueprint& blueprint,
                           const KernelTable& kernels) {
  std::uint64_t vectors = 0, embedding = 0, matrices = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name == "token_embd.weight" && !blueprint.tied) {
      embedding += tensor.bytes;
    } else if (tensor.shape[1] == 1) {
      vectors += tensor.elements() * sizeof(float);
    } else {
      matrices += packed_bytes(kernels, tensor);
    }
  }
  return vectors + Pages::rounded(embedding) + Pages::rounded(matrices);
}

}  // namespace lathe::infer
