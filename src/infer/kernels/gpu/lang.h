// clang-format off
// What one source of a kernel needs to be GLSL (SPIR-V for Vulkan) and C++ (the tests' emulation,
// testing/emulated_device.h). The rules are in docs/gpu.md: no float is added, multiplied or
// divided but by a name of exact.h; unsigned literals end in u; pointers are indexed only; nothing
// overloads; no array is local to a function and shared. C++ reads this once for each kernel.
//
//   KERNEL(name, Args, lanes) … END   one program; `lane` of its workgroup (group_x, group_y)
//   A.field.v[i]                      element i of what an argument points to
//   SHORTS(words).v[i]                the same memory, 16 bits at a time
//   BARRIER                           all lanes of the workgroup have come here
#include "infer/kernels/gpu/args.h"

#ifdef LATHE_GLSL

// Rounding to the nearest, ties to even; zeros' signs, infinities and NaNs as IEEE 754 has them.
spirv_execution_mode(extensions = ["SPV_KHR_float_controls"], capabilities = [4467], 4462, 32);
spirv_execution_mode(extensions = ["SPV_KHR_float_controls"], capabilities = [4466], 4461, 32);
#define FN
#define SHARED shared
#define CONST const
#define BARRIER barrier()
#define SHORTS(words) Shorts(words)
#define KERNEL(name, Args, lanes)                                                      \
  layout(push_constant, scalar) uniform Push { Args A; };                              \
  layout(local_size_x = lanes) in;                                                     \
  void main() {                                                                        \
    const uint lane = gl_LocalInvocationID.x;                                          \
    const uint group_x = gl_WorkGroupID.x, group_y = gl_WorkGroupID.y;
#define END }

uint bits_of(float x) { return floatBitsToUint(x); }
float float_of(uint x) { return uintBitsToFloat(x); }
float float_of_int(int x) { return float(x); }

// OpSDotKHR of packed words, by its number: the compiler of Debian 12 has no name for it.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018],
                  id = 4450)
int signed_dot(uint a, uint b, spirv_literal int format);
// c + the products of four signed bytes.
int dot4(uint a, uint b, int c) { return signed_dot(a, b, 0) + c; }

#ifdef FMA_BY_DOUBLES
// For devices whose fma rounds twice: the product of two f32 is exact in double precision; the sum
// is rounded to odd there, after which rounding to f32 gives what rounding the exact sum would have.
float fma1(float a, float b, float c) {
  precise double product = double(a) * double(b);
  precise double sum = product + double(c);
  precise double part = sum - product;
  precise double lost = (product - (sum - part)) + (double(c) - part);
  uvec2 words = unpackDouble2x32(sum);
  bool finite = (words.y & 0x7ff00000u) != 0x7ff00000u;
  if (finite && lost != 0.0LF && (words.x & 1u) == 0u) {
    uint64_t bits = packUint2x32(words);
    bits = (lost > 0.0LF) == (sum > 0.0LF) ? bits + 1ul : bits - 1ul;
    sum = packDouble2x32(unpackUint2x32(bits));
  }
  return float(sum);
}
#else
float fma1(float a, float b, float c) {
  precise float r = fma(a, b, c);
  return r;
}
#endif
float mul1(float a, float b) { precise float r = a * b; return r; }
float add1(float a, float b) { precise float r = a + b; return r; }
float sub1(float a, float b) { precise float r = a - b; return r; }
// Within some ulp; exact.h makes them exact.
float near_quotient(float a, float b) { return a / b; }
float near_root(float a) { return sqrt(a); }

#else

#define FN [[maybe_unused]] inline
#define SHARED static
#define CONST constexpr
#define BARRIER emulated_barrier()
#define SHORTS(words) Shorts{reinterpret_cast<int16_t*>((words).v)}
#define KERNEL(name, Args, lanes)                                                      \
  constexpr std::uint32_t kLanesOf_##name = lanes;                                     \
  void name([[maybe_unused]] const Args& A, [[maybe_unused]] uint lane,                \
            [[maybe_unused]] uint group_x, [[maybe_unused]] uint group_y) {
#define END }

FN uint bits_of(float x) { return std::bit_cast<uint>(x); }
FN float float_of(uint x) { return std::bit_cast<float>(x); }
FN float float_of_int(int x) { return static_cast<float>(x); }
FN int dot4(uint a, uint b, int c) {
  for (int i = 0; i < 4; ++i)
    c += static_cast<std::int8_t>(a >> 8 * i) * static_cast<std::int8_t>(b >> 8 * i);
  return c;
}
FN float fma1(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FN float mul1(float a, float b) { return a * b; }
FN float add1(float a, float b) { return a + b; }
FN float sub1(float a, float b) { return a - b; }
// As wrong as a device may be: emulated_ulps() more or fewer.
FN float near_quotient(float a, float b) { return perturbed(a / b); }
FN float near_root(float a) { return perturbed(__builtin_sqrtf(a)); }

#endif
