// Operations between products, seeded and computed by both sides.
#pragma once

#include <random>

#include "infer/device/device.h"
#include "infer/kernels/kernels.h"

namespace lathe::infer {

struct Compared {
  std::size_t values = 0, differ = 0;
};
// One of step_kernels(). An error: the device went away, or has no room.
Result<Compared> compare_step(Device& device, const GpuKernel& kernel, const KernelTable& table,
                              std::mt19937& random);

}  // namespace lathe::infer
