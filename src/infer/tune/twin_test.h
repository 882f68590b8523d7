// For tests: tiny models with random weights, and the slow twin of the trainer's network, which
// computes a document's loss in double, one number at a time, straight from the formulas.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "ground/base/random.h"
#include "infer/formats/gguf_writer.h"
#include "infer/tune/network.h"

namespace lathe {

struct TinyModel {
  std::string architecture = "llama";
  std::size_t width = 32, layers = 2, hidden = 48, heads = 2, kv_heads = 1, head_dim = 16;
  std::size_t vocabulary = 24, context = 64;
  bool tied = true;
  std::uint64_t seed = 1;
  TensorType type = TensorType::kF32;         // of the matrices
  double spread = 0.4;                        // of the weights
  std::size_t experts = 0, experts_used = 0;  // 0: dense
  bool scaled = false;                        // the experts' matrices have a ".scale" each

  bool qk_norm() const { return architecture.starts_with("qwen3"); }
  bool bias() const { return architecture == "qwen2"; }
};

// vocabulary: adds the tokenizer's metadata, if any.
inline void write_tiny_model(const fs::path& path, const TinyModel& tiny,
                             const std::function<void(GgufWriter&)>& vocabulary = {}) {
  auto writer = GgufWriter::create(path);
  ASSERT_TRUE(writer) << writer.error().message;
  const std::string p = tiny.architecture + ".";
  writer->add("general.architecture", tiny.architecture);
  const std::pair<const char*, std::size_t> sizes[] = {{"context_length", tiny.context},
                                                       {"embedding_length", tiny.width},
                                                       {"block_count", tiny.layers},
                                                       {"feed_forward_length", tiny.hidden},
                                                       {"attention.head_count", tiny.heads},
                                                       {"attention.head_count_kv", tiny.kv_heads},
                                                       {"attention.key_length", tiny.head_dim},
                                                       {"attention.value_length", tiny.head_dim},
                                                       {"rope.dimension_count", tiny.head_dim}};
  for (const auto& [key, value] : sizes) writer->add(p + key, std::uint64_t{value});
  writer->add(p + "attention.layer_norm_rms_epsilon", 1e-5);
  if (tiny.experts != 0) {
    writer->add(p + "expert_count", std::uint64_t{tiny.experts});
    writer->add(p + "expert_used_count", std::uint64_t{tiny.experts_used});
    writer->add(p + "expert_feed_forward_length", std::uint64_t{tiny.hidden});
  }
  if (vocabulary) vocabulary(*writer);

  struct Tensor {
    std::string name;
    std::size_t rows, k;
    bool norm;
    std::size_t experts = 0;  // 0: a matrix of its own
  };
  std::vector<Tensor> tensors;
  const std::size_t q = tiny.heads * tiny.head_dim, kv = tiny.kv_heads * tiny.head_dim;
  tensors.push_back({"token_embd.weight", tiny.vocabulary, tiny.width, false});
  for (std::size_t i = 0; i < tiny.layers; ++i) {
    const std::string b = fmt::format("blk.{}.", i);
    tensors.push_back({b + "attn_norm.weight", 1, tiny.width, true});
    tensors.push_back({b + "attn_q.weight", q, tiny.width, false});
    tensors.push_back({b + "attn_k.weight", kv, tiny.width, false});
    tensors.push_back({b + "attn_v.weight", kv, tiny.width, false});
    tensors.push_back({b + "attn_output.weight", tiny.width, q, false});
    if (tiny.bias())
      for (const auto& [part, size] : {std::pair{"attn_q", q}, {"attn_k", kv}, {"attn_v", kv}})
        tensors.push_back({b + part + ".bias", 1, size, false});
    if (tiny.qk_norm())
      for (const char* part : {"attn_q_norm.weight", "attn_k_norm.weight"})
        tensors.push_back({b + part, 1, tiny.head_dim, true});
    tensors.push_back({b + "ffn_norm.weight", 1, tiny.width, true});
    const std::string kind = tiny.experts == 0 ? "" : "_exps";
    if (tiny.experts != 0)
      tensors.push_back({b + "ffn_gate_inp.weight", tiny.experts, tiny.width, false});
    for (const auto& [part, rows, in] : {std::tuple{"ffn_gate", tiny.hidden, tiny.width},
                                         {"ffn_up", tiny.hidden, tiny.width},
                                         {"ffn_down", tiny.width, tiny.hidden}}) {
      tensors.push_back({b + part + kind + ".weight", rows, in, false, tiny.experts});
      if (tiny.scaled) tensors.push_back({b + part + kind + ".scale", 1, tiny.experts, true});
    }
  }
  tensors.push_back({"output_norm.weight", 1, tiny.width, true});
  if (!tiny.tied) tensors.push_back({"output.weight", tiny.vocabulary, tiny.width, false});
  const auto type_of = [&](const Tensor& tensor) {
    // Routers are kept as floats, as the converters do.
    return tensor.rows == 1 || tensor.name.ends_with("gate_inp.weight") ? TensorType::kF32
                                                                        : tiny.type;
  };
  for (const Tensor& tensor : tensors) {
    const std::uint64_t shape[] = {tensor.k, tensor.rows, tensor.experts};
    writer->add_tensor(tensor.name, type_of(tensor),
                       std::span(shape).first(tensor.rows == 1      ? 1
                                              : tensor.experts == 0 ? 2
                                                                    : 3));
  }
  ASSERT_TRUE(writer->begin_data());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    std::vector<float> values(tensor.rows * tensor.k * std::max<std::size_t>(1, tensor.experts));
    for (std::size_t j = 0; j < values.size(); ++j) {
      const double x = (2 * uniform_at(tiny.seed, i, j) - 1) * tiny.spread;
      values[j] = static_cast<float>(tensor.norm ? 1 + x : x);
    }
    const TensorTypeInfo& info = tensor_type_info(type_of(tensor));
    std::vector<std::byte> bytes(values.size() / info.block * info.block_bytes);
    info.encode(values.data(), bytes.data(), values.size(), {});
    ASSERT_TRUE(writer->write(bytes));
  }
  ASSERT_TRUE(writer->finish());
}

// --- the twin
// -----------------------------------------------------------------------------------------------

class Twin {
 public:
  using Vector = std::vector<double>;
  using Matrix = std::vector<Vector>;  // rows

  explicit Twin(const TinyModel& tiny) : tiny_(tiny) {}

  // By name, row-major.
  std::map<std::string, Vector> weights;
  double lora_scale = 0;  // of W + s·B·A, where there is "<name>.lora_a"
  // Of a mixture, since they were last cleared: the experts chosen, and the least distance between
  // the logit of one that just was and one that just wasn't.
  mutable std::vector<std::size_t> chosen;
  mutable double margin = 1e9;

  // Σ −log p over the trained tokens.
  double loss(const Example& example) const {
    Matrix x;
    for (const std::int32_t id : example.tokens) {
      const auto* row =
          weights.at("token_embd.weight").data() + static_cast<std::size_t>(id) * tiny_.width;
      x.emplace_back(row, row + tiny_.width);
    }
    for (std::size_t i = 0; i < tiny_.layers; ++i) layer(fmt::format("blk.{}.", i), x);
    double loss = 0;
    const std::string head = tiny_.tied ? "token_embd.weight" : "output.weight";
    for (std::size_t t = 1; t < x.size(); ++t) {
      if (example.trained[t] == 0) continue;
      const Vector logits = product(head, norm(x[t - 1], "output_norm.weight"), tiny_.vocabulary);
      double sum = 0;
      for (const double l : logits) sum += std::exp(l);
      loss += std::log(sum) - logits[static_cast<std::size_t>(example.tokens[t])];
    }
    return loss;
  }

  // dloss/dweight by central differences, `step` apart.
  double slope(const std::string& name, std::size_t i, double step,
               const std::function<double()>& loss) {
    double& weight = weights.at(name)[i];
    const double kept = weight;
    weight = kept + step;
    const double above = loss();
    weight = kept - step;
    const double below = loss();
    weight = kept;
    return (above - below) / (2 * step);
  }

 private:
  Vector norm(const Vector& x, const std::string& name) const {
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double f = 1 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
    Vector out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] * f * weights.at(name)[i];
    return out;
  }

  // With the e-th of the matrices that the tensor holds.
  Vector product(const std::string& name, const Vector& x, std::size_t rows,
                 std::size_t e = 0) const {
    const auto times = [](const double* w, const Vector& v, std::size_t n) {
      Vector out(n);
      for (std::size_t r = 0; r < n; ++r)
        for (std::size_t i = 0; i < v.size(); ++i) out[r] += w[r * v.size() + i] * v[i];
      return out;
    };
    Vector out = times(weights.at(name).data() + e * rows * x.size(), x, rows);
    if (const auto b = weights.find(name + ".lora_b"); b != weights.end()) {
      const std::size_t experts = name.find("_exps") == std::string::npos ? 1 : tiny_.experts;
      const std::size_t rank = b->second.size() / rows / experts;
      const Vector& a = weights.at(name + ".lora_a");
      const Vector low = times(a.data() + e * rank * x.size(), x, rank);
      const Vector more = times(b->second.data() + e * rows * rank, low, rows);
      for (std::size_t r = 0; r < rows; ++r) out[r] += lora_scale * more[r];
    }
    const std::string bias = name.substr(0, name.rfind('.')) + ".bias";
    if (const auto b = weights.find(bias); b != weights.end())
      for (std::size_t r = 0; r < rows; ++r) out[r] += b->second[r];
    return out;
  }

  // gate, up and down of one expert, or of the dense network.
  Vector feed_forward(const std::string& b, const Vector& in, const std::string& kind,
                      std::size_t e = 0) const {
    const Vector gate = product(b + "ffn_gate" + kind, in, tiny_.hidden, e);
    Vector hidden = product(b + "ffn_up" + kind, in, tiny_.hidden, e);
    for (std::size_t i = 0; i < tiny_.hidden; ++i) hidden[i] *= gate[i] / (1 + std::exp(-gate[i]));
    return product(b + "ffn_down" + kind, hidden, tiny_.width, e);
  }

  Vector experts(const std::string& b, const Vector& in) const {
    const Vector logits = product(b + "ffn_gate_inp.weight", in, tiny_.experts);
    std::vector<std::size_t> order(tiny_.experts);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, std::greater{}, [&](std::size_t e) { return logits[e]; });
    const std::size_t used = tiny_.experts_used;
    if (used < tiny_.experts)
      margin = std::min(margin, logits[order[used - 1]] - logits[order[used]]);
    double sum = 0;
    for (std::size_t r = 0; r < used; ++r) sum += std::exp(logits[order[r]]);
    Vector out(tiny_.width);
    for (std::size_t r = 0; r < used; ++r) {
      chosen.push_back(order[r]);
      const Vector answer = feed_forward(b, in, "_exps.weight", order[r]);
      for (std::size_t i = 0; i < tiny_.width; ++i)
        out[i] += std::exp(logits[order[r]]) / sum * answer[i];
    }
    return out;
  }

  // The heads of one token: norm, then rotation by its position.
  void turn(Vector& heads, std::size_t position, const std::string& norm_name) const {
    const std::size_t dim = tiny_.head_dim, half = dim / 2;
    for (std::size_t h = 0; h < heads.size() / dim; ++h) {
      Vector head(heads.begin() + static_cast<std::ptrdiff_t>(h * dim),
                  heads.begin() + static_cast<std::ptrdiff_t>((h + 1) * dim));
      if (tiny_.qk_norm()) head = norm(head, norm_name);
      const bool neox = tiny_.architecture != "llama";
      for (std::size_t i = 0; i < half; ++i) {
        const double angle =
            static_cast<double>(position) *
            std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
        double &a = head[neox ? i : 2 * i], &b = head[neox ? i + half : 2 * i + 1];
        const double turned = a * std::cos(angle) - b * std::sin(angle);
        b = a * std::sin(angle) + b * std::cos(angle);
        a = turned;
      }
      std::ranges::copy(head, heads.begin() + static_cast<std::ptrdiff_t>(h * dim));
    }
  }

  void layer(const std::string& b, Matrix& x) const {
    const std::size_t dim = tiny_.head_dim, q_size = tiny_.heads * dim, kv = tiny_.kv_heads * dim;
    Matrix q, k, v;
    for (std::size_t t = 0; t < x.size(); ++t) {
      const Vector in = norm(x[t], b + "attn_norm.weight");
      q.push_back(product(b + "attn_q.weight", in, q_size));
      k.push_back(product(b + "attn_k.weight", in, kv));
      v.push_back(product(b + "attn_v.weight", in, kv));
      turn(q.back(), t, b + "attn_q_norm.weight");
      turn(k.back(), t, b + "attn_k_norm.weight");
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      Vector heads(q_size);
      for (std::size_t h = 0; h < tiny_.heads; ++h) {
        const std::size_t shared = h / (tiny_.heads / tiny_.kv_heads) * dim;
        Vector p(t + 1);
        double sum = 0;
        for (std::size_t s = 0; s <= t; ++s) {
          double score = 0;
          for (std::size_t i = 0; i < dim; ++i) score += q[t][h * dim + i] * k[s][shared + i];
          p[s] = std::exp(score / std::sqrt(static_cast<double>(dim)));
          sum += p[s];
        }
        for (std::size_t s = 0; s <= t; ++s)
          for (std::size_t i = 0; i < dim; ++i) heads[h * dim + i] += p[s] / sum * v[s][shared + i];
      }
      const Vector out = product(b + "attn_output.weight", heads, tiny_.width);
      for (std::size_t i = 0; i < tiny_.width; ++i) x[t][i] += out[i];
      const Vector in = norm(x[t], b + "ffn_norm.weight");
      const Vector down = tiny_.experts == 0 ? feed_forward(b, in, ".weight") : experts(b, in);
      for (std::size_t i = 0; i < tiny_.width; ++i) x[t][i] += down[i];
    }
  }

  const TinyModel tiny_;
};

}  // namespace lathe
