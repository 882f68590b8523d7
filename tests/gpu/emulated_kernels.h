// The kernels of infer/kernels/gpu as C++, and what their lanes run on: fibers of one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "infer/kernels/gpu/args.h"

namespace lathe::infer::gpu {

struct EmulatedKernel {
  std::string_view name;
  std::uint32_t lanes;
  std::uint32_t argument_bytes;
  // One lane of one workgroup; `args` as the kernel's struct has them.
  void (*run)(const void* args, uint lane, uint group_x, uint group_y);
};
std::span<const EmulatedKernel> emulated_kernels();

// What the code of a kernel calls. A barrier: the lane waits until all have come.
void emulated_barrier();
// A quotient or root as a device may give it, by a few ulp beside the exact one.
float perturbed(float exact);

}  // namespace lathe::infer::gpu
