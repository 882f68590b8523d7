// For tests: the slow twin of the trainer's network, which computes a document's loss in double,
// one number at a time, straight from the formulas.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "infer/models/tiny_model_test.h"
#include "infer/tune/network.h"

namespace lathe::infer {

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

}  // namespace lathe::infer
