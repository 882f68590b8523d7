// The slow twin that says what every other table must give: one row, one block, one element at a
// time. Panels keep GGUF's rows as they are.
#include <cstring>

#include "infer/kernels/elementwise.inl"
#include "infer/kernels/int_blocks.h"
#include "infer/kernels/recurrent.inl"
#include "infer/kernels/tables.h"
#include "infer/kernels/train.inl"
#include "infer/quant/blocks.h"
#include "infer/quant/codebook.h"

namespace lathe::infer {
namespace {

template <TensorType kType>
constexpr IntFormat codebook_format() {
  constexpr const CodebookType& type = codebook_of(kType);
  return {kType,
          type.scale_per_16 ? Scaling::kPer16 : Scaling::kPer32,
          kSuperBlock,
          type.block_bytes,
          read_codebook_block<kType>,
          decode_codebook<kType>};
}

constexpr IntFormat kFormats[] = {
    {TensorType::kQ4_0, Scaling::kPer32, 32, 18, read_q4_0, decode_q4_0},
    {TensorType::kQ4_1, Scaling::kPer32Min, 32, 20, read_q4_1, decode_q4_1},
    {TensorType::kQ5_0, Scaling::kPer32, 32, 22, read_q5_0, decode_q5_0},
    {TensorType::kQ5_1, Scaling::kPer32Min, 32, 24, read_q5_1, decode_q5_1},
    {TensorType::kQ8_0, Scaling::kPer32, 32, 34, read_q8_0, decode_q8_0},
    {TensorType::kQ2_K, Scaling::kPer16Min, 256, 84, read_q2_k, decode_q2_k},
    {TensorType::kQ3_K, Scaling::kPer16, 256, 110, read_q3_k, decode_q3_k},
    {TensorType::kQ4_K, Scaling::kPer32Min, 256, 144, read_q4_k, decode_q4_k},
    {TensorType::kQ5_K, Scaling::kPer32Min, 256, 176, read_q5_k, decode_q5_k},
    {TensorType::kQ6_K, Scaling::kPer16, 256, 210, read_q6_k, decode_q6_k},
    {TensorType::kIQ4_NL, Scaling::kPer32, 32, 18, read_iq4_nl, decode_iq4_nl},
    {TensorType::kIQ4_XS, Scaling::kPer32, 256, 136, read_iq4_xs, decode_iq4_xs},
    {TensorType::kMXFP4, Scaling::kPer32, 32, 17, read_mxfp4, decode_mxfp4},
    {TensorType::kNVFP4, Scaling::kPer16, 64, 36, read_nvfp4, decode_nvfp4},
    {TensorType::kTQ1_0, Scaling::kPer32, 256, 54, read_tq1_0, decode_tq1_0},
    {TensorType::kTQ2_0, Scaling::kPer32, 256, 66, read_tq2_0, decode_tq2_0},
    {TensorType::kQ1_0, Scaling::kPer32, 128, 18, read_q1_0, decode_q1_0},
    {TensorType::kQ2_0, Scaling::kPer32, 64, 18, read_q2_0, decode_q2_0},
    codebook_format<TensorType::kIQ1_S>(),
    codebook_format<TensorType::kIQ1_M>(),
    codebook_format<TensorType::kIQ2_XXS>(),
    codebook_format<TensorType::kIQ2_XS>(),
    codebook_format<TensorType::kIQ2_S>(),
    codebook_format<TensorType::kIQ3_XXS>(),
    codebook_format<TensorType::kIQ3_S>(),
};

constexpr const IntFormat& format_of(TensorType type) {
  for (const IntFormat& format : kFormats)
    if (format.type == type) return format;
  __builtin_unreachable();
}

void copy_rows(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::byte* panel,
               std::size_t panel_bytes) {
  for (std::size_t r = 0; r < rows; ++r)
    std::memcpy(panel + r * row_bytes, src + r * row_bytes, row_bytes);
  std::memset(panel + rows * row_bytes, 0, panel_bytes - rows * row_bytes);
}

constexpr std::size_t round_up_64(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

float dot_of(const std::int8_t* w, const std::int8_t* q, std::size_t count) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += w[i] * q[i];
  return static_cast<float>(sum);
}

// One block of one row times one token's, added to that output as kernels.h says.
template <Scaling kScaling>
float step(const IntBlock& w, const std::int8_t* q, float as, const std::int16_t* sum, float acc) {
  if constexpr (kScaling == Scaling::kPer32 || kScaling == Scaling::kPer32Min) {
    acc = __builtin_fmaf(dot_of(w.w, q, 32), w.scale[0] * as, acc);
    if constexpr (kScaling == Scaling::kPer32Min)
      acc = __builtin_fmaf(w.min[0], static_cast<float>(sum[0] + sum[1]) * as, acc);
  } else {
    float u = dot_of(w.w, q, 16) * w.scale[0];
    u = __builtin_fmaf(dot_of(w.w + 16, q + 16, 16), w.scale[1], u);
    acc = __builtin_fmaf(u, as, acc);
    if constexpr (kScaling == Scaling::kPer16Min) {
      float v = w.min[0] * static_cast<float>(sum[0]);
      v = __builtin_fmaf(w.min[1], static_cast<float>(sum[1]), v);
      acc = __builtin_fmaf(v, as, acc);
    }
  }
  return acc;
}

template <TensorType kType>
struct IntKernel {
  static constexpr const IntFormat& kFormat = format_of(kType);

  static std::size_t panel_bytes(std::size_t k) {
    return round_up_64(kPanelRows * kFormat.row_bytes(k));
  }
  static void pack(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t k,
                   std::byte* panel) {
    copy_rows(src, row_bytes, rows, panel, panel_bytes(k));
  }
  static void unpack(const std::byte* panel, std::size_t lane, std::size_t k, float* out) {
    kFormat.decode(panel + lane * kFormat.row_bytes(k), out, k);
  }
  static void matmul(const MatmulArgs& args) {
    const std::size_t blocks = args.k / kActivationBlock;
    for (std::size_t r = 0; r < args.rows; ++r) {
      const std::byte* row = args.panels + r / kPanelRows * panel_bytes(args.k) +
                             r % kPanelRows * kFormat.row_bytes(args.k);
      for (std::size_t t = 0; t < args.tokens; ++t) args.out[t * args.out_stride + r] = 0;
      for (std::size_t b = 0; b < blocks; ++b) {
        IntBlock w;
        kFormat.read(row, b, w);
        for (std::size_t t = 0; t < args.tokens; ++t) {
          float& acc = args.out[t * args.out_stride + r];
          const std::size_t at = t * blocks + b;
          acc = step<kFormat.scaling>(w, args.x.q + 32 * at, args.x.scale[at], args.x.sum + 2 * at,
                                      acc);
        }
      }
    }
  }
  static constexpr PackedType kTable = {kType, true, panel_bytes, pack, unpack, matmul};
};

template <TensorType kType, std::size_t kBytes, auto kDecode>
struct FloatKernel {
  static std::size_t panel_bytes(std::size_t k) { return round_up_64(kPanelRows * kBytes * k); }
  static void pack(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t k,
                   std::byte* panel) {
    copy_rows(src, row_bytes, rows, panel, panel_bytes(k));
  }
  static void unpack(const std::byte* panel, std::size_t lane, std::size_t k, float* out) {
    kDecode(panel + lane * kBytes * k, out, k);
  }
  static void matmul(const MatmulArgs& args) {
    for (std::size_t r = 0; r < args.rows; ++r) {
      const std::byte* row =
          args.panels + r / kPanelRows * panel_bytes(args.k) + r % kPanelRows * kBytes * args.k;
      for (std::size_t t = 0; t < args.tokens; ++t) args.out[t * args.out_stride + r] = 0;
      for (std::size_t i = 0; i < args.k; ++i) {
        float w;
        kDecode(row + kBytes * i, &w, 1);
        for (std::size_t t = 0; t < args.tokens; ++t) {
          float& acc = args.out[t * args.out_stride + r];
          acc = __builtin_fmaf(w, args.x_f32[t * args.k + i], acc);
        }
      }
    }
  }
  static constexpr PackedType kTable = {kType, false, panel_bytes, pack, unpack, matmul};
};

constexpr PackedType kTypes[] = {
    FloatKernel<TensorType::kF32, 4, decode_f32>::kTable,
    FloatKernel<TensorType::kF16, 2, decode_f16>::kTable,
    FloatKernel<TensorType::kBF16, 2, decode_bf16>::kTable,
    IntKernel<TensorType::kQ4_0>::kTable,
    IntKernel<TensorType::kQ4_1>::kTable,
    IntKernel<TensorType::kQ5_0>::kTable,
    IntKernel<TensorType::kQ5_1>::kTable,
    IntKernel<TensorType::kQ8_0>::kTable,
    IntKernel<TensorType::kQ2_K>::kTable,
    IntKernel<TensorType::kQ3_K>::kTable,
    IntKernel<TensorType::kQ4_K>::kTable,
    IntKernel<TensorType::kQ5_K>::kTable,
    IntKernel<TensorType::kQ6_K>::kTable,
    IntKernel<TensorType::kIQ4_NL>::kTable,
    IntKernel<TensorType::kIQ4_XS>::kTable,
    IntKernel<TensorType::kMXFP4>::kTable,
    IntKernel<TensorType::kNVFP4>::kTable,
    IntKernel<TensorType::kTQ1_0>::kTable,
    IntKernel<TensorType::kTQ2_0>::kTable,
    IntKernel<TensorType::kQ1_0>::kTable,
    IntKernel<TensorType::kQ2_0>::kTable,
    IntKernel<TensorType::kIQ1_S>::kTable,
    IntKernel<TensorType::kIQ1_M>::kTable,
    IntKernel<TensorType::kIQ2_XXS>::kTable,
    IntKernel<TensorType::kIQ2_XS>::kTable,
    IntKernel<TensorType::kIQ2_S>::kTable,
    IntKernel<TensorType::kIQ3_XXS>::kTable,
    IntKernel<TensorType::kIQ3_S>::kTable,
};

// m, l and the weights of one column from its scores: p[slot] = exp(s − m).
void softmax(float* s, std::size_t first, std::size_t last, float& m, float& l) {
  float lanes[kLanes];
  for (float& lane : lanes) lane = -__builtin_inff();
  for (std::size_t slot = first; slot < last; ++slot)
    lanes[slot % kLanes] = larger(lanes[slot % kLanes], s[slot]);
  m = fold_max(lanes);
  for (float& lane : lanes) lane = 0;
  for (std::size_t slot = first; slot < last; ++slot) {
    s[slot] = exp1(s[slot] - m);
    lanes[slot % kLanes] += s[slot];
  }
  l = fold_sum(lanes);
}

// Score gives q·k of a slot, Value adds p·v of a slot to o.
template <class Score, class Value>
void attend_column(const KvFormat::AttendArgs& args, std::size_t c, Score score, Value value) {
  float s[kChunk];
  float* o = args.o + c * args.shape.value;
  std::memset(o, 0, args.shape.value * sizeof(float));
  args.m[c] = -__builtin_inff();
  args.l[c] = 0;
  if (args.first[c] >= args.last[c]) return;
  for (std::size_t slot = args.first[c]; slot < args.last[c]; ++slot) s[slot] = score(slot);
  if (args.cap != 0) soft_cap(s + args.first[c], args.last[c] - args.first[c], args.cap);
  if (args.slope != nullptr)
    for (std::size_t slot = args.first[c]; slot < args.last[c]; ++slot)
      s[slot] = __builtin_fmaf(-args.slope[c],
                               __builtin_fabsf(static_cast<float>(slot) - args.at[c]), s[slot]);
  softmax(s, args.first[c], args.last[c], args.m[c], args.l[c]);
  for (std::size_t slot = args.first[c]; slot < args.last[c]; ++slot) value(slot, s[slot], o);
}

// K then V, position by position, as F32 or F16.
template <std::size_t kBytes, auto kDecode>
struct FloatKv {
  static std::size_t chunk_bytes(const KvShape& shape) {
    return kChunk * kBytes * (shape.key + shape.kept_value());
  }
  static void put(std::byte* at, float value) {
    if constexpr (kBytes == 4)
      infer::store(at, value);
    else
      infer::store(at, f32_to_f16(value));
  }
  static void store(std::byte* chunk, const KvShape& shape, std::size_t slot, const float* k,
                    const float* v) {
    for (std::size_t d = 0; d < shape.key; ++d) put(chunk + kBytes * (slot * shape.key + d), k[d]);
    std::byte* values = chunk + kBytes * kChunk * shape.key;
    for (std::size_t d = 0; d < shape.kept_value(); ++d)
      put(values + kBytes * (slot * shape.value + d), v[d]);
  }
  static std::size_t key_bytes(const KvShape& shape) { return kBytes * shape.key; }
  static float element(const std::byte* at, std::size_t d) {
    float value;
    kDecode(at + kBytes * d, &value, 1);
    return value;
  }
  template <class Args>
  static float score(const Args& args, std::size_t c, std::size_t slot) {
    const std::size_t dim = args.shape.key;
    float s = 0;
    for (std::size_t d = 0; d < dim; ++d)
      s = __builtin_fmaf(args.q[c * dim + d], element(args.chunk + kBytes * slot * dim, d), s);
    return s;
  }
  static void attend(const KvFormat::AttendArgs& args) {
    const KvShape& shape = args.shape;
    const std::byte* values = args.chunk + (shape.shared ? 0 : kBytes * kChunk * shape.key);
    const std::size_t stride = shape.shared ? shape.key : shape.value;
    for (std::size_t c = 0; c < args.columns; ++c)
      attend_column(
          args, c, [&](std::size_t slot) { return score(args, c, slot); },
          [&](std::size_t slot, float p, float* o) {
            for (std::size_t d = 0; d < shape.value; ++d)
              o[d] = __builtin_fmaf(p, element(values + kBytes * slot * stride, d), o[d]);
          });
  }
};

void store_q8_0(const float* x, std::byte* block) {
  std::int8_t q[kActivationBlock];
  infer::store(block, f32_to_f16(quantize_block(x, q)));
  std::memcpy(block + 2, q, sizeof q);
}

void store_nibbles(const KvCodes& codes, std::byte* to) {
  for (std::size_t i = 0; i < 16; ++i)
    to[i] = static_cast<std::byte>((codes.code[i] & 15) | (codes.code[i + 16] & 15) << 4);
}

void store_q4_0(const float* x, std::byte* block) {
  KvCodes codes;
  kv_q4_0(x, codes);
  infer::store(block, codes.scale);
  store_nibbles(codes, block + 2);
}

void store_q5_1(const float* x, std::byte* block) {
  KvCodes codes;
  kv_q5_1(x, codes);
  infer::store(block, codes.scale);
  infer::store(block + 2, codes.min);
  std::uint32_t fifth = 0;
  for (std::size_t i = 0; i < kActivationBlock; ++i)
    fifth |= static_cast<std::uint32_t>(codes.code[i] >> 4) << i;
  infer::store(block + 4, fifth);
  store_nibbles(codes, block + 8);
}

// Rows of the file's blocks; 64 rows of K, then 64 of V.
template <std::size_t kBlockBytes, auto kStore, auto kRead, bool kMin>
struct IntKv {
  static std::size_t row_bytes(std::size_t dim) { return dim / kActivationBlock * kBlockBytes; }
  static std::size_t chunk_bytes(const KvShape& shape) {
    return kChunk * (row_bytes(shape.key) + row_bytes(shape.kept_value()));
  }
  static void store_row(const float* x, std::size_t dim, std::byte* row) {
    for (std::size_t d = 0; d < dim; d += kActivationBlock, row += kBlockBytes) kStore(x + d, row);
  }
  static void store(std::byte* chunk, const KvShape& shape, std::size_t slot, const float* k,
                    const float* v) {
    const std::size_t key = row_bytes(shape.key), value = row_bytes(shape.value);
    store_row(k, shape.key, chunk + slot * key);
    if (!shape.shared) store_row(v, shape.value, chunk + kChunk * key + slot * value);
  }
  static std::size_t key_bytes(const KvShape& shape) { return row_bytes(shape.key); }
  template <class Args>
  static float score(const Args& args, std::size_t c, std::size_t slot) {
    constexpr Scaling kScaling = kMin ? Scaling::kPer32Min : Scaling::kPer32;
    const std::size_t dim = args.shape.key, blocks = dim / kActivationBlock;
    float s = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      IntBlock k;
      kRead(args.chunk + slot * row_bytes(dim) + b * kBlockBytes, 0, k);
      const std::size_t at = c * blocks + b;
      s = step<kScaling>(k, args.q_rows.q + kActivationBlock * at, args.q_rows.scale[at],
                         args.q_rows.sum + 2 * at, s);
    }
    return s;
  }
  static void attend(const KvFormat::AttendArgs& args) {
    const KvShape& shape = args.shape;
    const std::size_t key = row_bytes(shape.key);
    const std::byte* values = args.chunk + (shape.shared ? 0 : kChunk * key);
    const std::size_t value = shape.shared ? key : row_bytes(shape.value);
    for (std::size_t c = 0; c < args.columns; ++c)
      attend_column(
          args, c, [&](std::size_t slot) { return score(args, c, slot); },
          [&](std::size_t slot, float p, float* o) {
            for (std::size_t b = 0; b < shape.value / kActivationBlock; ++b) {
              IntBlock v;
              kRead(values + slot * value + b * kBlockBytes, 0, v);
              const float factor = p * v.scale[0], shift = p * v.min[0];
              for (std::size_t i = kActivationBlock * b; i < kActivationBlock * (b + 1); ++i) {
                o[i] = __builtin_fmaf(factor, static_cast<float>(v.w[i % kActivationBlock]), o[i]);
                if constexpr (kMin) o[i] = o[i] + shift;
              }
            }
          });
  }
};
using Q8Kv = IntKv<34, store_q8_0, read_q8_0, false>;
using Q5Kv = IntKv<24, store_q5_1, read_q5_1, true>;
using Q4Kv = IntKv<18, store_q4_0, read_q4_0, false>;

template <class Kv>
void score(const KvFormat::ScoreArgs& args) {
  for (std::size_t c = 0; c < args.columns; ++c)
    for (std::size_t slot = 0; slot < kChunk; ++slot)
      args.out[c * kChunk + slot] = Kv::score(args, c, slot);
}

template <class Kv>
void gather(std::byte* chunk, const KvShape& shape, std::size_t count,
            const KvFormat::Position* from) {
  const std::size_t key = Kv::key_bytes(shape);
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(chunk + i * key, from[i].chunk + from[i].slot * key, key);
}

template <class Kv>
constexpr KvFormat kv_format(KvType type) {
  return {type, Kv::chunk_bytes, Kv::store, Kv::attend, score<Kv>, gather<Kv>};
}

void tile(const TileArgs& args) {
  for (std::size_t r = 0; r < args.rows; ++r) {
    float* c = args.c + r * args.c_row;
    for (std::size_t j = 0; j < args.columns && !args.add; ++j) c[j] = 0;
    for (std::size_t i = 0; i < args.k; ++i) {
      const float a = args.a[r * args.a_row + i * args.a_k];
      const float* b = args.b + i * args.b_k;
      for (std::size_t j = 0; j < args.columns; ++j) c[j] = __builtin_fmaf(a, b[j], c[j]);
    }
  }
}

}  // namespace

const KernelTable kScalarTable = {
    "scalar",
    kTypes,
    {kv_format<FloatKv<4, decode_f32>>(KvType::kF32),
     kv_format<FloatKv<2, decode_f16>>(KvType::kF16), kv_format<Q8Kv>(KvType::kQ8_0),
     kv_format<Q5Kv>(KvType::kQ5_1), kv_format<Q4Kv>(KvType::kQ4_0)},
    quantize,
    rms_norm,
    layer_norm,
    silu_mul,
    relu_squared,
    gelu_mul,
    gelu,
    clamped_silu_mul,
    sigmoid_mul,
    soft_cap,
    add,
    mul,
    add_scaled,
    rope,
    merge,
    exp_sum,
    max_of,
    recurrent_kernels(),
    train_kernels<tile>()};

}  // namespace lathe::infer
