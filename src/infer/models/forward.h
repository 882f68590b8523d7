// One step of a model: some tokens of some sequences in, the logits (or hidden states) of chosen
// rows out, and their KV written into the sequences' blocks. A token's result depends on its
// sequence's tokens alone: not on the other sequences of the step, on how the prompt was cut into
// steps, or on the threads (see kernels.h for why). Owns the scratch memory for steps of at most
// `max_tokens` tokens. The engine's thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/cache/block_pool.h"
#include "infer/models/adapter.h"
#include "infer/models/experts.h"
#include "infer/models/model.h"

namespace lathe::infer {

// A run of consecutive tokens of one sequence.
struct Slice {
  std::span<const std::int32_t> tokens;
  std::size_t first_position = 0;     // of tokens[0]; the positions before are filled
  const BlockTable* table = nullptr;  // writable from first_position on
  std::size_t outputs = 0;            // that many of the last tokens want a row
  const Adapter* adapter = nullptr;   // whose products are added to the model's; none
};

enum class OutputKind : std::uint8_t { kLogits, kHidden };  // hidden: after the output norm

// How much scratch a Forward takes, in elements.
struct ForwardSizes {
  std::size_t tokens = 0, outputs = 0;
  std::size_t width = 0, output_width = 0;
  std::size_t q = 0, kv = 0;  // of one token
  std::size_t hidden = 0;     // rows × hidden; rows: tokens, or (token, expert) pairs
  std::size_t pairs = 0, experts = 0;
  std::size_t angles = 0;   // of one token, all ropes
  std::size_t threads = 0;  // of all threads

  std::uint64_t bytes() const;
};

class Forward {
 public:
  static Result<Forward> create(const Model& model, ThreadTeam& team, const BlockLayout& layout,
                                std::size_t max_tokens, std::size_t max_outputs);

  // What create() will take, and what deep contexts may add to it: attention over `positions` is
  // shared out by groups where there is little else to share out.
  static ForwardSizes sizes(const Blueprint& blueprint, std::size_t threads, std::size_t max_tokens,
                            std::size_t max_outputs);
  static std::uint64_t deep_bytes(const Blueprint& blueprint, std::size_t threads,
                                  std::size_t positions);

  // The rows come in slice order; they stay valid until the next run().
  void run(std::span<const Slice> slices, OutputKind kind = OutputKind::kLogits);
  std::span<const float> output(std::size_t row) const;  // (vocabulary) or (embedding)

  std::size_t max_tokens() const { return max_tokens_; }
  std::size_t max_outputs() const { return max_outputs_; }
  std::uint64_t scratch_bytes() const;

 private:
  // Queries that walk over K and V together: consecutive tokens of one slice × the heads that share
  // a KV head.
  struct Tile {
    std::size_t first_token;
    std::size_t tokens;
  };
  static constexpr std::size_t kTileColumns = 64;
  Forward(const Model& model, ThreadTeam& team, const BlockLayout& layout);
  void place_tokens(std::span<const Slice> slices);
  void compute_angles();
  void attention(std::size_t layer);
  void project_heads(std::size_t layer);
  void finish_heads(std::size_t layer, std::size_t token, float* scratch);
  // Its dimensions, then zeros up to padded_head(); returns `to`.
  static const float* pad_head(const float* head, std::size_t head_dim, float* to);
  static std::size_t attention_scratch(const AttentionSpec& spec);
  void attend(std::size_t layer);
  void attend_group(std::size_t layer, const Tile& tile, std::size_t head, std::size_t group,
                    std::size_t columns, float* scratch, float* into) const;
  void write_heads(std::size_t layer, const Tile& tile, std::size_t head, std::size_t columns,
                   float* total);
  void dense_ffn(std::size_t layer);
  void activate(std::size_t rows, std::size_t hidden);
  void expert_ffn(std::size_t layer);
  void add_and_norm(const float* add, const std::vector<float>& norm);
  void write_outputs(std::span<const Slice> slices, OutputKind kind);
  void adapt(std::size_t layer, LinearPart part, const Activations& x, float* y);
  void adapt_experts(std::size_t layer, LinearPart part, const Activations& x, float* y);

  const Model* model_;
  ThreadTeam* team_;
  const BlockLayout* layout_;
  std::size_t max_tokens_ = 0, max_outputs_ = 0;

  // The step's tokens, in slice order.
  struct Token {
    std::int32_t id;
    std::size_t position;
    const BlockTable* table;
  };
  std::vector<Token> tokens_;
  std::vector<Tile> tiles_;
  // Runs of them that an adapter is added to.
  struct Adapted {
    const Adapter* adapter;
    std::size_t first, count;
  };
  std::vector<Adapted> adapted_;
  std::vector<float> low_;  // (tokens or pairs, rank): what an adapter's A gives
  std::vector<LowRankProduct> low_products_;
  std::vector<RopeSpec> ropes_;  // distinct ones
  std::vector<std::size_t> rope_of_layer_;
  std::vector<std::vector<double>> frequencies_;  // (distinct ropes)(dimensions / 2)

  Scratch<float> x_;          // residual stream (tokens, embedding)
  Scratch<float> branch_;     // what a block adds to it (tokens, embedding)
  Scratch<float> q_, k_, v_;  // (tokens, heads·head_dim) …
  Scratch<float> gate_, up_;  // (rows, hidden); rows: tokens, or (token, expert) pairs
  Scratch<float> angles_;     // (distinct ropes, tokens, cos | sin)
  Scratch<float> output_;     // (outputs, vocabulary or embedding)
  Scratch<float> threads_;    // (threads, what attention_scratch() says)
  Scratch<float> partials_;   // attention shared out by groups
  Activations normed_, heads_, hidden_;

  Scratch<float> router_, expert_out_;  // (tokens, experts), (pairs, embedding)
  Activations gathered_;                // (pairs, embedding)
  ExpertChoice choice_;
  std::size_t output_width_ = 0;
};

}  // namespace lathe::infer
