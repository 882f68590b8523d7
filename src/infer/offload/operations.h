// What stands between products, as what a device is given. Pure.
#pragma once

#include "infer/offload/products.h"
#include "infer/tensor/chain.h"

namespace lathe::infer {

// Positions of a group (HeadWalk), and the queries that a workgroup takes.
inline constexpr std::size_t kDeviceGroup = 8 * kChunk;
inline constexpr std::size_t kDeviceColumns = 8;

// Where the device finds what operations name.
struct Places {
  AddressOf find;
  std::function<std::uint64_t(Constant)> constant;  // 0: it does not
};

// Each appends what computes an operation. false: not all of it is where the device sees it, or it
// is larger than the kernel is made for, and nothing is appended.
bool append_add_norm(const AddNormOp& op, const GpuKernel& kernel, const Places& places,
                     std::vector<Dispatch>& to);
bool append_heads(const HeadsOp& op, const GpuKernel& kernel, const Places& places,
                  std::vector<Dispatch>& to);
bool append_activate(const ActivateOp& op, const GpuKernel& kernel, const Places& places,
                     std::vector<Dispatch>& to);
// Rows as they are, in 8 bits; by the kernel of append_activate().
bool append_quantize(Activations& x, std::size_t rows, const GpuKernel& kernel,
                     const Places& places, std::vector<Dispatch>& to);

// Some groups of an attention, and where its partial results are: the groups are taken in turns of
// so many.
struct AttendTurn {
  std::size_t first_group = 0, groups = 0;
  const std::uint32_t* tiles = nullptr;  // (count, 2): first token, tokens
  std::size_t tile_count = 0;
  float* partials = nullptr;  // (tokens, heads, groups, partial_floats())
  float* tops = nullptr;      // (tokens, heads, 2): of all turns
  bool first = true, last = true;
};
std::size_t partial_floats(const AttendOp& op);
std::vector<std::uint32_t> attend_tiles(const AttendOp& op);
bool append_attend(const AttendOp& op, const AttendTurn& turn, const GpuKernel& kernel,
                   const Places& places, std::vector<Dispatch>& to);
bool append_fold(const AttendOp& op, const AttendTurn& turn, const GpuKernel& kernel,
                 const Places& places, std::vector<Dispatch>& to);

}  // namespace lathe::infer
