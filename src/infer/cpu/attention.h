// Attention of a layer over the chunks of the cache: all positions, or the last `window` of them.
// The result of a query is a fold in a fixed order: the chunks of a group one after the other, then
// the groups one after the other, whoever computes them. Groups start at absolute multiples of so
// many positions, so nothing depends on where a step began. One thread, but for what the team is
// given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

class Attention final : public LayerPart {
 public:
  // Queries of a tile: consecutive tokens of one slice × the heads that share a KV head.
  static constexpr std::size_t kColumns = 64;

  Attention(const Model& model, std::size_t layer, std::size_t rope);
  void run(Step& step) const override;

  // How many tokens of a slice walk together.
  static std::size_t tile_tokens(const Blueprint& blueprint);
  // Of one thread's share of ForwardScratch::threads.
  static std::size_t thread_floats(const AttentionSpec& spec);
  // What ForwardScratch::partials may grow to over so many positions: attention is shared out by
  // groups where there is little else to share out.
  static std::uint64_t deep_bytes(const Blueprint& blueprint, std::size_t threads,
                                  std::size_t positions);

 private:
  float scale_at(std::size_t position) const;
  void open_gates(Step& step, std::size_t token) const;
  void begin_with_sinks(const Step::Tile& tile, std::size_t head, float* base,
                        std::size_t columns) const;
  void finish_heads(Step& step, std::size_t token, float* scratch) const;
  void attend(Step& step) const;
  void attend_group(const Step& step, const Step::Tile& tile, std::size_t head, std::size_t group,
                    std::size_t columns, float* scratch, float* into) const;
  // Which slots of the chunk at `start` each query sees; false: none sees any.
  bool visible(const Step& step, const Step::Tile& tile, std::size_t start, std::uint8_t* first,
               std::uint8_t* last) const;
  std::size_t first_group(const Step& step, const Step::Tile& tile) const;
  void write_heads(Step& step, const Step::Tile& tile, std::size_t head, std::size_t columns,
                   float* total) const;

  AttentionSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_, rope_;
  std::size_t ratio_;  // heads that share a KV head
  float epsilon_;
};

}  // namespace lathe::infer
