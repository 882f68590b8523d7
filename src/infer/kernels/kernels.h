// The inner loops: pointers in, pointers out, no shapes checked, no threads, no allocation. One
// KernelTable per instruction set; all of them give the same bits as the scalar one (tested),
// because the order of every float operation is fixed here and the integer sums are exact:
//
//  * SIMD lanes are output rows. Weights are packed in panels of 16 rows, and each output has ONE
//    f32 accumulator that is walked along k in block order, so that batch width, thread split and
//    vector width cannot change a result.
//  * Activations are quantized per token and block of 32: scale = amax / 127, q =
//    round-half-even(x · (1 / scale)). A block whose scale would be below the smallest normal float
//    is zero with scale 0; one that holds an infinity or a NaN is zero with scale NaN, so that the
//    product says so. With idot = Σ q_weight·q_activation (int32, signed weights), as = the
//    activation's scale, asum = Σ q_activation:
//      one scale per 32 (Q4_0 Q5_0 Q8_0 IQ4_NL IQ4_XS MXFP4, Q1_0 Q2_0 TQ1_0 TQ2_0, IQ1_S IQ2_XXS
//        IQ3_XXS IQ3_S): acc = fma(f32(idot), ws·as, acc)
//      scale and min per 32 (Q4_1 Q5_1 Q4_K Q5_K):
//        … then acc = fma(wm, f32(asum)·as, acc)
//      scale per 16 (Q3_K Q6_K NVFP4, IQ1_M IQ2_XS IQ2_S):
//        u = f32(i0)·ws0; u = fma(f32(i1), ws1, u); acc = fma(u, as, acc)
//      scale and min per 16 (Q2_K):
//        … then v = wm0·f32(s0); v = fma(wm1, f32(s1), v); acc = fma(v, as, acc)
//    ws = f32(d)·f32(sub-block scale), wm = m or −(f32(dmin)·f32(sub-block min)), each rounded
//    once; of codebook types ws as CodebookType::scale has it, and their grids' values with signs
//    (of IQ1 eight times, with deltas) are the weights.
//  * F32, F16 and BF16 weights multiply f32 activations: acc = fma(w, x, acc) along k.
//  * exp is our own polynomial (kernels/exp.inl), sums over a row use 16 virtual lanes: lane i adds
//    the elements i, i+16, …, and the lanes are added as a fixed tree (8, 4, 2, 1).
//  * Attention: a score is one accumulator along head_dim, s = fma(q, k, s); in q8_0 chunks q is
//    quantized as activations are and s = fma(f32(idot), ks·qs, s). The weights exp(s − m) are
//    summed over 16 virtual lanes (position i in lane i % 16). o = fma(p, v, o), in q8_0 chunks
//    o = fma(p·vs, f32(v), o), position by position. q4_0 is the same with other integers; q5_1 has
//    minima: s = fma(km, f32(qsum)·qs, s) behind the above, and o = o + p·vm.
//
// Memory from the caller is 64-byte aligned where it says so; k is a multiple of the type's block
// (and of 32 for the integer types). Any thread may call anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "infer/kernels/recurrent_kernels.h"
#include "infer/kernels/train_kernels.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {

inline constexpr std::size_t kPanelRows = 16;
inline constexpr std::size_t kActivationBlock = 32;
inline constexpr std::size_t kChunk =
    64;  // positions of one KV chunk; attention is computed chunk by chunk

// Activations of some tokens, quantized. Row t starts at q + t·k, scale + t·k/32, sum + t·k/16.
struct QuantizedRows {
  const std::int8_t* q;     // (tokens, k), 64-byte aligned rows when k is a multiple of 64
  const float* scale;       // (tokens, k / 32)
  const std::int16_t* sum;  // (tokens, k / 16): Σ q over each 16
};

// out[t·out_stride + r] = Σ_k W[r, k]·x[t, k] for r < rows, t < tokens.
struct MatmulArgs {
  const std::byte* panels;  // the first panel to compute, 64-byte aligned
  std::size_t
      rows;  // from that panel on; the last panel may be partial (its padding rows are zero)
  std::size_t k;
  std::size_t tokens;
  QuantizedRows x;     // integer types
  const float* x_f32;  // (tokens, k), F32 F16 BF16
  float* out;          // nothing beyond `rows` columns is written
  std::size_t out_stride;
};

// One weight type on one instruction set.
struct PackedType {
  TensorType type;
  bool integer;                               // takes QuantizedRows; else x_f32
  std::size_t (*panel_bytes)(std::size_t k);  // a multiple of 64
  // 16 rows in GGUF's layout (row r at src + r·row_bytes; rows beyond `rows` become zeros) → one
  // panel.
  void (*pack)(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t k,
               std::byte* panel);
  // Row `lane` of a panel, as f32: the same values as decoding the GGUF row.
  void (*unpack)(const std::byte* panel, std::size_t lane, std::size_t k, float* out);
  void (*matmul)(const MatmulArgs& args);
};

// F32 is for checks against references: twice the bytes of F16.
enum class KvType : std::uint8_t { kF32, kF16, kQ8_0, kQ5_1, kQ4_0 };
inline constexpr std::size_t kKvTypes = 5;
struct KvTypeName {
  std::string_view name;  // "q8_0"
  KvType type;
};
std::span<const KvTypeName> kv_types();  // by their values
std::optional<KvType> find_kv_type(std::string_view name);
// Whether scores are products of integers. Then a head is a multiple of 32 wide.
constexpr bool is_quantized(KvType type) {
  return type != KvType::kF32 && type != KvType::kF16;
}

// The dimensions of a KV head: multiples of 16, of quantized types of 32.
struct KvShape {
  std::size_t key = 0, value = 0;
  bool shared = false;  // a value is the first of its key's dimensions, and not kept beside it

  static constexpr KvShape of(std::size_t head_dim) { return {head_dim, head_dim}; }
  constexpr std::size_t kept_value() const { return shared ? 0 : value; }
  bool operator==(const KvShape&) const = default;
};

// One KV chunk of one KV head: kChunk positions of K and of V, in the kernel's own layout.
struct KvFormat {
  KvType type;
  std::size_t (*chunk_bytes)(const KvShape& shape);  // K and V together, a multiple of 64
  // Writes position `slot` (0 … kChunk-1); a v that is shared is not read. quantized types take 32
  // dimensions at a time.
  void (*store)(std::byte* chunk, const KvShape& shape, std::size_t slot, const float* k,
                const float* v);
  // For every column c: its scores over the chunk's slots [first[c], last[c]) (an empty range gives
  // m = -inf, l = 0, o = 0), then m[c] = max, l[c] = Σ exp(s-m), o[c] = Σ exp(s-m)·v in slot order.
  // q is already scaled. Columns are (token, head of the group) in any mix. A column's result does
  // not depend on the others.
  struct AttendArgs {
    const std::byte* chunk;
    KvShape shape;
    std::size_t columns;
    const float* q;             // (columns, key)
    QuantizedRows q_rows;       // the same, by the table's quantize: for quantized types
    const std::uint8_t* first;  // (columns)
    const std::uint8_t* last;   // (columns), at most kChunk
    float* m;                   // (columns)
    float* l;                   // (columns)
    float* o;                   // (columns, value)
    const std::byte* ahead;     // the chunk that comes next: fetched meanwhile; nullptr: none
    float cap = 0;              // scores s become cap·tanh(s / cap); 0: they stay
    // Where values are shared, room for those of a chunk: chunk_bytes({.value = value}).
    std::byte* values = nullptr;
    // (columns) each: s = fma(−slope, |slot − at|, s), `at` being the query's own slot, wherever it
    // lies. nullptr: scores do not fall with the distance.
    const float* slope = nullptr;
    const float* at = nullptr;
  };
  void (*attend)(const AttendArgs& args);

  // What a lightning indexer asks: out (columns, kChunk) = q·k of each slot, without a softmax.
  // What stands at slots that were not written means nothing.
  struct ScoreArgs {
    const std::byte* chunk;
    KvShape shape;  // its keys alone are read
    std::size_t columns;
    const float* q;        // (columns, key)
    QuantizedRows q_rows;  // as in AttendArgs
    float* out;
    const std::byte* ahead;  // as in AttendArgs
  };
  void (*score)(const ScoreArgs& args) = nullptr;
  // Slots of other chunks of the shape, whose values must be shared, to the slots 0 … count-1 of
  // this one.
  struct Position {
    const std::byte* chunk;
    std::size_t slot;
  };
  void (*gather)(std::byte* chunk, const KvShape& shape, std::size_t count,
                 const Position* from) = nullptr;
};

struct KernelTable {
  // "scalar" "avx2" "avxvnni" "avx512vnni" "avx512amx" "neon-dotprod" "neon-i8mm"
  std::string_view name;
  std::span<const PackedType> types;
  KvFormat kv[kKvTypes];  // by KvType
  const KvFormat& kv_format(KvType type) const { return kv[static_cast<int>(type)]; }

  // One token's k floats → q, scale, sum.
  void (*quantize)(const float* x, std::size_t k, std::int8_t* q, float* scale, std::int16_t* sum);
  // out = x / sqrt(mean(x²) + eps) · weight. In place allowed.
  void (*rms_norm)(const float* x, const float* weight, std::size_t n, float eps, float* out);
  // out = (x − mean) / sqrt(variance + eps) · weight. In place allowed.
  void (*layer_norm)(const float* x, const float* weight, std::size_t n, float eps, float* out);
  // out = silu(gate)·up. In place allowed.
  void (*silu_mul)(const float* gate, const float* up, std::size_t n, float* out);
  // out = max(x, 0)². In place allowed.
  void (*relu_squared)(const float* x, std::size_t n, float* out);
  // The same as silu_mul with gelu, its tanh form: x·sigmoid(2·sqrt(2/π)·(x + 0.044715·x³)).
  void (*gelu_mul)(const float* gate, const float* up, std::size_t n, float* out);
  // out = gelu(x). In place allowed.
  void (*gelu)(const float* x, std::size_t n, float* out);
  // out = g·sigmoid(1.702·g)·(u + 1), g = min(gate, 7), u = up within ±7 (gpt-oss). In place
  // allowed.
  void (*clamped_silu_mul)(const float* gate, const float* up, std::size_t n, float* out);
  void (*sigmoid_mul)(const float* gate, std::size_t n, float* x);  // x *= sigmoid(gate)
  void (*soft_cap)(float* x, std::size_t n, float cap);             // x = cap·tanh(x / cap)
  void (*add)(const float* x, std::size_t n, float* sum);           // sum += x
  void (*mul)(const float* x, std::size_t n, float* y);             // y *= x
  void (*add_scaled)(const float* x, float scale, std::size_t n,
                     float* sum);  // sum = fma(x, scale, sum)
  // Rotates the first n_rot dimensions: pairs (2i, 2i+1) or, for neox, (i, i + n_rot/2).
  // out = (a·cos − b·sin, a·sin + b·cos), each as one product and one fma.
  void (*rope)(float* x, const float* cos, const float* sin, std::size_t n_rot, bool neox);
  // (m, l, o) ⊕= (m2, l2, o2): m' = max; l' = l·e^(m−m') + l2·e^(m2−m'); o likewise.
  void (*merge)(float* m, float* l, float* o, float m2, float l2, const float* o2,
                std::size_t head_dim);
  // x[i] = exp(x[i] − max), returns the sum (16 virtual lanes): for routers and samplers.
  float (*exp_sum)(float* x, std::size_t n, float max);
  float (*max)(const float* x, std::size_t n);  // n ≥ 1; NaN is ignored unless all are

  RecurrentKernels recurrent;
  TrainKernels train;
};

const PackedType& packed_type(const KernelTable& table, TensorType type);
// Every table that this build has and this processor can run, slowest (scalar) first.
std::span<const KernelTable* const> kernel_tables();
const KernelTable* find_kernel_table(
    std::string_view name);  // nullptr: unknown, or not for this processor
const KernelTable& best_kernel_table();

}  // namespace lathe::infer
