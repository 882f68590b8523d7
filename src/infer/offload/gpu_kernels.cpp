// Kernels by name, with what the build made of them.
#include "infer/offload/gpu_kernels.h"

#include <array>
#include <vector>

#include "infer/kernels/gpu/args.h"
#include "infer/kernels/gpu/spirv.h"

namespace lathe::infer {
namespace {

struct NamedType {
  TensorType type;
  std::string_view narrow, wide;  // wide: empty where one kernel does both
};
#define INTEGER(name, text) \
  { TensorType::k##name, "matmul_narrow_" text, "matmul_wide_" text }
#define FLOAT(name, text)                         \
  {                                               \
    TensorType::k##name, "matmul_float_" text, {} \
  }
constexpr NamedType kTypes[] = {
    INTEGER(Q4_0, "q4_0"),   INTEGER(Q4_1, "q4_1"),     INTEGER(Q5_0, "q5_0"),
    INTEGER(Q5_1, "q5_1"),   INTEGER(Q8_0, "q8_0"),     INTEGER(Q2_K, "q2_k"),
    INTEGER(Q3_K, "q3_k"),   INTEGER(Q4_K, "q4_k"),     INTEGER(Q5_K, "q5_k"),
    INTEGER(Q6_K, "q6_k"),   INTEGER(IQ4_NL, "iq4_nl"), INTEGER(IQ4_XS, "iq4_xs"),
    INTEGER(MXFP4, "mxfp4"), INTEGER(NVFP4, "nvfp4"),   INTEGER(TQ1_0, "tq1_0"),
    INTEGER(TQ2_0, "tq2_0"), INTEGER(Q1_0, "q1_0"),     INTEGER(Q2_0, "q2_0"),
    FLOAT(F32, "f32"),       FLOAT(F16, "f16"),         FLOAT(BF16, "bf16"),
};
#undef INTEGER
#undef FLOAT

struct Kernels {
  std::vector<GpuKernel> all;
  std::vector<ProductKernels> products;

  Kernels() {
    const auto add = [this](std::string_view name) {
      all.push_back({.name = name,
                     .lanes = 256,
                     .argument_bytes = sizeof(gpu::MatmulGpuArgs),
                     .spirv = gpu_spirv(name)});
    };
    for (const NamedType& type : kTypes) {
      add(type.narrow);
      if (!type.wide.empty()) add(type.wide);
    }
    std::size_t next = 0;
    for (const NamedType& type : kTypes) {
      const GpuKernel* narrow = &all[next++];
      products.push_back({.type = type.type,
                          .narrow = narrow,
                          .wide = type.wide.empty() ? narrow : &all[next++],
                          .integer = !type.wide.empty()});
    }
  }
};
const Kernels& built() {
  static const Kernels kernels;
  return kernels;
}

}  // namespace

std::span<const GpuKernel> gpu_kernels() {
  return built().all;
}
std::span<const ProductKernels> product_kernels() {
  return built().products;
}

}  // namespace lathe::infer
