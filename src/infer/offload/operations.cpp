// Operations as arguments of kernels.
#include "infer/offload/operations.h"

#include <algorithm>

#include "infer/kernels/gpu/args.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMostWorkgroups = 65535;
constexpr std::size_t kMostHead = 512;   // padded dimensions that kernels have room for
constexpr std::size_t kTileWidth = 256;  // of activate.k

std::uint32_t number(std::size_t n) {
  return static_cast<std::uint32_t>(n);
}

// Two numbers of 16 bits.
std::uint32_t packed(std::size_t low, std::size_t high) {
  return number(low | high << 16);
}

std::size_t padded(std::size_t dim) {
  return (dim + 15) / 16 * 16;
}

// Finds addresses; all_found: none was missing.
class Addresses {
 public:
  explicit Addresses(const Places& places) : places_(places) {}

  // Of so many elements; a nullptr needs none.
  template <class T>
  gpu::Pointer<std::remove_const_t<T>> of(T* at, std::size_t count) {
    if (at == nullptr) return {};
    return take<std::remove_const_t<T>>(places_.find(at, count * sizeof(T)));
  }
  gpu::Floats of(Constant constant) {
    if (constant.empty()) return {};
    return take<float>(places_.constant(constant));
  }
  gpu::Words words(const std::int8_t* at, std::size_t bytes) {
    return take<gpu::uint>(places_.find(at, bytes));
  }
  gpu::Tables tables(const std::uint64_t* at, std::size_t count) {
    return take<gpu::Blocks>(places_.find(at, count * sizeof(std::uint64_t)));
  }
  bool all_found() const { return all_found_; }

 private:
  template <class T>
  gpu::Pointer<T> take(std::uint64_t address) {
    all_found_ = all_found_ && address != 0;
    return {reinterpret_cast<T*>(address)};
  }
  const Places& places_;
  bool all_found_ = true;
};

// Rows that are written, in 8 bits too where their blocks are whole.
template <class Args>
void set_rows(Addresses& find, Activations& rows, std::size_t count, Args& args) {
  const std::size_t k = rows.k();
  args.to = find.of(rows.row(0), count * k);
  if (k % kActivationBlock != 0) return;
  const QuantizedRows quantized = rows.quantized(0);
  args.flags |= QUANTIZES;
  args.q = find.words(quantized.q, count * k);
  args.scale_of = find.of(quantized.scale, count * k / kActivationBlock);
  args.sum = find.of(quantized.sum, count * k / 16);
}

// How much each number of a row costs beside a multiplication, about.
constexpr double kNormWork = 8, kActivationWork = 32, kHeadWork = 16;

bool append(const GpuKernel& kernel, const Addresses& addresses, const auto& args, std::size_t x,
            std::size_t y, double work, std::vector<Dispatch>& to) {
  if (!addresses.all_found() || x > kMostWorkgroups || y > kMostWorkgroups) return false;
  Dispatch dispatch = Dispatch::of(kernel, args, number(x), number(y));
  dispatch.work = work;
  to.push_back(dispatch);
  return true;
}

}  // namespace

bool append_add_norm(const AddNormOp& op, const GpuKernel& kernel, const Places& places,
                     std::vector<Dispatch>& to) {
  Addresses find(places);
  gpu::AddNormGpuArgs args{};
  args.x = find.of(op.x, op.tokens * op.width);
  args.branch = find.of(op.branch, op.tokens * op.width);
  args.bias = find.of(op.bias);
  args.post = find.of(op.post);
  args.pre = find.of(op.pre);
  args.rows = find.of(op.of, op.rows);
  args.n = number(op.width);
  args.flags = (op.branch != nullptr ? ADDS : 0u) | (op.bias.empty() ? 0u : HAS_BIAS) |
               (op.post.empty() ? 0u : HAS_POST) | (op.pre.empty() ? 0u : HAS_PRE) |
               (op.of != nullptr ? HAS_ROWS : 0u);
  args.epsilon = op.epsilon;
  args.residual = op.residual;
  args.scale = op.scale;
  set_rows(find, *op.to, op.rows, args);
  return append(kernel, find, args, op.rows, 1, kNormWork * static_cast<double>(op.rows * op.width),
                to);
}

bool append_heads(const HeadsOp& op, const GpuKernel& kernel, const Places& places,
                  std::vector<Dispatch>& to) {
  const std::size_t dim = op.dim, keys = op.tokens * op.kv_heads * dim;
  if (padded(dim) > kMostHead || (op.k != nullptr && is_quantized(op.kv) && dim % 32 != 0))
    return false;
  Addresses find(places);
  gpu::HeadsGpuArgs args{};
  args.q = find.of(op.q, op.tokens * op.heads * dim);
  args.k = find.of(op.k, keys);
  args.v = find.of(op.v, keys);
  args.q_bias = find.of(op.q_bias);
  args.k_bias = find.of(op.k_bias);
  args.v_bias = find.of(op.v_bias);
  args.q_norm = find.of(op.q_norm);
  args.k_norm = find.of(op.k_norm);
  args.angles = find.of(op.angles, op.tokens * op.angle_stride);
  args.scale = find.of(op.scale, op.tokens);
  args.blocks = find.tables(op.memory.blocks, op.tokens);
  args.seen = find.of(op.memory.seen, op.tokens * 4);
  args.heads = packed(op.heads, op.kv_heads);
  args.dim = packed(dim, op.turned);
  args.flags = (op.q_bias.empty() ? 0u : HEADS_BIAS) |
               (op.norm == HeadsOp::Norm::kBefore ? HEADS_NORM : 0u) |
               (op.norm == HeadsOp::Norm::kBehind ? HEADS_NORM_BEHIND : 0u) |
               (op.q_norm.empty() ? HEADS_PLAIN : 0u) | (op.value_norm ? HEADS_VALUE_NORM : 0u) |
               (op.neox ? HEADS_NEOX : 0u);
  args.place = number(op.memory.offset / sizeof(std::uint32_t));
  args.head_words = number(op.memory.head_bytes / sizeof(std::uint32_t));
  args.angle_stride = number(op.angle_stride);
  args.epsilon = op.epsilon;
  const std::size_t heads = op.heads + (op.k != nullptr ? 2 * op.kv_heads : 0);
  return append(kernel, find, args, heads, op.tokens,
                kHeadWork * static_cast<double>(op.tokens * heads * dim), to);
}

bool append_activate(const ActivateOp& op, const GpuKernel& kernel, const Places& places,
                     std::vector<Dispatch>& to) {
  constexpr std::uint32_t kKinds[] = {ACTIVATE_SILU, ACTIVATE_GELU, ACTIVATE_GELU_ALONE,
                                      ACTIVATE_RELU_SQUARED, ACTIVATE_CLAMPED_SILU};
  Addresses find(places);
  gpu::ActivateGpuArgs args{};
  args.gate = find.of(op.gate, op.rows * op.width);
  args.up = find.of(op.up, op.rows * op.width);
  args.gate_bias = find.of(op.gate_bias);
  args.up_bias = find.of(op.up_bias);
  args.n = number(op.width);
  args.kind = kKinds[static_cast<std::size_t>(op.kind)];
  args.flags = op.up_bias.empty() ? 0u : HAS_BIAS;
  set_rows(find, *op.to, op.rows, args);
  return append(kernel, find, args, (op.width + kTileWidth - 1) / kTileWidth, op.rows,
                kActivationWork * static_cast<double>(op.rows * op.width), to);
}

bool append_quantize(Activations& x, std::size_t rows, const GpuKernel& kernel,
                     const Places& places, std::vector<Dispatch>& to) {
  Addresses find(places);
  gpu::ActivateGpuArgs args{};
  args.up = find.of(x.row(0), rows * x.k());
  args.n = number(x.k());
  args.kind = ACTIVATE_NOTHING;
  set_rows(find, x, rows, args);
  return append(kernel, find, args, (x.k() + kTileWidth - 1) / kTileWidth, rows,
                kActivationWork * static_cast<double>(rows * x.k()), to);
}

std::size_t partial_floats(const AttendOp& op) {
  return 2 + padded(op.dim);
}

std::vector<std::uint32_t> attend_tiles(const AttendOp& op) {
  const std::size_t together = std::max<std::size_t>(1, kDeviceColumns / (op.heads / op.kv_heads));
  std::vector<std::uint32_t> tiles;
  for (const AttendOp::Run& run : op.runs)
    for (std::size_t i = 0; i < run.count; i += together)
      tiles.insert(tiles.end(), {number(run.first + i), number(std::min(together, run.count - i))});
  return tiles;
}

bool append_attend(const AttendOp& op, const AttendTurn& turn, const GpuKernel& kernel,
                   const Places& places, std::vector<Dispatch>& to) {
  if (padded(op.dim) > kMostHead) return false;
  const std::size_t columns = op.tokens * op.heads;
  Addresses find(places);
  gpu::AttendGpuArgs args{};
  args.q = find.of(op.q, columns * op.dim);
  args.blocks = find.tables(op.memory.blocks, op.tokens);
  args.seen = find.of(op.memory.seen, op.tokens * 4);
  args.tiles = find.of(turn.tiles, 2 * turn.tile_count);
  args.partials = find.of(turn.partials, columns * turn.groups * partial_floats(op));
  args.heads = packed(op.heads, op.kv_heads);
  args.dim = packed(op.dim, padded(op.dim));
  args.place = number(op.memory.offset / sizeof(std::uint32_t));
  args.head_words = number(op.memory.head_bytes / sizeof(std::uint32_t));
  args.first_group = number(turn.first_group);
  args.groups = number(turn.groups);
  args.cap = op.cap;
  const std::size_t ratio = op.heads / op.kv_heads;
  const std::size_t splits = (ratio + kDeviceColumns - 1) / kDeviceColumns;
  return append(kernel, find, args, turn.tile_count * op.kv_heads * splits, turn.groups,
                2 * static_cast<double>(columns * turn.groups * kDeviceGroup * op.dim), to);
}

bool append_fold(const AttendOp& op, const AttendTurn& turn, const GpuKernel& kernel,
                 const Places& places, std::vector<Dispatch>& to) {
  const std::size_t columns = op.tokens * op.heads;
  Addresses find(places);
  gpu::FoldGpuArgs args{};
  args.partials = find.of(turn.partials, columns * turn.groups * partial_floats(op));
  args.tops = find.of(turn.tops, columns * 2);
  args.to = find.of(op.to->row(0), columns * op.dim);
  args.sinks = find.of(op.sinks);
  args.seen = find.of(op.memory.seen, op.tokens * 4);
  args.heads = number(op.heads);
  args.dim = packed(op.dim, padded(op.dim));
  args.first_group = number(turn.first_group);
  args.groups = number(turn.groups);
  args.flags = (turn.first ? FOLD_FIRST : 0u) | (turn.last ? FOLD_LAST : 0u) |
               (op.sinks.empty() ? 0u : FOLD_SINKS);
  return append(kernel, find, args, op.heads, op.tokens,
                2 * static_cast<double>(columns * turn.groups * op.dim), to);
}

}  // namespace lathe::infer
