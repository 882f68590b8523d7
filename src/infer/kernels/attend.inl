// Attention over KV chunks, for any instruction set that gives the vectors of avx512.inl.
// K stands in panels of 16 positions, V position by position:
//   F32, F16: K [panel][dim][16], V [position][dim]
//   Q8_0:     K [panel][block of 32 dims][4 neighbours: 8][16][4], K's scales f16
//   [panel][block][16],
//             V [position][dim], V's scales f16 [block][position]
//   Q5_1, Q4_0: K as panels of weights have it (packed.h), [panel][block] codes, then
//   [panel][block] scales; V's nibbles [position][block][16], of Q5_1 its fifth bits
//   [position][block] u32, V's scales f16 [block][position], of Q5_1 its minima likewise
// Shared values are brought into V's form for all columns at once.
// Up to kColumns columns share what is loaded; kernels.h says what is computed.
#include "infer/kernels/elementwise.inl"
#include "infer/kernels/panel.inl"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kColumns = 4;
constexpr std::size_t kKvPanels = kChunk / kPanelRows;

// exp1 of exp.inl, lane by lane.
inline VF vf_exp(VF x) {
  const VF magic = vf_set1(kExpMagic);
  const VF t = vf_fma(x, vf_set1(kExpLog2e), magic);
  const VF n = vf_sub(t, magic);
  VF r = vf_fma(n, vf_set1(-kExpLn2Hi), x);
  r = vf_fma(n, vf_set1(-kExpLn2Lo), r);
  VF p = vf_set1(kExpC[6]);
  for (int i = 5; i >= 0; --i) p = vf_fma(p, r, vf_set1(kExpC[i]));
  const VF power = vf_bits(vi_shl(vi_add(vi_as_bits(t), vi_set1(127)), 23));
  return vf_clip_exp(x, vf_mul(p, power), kExpLow, kExpHigh);
}

inline int lanes_below(std::size_t slot, std::size_t panel) {
  const std::size_t begin = panel * kPanelRows;
  return static_cast<int>(slot <= begin               ? 0
                          : slot - begin < kPanelRows ? slot - begin
                                                      : kPanelRows);
}

// m, l and p[slot] = exp(s − m) (0 outside first … last) of one column.
inline void softmax(const VF* s, std::size_t first, std::size_t last, float* p, float& m,
                    float& l) {
  VF masked[kKvPanels];
  VF top = vf_set1(-__builtin_inff());
  for (std::size_t i = 0; i < kKvPanels; ++i) {
    masked[i] =
        vf_select(s[i], vf_set1(-__builtin_inff()), lanes_below(first, i), lanes_below(last, i));
    top = vf_larger(top, masked[i]);
  }
  m = vf_fold_max(top);
  VF sum = vf_zero();
  for (std::size_t i = 0; i < kKvPanels; ++i) {
    const VF e = vf_exp(vf_sub(masked[i], vf_set1(m)));
    sum = vf_add(sum, e);
    vf_store(p + i * kPanelRows, e);
  }
  l = vf_fold_sum(sum);
}

// o[c] += p[c][slot]·v[slot] for slots lo … hi-1 of up to kColumns columns; `add` does so for a
// number of columns known at compile time.
template <std::size_t kCount, class Add>
inline void add_values(const KvFormat::AttendArgs& args, std::size_t column,
                       const float (*p)[kChunk], Add add) {
  std::size_t lo = 0, hi = kChunk;  // what all have in common
  for (std::size_t c = 0; c < kCount; ++c) {
    const std::size_t first = args.first[column + c], last = args.last[column + c];
    lo = first > lo ? first : lo;
    hi = last < hi ? last : hi;
  }
  if (kCount == 1 || hi <= lo) lo = hi = kChunk;  // then each for itself
  for (std::size_t c = 0; c < kCount; ++c) {
    const std::size_t last = args.last[column + c];
    add.template operator()<1>(column + c, p + c, args.first[column + c], last < lo ? last : lo);
  }
  if (lo == hi) return;
  add.template operator()<kCount>(column, p, lo, hi);
  for (std::size_t c = 0; c < kCount; ++c)
    add.template operator()<1>(column + c, p + c, hi, args.last[column + c]);
}

// One of the two halves of the next chunk. Chunks lie too far apart for the processor to foresee;
// at once they would be more lines than it can wait for.
template <class Kv, class Args>
inline void prefetch_half(const Args& args, std::size_t half) {
  if (args.ahead == nullptr) return;
  const std::size_t bytes = Kv::chunk_bytes(args.shape);
  for (std::size_t at = bytes / 2 * half; at < bytes / 2 * (half + 1); at += 64)
    prefetch_far(args.ahead + at);
}

template <std::size_t kCount>
inline void cap_scores(VF (*s)[kKvPanels], float cap) {
  alignas(64) float row[kPanelRows];
  for (std::size_t c = 0; c < kCount; ++c)
    for (std::size_t i = 0; i < kKvPanels; ++i) {
      vf_store(row, s[c][i]);
      soft_cap(row, kPanelRows, cap);
      s[c][i] = vf_load(row);
    }
}

template <std::size_t kCount>
inline void lower_far_scores(const KvFormat::AttendArgs& args, std::size_t column,
                             VF (*s)[kKvPanels]) {
  alignas(64) float row[kPanelRows];
  for (std::size_t c = 0; c < kCount; ++c) {
    const float slope = args.slope[column + c], at = args.at[column + c];
    for (std::size_t i = 0; i < kKvPanels; ++i) {
      vf_store(row, s[c][i]);
      for (std::size_t j = 0; j < kPanelRows; ++j) {
        const float distance = __builtin_fabsf(static_cast<float>(i * kPanelRows + j) - at);
        row[j] = __builtin_fmaf(-slope, distance, row[j]);
      }
      s[c][i] = vf_load(row);
    }
  }
}

// kCount columns from `column` on. Kv gives scores and values.
template <class Kv, std::size_t kCount>
void attend_columns(const KvFormat::AttendArgs& args, std::size_t column) {
  VF s[kCount][kKvPanels];
  if (column == 0) prefetch_half<Kv>(args, 0);
  Kv::template scores<kCount>(args, column, s);
  alignas(64) float p[kCount][kChunk];
  if (args.cap != 0) cap_scores<kCount>(s, args.cap);
  if (args.slope != nullptr) lower_far_scores<kCount>(args, column, s);
  for (std::size_t c = 0; c < kCount; ++c)
    softmax(s[c], args.first[column + c], args.last[column + c], p[c], args.m[column + c],
            args.l[column + c]);
  if (column == 0) prefetch_half<Kv>(args, 1);
  __builtin_memset(args.o + column * args.shape.value, 0,
                   kCount * args.shape.value * sizeof(float));
  add_values<kCount>(
      args, column, p,
      [&args]<std::size_t kN>(std::size_t first_column, const float(*weights)[kChunk],
                              std::size_t lo, std::size_t hi) {
        if (lo < hi) Kv::template values<kN>(args, first_column, weights, lo, hi);
      });
}

inline void attend_nothing(const KvFormat::AttendArgs& args, std::size_t column) {
  args.m[column] = -__builtin_inff();
  args.l[column] = 0;
  __builtin_memset(args.o + column * args.shape.value, 0, args.shape.value * sizeof(float));
}

// Columns with something to attend to, kColumns at a time as long as they stand side by side.
template <class Kv>
void attend(const KvFormat::AttendArgs& args) {
  if (args.shape.shared) Kv::spread_values(args);
  for (std::size_t column = 0; column < args.columns;) {
    std::size_t count = 0;
    while (count < kColumns && column + count < args.columns &&
           args.first[column + count] < args.last[column + count])
      ++count;
    switch (count) {
      case 0:
        attend_nothing(args, column);
        ++column;
        continue;
      case 1:
        attend_columns<Kv, 1>(args, column);
        break;
      case 2:
        attend_columns<Kv, 2>(args, column);
        break;
      case 3:
        attend_columns<Kv, 3>(args, column);
        break;
      default:
        attend_columns<Kv, 4>(args, column);
    }
    column += count;
  }
}

// kCount columns from `column` on.
template <class Kv, std::size_t kCount>
void score_columns(const KvFormat::ScoreArgs& args, std::size_t column) {
  VF s[kCount][kKvPanels];
  if (column == 0) prefetch_half<Kv>(args, 0);
  Kv::template scores<kCount>(args, column, s);
  if (column == 0) prefetch_half<Kv>(args, 1);
  for (std::size_t c = 0; c < kCount; ++c)
    for (std::size_t i = 0; i < kKvPanels; ++i)
      vf_store(args.out + (column + c) * kChunk + i * kPanelRows, s[c][i]);
}

template <class Kv>
void score(const KvFormat::ScoreArgs& args) {
  std::size_t column = 0;
  for (; column + kColumns <= args.columns; column += kColumns)
    score_columns<Kv, kColumns>(args, column);
  for (; column < args.columns; ++column) score_columns<Kv, 1>(args, column);
}

// Of keys in panels of blocks, first the codes of all, then the scales: 4 and 2 bytes a lane in
// each vector of them.
template <std::size_t kCodes, std::size_t kScales>
inline void gather_blocks(std::byte* chunk, const KvShape& shape, std::size_t count,
                          const KvFormat::Position* from) {
  const std::size_t blocks = shape.key / kActivationBlock, scales = kKvPanels * blocks * kCodes;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t lane = from[i].slot % kPanelRows, to_lane = i % kPanelRows;
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::size_t block = from[i].slot / kPanelRows * blocks + b;
      const std::size_t to_block = i / kPanelRows * blocks + b;
      const std::byte* codes = from[i].chunk + kCodes * block + 4 * lane;
      std::byte* to_codes = chunk + kCodes * to_block + 4 * to_lane;
      for (std::size_t at = 0; at < kCodes; at += 64)
        __builtin_memcpy(to_codes + at, codes + at, 4);
      const std::byte* scale = from[i].chunk + scales + kScales * block + 2 * lane;
      std::byte* to_scale = chunk + scales + kScales * to_block + 2 * to_lane;
      for (std::size_t at = 0; at < kScales; at += 32)
        __builtin_memcpy(to_scale + at, scale + at, 2);
    }
  }
}

// F32 or F16.
template <TensorType kType>
struct FloatKv {
  static constexpr std::size_t kBytes = kElementBytes<kType>;

  static std::size_t chunk_bytes(const KvShape& shape) {
    return kChunk * kBytes * (shape.key + shape.kept_value());
  }
  static const std::byte* values_of(const KvFormat::AttendArgs& args) {
    return args.shape.shared ? args.values : args.chunk + kChunk * kBytes * args.shape.key;
  }

  static void put(std::byte* at, float value) {
    if constexpr (kType == TensorType::kF32) {
      __builtin_memcpy(at, &value, 4);
    } else {
      const std::uint16_t half = f32_to_f16(value);
      __builtin_memcpy(at, &half, 2);
    }
  }
  static void store(std::byte* chunk, const KvShape& shape, std::size_t slot, const float* k,
                    const float* v) {
    std::byte* panel = chunk + slot / kPanelRows * kPanelRows * kBytes * shape.key;
    std::byte* row = chunk + kBytes * (kChunk * shape.key + slot * shape.value);
    for (std::size_t d = 0; d < shape.key; ++d)
      put(panel + kBytes * (kPanelRows * d + slot % kPanelRows), k[d]);
    for (std::size_t d = 0; d < shape.kept_value(); ++d) put(row + kBytes * d, v[d]);
  }
  static void spread_values(const KvFormat::AttendArgs& args) {
    for (std::size_t slot = 0; slot < kChunk; ++slot) {
      const std::byte* k = args.chunk + kBytes * (slot / kPanelRows * kPanelRows * args.shape.key +
                                                  slot % kPanelRows);
      std::byte* v = args.values + kBytes * slot * args.shape.value;
      for (std::size_t d = 0; d < args.shape.value; ++d)
        __builtin_memcpy(v + kBytes * d, k + kBytes * kPanelRows * d, kBytes);
    }
  }

  static void gather(std::byte* chunk, const KvShape& shape, std::size_t count,
                     const KvFormat::Position* from) {
    const auto lane_at = [&shape](std::size_t slot) {
      return kBytes * (slot / kPanelRows * kPanelRows * shape.key + slot % kPanelRows);
    };
    for (std::size_t i = 0; i < count; ++i) {
      const std::byte* lane = from[i].chunk + lane_at(from[i].slot);
      std::byte* to = chunk + lane_at(i);
      for (std::size_t d = 0; d < shape.key; ++d)
        __builtin_memcpy(to + kBytes * kPanelRows * d, lane + kBytes * kPanelRows * d, kBytes);
    }
  }

  template <std::size_t kCount, class Args>
  static void scores(const Args& args, std::size_t column, VF (*s)[kKvPanels]) {
    const std::size_t dim = args.shape.key, panel_bytes = kPanelRows * kBytes * dim;
    const float* q = args.q + column * dim;
    for (std::size_t c = 0; c < kCount; ++c)
      for (std::size_t i = 0; i < kKvPanels; ++i) s[c][i] = vf_zero();
    const std::byte* k = args.chunk;
    for (std::size_t d = 0; d < dim; ++d, k += kPanelRows * kBytes) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kKvPanels; ++i) {
        const VF lane = load_floats<kType>(k + i * panel_bytes);
#pragma GCC unroll 4
        for (std::size_t c = 0; c < kCount; ++c)
          s[c][i] = vf_fma(vf_set1(q[c * dim + d]), lane, s[c][i]);
      }
    }
  }

  // kVectors vectors of dims from d on.
  template <std::size_t kCount, std::size_t kVectors>
  static void value_tile(const KvFormat::AttendArgs& args, std::size_t column, std::size_t d,
                         const float (*p)[kChunk], std::size_t lo, std::size_t hi) {
    const std::size_t dim = args.shape.value;
    float* o = args.o + column * dim + d;
    VF acc[kCount][kVectors];
    for (std::size_t c = 0; c < kCount; ++c)
      for (std::size_t i = 0; i < kVectors; ++i) acc[c][i] = vf_load(o + c * dim + 16 * i);
    const std::byte* v = values_of(args) + (lo * dim + d) * kBytes;
    for (std::size_t slot = lo; slot < hi; ++slot, v += kBytes * dim) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kVectors; ++i) {
        const VF lane = load_floats<kType>(v + 16 * kBytes * i);
#pragma GCC unroll 4
        for (std::size_t c = 0; c < kCount; ++c)
          acc[c][i] = vf_fma(vf_set1(p[c][slot]), lane, acc[c][i]);
      }
    }
    for (std::size_t c = 0; c < kCount; ++c)
      for (std::size_t i = 0; i < kVectors; ++i) vf_store(o + c * dim + 16 * i, acc[c][i]);
  }

  template <std::size_t kCount>
  static void values(const KvFormat::AttendArgs& args, std::size_t column, const float (*p)[kChunk],
                     std::size_t lo, std::size_t hi) {
    const std::size_t dim = args.shape.value;
    std::size_t d = 0;
    for (; d + 64 <= dim; d += 64) value_tile<kCount, 4>(args, column, d, p, lo, hi);
    for (; d < dim; d += 16) value_tile<kCount, 1>(args, column, d, p, lo, hi);
  }
};

struct Q8Kv {
  static constexpr std::size_t bytes_of(std::size_t dim) {  // of all positions
    return kChunk * (dim + dim / kActivationBlock * 2);
  }
  static std::size_t chunk_bytes(const KvShape& shape) {
    return bytes_of(shape.key) + bytes_of(shape.kept_value());
  }
  static std::size_t block_of(const KvShape& shape, std::size_t slot, std::size_t b) {
    return slot / kPanelRows * (shape.key / kActivationBlock) + b;
  }
  static const std::byte* values_of(const KvFormat::AttendArgs& args) {
    return args.shape.shared ? args.values : args.chunk + bytes_of(args.shape.key);
  }

  static void store_value(std::byte* values, std::size_t dim, std::size_t slot, std::size_t b,
                          const std::int8_t* q, std::uint16_t scale) {
    __builtin_memcpy(values + slot * dim + 32 * b, q, 32);
    __builtin_memcpy(values + kChunk * dim + 2 * (b * kChunk + slot), &scale, 2);
  }
  static void store(std::byte* chunk, const KvShape& shape, std::size_t slot, const float* k,
                    const float* v) {
    const std::size_t lane = slot % kPanelRows;
    std::int8_t q[kActivationBlock];
    for (std::size_t b = 0; b < shape.key / kActivationBlock; ++b) {
      const std::uint16_t scale = f32_to_f16(quantize_block(k + 32 * b, q));
      const std::size_t block = block_of(shape, slot, b);
      for (std::size_t g = 0; g < 8; ++g)
        __builtin_memcpy(chunk + 512 * block + 64 * g + 4 * lane, q + 4 * g, 4);
      __builtin_memcpy(chunk + kChunk * shape.key + 32 * block + 2 * lane, &scale, 2);
    }
    for (std::size_t b = 0; b < shape.kept_value() / kActivationBlock; ++b) {
      const std::uint16_t scale = f32_to_f16(quantize_block(v + 32 * b, q));
      store_value(chunk + bytes_of(shape.key), shape.value, slot, b, q, scale);
    }
  }
  static void spread_values(const KvFormat::AttendArgs& args) {
    for (std::size_t slot = 0; slot < kChunk; ++slot)
      for (std::size_t b = 0; b < args.shape.value / kActivationBlock; ++b) {
        const std::size_t block = block_of(args.shape, slot, b), lane = slot % kPanelRows;
        std::int8_t q[kActivationBlock];
        std::uint16_t scale;
        for (std::size_t g = 0; g < 8; ++g)
          __builtin_memcpy(q + 4 * g, args.chunk + 512 * block + 64 * g + 4 * lane, 4);
        __builtin_memcpy(&scale, args.chunk + kChunk * args.shape.key + 32 * block + 2 * lane, 2);
        store_value(args.values, args.shape.value, slot, b, q, scale);
      }
  }

  static constexpr auto gather = gather_blocks<512, 32>;

  template <std::size_t kCount, class Args>
  static void scores(const Args& args, std::size_t column, VF (*s)[kKvPanels]) {
    const std::size_t blocks = args.shape.key / kActivationBlock;
    const std::byte* scales_at = args.chunk + kChunk * args.shape.key;
    for (std::size_t c = 0; c < kCount; ++c)
      for (std::size_t i = 0; i < kKvPanels; ++i) s[c][i] = vf_zero();
    for (std::size_t b = 0; b < blocks; ++b) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kKvPanels; ++i) {
        const std::size_t block = i * blocks + b;
        VB w[8];
        load_weights<TensorType::kQ8_0>(args.chunk + 512 * block, w);
        BlockScales scales;
        vf_store(scales.scale[0], vf_load_f16(scales_at + 32 * block));
        add_block<Scaling::kPer32, true, kOffset<TensorType::kQ8_0>, kCount, kKvPanels>(
            &s[0][i], w, scales, args.q_rows, column * blocks + b, blocks);
      }
    }
  }

  template <std::size_t kCount>
  static void values(const KvFormat::AttendArgs& args, std::size_t column, const float (*p)[kChunk],
                     std::size_t lo, std::size_t hi) {
    const std::size_t dim = args.shape.value;
    const std::byte *all = values_of(args), *scales_at = all + kChunk * dim;
    for (std::size_t b = 0; b < dim / kActivationBlock; ++b) {
      alignas(64) float factor[kCount][kChunk];
      for (std::size_t i = 0; i < kKvPanels; ++i) {
        const VF scale = vf_load_f16(scales_at + 2 * (b * kChunk + 16 * i));
        for (std::size_t c = 0; c < kCount; ++c)
          vf_store(factor[c] + 16 * i, vf_mul(vf_load(p[c] + 16 * i), scale));
      }
      float* o = args.o + column * dim + 32 * b;
      VF acc[kCount][2];
      for (std::size_t c = 0; c < kCount; ++c)
        for (std::size_t i = 0; i < 2; ++i) acc[c][i] = vf_load(o + c * dim + 16 * i);
      const std::byte* v = all + lo * dim + 32 * b;
      for (std::size_t slot = lo; slot < hi; ++slot, v += dim) {
#pragma GCC unroll 2
        for (std::size_t i = 0; i < 2; ++i) {
          const VF lane = vf_from_i(vi_load_i8(v + 16 * i));
#pragma GCC unroll 4
          for (std::size_t c = 0; c < kCount; ++c)
            acc[c][i] = vf_fma(vf_set1(factor[c][slot]), lane, acc[c][i]);
        }
      }
      for (std::size_t c = 0; c < kCount; ++c)
        for (std::size_t i = 0; i < 2; ++i) vf_store(o + c * dim + 16 * i, acc[c][i]);
    }
  }
};

// Numbers whose only bit is i: what tells the fifth bits of 16 dimensions apart.
constexpr std::int32_t kBitOf[kPanelRows] = {1 << 0,  1 << 1,  1 << 2,  1 << 3, 1 << 4,  1 << 5,
                                             1 << 6,  1 << 7,  1 << 8,  1 << 9, 1 << 10, 1 << 11,
                                             1 << 12, 1 << 13, 1 << 14, 1 << 15};

// Q5_1 or Q4_0.
template <TensorType kType>
struct FewBitKv {
  static constexpr PackedFormat kFormat = packed_format<kType>();
  static constexpr bool kMin = has_min(kFormat.scaling);
  static constexpr std::size_t kCodes = kFormat.code_bytes(), kScales = kFormat.scale_bytes;

  // Where the parts of all keys begin, and those of all values.
  static std::size_t key_bytes(std::size_t dim) {
    return kKvPanels * (dim / kActivationBlock) * (kCodes + kScales);
  }
  static std::size_t key_scales(std::size_t dim) {
    return kKvPanels * (dim / kActivationBlock) * kCodes;
  }
  struct Values {
    std::size_t blocks, fifths, scales, mins, end;
    explicit Values(std::size_t dim)
        : blocks(dim / kActivationBlock),
          fifths(kChunk * blocks * 16),
          scales(fifths + kMin * kChunk * blocks * 4),
          mins(scales + kChunk * blocks * 2),
          end(mins + kMin * kChunk * blocks * 2) {}
  };
  static std::size_t chunk_bytes(const KvShape& shape) {
    return key_bytes(shape.key) + Values(shape.kept_value()).end;
  }
  static const std::byte* values_of(const KvFormat::AttendArgs& args) {
    return args.shape.shared ? args.values : args.chunk + key_bytes(args.shape.key);
  }

  static void quantize(const float* x, KvCodes& codes) {
    if constexpr (kMin)
      kv_q5_1(x, codes);
    else
      kv_q4_0(x, codes);
  }
  static std::byte two(const KvCodes& codes, std::size_t i) {
    return static_cast<std::byte>((codes.code[i] & 15) | (codes.code[i + 16] & 15) << 4);
  }

  static void store_key(const KvCodes& codes, std::size_t lane, std::byte* block,
                        std::byte* scales) {
    for (std::size_t i = 0; i < 16; ++i) block[i / 4 * 64 + 4 * lane + i % 4] = two(codes, i);
    __builtin_memcpy(scales + 2 * lane, &codes.scale, 2);
    if constexpr (kMin) {
      for (std::size_t j = 0; j < 4; ++j) {
        unsigned bits = 0;
        for (unsigned g = 0; g < 8; ++g)
          bits |= static_cast<unsigned>(codes.code[4 * g + j] >> 4) << g;
        block[256 + 4 * lane + j] = static_cast<std::byte>(bits);
      }
      __builtin_memcpy(scales + 32 + 2 * lane, &codes.min, 2);
    }
  }
  static void load_key(const std::byte* block, const std::byte* scales, std::size_t lane,
                       KvCodes& codes) {
    for (std::size_t i = 0; i < 16; ++i) {
      const auto both = static_cast<unsigned>(block[i / 4 * 64 + 4 * lane + i % 4]);
      codes.code[i] = static_cast<std::uint8_t>(both & 15);
      codes.code[i + 16] = static_cast<std::uint8_t>(both >> 4);
    }
    __builtin_memcpy(&codes.scale, scales + 2 * lane, 2);
    codes.min = 0;
    if constexpr (kMin) {
      for (std::size_t i = 0; i < kActivationBlock; ++i) {
        const auto bits = static_cast<unsigned>(block[256 + 4 * lane + i % 4]);
        codes.code[i] = static_cast<std::uint8_t>(codes.code[i] | (bits >> i / 4 & 1) << 4);
      }
      __builtin_memcpy(&codes.min, scales + 32 + 2 * lane, 2);
    }
  }
  static void store_value(const KvCodes& codes, const Values& parts, std::size_t slot,
                          std::size_t b, std::byte* values) {
    const std::size_t at = slot * parts.blocks + b, scale_at = b * kChunk + slot;
    for (std::size_t i = 0; i < 16; ++i) values[16 * at + i] = two(codes, i);
    __builtin_memcpy(values + parts.scales + 2 * scale_at, &codes.scale, 2);
    if constexpr (kMin) {
      std::uint32_t fifth = 0;
      for (unsigned i = 0; i < 32; ++i)
        fifth |= static_cast<std::uint32_t>(codes.code[i] >> 4) << i;
      __builtin_memcpy(values + parts.fifths + 4 * at, &fifth, 4);
      __builtin_memcpy(values + parts.mins + 2 * scale_at, &codes.min, 2);
    }
  }
  static std::size_t block_of(const KvShape& shape, std::size_t slot, std::size_t b) {
    return slot / kPanelRows * (shape.key / kActivationBlock) + b;
  }
  static void store(std::byte* chunk, const KvShape& shape, std::size_t slot, const float* k,
                    const float* v) {
    KvCodes codes;
    for (std::size_t b = 0; b < shape.key / kActivationBlock; ++b) {
      const std::size_t block = block_of(shape, slot, b);
      quantize(k + 32 * b, codes);
      store_key(codes, slot % kPanelRows, chunk + kCodes * block,
                chunk + key_scales(shape.key) + kScales * block);
    }
    const Values parts(shape.value);
    for (std::size_t b = 0; b < shape.kept_value() / kActivationBlock; ++b) {
      quantize(v + 32 * b, codes);
      store_value(codes, parts, slot, b, chunk + key_bytes(shape.key));
    }
  }
  static void spread_values(const KvFormat::AttendArgs& args) {
    const Values parts(args.shape.value);
    for (std::size_t slot = 0; slot < kChunk; ++slot)
      for (std::size_t b = 0; b < parts.blocks; ++b) {
        const std::size_t block = block_of(args.shape, slot, b);
        KvCodes codes;
        load_key(args.chunk + kCodes * block,
                 args.chunk + key_scales(args.shape.key) + kScales * block, slot % kPanelRows,
                 codes);
        store_value(codes, parts, slot, b, args.values);
      }
  }

  static constexpr auto gather = gather_blocks<kCodes, kScales>;

  template <std::size_t kCount, class Args>
  static void scores(const Args& args, std::size_t column, VF (*s)[kKvPanels]) {
    const std::size_t blocks = args.shape.key / kActivationBlock;
    const std::byte* scales_at = args.chunk + key_scales(args.shape.key);
    for (std::size_t c = 0; c < kCount; ++c)
      for (std::size_t i = 0; i < kKvPanels; ++i) s[c][i] = vf_zero();
    for (std::size_t b = 0; b < blocks; ++b) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kKvPanels; ++i) {
        const std::size_t block = i * blocks + b;
        VB w[8];
        load_weights<kType>(args.chunk + kCodes * block, w);
        BlockScales scales;
        load_scales<kType>(scales_at + kScales * block, 1, &scales);
        add_block<kFormat.scaling, kSignedCodes<kType>, kOffset<kType>, kCount, kKvPanels>(
            &s[0][i], w, scales, args.q_rows, column * blocks + b, blocks);
      }
    }
  }

  // Dimensions 16·kHalf … of a block of one position, as floats.
  template <int kHalf>
  static VF codes_of(const std::byte* nibbles, std::uint32_t fifth) {
    const VI both = vi_load_u8(nibbles);
    VI code = kHalf == 0 ? vi_and(both, vi_set1(15)) : vi_shr(both, 4);
    if constexpr (kMin) {
      const VI bits =
          vi_and(vi_set1(static_cast<int>(fifth >> 16 * kHalf & 0xffff)), vi_load(kBitOf));
      code = vi_or(code, vi_select_below(bits, 1, vi_zero(), vi_set1(16)));
    } else {
      code = vi_add(code, vi_set1(-8));
    }
    return vf_from_i(code);
  }

  template <std::size_t kCount>
  static void values(const KvFormat::AttendArgs& args, std::size_t column, const float (*p)[kChunk],
                     std::size_t lo, std::size_t hi) {
    const std::size_t dim = args.shape.value;
    const Values parts(dim);
    const std::byte* all = values_of(args);
    for (std::size_t b = 0; b < parts.blocks; ++b) {
      alignas(64) float factor[kCount][kChunk], shift[kCount][kChunk];
      for (std::size_t i = 0; i < kKvPanels; ++i) {
        const std::size_t at = 2 * (b * kChunk + 16 * i);
        const VF scale = vf_load_f16(all + parts.scales + at);
        for (std::size_t c = 0; c < kCount; ++c) {
          const VF weight = vf_load(p[c] + 16 * i);
          vf_store(factor[c] + 16 * i, vf_mul(weight, scale));
          if constexpr (kMin)
            vf_store(shift[c] + 16 * i, vf_mul(weight, vf_load_f16(all + parts.mins + at)));
        }
      }
      float* o = args.o + column * dim + 32 * b;
      VF acc[kCount][2];
      for (std::size_t c = 0; c < kCount; ++c)
        for (std::size_t i = 0; i < 2; ++i) acc[c][i] = vf_load(o + c * dim + 16 * i);
      for (std::size_t slot = lo; slot < hi; ++slot) {
        const std::size_t at = slot * parts.blocks + b;
        std::uint32_t fifth = 0;
        if constexpr (kMin) __builtin_memcpy(&fifth, all + parts.fifths + 4 * at, 4);
        const VF lanes[2] = {codes_of<0>(all + 16 * at, fifth), codes_of<1>(all + 16 * at, fifth)};
#pragma GCC unroll 2
        for (std::size_t i = 0; i < 2; ++i)
#pragma GCC unroll 4
          for (std::size_t c = 0; c < kCount; ++c) {
            acc[c][i] = vf_fma(vf_set1(factor[c][slot]), lanes[i], acc[c][i]);
            if constexpr (kMin) acc[c][i] = vf_add(acc[c][i], vf_set1(shift[c][slot]));
          }
      }
      for (std::size_t c = 0; c < kCount; ++c)
        for (std::size_t i = 0; i < 2; ++i) vf_store(o + c * dim + 16 * i, acc[c][i]);
    }
  }
};

template <class Kv>
constexpr KvFormat kv_format(KvType type) {
  return {type, Kv::chunk_bytes, Kv::store, attend<Kv>, score<Kv>, Kv::gather};
}

}  // namespace
}  // namespace lathe::infer
