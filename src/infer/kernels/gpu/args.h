// clang-format off
// What kernels are given: the same bytes in C++ and in GLSL (scalar layout), at most 128. Pointers
// are a device's addresses (SharedMemory::address).
#ifndef LATHE_GPU_ARGS
#define LATHE_GPU_ARGS

#ifdef LATHE_GLSL

#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_spirv_intrinsics : require
#define POINTER(name, type, bytes) \
  layout(buffer_reference, scalar, buffer_reference_align = bytes) buffer name { type v[]; };

#else

#include <bit>
#include <cstdint>

namespace lathe::infer::gpu {
using uint = std::uint32_t;
// An address of a device; of the emulated one, which is the host, elements can be had.
template <class T>
struct Pointer {
  T* v = nullptr;
};
#define POINTER(name, type, bytes) using name = Pointer<type>;
using std::int16_t;

#endif

POINTER(Floats, float, 4)
POINTER(Words, uint, 4)
POINTER(Shorts, int16_t, 2)

// out[t·out_stride + r] = factor · Σ_k W[r, k]·x[t, k]: MatmulArgs of kernels.h, panels of packed.h.
struct MatmulGpuArgs {
  Words panels;
  Words q;       // (tokens, k) bytes: of integer types
  Floats scale;  // (tokens, k / 32)
  Shorts sum;    // (tokens, k / 16)
  Floats x;      // (tokens, k): of float types
  Floats to;     // what `out` is in kernels.h, a word that GLSL keeps for itself
  uint k, rows, tokens, out_stride, panel_words;
  float factor;
};

struct AddOneGpuArgs {
  Floats x;
  uint n, groups;  // numbers, workgroups in a row
};

#ifndef LATHE_GLSL
static_assert(sizeof(AddOneGpuArgs) == 16);
static_assert(sizeof(MatmulGpuArgs) == 72);
}  // namespace lathe::infer::gpu
#endif
#endif
