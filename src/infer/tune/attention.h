// Causal self-attention of packed documents, forward and backward: each document attends to itself
// alone, all of it or a window. Scores are computed for 64 queries at a time and never kept; the
// backward pass computes them again from the sums that the forward pass kept.
#pragma once

#include <vector>

#include "infer/models/blueprint.h"
#include "infer/tune/linear.h"

namespace lathe::infer {

// A document's rows among those of a batch; positions count from 0 in each.
struct Document {
  std::size_t first, count;
};

struct AttentionRows {
  Rows q, k, v;                  // (tokens, heads·head_dim) … q is scaled already
  Rows out;                      // (tokens, heads·head_dim)
  Rows sums;                     // (tokens, heads): log Σ exp(score), that of a sink too
  const float* sinks = nullptr;  // (heads); nullptr: none
};
struct AttentionGradients {
  Rows d_out, dq, dk, dv;  // the last three are written
  Rows d_sinks = {};       // (tokens, heads): each token's part of it; nullptr: not wanted
};

class AttentionScratch {
 public:
  Status reserve(std::size_t longest, std::size_t head_dim, std::size_t threads);
  // What reserve() takes, in floats.
  static std::size_t floats(std::size_t longest, std::size_t head_dim, std::size_t threads);
  struct OfThread {
    float *scores, *d_scores;    // (64, padded longest)
    float* slopes;               // (padded longest): of soft caps
    float *k_panels, *v_panels;  // Kᵀ and Vᵀ
    std::size_t stride;
  };
  OfThread of(int thread) const;

 private:
  std::size_t stride_ = 0, panels_ = 0;
  Scratch<float> floats_;
};

void attend(ThreadTeam& team, const KernelTable& kernels, const AttentionSpec& spec,
            const std::vector<Document>& documents, const AttentionScratch& scratch,
            const AttentionRows& rows);
void attend_backward(ThreadTeam& team, const KernelTable& kernels, const AttentionSpec& spec,
                     const std::vector<Document>& documents, const AttentionScratch& scratch,
                     const AttentionRows& rows, const AttentionGradients& gradients);

}  // namespace lathe::infer
