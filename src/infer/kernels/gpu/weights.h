// clang-format off
// Blocks of 32 weights out of the panels of packed.h, one row of 16 at a time. TYPE_… says which
// type; what it means stands in one table here, which a test compares with kPackedFormats.

#define SCALES_D 0      // f16
#define SCALES_D_MIN 1  // f16, and one of minima
#define SCALES_E8M0 2
#define SCALES_E4M3 3
#define SCALES_Q2_K 4
#define SCALES_Q3_K 5
#define SCALES_6BIT 6  // Q4_K, Q5_K
#define SCALES_Q6_K 7
#define SCALES_IQ4_XS 8
#define CODES_OFFSET 0
#define CODES_SIGNED 1
#define CODES_IQ4 2
#define CODES_FP4 3
#define CODES_SIGN 4

// The fields of PackedFormat: planes, codes, offset, scaling, pieces of scales; and what they are.
#if defined(TYPE_Q4_0)
#define FORMAT(f) f(1, 0, 0, CODES_OFFSET, 8, 0, 0, 1, 32, SCALES_D)
#elif defined(TYPE_Q4_1)
#define FORMAT(f) f(1, 0, 0, CODES_OFFSET, 0, 0, 1, 1, 64, SCALES_D_MIN)
#elif defined(TYPE_Q5_0)
#define FORMAT(f) f(1, 0, 1, CODES_OFFSET, 16, 0, 0, 1, 32, SCALES_D)
#elif defined(TYPE_Q5_1)
#define FORMAT(f) f(1, 0, 1, CODES_OFFSET, 0, 0, 1, 1, 64, SCALES_D_MIN)
#elif defined(TYPE_Q8_0)
#define FORMAT(f) f(0, 0, 0, CODES_SIGNED, 0, 0, 0, 1, 32, SCALES_D)
#elif defined(TYPE_Q2_K)
#define FORMAT(f) f(0, 1, 0, CODES_OFFSET, 0, 1, 1, 8, 320, SCALES_Q2_K)
#elif defined(TYPE_Q3_K)
#define FORMAT(f) f(0, 1, 1, CODES_OFFSET, 4, 1, 0, 8, 224, SCALES_Q3_K)
#elif defined(TYPE_Q4_K)
#define FORMAT(f) f(1, 0, 0, CODES_OFFSET, 0, 0, 1, 8, 256, SCALES_6BIT)
#elif defined(TYPE_Q5_K)
#define FORMAT(f) f(1, 0, 1, CODES_OFFSET, 0, 0, 1, 8, 256, SCALES_6BIT)
#elif defined(TYPE_Q6_K)
#define FORMAT(f) f(1, 1, 0, CODES_OFFSET, 32, 1, 0, 8, 288, SCALES_Q6_K)
#elif defined(TYPE_IQ4_NL)
#define FORMAT(f) f(1, 0, 0, CODES_IQ4, 0, 0, 0, 1, 32, SCALES_D)
#elif defined(TYPE_IQ4_XS)
#define FORMAT(f) f(1, 0, 0, CODES_IQ4, 0, 0, 0, 8, 128, SCALES_IQ4_XS)
#elif defined(TYPE_MXFP4)
#define FORMAT(f) f(1, 0, 0, CODES_FP4, 0, 0, 0, 1, 16, SCALES_E8M0)
#elif defined(TYPE_NVFP4)
#define FORMAT(f) f(1, 0, 0, CODES_FP4, 0, 1, 0, 1, 32, SCALES_E4M3)
#elif defined(TYPE_TQ1_0) || defined(TYPE_TQ2_0)
#define FORMAT(f) f(0, 1, 0, CODES_OFFSET, 1, 0, 0, 8, 32, SCALES_D)
#elif defined(TYPE_Q1_0)
#define FORMAT(f) f(0, 0, 1, CODES_SIGN, 0, 0, 0, 4, 32, SCALES_D)
#elif defined(TYPE_Q2_0)
#define FORMAT(f) f(0, 1, 0, CODES_OFFSET, 1, 0, 0, 2, 32, SCALES_D)
#endif
#define FIELD_NIBBLES(a, b, c, d, e, f, g, h, i, j) a
#define FIELD_PAIRS(a, b, c, d, e, f, g, h, i, j) b
#define FIELD_BITS(a, b, c, d, e, f, g, h, i, j) c
#define FIELD_CODES(a, b, c, d, e, f, g, h, i, j) d
#define FIELD_OFFSET(a, b, c, d, e, f, g, h, i, j) e
#define FIELD_PER_16(a, b, c, d, e, f, g, h, i, j) f
#define FIELD_MINIMA(a, b, c, d, e, f, g, h, i, j) g
#define FIELD_GROUP(a, b, c, d, e, f, g, h, i, j) h
#define FIELD_SCALE_BYTES(a, b, c, d, e, f, g, h, i, j) i
#define FIELD_SCALES(a, b, c, d, e, f, g, h, i, j) j
#define NIBBLES FORMAT(FIELD_NIBBLES)
#define PAIRS FORMAT(FIELD_PAIRS)
#define BITS FORMAT(FIELD_BITS)
#define CODES FORMAT(FIELD_CODES)
#define OFFSET FORMAT(FIELD_OFFSET)
#define PER_16 FORMAT(FIELD_PER_16)
#define MINIMA FORMAT(FIELD_MINIMA)
#define GROUP uint(FORMAT(FIELD_GROUP))
#define SCALE_WORDS uint(FORMAT(FIELD_SCALE_BYTES) / 4)
#define SCALES FORMAT(FIELD_SCALES)
// Words of the codes of a block of 16 rows.
#define CODE_WORDS \
  (CODES == CODES_SIGNED ? 128u : uint(NIBBLES) * 64u + uint(PAIRS) * 32u + uint(BITS) * 16u)

struct Weights {
  uint w[8];  // four neighbours each, without OFFSET taken away
  float scale[2];
  float low[2];  // minima
};

FN uint byte_at(Words p, uint word, uint at) {
  return p.v[word + (at >> 2u)] >> (8u * (at & 3u)) & 0xffu;
}
FN int signed_byte(uint byte) { return int(byte << 24u) >> 24; }
FN float half_at(Words p, uint word, uint row) {
  return half1(p.v[word + (row >> 1u)] >> (16u * (row & 1u)) & 0xffffu);
}
FN float float_of_uint(uint x) { return float_of_int(int(x)); }

// Words of the scales before a run's blocks: whole lines of 64 bytes.
FN uint words_of_scales(uint blocks) { return (blocks / GROUP * SCALE_WORDS + 15u) / 16u * 16u; }

#if CODES == CODES_IQ4
CONST uint kTable[4] = {0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u};
#elif CODES == CODES_FP4
CONST uint kTable[4] = {0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu};
#elif CODES == CODES_SIGN
CONST uint kTable[4] = {0x01ff01ffu, 0x01ff01ffu, 0x01ff01ffu, 0x01ff01ffu};
#endif
#if CODES >= CODES_IQ4
// Four codes below 16, looked up.
FN uint weights_of(uint codes) {
  uint all = 0u;
  for (uint j = 0u; j < 4u; ++j) {
    uint code = codes >> (8u * j) & 15u;
    all |= (kTable[code >> 2u] >> (8u * (code & 3u)) & 0xffu) << (8u * j);
  }
  return all;
}
#endif

// Block b of `blocks` of row `row` of the panel that begins at word `panel`.
FN Weights weights_at(Words p, uint panel, uint blocks, uint b, uint row) {
  Weights to;
  uint run = b / 16u, in_run = b % 16u, left = blocks - run * 16u;
  uint count = left < 16u ? left : 16u;
  uint s = panel + run * (words_of_scales(16u) + 16u * CODE_WORDS);
  uint at = s + words_of_scales(count) + in_run * CODE_WORDS;
  s += in_run / GROUP * SCALE_WORDS;

#if CODES == CODES_SIGNED
  for (uint g = 0u; g < 8u; ++g) to.w[g] = p.v[at + 16u * g + row];
#else
  for (uint g = 0u; g < 8u; ++g) to.w[g] = 0u;
#if NIBBLES == 1
  for (uint v = 0u; v < 4u; ++v) {
    uint both = p.v[at + 16u * v + row];
    to.w[v] = both & 0x0f0f0f0fu;
    to.w[v + 4u] = both >> 4u & 0x0f0f0f0fu;
  }
  at += 64u;
#endif
#if PAIRS == 1
  for (uint h = 0u; h < 2u; ++h) {
    uint pairs = p.v[at + 16u * h + row];
    for (uint g = 0u; g < 4u; ++g)
      to.w[4u * h + g] |= (pairs >> (2u * g) & 0x03030303u) << (4u * uint(NIBBLES));
  }
  at += 32u;
#endif
#if BITS == 1
  uint bits = p.v[at + row];
  for (uint g = 0u; g < 8u; ++g)
    to.w[g] |= (bits >> g & 0x01010101u) << (4u * uint(NIBBLES) + 2u * uint(PAIRS));
#endif
#if CODES >= CODES_IQ4
  for (uint g = 0u; g < 8u; ++g) to.w[g] = weights_of(to.w[g]);
#endif
#endif

  to.low[0] = 0.0f;
  to.low[1] = 0.0f;
#if SCALES == SCALES_E8M0
  uint e = byte_at(p, s, row);
  to.scale[0] = float_of(e < 2u ? (e == 0u ? 1u << 21u : 1u << 22u) : (e - 1u) << 23u);
#elif SCALES == SCALES_E4M3
  to.scale[0] = mul1(half1(byte_at(p, s, row) << 7u), 128.0f);
  to.scale[1] = mul1(half1(byte_at(p, s, 16u + row) << 7u), 128.0f);
#else
  float d = half_at(p, s, row);
#endif
#if SCALES >= SCALES_Q2_K
  uint j = in_run % GROUP;
#endif
#if SCALES == SCALES_D || SCALES == SCALES_D_MIN
  to.scale[0] = d;
#elif SCALES == SCALES_6BIT
  uint w0 = p.v[s + 16u + row], w1 = p.v[s + 32u + row], w2 = p.v[s + 48u + row];
  uint scales = j < 4u ? w0 & 0x3f3f3f3fu : (w2 & 0x0f0f0f0fu) | (w0 >> 2u & 0x30303030u);
  uint minima = j < 4u ? w1 & 0x3f3f3f3fu : (w2 >> 4u & 0x0f0f0f0fu) | (w1 >> 2u & 0x30303030u);
  uint shift = 8u * (j & 3u);
  to.scale[0] = mul1(d, float_of_uint(scales >> shift & 0xffu));
  to.low[0] = mul1(-half_at(p, s + 8u, row), float_of_uint(minima >> shift & 0xffu));
#elif SCALES == SCALES_IQ4_XS
  uint high = p.v[s + 8u + (row >> 1u)] >> (16u * (row & 1u)) >> (2u * j) & 3u;
  uint code = (p.v[s + 16u + row] >> (4u * j) & 15u) | high << 4u;
  to.scale[0] = mul1(d, float_of_int(int(code) - 32));
#elif SCALES >= SCALES_Q2_K  // Q2_K, Q3_K, Q6_K
  for (uint h = 0u; h < 2u; ++h) {
    uint k = 2u * j + h;
#if SCALES == SCALES_Q2_K
    uint both = byte_at(p, s, 64u + 16u * k + row);
    to.scale[h] = mul1(d, float_of_uint(both & 15u));
    to.low[h] = mul1(-half_at(p, s + 8u, row), float_of_uint(both >> 4u));
#elif SCALES == SCALES_Q3_K
    uint low4 = p.v[s + 8u + 16u * (k % 8u / 4u) + row] >> (8u * (k % 4u) + 4u * (k / 8u)) & 15u;
    uint high2 = p.v[s + 40u + row] >> (8u * (k % 4u) + 2u * (k / 4u)) & 3u;
    to.scale[h] = mul1(d, float_of_int(int(low4 | high2 << 4u) - 32));
#elif SCALES == SCALES_Q6_K
    to.scale[h] = mul1(d, float_of_int(signed_byte(byte_at(p, s, 32u + 16u * k + row))));
#endif
  }
#endif
#if SCALES == SCALES_D_MIN
  to.low[0] = half_at(p, s + 8u, row);
#endif
#if PER_16 == 0
  to.scale[1] = to.scale[0];
  to.low[1] = to.low[0];
#endif
  return to;
}

// What one block adds to an output: acc = fma(a, b, acc), and with minima acc = fma(c, d, acc).
struct Terms {
  float a, b, c, d;
};
// From the sums of products of its two halves, the activations' scale, and their two sums.
FN Terms terms_of(Weights w, int first, int second, float scale, int sum0, int sum1) {
  Terms to;
  to.c = 0.0f;
  to.d = 0.0f;
#if PER_16 == 1
  float u = mul1(float_of_int(first - OFFSET * sum0), w.scale[0]);
  to.a = fma1(float_of_int(second - OFFSET * sum1), w.scale[1], u);
  to.b = scale;
#if MINIMA == 1
  to.c = fma1(w.low[1], float_of_int(sum1), mul1(w.low[0], float_of_int(sum0)));
  to.d = scale;
#endif
#else
  to.a = float_of_int(first + second - OFFSET * (sum0 + sum1));
  to.b = mul1(w.scale[0], scale);
#if MINIMA == 1
  to.c = w.low[0];
  to.d = mul1(float_of_int(sum0 + sum1), scale);
#endif
#endif
  return to;
}
