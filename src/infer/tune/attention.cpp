// Attention forward and backward.
#include "infer/tune/attention.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {
namespace {

constexpr std::size_t kQueries = 64;

std::size_t panel_floats(std::size_t longest, std::size_t head_dim) {
  return (longest + kTileColumns - 1) / kTileColumns * kTileColumns * head_dim;
}

// Rows of one head → panels of 32 of them.
void lay_out(Rows rows, std::size_t count, std::size_t dim, float* panels) {
  for (std::size_t i = 0; i < count; i += kTileColumns)
    transpose_panel(rows.row(i), rows.stride, std::min(kTileColumns, count - i), dim,
                    panels + i * dim);
}

// scores[i, j] = a[i]·panels[j] for `queries` rows of a and `keys` panels' columns.
void score(const TrainKernels& kernels, Rows a, std::size_t queries, std::size_t keys,
           std::size_t dim, const float* panels, float* scores, std::size_t stride) {
  multiply(kernels, Gemm{.rows = queries,
                         .columns = keys,
                         .k = dim,
                         .a = a.data,
                         .a_row = a.stride,
                         .b = panels,
                         .b_k = kTileColumns,
                         .b_panel = kTileColumns * dim,
                         .c = scores,
                         .c_row = stride});
}

// One head of one document.
struct Head {
  const KernelTable& kernels;
  const AttendSpec& spec;
  AttentionScratch::OfThread scratch;
  std::size_t count, dim;
  Rows q, k, v, out, sums;  // of this document and head
  const float* sink;

  // Some queries, one behind the other, and the keys that any of them sees, from a whole panel on.
  struct Block {
    std::size_t query, queries;
    std::size_t key, keys;
  };
  void for_each_block(auto&& work) const {
    for (std::size_t i = 0; i < count; i += kQueries) {
      const std::size_t queries = std::min(kQueries, count - i);
      const std::size_t key = spec.seen(i, count).first / kTileColumns * kTileColumns;
      work(Block{i, queries, key, i + queries - key});
    }
  }
  // work(place of a query, the first of the keys that it sees, how many)
  void for_each_query(const Block& block, auto&& work) const {
    for (std::size_t r = 0; r < block.queries; ++r) {
      const AttendSpec::Seen seen = spec.seen(block.query + r, count);
      work(r, seen.first - block.key, seen.end - seen.first);
    }
  }
  void clear_unseen(float* row, std::size_t first, std::size_t seen, std::size_t keys) const {
    std::fill_n(row, first, 0.0f);
    std::fill(row + first + seen, row + keys, 0.0f);
  }
  void score_block(const Block& block, Rows a, const float* panels, float* scores) const {
    score(kernels.train, a.from(block.query), block.queries, block.keys, dim,
          panels + block.key * dim, scores, scratch.stride);
  }

  void forward() const {
    for_each_block([&](const Block& block) {
      score_block(block, q, scratch.k_panels, scratch.scores);
      for_each_query(block, [&](std::size_t r, std::size_t first, std::size_t seen) {
        float* row = scratch.scores + r * scratch.stride;
        float* p = row + first;
        if (spec.soft_cap != 0) kernels.soft_cap(p, seen, spec.soft_cap);
        float top = kernels.max(p, seen);
        if (sink != nullptr) top = std::max(top, *sink);
        float sum = kernels.exp_sum(p, seen, top);
        if (sink != nullptr) sum += exp_of(*sink, top);
        kernels.train.scale(p, 1 / sum, seen);
        clear_unseen(row, first, seen, block.keys);
        *sums.row(block.query + r) = top + std::log(sum);
      });
      multiply(kernels.train, Gemm{.rows = block.queries,
                                   .columns = dim,
                                   .k = block.keys,
                                   .a = scratch.scores,
                                   .a_row = scratch.stride,
                                   .b = v.row(block.key),
                                   .b_k = v.stride,
                                   .c = out.row(block.query),
                                   .c_row = out.stride});
    });
  }

  float exp_of(float x, float top) const { return kernels.exp_sum(&x, 1, top); }

  // Scores and their gradients, in the scratch. d_sinks: of this head; nullptr: not wanted.
  void scores_backward(const Block& block, Rows d_out, Rows d_sinks) const {
    const TrainKernels& train = kernels.train;
    score_block(block, q, scratch.k_panels, scratch.scores);
    score_block(block, d_out, scratch.v_panels, scratch.d_scores);
    for_each_query(block, [&](std::size_t r, std::size_t first, std::size_t seen) {
      const std::size_t t = block.query + r;
      float* row = scratch.scores + r * scratch.stride;
      float* d_row = scratch.d_scores + r * scratch.stride;
      float *p = row + first, *dp = d_row + first;
      const float cap = spec.soft_cap;
      if (cap != 0) {
        kernels.soft_cap(p, seen, cap);
        for (std::size_t i = 0; i < seen; ++i) scratch.slopes[i] = 1 - (p[i] / cap) * (p[i] / cap);
      }
      kernels.exp_sum(p, seen, *sums.row(t));
      const float along = train.dot(d_out.row(t), out.row(t), dim);
      train.softmax_backward(p, along, seen, dp);
      if (cap != 0) kernels.mul(scratch.slopes, seen, dp);
      if (d_sinks.data != nullptr) *d_sinks.row(t) = -exp_of(*sink, *sums.row(t)) * along;
      clear_unseen(row, first, seen, block.keys);
      clear_unseen(d_row, first, seen, block.keys);
    });
  }

  void backward(Rows d_out, Rows dq, Rows dk, Rows dv, Rows d_sinks) const {
    for_each_block([&](const Block& block) {
      scores_backward(block, d_out, d_sinks);
      // Keys and values gather over all queries, and over the heads that share them.
      multiply(kernels.train, back(block, scratch.scores, d_out, dv));
      multiply(kernels.train, back(block, scratch.d_scores, q, dk));
      multiply(kernels.train, Gemm{.rows = block.queries,
                                   .columns = dim,
                                   .k = block.keys,
                                   .a = scratch.d_scores,
                                   .a_row = scratch.stride,
                                   .b = k.row(block.key),
                                   .b_k = k.stride,
                                   .c = dq.row(block.query),
                                   .c_row = dq.stride});
    });
  }

  // to (keys, dim) += pᵀ·x
  Gemm back(const Block& block, const float* p, Rows x, Rows to) const {
    return {.rows = block.keys,
            .columns = dim,
            .k = block.queries,
            .a = p,
            .a_row = 1,
            .a_k = scratch.stride,
            .b = x.row(block.query),
            .b_k = x.stride,
            .c = to.row(block.key),
            .c_row = to.stride,
            .add = true};
  }
};

Rows head_of(Rows rows, const Document& document, std::size_t head, std::size_t dim) {
  return {rows.row(document.first) + head * dim, rows.stride};
}

// work(head, index of the query head, index of the KV head, whether it is the group's first): the
// heads of a group one after the other, K and V laid out once.
void for_each_head(ThreadTeam& team, const KernelTable& kernels, const AttentionSpec& spec,
                   const std::vector<Document>& documents, const AttentionScratch& scratch,
                   const AttentionRows& rows, bool backward, auto&& work) {
  const AttendSpec attends = spec.attends();
  const std::size_t group = spec.heads / spec.kv_heads, dim = spec.head_dim;
  team.run(documents.size() * spec.kv_heads, [&](std::size_t item, int thread) {
    const Document& document = documents[item / spec.kv_heads];
    const std::size_t kv = item % spec.kv_heads;
    const AttentionScratch::OfThread own = scratch.of(thread);
    const Rows k = head_of(rows.k, document, kv, dim), v = head_of(rows.v, document, kv, dim);
    lay_out(k, document.count, dim, own.k_panels);
    if (backward) lay_out(v, document.count, dim, own.v_panels);
    for (std::size_t h = kv * group; h < (kv + 1) * group; ++h) {
      const Head head{kernels,
                      attends,
                      own,
                      document.count,
                      dim,
                      head_of(rows.q, document, h, dim),
                      k,
                      v,
                      head_of(rows.out, document, h, dim),
                      head_of(rows.sums, document, h, 1),
                      rows.sinks == nullptr ? nullptr : rows.sinks + h};
      work(head, document, h, kv);
    }
  });
}

}  // namespace

Status AttentionScratch::reserve(std::size_t longest, std::size_t head_dim, std::size_t threads) {
  stride_ = padded_row(longest);
  panels_ = panel_floats(longest, head_dim);
  return floats_.reserve(floats(longest, head_dim, threads));
}

std::size_t AttentionScratch::floats(std::size_t longest, std::size_t head_dim,
                                     std::size_t threads) {
  return threads * ((2 * kQueries + 1) * padded_row(longest) + 2 * panel_floats(longest, head_dim));
}

AttentionScratch::OfThread AttentionScratch::of(int thread) const {
  const std::size_t each = (2 * kQueries + 1) * stride_ + 2 * panels_;
  float* own = floats_.data() + static_cast<std::size_t>(thread) * each;
  float *slopes = own + 2 * kQueries * stride_, *panels = slopes + stride_;
  return {own, own + kQueries * stride_, slopes, panels, panels + panels_, stride_};
}

void attend(ThreadTeam& team, const KernelTable& kernels, const AttentionSpec& spec,
            const std::vector<Document>& documents, const AttentionScratch& scratch,
            const AttentionRows& rows) {
  for_each_head(
      team, kernels, spec, documents, scratch, rows, false,
      [](const Head& head, const Document&, std::size_t, std::size_t) { head.forward(); });
}

void attend_backward(ThreadTeam& team, const KernelTable& kernels, const AttentionSpec& spec,
                     const std::vector<Document>& documents, const AttentionScratch& scratch,
                     const AttentionRows& rows, const AttentionGradients& gradients) {
  const std::size_t group = spec.heads / spec.kv_heads, dim = spec.head_dim;
  for_each_head(team, kernels, spec, documents, scratch, rows, true,
                [&](const Head& head, const Document& document, std::size_t h, std::size_t kv) {
                  const Rows dk = head_of(gradients.dk, document, kv, dim);
                  const Rows dv = head_of(gradients.dv, document, kv, dim);
                  if (h == kv * group)
                    for (std::size_t t = 0; t < document.count; ++t) {
                      std::fill_n(dk.row(t), dim, 0.0f);
                      std::fill_n(dv.row(t), dim, 0.0f);
                    }
                  const bool sinks = gradients.d_sinks.data != nullptr;
                  head.backward(head_of(gradients.d_out, document, h, dim),
                                head_of(gradients.dq, document, h, dim), dk, dv,
                                sinks ? head_of(gradients.d_sinks, document, h, 1) : Rows{});
                });
}

}  // namespace lathe::infer
