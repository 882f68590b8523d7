// The programs of infer/kernels/gpu that this build has. An entry each: a file there, a line of
// CMake (cmake/gpu.cmake) and a row here.
#pragma once

#include <span>

#include "infer/device/device.h"
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

}  // namespace lathe::infer
