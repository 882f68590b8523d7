// What stands between the products of a step, as operations that a device beside the processor may
// compute: recorded one after the other with the products, then run in one go, to the bits of the
// processor's own. The engine's thread only.
#pragma once

#include "infer/tensor/matrix.h"

namespace lathe::infer {

// Numbers of the model that never change: biases, and the weights of norms. Empty: none.
using Constant = std::span<const float>;

// x = (x + residual·post(branch + bias))·scale of some tokens, to = pre(x), quantized too. post and
// pre are RMS norms; x as it is, where there is none.
struct AddNormOp {
  std::size_t tokens = 0, width = 0;  // that x has
  std::size_t rows = 0;
  const std::uint32_t* of = nullptr;  // (rows): of which tokens; nullptr: row i of token i
  float* x = nullptr;                 // (tokens, width)
  const float* branch = nullptr;      // the same; nullptr: nothing is added
  Constant bias = {}, post = {}, pre = {};
  float epsilon = 0, residual = 1, scale = 1;
  Activations* to = nullptr;
};

// Where a step's tokens have what their sequences remember, for one layer.
struct TokenMemory {
  const std::uint64_t* blocks = nullptr;  // (tokens): addresses of tables of addresses of blocks
  // (tokens, 4): position, the first one that is seen, behind the last one, and the number of the
  // first block in the table.
  const std::uint32_t* seen = nullptr;
  std::size_t offset = 0, head_bytes = 0;  // the layer's first head in a block, and to the next one
};

// Bias, norm and rotation of a token's heads; queries are scaled, keys and values are stored.
struct HeadsOp {
  enum class Norm : std::uint8_t { kNone, kBefore, kBehind };  // the rotation
  KvType kv = KvType::kF16;
  std::size_t tokens = 0, heads = 0, kv_heads = 0, dim = 0;
  float *q = nullptr, *k = nullptr, *v = nullptr;  // k: nullptr: queries alone
  Constant q_bias = {}, k_bias = {}, v_bias = {};
  Norm norm = Norm::kNone;
  Constant q_norm = {}, k_norm = {};  // empty: the norm has no weights
  bool value_norm = false;            // without weights
  float epsilon = 0;
  std::size_t turned = 0;  // dimensions
  bool neox = false;
  const float* angles = nullptr;  // (tokens, angle_stride): cosines, then sines
  std::size_t angle_stride = 0;
  const float* scale = nullptr;  // (tokens)
  TokenMemory memory;
};

// What queries make of what they see.
struct AttendOp {
  struct Run {
    std::size_t first, count;  // tokens of one sequence, one after the other
  };
  KvType kv = KvType::kF16;
  std::size_t tokens = 0, heads = 0, kv_heads = 0, dim = 0;
  const float* q = nullptr;  // (tokens, heads, dim)
  std::span<const Run> runs;
  std::size_t first = 0, end = 0;  // positions that any of them sees
  float cap = 0;
  Constant sinks = {};
  TokenMemory memory;
  Activations* to = nullptr;  // rows of (heads, dim), quantized too
};

// What a feed-forward part makes of gate and up, quantized too.
struct ActivateOp {
  enum class Kind : std::uint8_t { kSilu, kGelu, kGeluAlone, kReluSquared, kClampedSilu };
  Kind kind = Kind::kSilu;
  std::size_t rows = 0, width = 0;
  const float *gate = nullptr, *up = nullptr;
  Constant gate_bias = {}, up_bias = {};
  Activations* to = nullptr;
};

// What one keeps of the host's memory, at most about: partial results of attention, tables of what
// tokens see, constants.
inline constexpr std::uint64_t kChainBytes = std::uint64_t{48} << 20;

class Chain {
 public:
  virtual ~Chain() = default;
  // Forgets what was recorded. false: there is no device now.
  virtual bool begin() = 0;
  // Room that the device reads, until the next begin(); nullptr: there is none.
  virtual void* stage(std::size_t bytes) = 0;
  // Where the device finds memory that it was shown; 0: it does not.
  virtual std::uint64_t address(const void* at, std::size_t bytes) = 0;

  // Each is computed behind those recorded before it. false: it cannot be, and nothing is recorded.
  virtual bool multiply(std::span<const Product> products) = 0;
  virtual bool add_norm(const AddNormOp& op) = 0;
  virtual bool heads(const HeadsOp& op) = 0;
  virtual bool attend(const AttendOp& op) = 0;
  virtual bool activate(const ActivateOp& op) = 0;

  // How much is recorded, and back to that.
  virtual std::size_t length() const = 0;
  virtual void rewind(std::size_t length) = 0;
  // All of it. false: none is done, whatever was written.
  virtual bool run() = 0;

  // Of so many numbers of some type.
  template <class T>
  T* stage_for(std::size_t count) {
    return static_cast<T*>(stage(count * sizeof(T)));
  }
};

// What may compute in place of a team, to the same bits. The engine's thread only.
class Multiplier {
 public:
  virtual ~Multiplier() = default;
  // Whole pages that products will read or write, which must outlive it.
  virtual Status see(std::span<std::byte> pages) = 0;
  // The same of which it shall see no more than is asked for, `longest` bytes at once at most.
  virtual Status see_parts(std::span<std::byte> pages, std::size_t longest) = 0;
  // What it was shown so is going.
  virtual void forget_parts() = 0;
  // All of them; false: none is done, whatever was written, and the team has to.
  virtual bool multiply(std::span<const Product> products) = 0;
  virtual Chain& chain() = 0;
  virtual std::uint64_t bytes() const = 0;  // that it holds for itself, of the host's memory
};

}  // namespace lathe::infer
