// The programs of infer/kernels/gpu that this build has. An entry each: a file there, a line of
// CMake (cmake/gpu.cmake) and a row here.
#pragma once

#include <span>
#include <vector>

#include "infer/device/device.h"
#include "infer/kernels/kernels.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {

std::span<const GpuKernel> gpu_kernels();

// The kernels of a type's products: up to kNarrowTokens, and any number. The same one for float
// types. nullptr: the processor computes them.
struct ProductKernels {
  TensorType type;
  const GpuKernel* narrow = nullptr;
  const GpuKernel* wide = nullptr;
  bool integer = true;
};
inline constexpr std::size_t kNarrowTokens = 8;
std::span<const ProductKernels> product_kernels();

// The kernels of what stands between products. By the type of what is remembered: nullptr: the
// processor computes it.
struct StepKernels {
  const GpuKernel *add_norm = nullptr, *activate = nullptr, *fold = nullptr;
  const GpuKernel *heads[kKvTypes] = {}, *attend[kKvTypes] = {};

  std::vector<const GpuKernel*> all() const;  // that there are
};
const StepKernels& step_kernels();

}  // namespace lathe::infer
