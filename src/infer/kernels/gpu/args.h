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
POINTER(Blocks, Words, 8)   // of one sequence: what it remembers, 64 positions a block
POINTER(Tables, Blocks, 8)  // of each token

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

// Between two parts of a layer, a workgroup a row: x = (x + residual·post(branch + bias))·scale, and
// to = pre(x), in 8 bits too; post and pre are RMS norms.
struct AddNormGpuArgs {
  Floats x;       // (tokens, n)
  Floats branch;  // (tokens, n)
  Floats bias, post, pre;
  Words rows;  // (rows): of which tokens
  Floats to;   // (rows, n), and as it is in 8 bits:
  Words q;
  Floats scale_of;
  Shorts sum;
  uint n, flags;
  float epsilon, residual, scale;
};
#define ADDS 1u       // a branch
#define HAS_BIAS 2u
#define HAS_POST 4u
#define HAS_PRE 8u
#define HAS_ROWS 16u  // else row i is token i
#define QUANTIZES 32u

// A token's heads, a workgroup each: queries, keys, values. Bias, RMS norm and rotation; queries are
// scaled, keys and values are stored.
struct HeadsGpuArgs {
  Floats q, k, v;  // (tokens, heads or kv_heads, dim)
  Floats q_bias, k_bias, v_bias;
  Floats q_norm, k_norm;
  Floats angles;  // (tokens, angle_stride): cosines, then sines
  Floats scale;   // (tokens)
  Tables blocks;  // (tokens)
  Words seen;     // (tokens, 4): position, the first one that is seen, behind the last one, and the
                  // number of the first block of its table
  uint heads;       // 16 bits: heads, and above: those of keys
  uint dim;         // 16 bits: dimensions, and above: those that turn
  uint flags;
  uint place, head_words;  // where a block has the layer's first head, and how far the next one is
  uint angle_stride;
  float epsilon;
};
#define HEADS_BIAS 1u
#define HEADS_NORM 2u         // before the rotation
#define HEADS_NORM_BEHIND 4u  // or behind it
#define HEADS_PLAIN 8u        // norms have no weights
#define HEADS_VALUE_NORM 16u
#define HEADS_NEOX 32u

// Columns (queries) over groups of 8 chunks: maximum, sum and weighted values of each group. A
// workgroup takes a tile of up to 8 columns (tokens of one sequence × heads that share keys), and
// one group.
struct AttendGpuArgs {
  Floats q;       // (tokens, heads, dim), scaled
  Tables blocks;  // as above
  Words seen;
  Words tiles;      // (tiles, 2): first token, tokens
  Floats partials;  // (tokens, heads, groups, 2 + padded dim)
  uint heads, dim;  // HeadsGpuArgs; above dim: the padded one
  uint place, head_words;
  uint first_group, groups;
  float cap;  // 0: none
};

// What the groups gave, added up in their order behind what those before gave; at the end the heads.
struct FoldGpuArgs {
  Floats partials;  // AttendGpuArgs
  Floats tops;      // (tokens, heads, 2): maximum and sum so far
  Floats to;        // (tokens, heads, dim): weighted values so far, the heads at last
  Floats sinks;     // (heads)
  Words seen;
  uint heads, dim, first_group, groups, flags;
};
#define FOLD_FIRST 1u
#define FOLD_LAST 2u
#define FOLD_SINKS 4u

// What becomes of gate and up, in 8 bits too; a workgroup takes 256 numbers of a row.
struct ActivateGpuArgs {
  Floats gate, up;  // (rows, n)
  Floats gate_bias, up_bias;
  Floats to;  // (rows, n)
  Words q;
  Floats scale_of;
  Shorts sum;
  uint n, kind, flags;
};
#define ACTIVATE_NOTHING 0u  // of up
#define ACTIVATE_SILU 1u
#define ACTIVATE_GELU 2u
#define ACTIVATE_GELU_ALONE 3u  // of up
#define ACTIVATE_RELU_SQUARED 4u  // of up
#define ACTIVATE_CLAMPED_SILU 5u

struct AddOneGpuArgs {
  Floats x;
  uint n, groups;  // numbers, workgroups in a row
};

#ifndef LATHE_GLSL
static_assert(sizeof(AddOneGpuArgs) == 16);
static_assert(sizeof(MatmulGpuArgs) == 72);
static_assert(sizeof(AddNormGpuArgs) == 100 + 4);
static_assert(sizeof(HeadsGpuArgs) == 124 + 4);
static_assert(sizeof(AttendGpuArgs) == 68 + 4);
static_assert(sizeof(FoldGpuArgs) == 60 + 4);
static_assert(sizeof(ActivateGpuArgs) == 76 + 4);
}  // namespace lathe::infer::gpu
#endif
#endif
