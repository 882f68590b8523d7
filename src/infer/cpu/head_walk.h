// The heads of a layer walk over the chunks of the cache: all positions, or the window that they
// see; an encoder's tokens see those behind them too, all of which are in the step. The result of a
// query is a fold in a fixed order: the chunks of a group one after the other, then the groups one
// after the other, whoever computes them. Groups start at absolute multiples of so many positions,
// so nothing depends on where a step began. Where an indexer chose what a query sees
// (AttendSpec::most), the rows of those positions are put together into chunks, in the order of the
// positions, and the walk goes over these. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

class HeadWalk {
 public:
  // Queries of a tile: consecutive tokens of one slice × the heads that share a KV head.
  static constexpr std::size_t kColumns = 64;

  // `sinks` (heads): a score of each head that takes part in the softmax and has no value; nullptr:
  // none.
  HeadWalk(const AttendSpec& spec, std::size_t layer, const float* sinks = nullptr);

  // Puts a token's K and V of one KV head into its sequence's memory; `scratch`: of the thread.
  void store(const Step& step, std::size_t token, std::size_t head, const float* k, const float* v,
             float* scratch) const;
  // The step's queries stand in scratch.q (tokens, heads, key dimensions), scaled; positions that
  // an indexer chose for them in scratch.chosen (tokens, most), ascending; what a head gives (value
  // dimensions) goes to base + token·token_stride + head·head_stride.
  struct Out {
    float* base;
    std::size_t token_stride, head_stride;
  };
  void run(Step& step, const Out& out) const;

  // The same for a chain, which has stored K and V: store() and run(). false: it cannot be.
  std::optional<TokenMemory> record_memory(Step& step, Chain& chain) const;
  bool record(Step& step, Chain& chain, const TokenMemory& memory, Activations& to) const;

  float* scratch(const Step& step, int thread) const {
    return step.scratch.threads.data() + static_cast<std::size_t>(thread) * thread_floats(spec_);
  }
  // How many tokens of a slice walk together.
  static std::size_t tile_tokens(const Blueprint& blueprint);
  // Of one thread's share of ForwardScratch::threads.
  static std::size_t thread_floats(const AttendSpec& spec);
  // What ForwardScratch::partials may grow to over so many positions: the walk is shared out by
  // groups where there is little else to share out.
  static std::uint64_t deep_bytes(const Blueprint& blueprint, std::size_t threads,
                                  std::size_t positions);

 private:
  std::vector<Step::Tile> tiles_of(const Step& step) const;
  bool is_chosen(const Step& step, std::size_t token) const;
  AttendSpec::Seen seen_by(const Step& step, std::size_t token, std::size_t text) const;
  const std::byte* gather(const Step& step, std::size_t token, std::size_t head, std::size_t start,
                          std::byte* room) const;
  void begin_with_sinks(const Step::Tile& tile, std::size_t head, float* base,
                        std::size_t columns) const;
  void walk_group(const Step& step, const Step::Tile& tile, std::size_t head, std::size_t group,
                  std::size_t columns, float* scratch, float* into) const;
  AttendSpec::Seen seen_by_newest(const Step& step, const Step::Tile& tile) const;
  std::size_t groups_of(const Step& step, const Step::Tile& tile) const;
  std::size_t group_positions(const Step& step, const Step::Tile& tile) const;
  // Which slots of the chunk at `start` each query sees; false: none sees any.
  bool visible(const Step& step, const Step::Tile& tile, std::size_t start, std::uint8_t* first,
               std::uint8_t* last) const;
  std::size_t first_group(const Step& step, const Step::Tile& tile) const;
  void write_heads(const Step::Tile& tile, std::size_t head, std::size_t columns, float* total,
                   const Out& out) const;

  AttendSpec spec_;
  KvShape padded_;
  std::size_t layer_;  // whose keys and values they are
  std::size_t ratio_;  // heads that share a KV head
  const float* sinks_;
  std::vector<float> slopes_;  // (heads) by which scores fall with the distance; empty: they do not
};

}  // namespace lathe::infer
