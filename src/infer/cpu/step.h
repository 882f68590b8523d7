// What the parts of a forward pass share while a step is computed: its tokens, where their memory
// is, the buffers, and whose adapters are added. The engine's thread only.
#pragma once

#include <vector>

#include "infer/cache/memory.h"
#include "infer/cpu/experts.h"
#include "infer/cpu/low_rank.h"
#include "infer/cpu/model.h"
#include "infer/cpu/row_exchange.h"
#include "infer/cpu/scratch.h"
#include "infer/models/rope.h"
#include "infer/tensor/chain.h"

namespace lathe::infer {

// Hears what the matrices of the layers are multiplied with. The engine's thread.
class InputObserver {
 public:
  virtual ~InputObserver() = default;
  // Rows first … first + count - 1 of x, by one expert's part of a matrix.
  virtual void multiplied(std::size_t layer, Slot slot, std::size_t expert, const Activations& x,
                          std::size_t first, std::size_t count) = 0;
};

struct Step {
  const Model* model = nullptr;
  ThreadTeam* team = nullptr;
  const MemoryLayout* layout = nullptr;
  ForwardScratch scratch;
  ExpertChoice choice;
  Ropes ropes;

  // The step's tokens, in the order of its slices.
  struct Token {
    std::int32_t id;
    const float* row;  // its embedding, where it is no token; nullptr: it is one
    std::size_t position;
    RopePosition turns;
    std::size_t sees;  // it sees what stands before that: itself, and rows that see each other
    const SequenceBlocks* memory;
  };
  std::vector<Token> tokens;
  // Consecutive tokens of one slice whose queries walk over K and V together.
  struct Tile {
    std::size_t first_token;
    std::size_t tokens;
    std::size_t end;  // the positions of its slice end there
  };
  std::vector<Tile> tiles;
  // Tokens of one sequence, one after the other: the slices.
  using Run = AttendOp::Run;
  std::vector<Run> runs;
  // Runs of tokens that an adapter is added to.
  struct Adapted {
    const Adapter* adapter;
    std::size_t first, count;
  };
  std::vector<Adapted> adapted;
  std::vector<float> low;  // (tokens or pairs, rank): what an adapter's A gives
  std::vector<LowRankProduct> low_products;
  InputObserver* observer = nullptr;  // nullptr: nobody listens
  RowExchange* exchange = nullptr;    // nullptr: all rows of the matrices are here
  Multiplier* multiplier = nullptr;   // nullptr: the team computes everything
  // By memory group, of the chain that is recorded: TokenMemory::blocks; nullptr: not yet.
  std::vector<const std::uint64_t*> tables;

  const KernelTable& kernels() const { return model->kernels(); }
  std::size_t width() const { return model->blueprint().embedding; }
  // Cosines and sines of a token's position.
  float* angles(std::size_t rope, std::size_t token) const {
    return scratch.angles.data() + (token * ropes.all.size() + rope) * ropes.stride;
  }

  // Products that read nothing of each other.
  void multiply(std::span<const Product> products) const;
  // out (tokens, rows) = x times the layer's matrix, and what the tokens' adapters add.
  struct Linear {
    Slot slot;
    float* out;
  };
  void multiply_linears(std::size_t layer, const Activations& x, std::span<const Linear> linears);
  // The same for a chain. false: it cannot be.
  bool record_linears(Chain& chain, std::size_t layer, const Activations& x,
                      std::span<const Linear> linears) const;
  // Where a group's blocks are, of each token; nullptr: the device does not see them.
  const std::uint64_t* record_tables(Chain& chain, std::size_t group);
  // The same where the rows of x are (token, expert) pairs in the order of `choice`.
  void multiply_experts(std::size_t layer, const Activations& x, std::span<const Linear> linears);

  // What its machines compute it on is gone.
  bool lost() const { return exchange != nullptr && exchange->lost(); }

 private:
  void multiply_all(std::span<const Product> products);
  void adapt(std::size_t layer, Slot slot, const Activations& x, float* y);
  void adapt_experts(std::size_t layer, Slot slot, const Activations& x, float* y);
};

// A part of a layer, its mixer or its feed-forward part: reads scratch.normed, and leaves in
// scratch.branch what it adds to the residual stream, but for a bias of its own (bias()).
class LayerPart {
 public:
  virtual ~LayerPart() = default;
  virtual void run(Step& step) const = 0;
  // The same for a chain. false: it cannot be, whatever was recorded.
  virtual bool record(Step&, Chain&) const { return false; }
  virtual const std::vector<float>* bias() const { return nullptr; }  // nullptr: none
};

}  // namespace lathe::infer
