// For tests: the slow twin of the trainer's network, which computes a document's loss in double,
// one number at a time, straight from the formulas and what the blueprint says of the model.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "infer/models/rope.h"
#include "infer/models/tiny_model_test.h"
#include "infer/tune/network.h"

namespace lathe::infer {

class Twin {
 public:
  using Vector = std::vector<double>;
  using Matrix = std::vector<Vector>;  // rows

  // The file's weights, decoded.
  Twin(const Gguf& file, Blueprint blueprint) : blueprint_(std::move(blueprint)) {
    for (const GgufTensor& tensor : file.tensors()) {
      const auto values = load_floats(file, tensor);
      EXPECT_TRUE(values) << tensor.name;
      weights[tensor.name] = {values->begin(), values->end()};
    }
    for (std::size_t i = 0; i < blueprint_.layers.size(); ++i)
      specs_.push_back(tensors_of(blueprint_, i));
  }

  // By name, row-major.
  std::map<std::string, Vector> weights;
  double lora_scale = 0;     // of W + s·B·A, where there is "<name>.lora_a"
  std::size_t longest = 16;  // tokens of a document, which says what LongRoPE counts
  // Of a mixture, since they were last cleared: the experts chosen, and the least distance between
  // what one that just was and one that just wasn't were ranked by.
  mutable std::vector<std::size_t> chosen;
  mutable double margin = 1e9;

  // Σ −log p over the trained tokens.
  double loss(const Example& example) const {
    const std::size_t width = blueprint_.embedding, vocabulary = blueprint_.vocabulary;
    Matrix x;
    for (const std::int32_t id : example.tokens) {
      const double* row =
          weights.at("token_embd.weight").data() + static_cast<std::size_t>(id) * width;
      x.emplace_back(row, row + width);
      for (double& value : x.back()) value *= double{blueprint_.embedding_scale};
    }
    for (std::size_t i = 0; i < blueprint_.layers.size(); ++i) layer(i, x);
    const Vector& head = weights.at(blueprint_.tied ? "token_embd.weight" : "output.weight");
    double loss = 0;
    for (std::size_t t = 1; t < x.size(); ++t) {
      if (example.trained[t] == 0) continue;
      const Vector in = norm(x[t - 1], tensor_name(output_norm(blueprint_)));
      Vector logits = times(head.data(), in, vocabulary);
      double sum = 0;
      for (double& l : logits) {
        l = capped(l * double{blueprint_.logit_scale}, blueprint_.logit_cap);
        sum += std::exp(l);
      }
      loss += std::log(sum) - logits[static_cast<std::size_t>(example.tokens[t])];
    }
    return loss;
  }

 private:
  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
  static double capped(double x, float cap) {
    return cap == 0 ? x : double{cap} * std::tanh(x / double{cap});
  }
  static Vector times(const double* w, const Vector& x, std::size_t rows) {
    Vector out(rows);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < x.size(); ++i) out[r] += w[r * x.size() + i] * x[i];
    return out;
  }
  static void add(const Vector& x, double factor, Vector& sum) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * x[i];
  }

  Vector normed(const Vector& x, const Vector& weight, NormKind kind) const {
    const auto n = static_cast<double>(x.size());
    const double mean = kind == NormKind::kRms ? 0 : std::accumulate(x.begin(), x.end(), 0.0) / n;
    double squares = 0;
    for (const double v : x) squares += (v - mean) * (v - mean);
    const double f = 1 / std::sqrt(squares / n + double{blueprint_.norm_epsilon});
    Vector out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) out[i] = (x[i] - mean) * f * weight[i];
    return out;
  }
  Vector norm(const Vector& x, const std::string& name) const {
    return normed(x, weights.at(name), blueprint_.norm);
  }
  const Vector& vector(std::size_t layer, Slot slot) const {
    return weights.at(tensor_name(slot, layer));
  }
  const TensorSpec* find(std::size_t layer, Slot slot) const {
    const auto found = std::ranges::find(specs_[layer], slot, &TensorSpec::slot);
    return found == specs_[layer].end() ? nullptr : &*found;
  }

  // With the e-th of the matrices that the tensor holds; its bias is added.
  Vector product(std::size_t layer, Slot slot, const Vector& x, std::size_t e = 0,
                 bool with_bias = true) const {
    const TensorSpec& spec = *find(layer, slot);
    const std::size_t first = e * (spec.is_part() ? spec.file_rows : spec.rows) + spec.first_row;
    const std::string& name = spec.name;
    Vector out = times(weights.at(name).data() + first * spec.k, x, spec.rows);
    if (const auto b = weights.find(name + ".lora_b"); b != weights.end()) {
      const Vector& a = weights.at(name + ".lora_a");
      const std::size_t rank = a.size() / spec.experts / spec.k;
      const Vector low = times(a.data() + e * rank * spec.k, x, rank);
      add(times(b->second.data() + first * rank, low, spec.rows), lora_scale, out);
    }
    if (const double* b = with_bias ? bias(layer, slot, e) : nullptr)
      for (std::size_t r = 0; r < spec.rows; ++r) out[r] += b[r];
    return out;
  }
  const double* bias(std::size_t layer, Slot slot, std::size_t e) const {
    const TensorSpec& spec = *find(layer, slot);
    const auto found = weights.find(spec.name.substr(0, spec.name.rfind('.')) + ".bias");
    return found == weights.end() ? nullptr : found->second.data() + e * spec.rows + spec.first_row;
  }

  static double activated(Activation kind, double gate, double up) {
    switch (kind) {
      case Activation::kSilu:
        return gate * sigmoid(gate) * up;
      case Activation::kGelu:
        return gate *
               sigmoid(2 * std::sqrt(2 / std::numbers::pi) *
                       (gate + 0.044715 * gate * gate * gate)) *
               up;
      case Activation::kClampedSilu: {
        const double g = std::min(gate, 7.0), u = std::clamp(up, -7.0, 7.0);
        return g * sigmoid(1.702 * g) * (u + 1);
      }
      case Activation::kReluSquared:
        return std::pow(std::max(up, 0.0), 2);
      case Activation::kGeluAlone:
        return activated(Activation::kGelu, up, 1);
    }
    return 0;
  }

  Vector hidden(std::size_t layer, const Vector& in, Slot gate_slot, Slot up_slot,
                std::size_t e) const {
    const Activation kind = blueprint_.layers[layer].ffn.activation;
    Vector out = product(layer, up_slot, in, e);
    const Vector gate = has_gate(kind) ? product(layer, gate_slot, in, e) : out;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = activated(kind, gate[i], out[i]);
    return out;
  }

  Vector feed_forward(std::size_t layer, const Vector& in) const {
    const FfnSpec& spec = blueprint_.layers[layer].ffn;
    if (spec.experts == 0)
      return product(layer, Slot::kDown, hidden(layer, in, Slot::kGate, Slot::kUp, 0));
    Vector out = experts(layer, in);
    if (spec.shared_hidden == 0) return out;
    double weight = 1;
    if (spec.shared_gate) {
      const Vector& router = vector(layer, Slot::kSharedRouter);
      weight = sigmoid(std::inner_product(in.begin(), in.end(), router.begin(), 0.0));
    }
    add(product(layer, Slot::kSharedDown, hidden(layer, in, Slot::kSharedGate, Slot::kSharedUp, 0)),
        weight, out);
    return out;
  }

  Vector experts(std::size_t layer, const Vector& in) const {
    const FfnSpec& spec = blueprint_.layers[layer].ffn;
    Vector score = product(layer, Slot::kRouter, in);
    const Vector logits = score;
    double total = 0;
    for (const double l : score) total += std::exp(l);
    for (double& s : score)
      s = spec.router == RouterRule::kSigmoid ? sigmoid(s) : std::exp(s) / total;
    Vector rank = score;
    if (spec.score_bias) add(vector(layer, Slot::kScoreBias), 1, rank);
    std::vector<std::size_t> order(spec.experts);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, std::greater{}, [&](std::size_t e) { return rank[e]; });
    const std::size_t used = spec.experts_used;
    const Vector& told = spec.score_bias ? rank : logits;
    if (used < spec.experts) margin = std::min(margin, told[order[used - 1]] - told[order[used]]);
    double sum = 0;
    for (std::size_t r = 0; r < used; ++r) sum += score[order[r]];
    if (!spec.normalize_weights && spec.router != RouterRule::kSoftmaxOfChosen) sum = 1;
    const Vector inner = spec.latent != 0 ? product(layer, Slot::kLatentDown, in) : in;
    Vector out(inner.size());
    for (std::size_t r = 0; r < used; ++r) {
      const std::size_t e = order[r];
      chosen.push_back(e);
      add(product(layer, Slot::kDown, hidden(layer, inner, Slot::kGate, Slot::kUp, e), e),
          double{spec.weight_scale} * score[e] / sum, out);
    }
    return spec.latent != 0 ? product(layer, Slot::kLatentUp, out) : out;
  }

  // Rotation by a position.
  void turn(const RopeSpec& rope, std::size_t position, double* head) const {
    const Slot slot = rope.factors == RopeFactors::kOne ? Slot::kRopeFactors
                      : blueprint_.turns_long(longest)  ? Slot::kRopeFactorsLong
                                                        : Slot::kRopeFactorsShort;
    std::vector<float> factors;
    if (rope.factors != RopeFactors::kNone) {
      const Vector& all = weights.at(tensor_name(slot));
      factors.assign(all.begin(), all.end());
    }
    const std::size_t half = rope.dimensions / 2;
    const auto frequencies = rope_frequencies(rope, factors);
    for (std::size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      double &a = head[rope.neox ? i : 2 * i], &b = head[rope.neox ? i + half : 2 * i + 1];
      const double c = std::cos(angle) * rope.magnitude, s = std::sin(angle) * rope.magnitude;
      const double turned = a * c - b * s;
      b = a * s + b * c;
      a = turned;
    }
  }

  void finish_heads(std::size_t layer, const AttentionSpec& spec, std::size_t position, Slot slot,
                    Vector& heads) const {
    const std::size_t dim = spec.head_dim;
    const auto normed_by = [&](const Vector& x) {
      return normed(x, spec.plain_qk_norm ? Vector(x.size(), 1.0) : vector(layer, slot),
                    NormKind::kRms);
    };
    if (spec.qk_norm == QkNorm::kWhole) heads = normed_by(heads);
    for (std::size_t h = 0; h < heads.size() / dim; ++h) {
      const auto from = heads.begin() + static_cast<std::ptrdiff_t>(h * dim);
      Vector head(from, from + static_cast<std::ptrdiff_t>(dim));
      if (spec.qk_norm == QkNorm::kHead) head = normed_by(head);
      turn(spec.rope, position, head.data());
      if (spec.qk_norm == QkNorm::kHeadAfterRope) head = normed_by(head);
      std::ranges::copy(head, from);
    }
  }

  bool sees(const AttentionSpec& spec, std::size_t t, std::size_t s) const {
    if (s > t) return false;
    if (spec.window == 0) return true;
    return spec.chunked ? t / spec.window == s / spec.window : t - s < spec.window;
  }

  Matrix mix(const AttentionSpec& spec, std::size_t layer, const Matrix& in) const {
    const std::size_t dim = spec.head_dim, n = in.size();
    Matrix q, k, v, gates, out;
    for (std::size_t t = 0; t < n; ++t) {
      Vector mixed = product(layer, Slot::kQ, in[t]);
      Vector& own = q.emplace_back();
      Vector& gate = gates.emplace_back();
      for (std::size_t i = 0; i < mixed.size(); ++i) {
        const bool opens = spec.output_gate && i / dim % 2 == 1;
        (opens ? gate : own).push_back(mixed[i]);
      }
      k.push_back(product(layer, Slot::kK, in[t]));
      v.push_back(product(layer, Slot::kV, in[t]));
      finish_heads(layer, spec, t, Slot::kQNorm, own);
      finish_heads(layer, spec, t, Slot::kKNorm, k.back());
    }
    for (std::size_t t = 0; t < n; ++t) {
      double scale = double{spec.scale};
      if (spec.temperature != 0)
        scale *= 1 + spec.temperature *
                         std::log(1 + std::floor(static_cast<double>(t + spec.temperature_offset) /
                                                 static_cast<double>(spec.temperature_length)));
      Vector heads(spec.heads * dim);
      for (std::size_t h = 0; h < spec.heads; ++h) {
        const std::size_t shared = h / (spec.heads / spec.kv_heads) * dim;
        double sum = spec.sinks ? std::exp(vector(layer, Slot::kSinks)[h]) : 0;
        Vector p(n);
        for (std::size_t s = 0; s <= t; ++s) {
          if (!sees(spec, t, s)) continue;
          double score = 0;
          for (std::size_t i = 0; i < dim; ++i) score += q[t][h * dim + i] * k[s][shared + i];
          p[s] = std::exp(capped(scale * score, spec.soft_cap));
          sum += p[s];
        }
        for (std::size_t i = 0; i < dim; ++i) {
          double& answer = heads[h * dim + i];
          for (std::size_t s = 0; s <= t; ++s) answer += p[s] / sum * v[s][shared + i];
          if (spec.output_gate) answer *= sigmoid(gates[t][h * dim + i]);
        }
      }
      out.push_back(product(layer, Slot::kAttentionOutput, heads));
    }
    return out;
  }

  // A token's channels behind a convolution.
  Vector convolved(std::size_t layer, Slot slot, std::size_t taps, const Matrix& in,
                   std::size_t t) const {
    const Vector& w = vector(layer, slot);
    Vector out(w.size() / taps);
    for (std::size_t c = 0; c < out.size(); ++c)
      for (std::size_t j = 0; j < taps; ++j)
        if (t + j + 1 >= taps) out[c] += w[c * taps + j] * in[t + j + 1 - taps][c];
    return out;
  }

  // Of a delta net: q and k of unit length, v.
  Vector keys_and_values(const DeltaNetSpec& spec, std::size_t layer, const Matrix& mixed,
                         std::size_t t) const {
    const std::size_t size = spec.size;
    Vector out = convolved(layer, Slot::kConvolution, spec.convolution, mixed, t);
    for (double& value : out) value *= sigmoid(value);
    for (std::size_t h = 0; h < 2 * spec.key_heads; ++h) {
      double squares = 0;
      for (std::size_t i = h * size; i < (h + 1) * size; ++i) squares += out[i] * out[i];
      const double length = std::max(std::sqrt(squares), double{blueprint_.norm_epsilon});
      const double root = h < spec.key_heads ? std::sqrt(static_cast<double>(size)) : 1;
      for (std::size_t i = h * size; i < (h + 1) * size; ++i) out[i] /= length * root;
    }
    return out;
  }

  Matrix mix(const DeltaNetSpec& spec, std::size_t layer, const Matrix& in) const {
    const std::size_t size = spec.size, heads = spec.value_heads, keys = spec.key_heads;
    Matrix mixed, states(heads, Vector(size * size)), out;
    for (const Vector& x : in) mixed.push_back(product(layer, Slot::kMixed, x));
    for (std::size_t t = 0; t < in.size(); ++t) {
      const Vector row = keys_and_values(spec, layer, mixed, t);
      Vector scalars, answers, gates = product(layer, Slot::kMixedGate, in[t]);
      if (spec.joint_scalars) scalars = product(layer, Slot::kBetaDecay, in[t]);
      const Vector betas = spec.joint_scalars ? Vector() : product(layer, Slot::kBeta, in[t]);
      const Vector decays = spec.joint_scalars ? Vector() : product(layer, Slot::kDecay, in[t]);
      for (std::size_t h = 0; h < heads; ++h) {
        const std::size_t shared = heads / keys, at = h / shared * 2 * shared + h % shared;
        const double beta = sigmoid(spec.joint_scalars ? scalars[at] : betas[h]);
        const double logit = spec.joint_scalars ? scalars[at + shared] : decays[h];
        const double grown = std::log1p(std::exp(logit + vector(layer, Slot::kDecayBias)[h]));
        const double decay = std::exp(vector(layer, Slot::kDecayRate)[h] * grown);
        const std::size_t key = spec.interleaved ? h % keys : h / shared;
        const double *q = row.data() + key * size, *k = q + keys * size;
        const double* v = row.data() + (2 * keys + h) * size;
        Vector answer(size);
        for (std::size_t j = 0; j < size; ++j) {
          double predicted = 0;
          for (std::size_t i = 0; i < size; ++i)
            predicted += (states[h][i * size + j] *= decay) * k[i];
          for (std::size_t i = 0; i < size; ++i)
            answer[j] += (states[h][i * size + j] += k[i] * beta * (v[j] - predicted)) * q[i];
        }
        answer = normed(answer, vector(layer, Slot::kStateNorm), NormKind::kRms);
        for (std::size_t j = 0; j < size; ++j) {
          const double gate = gates[h * size + j];
          answers.push_back(answer[j] * gate * sigmoid(gate));
        }
      }
      out.push_back(product(layer, Slot::kStateOutput, answers));
    }
    return out;
  }
  Matrix mix(const Mamba2Spec& spec, std::size_t layer, const Matrix& in) const {
    const std::size_t inner = spec.inner(), n = spec.head_dim, group = inner / spec.groups;
    Matrix mixed, seen, states(spec.heads, Vector(spec.states * n)), out;
    for (const Vector& x : in) {
      mixed.push_back(product(layer, Slot::kStateInput, x));
      const auto from = mixed.back().begin() + static_cast<std::ptrdiff_t>(inner);
      seen.emplace_back(from, from + static_cast<std::ptrdiff_t>(spec.channels()));
    }
    for (std::size_t t = 0; t < in.size(); ++t) {
      Vector row = convolved(layer, Slot::kConvolution, spec.convolution, seen, t);
      add(vector(layer, Slot::kConvolutionBias), 1, row);
      for (double& value : row) value *= sigmoid(value);
      Vector heads;
      for (std::size_t h = 0; h < spec.heads; ++h) {
        const double step = std::log1p(
            std::exp(mixed[t][inner + spec.channels() + h] + vector(layer, Slot::kDecayBias)[h]));
        const double decay = std::exp(vector(layer, Slot::kDecayRate)[h] * step);
        const double* b = row.data() + inner + h / (spec.heads / spec.groups) * spec.states;
        const double* c = b + spec.groups * spec.states;
        for (std::size_t j = 0; j < n; ++j) {
          const double x = row[h * n + j], gate = mixed[t][h * n + j];
          double answer = vector(layer, Slot::kSkip)[h] * x;
          for (std::size_t i = 0; i < spec.states; ++i) {
            double& state = states[h][i * n + j];
            state = decay * state + b[i] * step * x;
            answer += state * c[i];
          }
          heads.push_back(answer * gate * sigmoid(gate));
        }
      }
      Vector answers;
      const Vector& weight = vector(layer, Slot::kStateNorm);
      for (std::size_t at = 0; at < inner; at += group) {
        const auto piece = [&](const Vector& whole) {
          const auto from = whole.begin() + static_cast<std::ptrdiff_t>(at);
          return Vector(from, from + static_cast<std::ptrdiff_t>(group));
        };
        const Vector own = normed(piece(heads), piece(weight), NormKind::kRms);
        answers.insert(answers.end(), own.begin(), own.end());
      }
      out.push_back(product(layer, Slot::kStateOutput, answers));
    }
    return out;
  }

  Matrix mix(const ShortConvolutionSpec& spec, std::size_t layer, const Matrix& in) const {
    const std::size_t width = spec.width;
    Matrix mixed, opened, out;
    for (const Vector& x : in) {
      mixed.push_back(product(layer, Slot::kShortInput, x));
      Vector& row = opened.emplace_back(width);
      for (std::size_t i = 0; i < width; ++i)
        row[i] = mixed.back()[i] * mixed.back()[2 * width + i];
    }
    for (std::size_t t = 0; t < in.size(); ++t) {
      Vector row = convolved(layer, Slot::kShortConvolution, spec.taps, opened, t);
      for (std::size_t i = 0; i < width; ++i) row[i] *= mixed[t][width + i];
      out.push_back(product(layer, Slot::kShortOutput, row));
    }
    return out;
  }

  Matrix mix(const auto&, std::size_t, const Matrix& in) const {
    ADD_FAILURE() << "the twin knows no such mixer";
    return in;
  }

  void layer(std::size_t i, Matrix& x) const {
    const LayerSpec& spec = blueprint_.layers[i];
    const double scale = double{blueprint_.residual_scale};
    Matrix in = x;
    const auto read = [&](bool anew, Slot slot) {
      if (!anew) return;
      for (std::size_t t = 0; t < x.size(); ++t)
        in[t] = spec.pre_norms ? norm(x[t], tensor_name(slot, i)) : x[t];
    };
    const auto give = [&](const Vector& answer, Slot slot, Vector& to) {
      add(spec.post_norms ? norm(answer, tensor_name(slot, i)) : answer, scale, to);
    };
    read(true, Slot::kAttentionNorm);
    if (spec.has_mixer()) {
      const Matrix mixed =
          std::visit([&](const auto& mixer) { return mix(mixer, i, in); }, spec.mixer);
      for (std::size_t t = 0; t < x.size(); ++t) give(mixed[t], Slot::kPostAttentionNorm, x[t]);
    }
    if (!spec.has_ffn()) return;
    read(!spec.parallel, ffn_norm(spec));
    for (std::size_t t = 0; t < x.size(); ++t)
      give(feed_forward(i, in[t]), Slot::kPostFfnNorm, x[t]);
  }

  const Blueprint blueprint_;
  std::vector<std::vector<TensorSpec>> specs_;
};

}  // namespace lathe::infer
