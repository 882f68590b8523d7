// Every kernel of infer/kernels/gpu compiled as C++, each in a namespace of its own.
#include "gpu/emulated_kernels.h"

#include <bit>

#include "infer/kernels/packed.h"

namespace lathe::infer::gpu {
namespace {

template <class Args, void (*kKernel)(const Args&, uint, uint, uint)>
void call(const void* args, uint lane, uint group_x, uint group_y) {
  kKernel(*static_cast<const Args*>(args), lane, group_x, group_y);
}

// What weights.h says of a type is what packed.h says.
constexpr bool agrees(const PackedFormat& packed, int nibbles, int pairs, int bits, int codes,
                      int offset, int per_16, int minima, int group, int scale_bytes, int) {
  constexpr Codes kCodes[] = {Codes::kOffset, Codes::kSigned, Codes::kIq4, Codes::kFp4,
                              Codes::kSign};
  constexpr Scaling kScalings[] = {Scaling::kPer32, Scaling::kPer32Min, Scaling::kPer16,
                                   Scaling::kPer16Min};
  return packed.nibbles == (nibbles != 0) && packed.pairs == (pairs != 0) &&
         packed.bits == (bits != 0) && packed.codes == kCodes[codes] && packed.offset == offset &&
         packed.scaling == kScalings[2 * per_16 + minima] &&
         packed.scale_group == static_cast<std::size_t>(group) &&
         packed.scale_bytes == static_cast<std::size_t>(scale_bytes);
}

}  // namespace

namespace q4_0 {
#define TYPE_Q4_0
#include "gpu/emulated_products.inl"
#undef TYPE_Q4_0
static_assert(FORMAT_AGREES(TensorType::kQ4_0));
#undef FORMAT
}  // namespace q4_0
namespace q4_1 {
#define TYPE_Q4_1
#include "gpu/emulated_products.inl"
#undef TYPE_Q4_1
static_assert(FORMAT_AGREES(TensorType::kQ4_1));
#undef FORMAT
}  // namespace q4_1
namespace q5_0 {
#define TYPE_Q5_0
#include "gpu/emulated_products.inl"
#undef TYPE_Q5_0
static_assert(FORMAT_AGREES(TensorType::kQ5_0));
#undef FORMAT
}  // namespace q5_0
namespace q5_1 {
#define TYPE_Q5_1
#include "gpu/emulated_products.inl"
#undef TYPE_Q5_1
static_assert(FORMAT_AGREES(TensorType::kQ5_1));
#undef FORMAT
}  // namespace q5_1
namespace q8_0 {
#define TYPE_Q8_0
#include "gpu/emulated_products.inl"
#undef TYPE_Q8_0
static_assert(FORMAT_AGREES(TensorType::kQ8_0));
#undef FORMAT
}  // namespace q8_0
namespace q2_k {
#define TYPE_Q2_K
#include "gpu/emulated_products.inl"
#undef TYPE_Q2_K
static_assert(FORMAT_AGREES(TensorType::kQ2_K));
#undef FORMAT
}  // namespace q2_k
namespace q3_k {
#define TYPE_Q3_K
#include "gpu/emulated_products.inl"
#undef TYPE_Q3_K
static_assert(FORMAT_AGREES(TensorType::kQ3_K));
#undef FORMAT
}  // namespace q3_k
namespace q4_k {
#define TYPE_Q4_K
#include "gpu/emulated_products.inl"
#undef TYPE_Q4_K
static_assert(FORMAT_AGREES(TensorType::kQ4_K));
#undef FORMAT
}  // namespace q4_k
namespace q5_k {
#define TYPE_Q5_K
#include "gpu/emulated_products.inl"
#undef TYPE_Q5_K
static_assert(FORMAT_AGREES(TensorType::kQ5_K));
#undef FORMAT
}  // namespace q5_k
namespace q6_k {
#define TYPE_Q6_K
#include "gpu/emulated_products.inl"
#undef TYPE_Q6_K
static_assert(FORMAT_AGREES(TensorType::kQ6_K));
#undef FORMAT
}  // namespace q6_k
namespace iq4_nl {
#define TYPE_IQ4_NL
#include "gpu/emulated_products.inl"
#undef TYPE_IQ4_NL
static_assert(FORMAT_AGREES(TensorType::kIQ4_NL));
#undef FORMAT
}  // namespace iq4_nl
namespace iq4_xs {
#define TYPE_IQ4_XS
#include "gpu/emulated_products.inl"
#undef TYPE_IQ4_XS
static_assert(FORMAT_AGREES(TensorType::kIQ4_XS));
#undef FORMAT
}  // namespace iq4_xs
namespace mxfp4 {
#define TYPE_MXFP4
#include "gpu/emulated_products.inl"
#undef TYPE_MXFP4
static_assert(FORMAT_AGREES(TensorType::kMXFP4));
#undef FORMAT
}  // namespace mxfp4
namespace nvfp4 {
#define TYPE_NVFP4
#include "gpu/emulated_products.inl"
#undef TYPE_NVFP4
static_assert(FORMAT_AGREES(TensorType::kNVFP4));
#undef FORMAT
}  // namespace nvfp4
namespace tq1_0 {
#define TYPE_TQ1_0
#include "gpu/emulated_products.inl"
#undef TYPE_TQ1_0
static_assert(FORMAT_AGREES(TensorType::kTQ1_0));
#undef FORMAT
}  // namespace tq1_0
namespace tq2_0 {
#define TYPE_TQ2_0
#include "gpu/emulated_products.inl"
#undef TYPE_TQ2_0
static_assert(FORMAT_AGREES(TensorType::kTQ2_0));
#undef FORMAT
}  // namespace tq2_0
namespace q1_0 {
#define TYPE_Q1_0
#include "gpu/emulated_products.inl"
#undef TYPE_Q1_0
static_assert(FORMAT_AGREES(TensorType::kQ1_0));
#undef FORMAT
}  // namespace q1_0
namespace q2_0 {
#define TYPE_Q2_0
#include "gpu/emulated_products.inl"
#undef TYPE_Q2_0
static_assert(FORMAT_AGREES(TensorType::kQ2_0));
#undef FORMAT
}  // namespace q2_0
namespace f32 {
#define TYPE_F32
#include "infer/kernels/gpu/matmul_float.k"
#undef TYPE_F32
}  // namespace f32
namespace f16 {
#define TYPE_F16
#include "infer/kernels/gpu/matmul_float.k"
#undef TYPE_F16
}  // namespace f16
namespace bf16 {
#define TYPE_BF16
#include "infer/kernels/gpu/matmul_float.k"
#undef TYPE_BF16
}  // namespace bf16

namespace steps {
namespace add_norm {
#include "infer/kernels/gpu/add_norm.k"
}
namespace activate {
#include "infer/kernels/gpu/activate.k"
}
namespace fold {
#include "infer/kernels/gpu/fold.k"
}
#define KV_F16
namespace heads_f16 {
#include "infer/kernels/gpu/heads.k"
}
namespace attend_f16 {
#include "infer/kernels/gpu/attend.k"
}
#undef KV_F16
#define KV_Q8_0
namespace heads_q8_0 {
#include "infer/kernels/gpu/heads.k"
}
namespace attend_q8_0 {
#include "infer/kernels/gpu/attend.k"
}
#undef KV_Q8_0
}  // namespace steps

namespace {

#define ROW(name, space, kernel, Args) \
  {name, space::kLanesOf_##kernel, sizeof(Args), call<Args, space::kernel>},
#define PRODUCTS(type)                                                    \
  ROW("matmul_narrow_" #type, type::narrow, matmul_narrow, MatmulGpuArgs) \
  ROW("matmul_wide_" #type, type::wide, matmul_wide, MatmulGpuArgs)

constexpr EmulatedKernel kKernels[] = {
    PRODUCTS(q4_0) PRODUCTS(q4_1) PRODUCTS(q5_0) PRODUCTS(q5_1) PRODUCTS(q8_0) PRODUCTS(q2_k)
        PRODUCTS(q3_k) PRODUCTS(q4_k) PRODUCTS(q5_k) PRODUCTS(q6_k) PRODUCTS(iq4_nl) PRODUCTS(
            iq4_xs) PRODUCTS(mxfp4) PRODUCTS(nvfp4) PRODUCTS(tq1_0) PRODUCTS(tq2_0) PRODUCTS(q1_0)
            PRODUCTS(q2_0) ROW("matmul_float_f32", f32, matmul_float, MatmulGpuArgs)
                ROW("matmul_float_f16", f16, matmul_float, MatmulGpuArgs)
                    ROW("matmul_float_bf16", bf16, matmul_float, MatmulGpuArgs)
                        ROW("add_norm", steps::add_norm, add_norm, AddNormGpuArgs)
                            ROW("activate", steps::activate, activate, ActivateGpuArgs) ROW(
                                "fold", steps::fold, fold, FoldGpuArgs)
                                ROW("heads_f16", steps::heads_f16, heads, HeadsGpuArgs) ROW(
                                    "heads_q8_0", steps::heads_q8_0, heads, HeadsGpuArgs)
                                    ROW("attend_f16", steps::attend_f16, attend, AttendGpuArgs) ROW(
                                        "attend_q8_0", steps::attend_q8_0, attend, AttendGpuArgs)};

}  // namespace

std::span<const EmulatedKernel> emulated_kernels() {
  return kKernels;
}

}  // namespace lathe::infer::gpu
