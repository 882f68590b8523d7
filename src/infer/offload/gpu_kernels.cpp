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

// What stands between products.
struct NamedStep {
  std::string_view name;
  std::uint32_t lanes, argument_bytes;
  const GpuKernel*& (*place)(StepKernels& kernels);
};
template <class T>
constexpr std::uint32_t kBytesOf = static_cast<std::uint32_t>(sizeof(T));
template <KvType kType>
const GpuKernel*& heads_of(StepKernels& kernels) {
  return kernels.heads[static_cast<std::size_t>(kType)];
}
template <KvType kType>
const GpuKernel*& attend_of(StepKernels& kernels) {
  return kernels.attend[static_cast<std::size_t>(kType)];
}
constexpr NamedStep kSteps[] = {
    {"add_norm", 256, kBytesOf<gpu::AddNormGpuArgs>,
     [](StepKernels& kernels) -> const GpuKernel*& { return kernels.add_norm; }},
    {"activate", 256, kBytesOf<gpu::ActivateGpuArgs>,
     [](StepKernels& kernels) -> const GpuKernel*& { return kernels.activate; }},
    {"fold", 64, kBytesOf<gpu::FoldGpuArgs>,
     [](StepKernels& kernels) -> const GpuKernel*& { return kernels.fold; }},
    {"heads_f16", 64, kBytesOf<gpu::HeadsGpuArgs>, heads_of<KvType::kF16>},
    {"heads_q8_0", 64, kBytesOf<gpu::HeadsGpuArgs>, heads_of<KvType::kQ8_0>},
    {"attend_f16", 128, kBytesOf<gpu::AttendGpuArgs>, attend_of<KvType::kF16>},
    {"attend_q8_0", 128, kBytesOf<gpu::AttendGpuArgs>, attend_of<KvType::kQ8_0>},
};

struct Kernels {
  std::vector<GpuKernel> all;
  std::vector<ProductKernels> products;
  StepKernels steps;

  Kernels() {
    const auto add = [this](std::string_view name, std::uint32_t lanes = 256,
                            std::uint32_t argument_bytes = kBytesOf<gpu::MatmulGpuArgs>) {
      all.push_back({.name = name,
                     .lanes = lanes,
                     .argument_bytes = argument_bytes,
                     .spirv = gpu_spirv(name),
                     .spirv_by_doubles = gpu_spirv(std::string(name) + kByDoubles)});
    };
    for (const NamedType& type : kTypes) {
      add(type.narrow);
      if (!type.wide.empty()) add(type.wide);
    }
    for (const NamedStep& step : kSteps) add(step.name, step.lanes, step.argument_bytes);
    std::size_t next = 0;
    for (const NamedType& type : kTypes) {
      const GpuKernel* narrow = &all[next++];
      products.push_back({.type = type.type,
                          .narrow = narrow,
                          .wide = type.wide.empty() ? narrow : &all[next++],
                          .integer = !type.wide.empty()});
    }
    for (const NamedStep& step : kSteps) step.place(steps) = &all[next++];
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
const StepKernels& step_kernels() {
  return built().steps;
}

std::vector<const GpuKernel*> StepKernels::all() const {
  std::vector<const GpuKernel*> kernels = {add_norm, activate, fold};
  for (std::size_t i = 0; i < kKvTypes; ++i)
    if (heads[i] != nullptr) kernels.insert(kernels.end(), {heads[i], attend[i]});
  return kernels;
}

}  // namespace lathe::infer
