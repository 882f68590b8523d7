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
  AttentionScratch::OfThread scratch;
  std::size_t count, dim;
  Rows q, k, v, out, sums;  // of this document and head

  void forward() const {
    for (std::size_t i = 0; i < count; i += kQueries) {
      const std::size_t queries = std::min(kQueries, count - i), keys = i + queries;
      score(kernels.train, q.from(i), queries, keys, dim, scratch.k_panels, scratch.scores,
            scratch.stride);
      for (std::size_t r = 0; r < queries; ++r) {
        float* p = scratch.scores + r * scratch.stride;
        const std::size_t seen = i + r + 1;
        const float top = kernels.max(p, seen), sum = kernels.exp_sum(p, seen, top);
        kernels.train.scale(p, 1 / sum, seen);
        std::fill(p + seen, p + keys, 0.0f);
        *sums.row(i + r) = top + std::log(sum);
      }
      multiply(kernels.train, Gemm{.rows = queries,
                                   .columns = dim,
                                   .k = keys,
                                   .a = scratch.scores,
                                   .a_row = scratch.stride,
                                   .b = v.data,
                                   .b_k = v.stride,
                                   .c = out.row(i),
                                   .c_row = out.stride});
    }
  }

  void backward(Rows d_out, Rows dq, Rows dk, Rows dv) const {
    const TrainKernels& train = kernels.train;
    for (std::size_t i = 0; i < count; i += kQueries) {
      const std::size_t queries = std::min(kQueries, count - i), keys = i + queries;
      score(train, q.from(i), queries, keys, dim, scratch.k_panels, scratch.scores, scratch.stride);
      score(train, d_out.from(i), queries, keys, dim, scratch.v_panels, scratch.d_scores,
            scratch.stride);
      for (std::size_t r = 0; r < queries; ++r) {
        float* p = scratch.scores + r * scratch.stride;
        float* dp = scratch.d_scores + r * scratch.stride;
        const std::size_t seen = i + r + 1;
        kernels.exp_sum(p, seen, *sums.row(i + r));
        train.softmax_backward(p, train.dot(d_out.row(i + r), out.row(i + r), dim), seen, dp);
        std::fill(p + seen, p + keys, 0.0f);
        std::fill(dp + seen, dp + keys, 0.0f);
      }
      // Keys and values gather over all queries, and over the heads that share them.
      multiply(train, back(scratch.scores, queries, keys, d_out.from(i), dv));
      multiply(train, back(scratch.d_scores, queries, keys, q.from(i), dk));
      multiply(train, Gemm{.rows = queries,
                           .columns = dim,
                           .k = keys,
                           .a = scratch.d_scores,
                           .a_row = scratch.stride,
                           .b = k.data,
                           .b_k = k.stride,
                           .c = dq.row(i),
                           .c_row = dq.stride});
    }
  }

  // to (keys, dim) += pᵀ·x
  Gemm back(const float* p, std::size_t queries, std::size_t keys, Rows x, Rows to) const {
    return {.rows = keys,
            .columns = dim,
            .k = queries,
            .a = p,
            .a_row = 1,
            .a_k = scratch.stride,
            .b = x.data,
            .b_k = x.stride,
            .c = to.data,
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
                      own,
                      document.count,
                      dim,
                      head_of(rows.q, document, h, dim),
                      k,
                      v,
                      head_of(rows.out, document, h, dim),
                      head_of(rows.sums, document, h, 1)};
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
  return threads * 2 * (kQueries * padded_row(longest) + panel_floats(longest, head_dim));
}

AttentionScratch::OfThread AttentionScratch::of(int thread) const {
  float* own =
      floats_.data() + static_cast<std::size_t>(thread) * 2 * (kQueries * stride_ + panels_);
  float* panels = own + 2 * kQueries * stride_;
  return {own, own + kQueries * stride_, panels, panels + panels_, stride_};
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
                  head.backward(head_of(gradients.d_out, document, h, dim),
                                head_of(gradients.dq, document, h, dim), dk, dv);
                });
}

}  // namespace lathe::infer
