// What computes the steps of one model on one device: the wall between what knows of sequences (the
// engine) and what knows of weights, kernels and threads (infer/cpu). A step is some tokens of some
// sequences in, the logits (or hidden states) of chosen rows out, and their KV written into the
// sequences' memory. A token's result depends on its sequence's tokens alone: not on the other
// sequences of the step, nor on how the prompt was cut into steps. One thread: the engine's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "ground/base/device_bytes.h"
#include "infer/cache/memory.h"
#include "infer/executor/prompt.h"
#include "infer/models/adapter.h"
#include "infer/models/blueprint.h"

namespace lathe::infer {

struct ExecutorOptions {
  KvType kv = KvType::kF16;
  std::size_t step_tokens = 512;  // of one step: the longest a neighbour waits
  std::size_t most_outputs = 64;
  // That sequences are given, as some models' angles differ by it; 0: as long as it was trained.
  std::size_t context = 0;
  bool keep_hidden = false;  // of all tokens of a step: Executor::hidden()
  bool device = false;       // computes some of it, and what it loses is begun anew

  // Rows that one step can give.
  std::size_t step_outputs() const { return std::min(step_tokens, most_outputs); }
  // The same for a model whose sequences come to so many positions: an encoder reads each of its
  // texts in one step.
  ExecutorOptions of(const Blueprint& blueprint, std::size_t positions) const;
};

// A KV type that the model's heads do not fit is refused with both numbers.
Status check_kv(const Blueprint& blueprint, KvType kv);

// A run of consecutive tokens of one sequence.
struct Slice {
  std::span<const TokenId> tokens;         // kNoToken where a row stands instead
  std::size_t first_position = 0;          // of tokens[0]; the positions before are filled
  std::span<const PlacedRows> rows = {};   // of the sequence
  const SequenceMemory* memory = nullptr;  // prepared for the tokens
  std::size_t outputs = 0;                 // that many of the last tokens want a row
  const Adapter* adapter = nullptr;        // whose products are added to the model's; none
  // (tokens, embedding): what layers that predict read beside the tokens (Blueprint::predicts).
  const float* beside = nullptr;
};

enum class OutputKind : std::uint8_t { kLogits, kHidden };  // hidden: after the output norm

class Executor {
 public:
  virtual ~Executor() = default;

  virtual const Blueprint& blueprint() const = 0;
  virtual const ExecutorOptions& options() const = 0;
  // How what its sequences remember lies in their blocks, which are host memory.
  virtual const MemoryLayout& layout() const = 0;

  // At most options().step_tokens of tokens and step_outputs() of rows. The rows come in slice
  // order; they stay valid until the next run().
  virtual void run(std::span<const Slice> slices, OutputKind kind) = 0;
  virtual std::span<const float> output(std::size_t row) const = 0;  // (outputs()) or (embedding)
  // (embedding): of any token of the last step, in the order of its slices, after the output norm.
  // Only with options().keep_hidden.
  virtual std::span<const float> hidden(std::size_t token) const = 0;
  // What becomes of a pooled text (embedding): (Blueprint::text_width()). The rows of the last
  // run() stay.
  virtual std::vector<float> head(std::span<const float> pooled) = 0;

  // Whose blocks run() is given: before the first step, if ever.
  virtual void set_store(MemoryStore&) {}
  // The store is going: there are no more steps.
  virtual void leave_store() {}
  // What a step is computed on has been lost: what the last run() gave is nothing, and there will
  // be no more. It can only be opened anew.
  virtual Status lost() const { return {}; }

  virtual DeviceBytes weight_bytes() const = 0;
  virtual DeviceBytes scratch_bytes() const = 0;  // that it computes in; grows with the depth
};

// What an executor will take, from a model's header alone: by the same arithmetic that it books
// with.
struct ExecutorSizes {
  MemoryLayout layout;
  DeviceBytes weights;
  DeviceBytes scratch;  // at the depth that was asked for
};

}  // namespace lathe::infer
