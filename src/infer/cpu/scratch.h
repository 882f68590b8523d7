// The memory that a forward pass computes in. Every buffer stands with its size in one table
// (scratch.cpp): by it memory is foretold, booked and taken, so that none of the three can say
// something else. All layers share it: one computes at a time. The engine's thread only, but for
// rows of different tokens.
#pragma once

#include "infer/executor/executor.h"
#include "infer/tensor/matrix.h"

namespace lathe::infer {

// What the sizes of the buffers follow from, in elements.
struct ForwardSizes {
  std::size_t tokens = 0, outputs = 0;
  std::size_t width = 0, output_width = 0;
  std::size_t q = 0, kv = 0;                          // of one token
  std::size_t mixed = 0, convolved = 0, scalars = 0;  // … of recurrent layers, gated attention …
  std::size_t low = 0;                                // … of what goes by way of a few dimensions
  std::size_t inputs = 0;                             // … of all layers' embeddings
  std::size_t hidden = 0;  // rows × hidden; rows: tokens, or (token, expert) pairs
  std::size_t pairs = 0, experts = 0;
  std::size_t angles = 0;   // of one token, all ropes
  std::size_t threads = 0;  // of all threads
  bool keep_hidden = false, device = false;
  std::size_t head = 0;                    // the widest row of what a pooled text becomes
  std::size_t chosen = 0, candidates = 0;  // positions that an indexer chooses, lists of such

  static ForwardSizes of(const Blueprint& blueprint, std::size_t threads,
                         const ExecutorOptions& options);
  std::uint64_t bytes() const;  // that ForwardScratch::reserve() takes
};

struct ScoredPosition {
  float score;
  std::uint32_t position;
};

struct ForwardScratch {
  Scratch<float> x;           // residual stream (tokens, embedding)
  Scratch<float> branch;      // what a part of a layer adds to it (tokens, embedding)
  Scratch<float> begun;       // both, as they stood before a device was given work
  Activations normed;         // what a part of a layer reads (tokens, embedding)
  Scratch<float> q, k, v;     // (tokens, heads·head_dim) …
  Scratch<float> mixed;       // q with its gate, or a recurrent layer's projections (tokens, …)
  Scratch<float> convolved;   // (tokens, channels); an indexer's queries (tokens, heads·key)
  Scratch<float> scalars;     // a few numbers for each head of a recurrent layer or an indexer
  Activations low;            // what goes by way of a few dimensions (tokens, …)
  Scratch<float> inputs;      // the layers' embeddings (tokens, layers, size)
  Scratch<float> own_inputs;  // … while they are made, and what they open
  Activations heads;          // what a mixer's heads gave (tokens, heads·head_dim)
  Scratch<float> angles;      // (tokens, distinct ropes, cos | sin)
  Scratch<float> threads;     // (threads, what a tile of attention takes)
  Scratch<float> partials;    // of attention shared out by groups: grows with the depth
  Scratch<ScoredPosition> candidates;  // of an indexer (lists, most)
  Scratch<std::uint32_t> chosen;       // positions that tokens see (tokens, most)
  Scratch<float> gate, up;             // (rows, hidden); rows: tokens, or (token, expert) pairs
  Activations hidden;                  // the same, activated
  Scratch<float> router;               // (tokens, experts)
  Activations gathered;                // (pairs, embedding)
  Scratch<float> expert_out;           // (pairs, embedding)
  Scratch<float> output;               // (outputs, vocabulary or embedding)
  Scratch<float> hidden_rows;          // of all tokens, after the output norm (tokens, embedding)
  Activations head;                    // a pooled text, and what becomes of it (1, …)
  Scratch<float> head_out;             // (1, …)

  Status reserve(const ForwardSizes& sizes);
  std::uint64_t bytes() const;
  std::vector<std::span<std::byte>> memory() const;  // of all buffers, whole pages
};

}  // namespace lathe::infer
