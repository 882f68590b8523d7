// Attention to what came before, and a gated feed-forward part, layer by layer.
#include "infer/voice/causal_layers.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {

CausalLayers::CausalLayers(WeightList& list, CausalSpec spec)
    : spec_(std::move(spec)), layers_(spec_.layers) {
  queries_ = list.dimension(spec_.name + "0.attn_q.weight", 1);
  head_dim_ = queries_ / spec_.heads;
  for (std::size_t i = 0; i < layers_.size(); ++i)
    ask(list, fmt::format("{}{}.", spec_.name, i), layers_[i]);
}

void CausalLayers::ask(WeightList& list, const std::string& name, Layer& layer) const {
  const std::size_t width = spec_.width, kv = spec_.kv_heads * head_dim_;
  const auto norm = [&](const char* own, std::size_t size, NormLayer& to) {
    to.ask(list, name + own, size, EncoderNorm::kRms, spec_.epsilon);
  };
  norm("ln1", width, layer.norm1);
  layer.q.ask(list, name + "attn_q", width, queries_);
  layer.k.ask(list, name + "attn_k", width, kv);
  layer.v.ask(list, name + "attn_v", width, kv);
  if (spec_.head_norms) {
    norm("attn_q_norm", head_dim_, layer.q_norm);
    norm("attn_k_norm", head_dim_, layer.k_norm);
  }
  layer.out.ask(list, name + "attn_out", queries_, width);
  norm("ln2", width, layer.norm2);
  layer.gate.ask(list, name + "ffn_gate", width, spec_.hidden);
  layer.up.ask(list, name + "ffn_up", width, spec_.hidden);
  layer.down.ask(list, name + "ffn_down", spec_.hidden, width);
  if (!spec_.scales) return;
  list.numbers(name + "ls1.weight", width, &layer.scale1);
  list.numbers(name + "ls2.weight", width, &layer.scale2);
}

Status CausalLayers::check(const Gguf& file) const {
  if (queries_ % spec_.heads == 0 && head_dim_ % 2 == 0 && spec_.heads % spec_.kv_heads == 0)
    return {};
  return invalid(
      "{}: {}0.attn_q.weight has {} rows for {} heads, of which {} have keys; heads must be of one "
      "even size, and each key's head serve as many",
      file.path().string(), spec_.name, queries_, spec_.heads, spec_.kv_heads);
}

EncoderSizes CausalLayers::sizes(const WeightList& list, const KernelTable& kernels,
                                 std::size_t rows, int threads) const {
  EncoderSizes sizes;
  sizes.kernels = &kernels;
  // The oldest row that is kept stands at the beginning of a chunk.
  sizes.rows = spec_.window == 0 ? spec_.most : spec_.window + kChunk + rows;
  sizes.width = queries_;
  sizes.heads = spec_.heads;
  sizes.max_k = list.max_k();
  sizes.max_rows = list.max_rows();
  sizes.threads = static_cast<std::size_t>(threads);
  return sizes;
}

std::size_t CausalLayers::oldest(std::size_t position) const {
  return spec_.window == 0 || position < spec_.window ? 0 : position + 1 - spec_.window;
}

Status CausalLayers::run(EncoderPass& pass, float* x, std::size_t rows, Past& past) const {
  LATHE_CHECK(rows <= kBlockRows && past.position - past.first + rows <= pass.sizes.rows);
  past.layers.resize(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    LATHE_TRY_STATUS(pass.check_stop());
    attend_rows(pass, layers_[i], x, rows, past, past.layers[i]);
    feed(pass, layers_[i], x, rows);
  }
  past.position += rows;
  const std::size_t first = oldest(past.position) / kChunk * kChunk;
  const auto gone = static_cast<std::ptrdiff_t>((first - past.first) * spec_.kv_heads * head_dim_);
  past.first = first;
  for (Past::Layer& layer : past.layers) {
    layer.keys.erase(layer.keys.begin(), layer.keys.begin() + gone);
    layer.values.erase(layer.values.begin(), layer.values.begin() + gone);
  }
  return {};
}

// pass.input = the norms of x.
void CausalLayers::norm_rows(EncoderPass& pass, const NormLayer& norm, const float* x,
                             std::size_t rows) const {
  pass.team->run(rows, [&](std::size_t i, int) {
    norm.run(pass.kernels(), x + i * spec_.width, pass.input.data() + i * spec_.width);
  });
}

// x += what each row makes of those before it and itself.
void CausalLayers::attend_rows(EncoderPass& pass, const Layer& layer, float* x, std::size_t rows,
                               const Past& past, Past::Layer& own) const {
  const KernelTable& kernels = pass.kernels();
  const std::size_t width = spec_.width, kv = spec_.kv_heads * head_dim_;
  norm_rows(pass, layer.norm1, x, rows);
  float *q = pass.q.data(), *k = pass.left.data(), *v = pass.right.data();
  layer.q.run(pass, pass.input.data(), rows, q, queries_);
  layer.k.run(pass, pass.input.data(), rows, k, kv);
  layer.v.run(pass, pass.input.data(), rows, v, kv);
  turn(pass, layer, rows, past.position);
  own.keys.insert(own.keys.end(), k, k + rows * kv);
  own.values.insert(own.values.end(), v, v + rows * kv);
  const std::size_t kept = past.position - past.first, shared = spec_.heads / spec_.kv_heads;
  pass.team->run(kept + rows, [&](std::size_t i, int thread) {
    for (std::size_t h = 0; h < spec_.heads; ++h) {
      const std::size_t at = i * kv + h / shared * head_dim_;
      pass.memory.store(i, h, &own.keys[at], &own.values[at], pass.room(thread));
    }
  });
  attend(pass, pass.memory, q, rows, [&](std::size_t i) {
    return SeenRows{oldest(past.position + i) - past.first, kept + i + 1};
  });
  layer.out.run(pass, q, rows, pass.left.data(), width);
  pass.team->run(rows, [&](std::size_t i, int) {
    float* branch = pass.left.data() + i * width;
    if (spec_.scales) kernels.mul(layer.scale1.data(), width, branch);
    kernels.add(branch, width, x + i * width);
  });
}

// Queries and keys: their norms, where they are, their positions; and what scores are multiplied
// by.
void CausalLayers::turn(EncoderPass& pass, const Layer& layer, std::size_t rows,
                        std::size_t position) const {
  const KernelTable& kernels = pass.kernels();
  const std::size_t pairs = head_dim_ / 2;
  std::vector<float> cosines(rows * pairs), sines(rows * pairs);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t p = 0; p < pairs; ++p) {
      const double turn =
          static_cast<double>(position + i) *
          std::pow(spec_.base, -2.0 * static_cast<double>(p) / static_cast<double>(head_dim_));
      cosines[i * pairs + p] = static_cast<float>(std::cos(turn));
      sines[i * pairs + p] = static_cast<float>(std::sin(turn));
    }
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim_));
  const auto heads = [&](float* row, std::size_t count, const NormLayer& norm, std::size_t i) {
    for (std::size_t h = 0; h < count; ++h) {
      float* head = row + h * head_dim_;
      if (spec_.head_norms) norm.run(kernels, head, head);
      kernels.rope(head, &cosines[i * pairs], &sines[i * pairs], head_dim_, true);
    }
  };
  pass.team->run(rows, [&](std::size_t i, int) {
    float* q = pass.q.data() + i * queries_;
    heads(q, spec_.heads, layer.q_norm, i);
    kernels.train.scale(q, scale, queries_);
    heads(pass.left.data() + i * spec_.kv_heads * head_dim_, spec_.kv_heads, layer.k_norm, i);
  });
}

// x += what the feed-forward part makes of its norm.
void CausalLayers::feed(EncoderPass& pass, const Layer& layer, float* x, std::size_t rows) const {
  const KernelTable& kernels = pass.kernels();
  const std::size_t width = spec_.width, hidden = spec_.hidden;
  norm_rows(pass, layer.norm2, x, rows);
  float *gate = pass.left.data(), *up = pass.right.data();
  layer.gate.run(pass, pass.input.data(), rows, gate, hidden);
  layer.up.run(pass, pass.input.data(), rows, up, hidden);
  pass.team->run(rows, [&](std::size_t i, int) {
    kernels.silu_mul(gate + i * hidden, up + i * hidden, hidden, gate + i * hidden);
  });
  layer.down.run(pass, gate, rows, up, width);
  pass.team->run(rows, [&](std::size_t i, int) {
    float* branch = up + i * width;
    if (spec_.scales) kernels.mul(layer.scale2.data(), width, branch);
    kernels.add(branch, width, x + i * width);
  });
}

}  // namespace lathe::infer
