// Vectors of 16 lanes for panel.inl and attend.inl, NEON with the dot product instructions
// (ARMv8.2): four vectors of 4.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace lathe::infer {
namespace {

struct VF {
  float32x4_t v[4];
};
struct VI {
  int32x4_t v[4];
};
struct VB {
  int8x16_t v[4];
};
constexpr int kSignedOffset = 0;
// What tile.inl may keep in registers.
constexpr int kRegisterRows = 6, kRegisterVectors = 1;

// Each of the four vectors by `operation`.
template <class V, class Operation>
inline V each(Operation operation) {
  return {{operation(0), operation(1), operation(2), operation(3)}};
}

inline VF vf_set1(float x) {
  return each<VF>([x](int) { return vdupq_n_f32(x); });
}
inline VF vf_zero() {
  return vf_set1(0);
}
inline VF vf_load(const float* p) {
  return each<VF>([p](int i) { return vld1q_f32(p + 4 * i); });
}
inline void vf_store(float* p, VF x) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, x.v[i]);
}
inline VF vf_load_n(const float* p, std::size_t n) {
  if (n == 16) return vf_load(p);
  float all[16] = {};
  for (std::size_t i = 0; i < n; ++i) all[i] = p[i];
  return vf_load(all);
}
inline void vf_store_n(float* p, VF x, std::size_t n) {
  if (n == 16) return vf_store(p, x);
  float all[16];
  vf_store(all, x);
  for (std::size_t i = 0; i < n; ++i) p[i] = all[i];
}
inline VF vf_add(VF a, VF b) {
  return each<VF>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline VF vf_sub(VF a, VF b) {
  return each<VF>([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline VF vf_mul(VF a, VF b) {
  return each<VF>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline VF vf_fma(VF a, VF b, VF c) {
  return each<VF>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
inline VF vf_from_i(VI x) {
  return each<VF>([&](int i) { return vcvtq_f32_s32(x.v[i]); });
}
inline VF vf_bits(VI x) {
  return each<VF>([&](int i) { return vreinterpretq_f32_s32(x.v[i]); });
}
inline VI vi_as_bits(VF x) {
  return each<VI>([&](int i) { return vreinterpretq_s32_f32(x.v[i]); });
}
inline VF vf_load_f16(const void* p) {
  const auto* at = static_cast<const std::uint16_t*>(p);
  return each<VF>([at](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at + 4 * i))); });
}
inline VF vf_negative(VF x) {
  return each<VF>([&](int i) { return vnegq_f32(x.v[i]); });
}
// Lanes first … last-1 of x, the others from y. Both 0 … 16.
inline VF vf_select(VF x, VF y, int first, int last) {
  static constexpr std::int32_t kLane[4] = {0, 1, 2, 3};
  const int32x4_t lane = vld1q_s32(kLane);
  return each<VF>([&](int i) {
    const uint32x4_t keep = vandq_u32(vcgeq_s32(lane, vdupq_n_s32(first - 4 * i)),
                                      vcltq_s32(lane, vdupq_n_s32(last - 4 * i)));
    return vbslq_f32(keep, x.v[i], y.v[i]);
  });
}
// All lanes as the tree 8, 4, 2, 1.
inline float vf_fold_sum(VF x) {
  const float32x4_t s4 = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
  const float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
  return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}
// x < low ? 0 : x > high ? infinity : y
inline VF vf_clip_exp(VF x, VF y, float low, float high) {
  return each<VF>([&](int i) {
    const float32x4_t above =
        vbslq_f32(vcgtq_f32(x.v[i], vdupq_n_f32(high)), vdupq_n_f32(__builtin_inff()), y.v[i]);
    return vbslq_f32(vcltq_f32(x.v[i], vdupq_n_f32(low)), vdupq_n_f32(0), above);
  });
}
// The larger one of each lane; a NaN only if both are.
inline VF vf_larger(VF a, VF b) {
  return each<VF>([&](int i) {
    const uint32x4_t take =
        vorrq_u32(vcgtq_f32(b.v[i], a.v[i]), vmvnq_u32(vceqq_f32(a.v[i], a.v[i])));
    return vbslq_f32(take, b.v[i], a.v[i]);
  });
}
// The tree of fold_max in elementwise.inl.
inline float vf_fold_max(VF x) {
  const VF m8 = vf_larger(x, {x.v[2], x.v[3], x.v[2], x.v[3]});
  const VF m4 = vf_larger(m8, {m8.v[1], m8.v[1], m8.v[1], m8.v[1]});
  const float32x4_t back = vextq_f32(m4.v[0], m4.v[0], 2);
  const VF m2 = vf_larger(m4, {back, back, back, back});
  const float32x4_t next = vextq_f32(m2.v[0], m2.v[0], 1);
  return vgetq_lane_f32(vf_larger(m2, {next, next, next, next}).v[0], 0);
}

inline VI vi_set1(int x) {
  return each<VI>([x](int) { return vdupq_n_s32(x); });
}
inline VI vi_zero() {
  return vi_set1(0);
}
inline VI vi_load(const void* p) {
  return each<VI>([p](int i) {
    return vreinterpretq_s32_u8(vld1q_u8(static_cast<const std::uint8_t*>(p) + 16 * i));
  });
}
inline VI vi_load_u16(const void* p) {
  const auto* at = static_cast<const std::uint16_t*>(p);
  return each<VI>([at](int i) { return vreinterpretq_s32_u32(vmovl_u16(vld1_u16(at + 4 * i))); });
}
inline VI vi_load_u8(const void* p) {
  const uint8x16_t x = vld1q_u8(static_cast<const std::uint8_t*>(p));
  const uint16x8_t low = vmovl_u8(vget_low_u8(x)), high = vmovl_u8(vget_high_u8(x));
  return {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
           vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))),
           vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
           vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)))}};
}
inline VI vi_load_i8(const void* p) {
  const int8x16_t x = vld1q_s8(static_cast<const std::int8_t*>(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_s8(vget_high_s8(x));
  return {{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)),
           vmovl_s16(vget_low_s16(high)), vmovl_s16(vget_high_s16(high))}};
}
inline VI vi_add(VI a, VI b) {
  return each<VI>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
inline VI vi_and(VI a, VI b) {
  return each<VI>([&](int i) { return vandq_s32(a.v[i], b.v[i]); });
}
inline VI vi_or(VI a, VI b) {
  return each<VI>([&](int i) { return vorrq_s32(a.v[i], b.v[i]); });
}
inline VI vi_xor(VI a, VI b) {
  return each<VI>([&](int i) { return veorq_s32(a.v[i], b.v[i]); });
}
inline void vi_store(void* p, VI x) {
  for (int i = 0; i < 4; ++i) vst1q_s32(static_cast<std::int32_t*>(p) + 4 * i, x.v[i]);
}
inline VI vi_shr(VI a, int n) {
  return each<VI>([&](int i) {
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a.v[i]), vdupq_n_s32(-n)));
  });
}
inline VI vi_shl(VI a, int n) {
  return each<VI>([&](int i) { return vshlq_s32(a.v[i], vdupq_n_s32(n)); });
}
// Lanes where a < limit from x, the others from y.
inline VI vi_select_below(VI a, int limit, VI x, VI y) {
  return each<VI>(
      [&](int i) { return vbslq_s32(vcltq_s32(a.v[i], vdupq_n_s32(limit)), x.v[i], y.v[i]); });
}
// 16-bit halves that are f16, zero-extended → f32 (exact).
inline VF vf_from_f16_words(VI x) {
  return each<VF>([&](int i) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(vreinterpretq_u32_s32(x.v[i]))));
  });
}

inline VB vb_load(const void* p) {
  return each<VB>([p](int i) { return vld1q_s8(static_cast<const std::int8_t*>(p) + 16 * i); });
}
inline void vb_store(void* p, VB x) {
  for (int i = 0; i < 4; ++i) vst1q_s8(static_cast<std::int8_t*>(p) + 16 * i, x.v[i]);
}
inline VB vb_of(VI x) {
  return each<VB>([&](int i) { return vreinterpretq_s8_s32(x.v[i]); });
}
inline VB vb_add(VB a, VB b) {
  return each<VB>([&](int i) { return vaddq_s8(a.v[i], b.v[i]); });
}
// Bytes of x whose byte of `bits` has this bit, negated.
template <int kBit>
inline VB vb_negate_where(VB x, VB bits) {
  const int8x16_t bit = vdupq_n_s8(static_cast<std::int8_t>(1 << kBit));
  return each<VB>(
      [&](int i) { return vbslq_s8(vtstq_s8(bits.v[i], bit), vnegq_s8(x.v[i]), x.v[i]); });
}
// The words of 4 bytes of a, then b: every first of two to a, every second to b.
inline void vb_unzip(VB& a, VB& b) {
  const auto part = [&](int i) { return vreinterpretq_s32_s8(i < 4 ? a.v[i] : b.v[i - 4]); };
  const VB first = each<VB>(
      [&](int i) { return vreinterpretq_s8_s32(vuzp1q_s32(part(2 * i), part(2 * i + 1))); });
  b = each<VB>(
      [&](int i) { return vreinterpretq_s8_s32(vuzp2q_s32(part(2 * i), part(2 * i + 1))); });
  a = first;
}
inline VB vb_zero() {
  return each<VB>([](int) { return vdupq_n_s8(0); });
}
inline VB vb_low_nibbles(VB x) {
  return each<VB>([&](int i) { return vandq_s8(x.v[i], vdupq_n_s8(15)); });
}
inline VB vb_high_nibbles(VB x) {
  return each<VB>(
      [&](int i) { return vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(x.v[i]), 4)); });
}
// Bits kFrom … of every byte, under the mask, moved to bit kTo … and added to `low`.
template <int kFrom, int kTo, int kMask>
inline VB vb_or_field(VB low, VB x) {
  return each<VB>([&](int i) {
    uint8x16_t b = vreinterpretq_u8_s8(x.v[i]);
    if constexpr (kFrom > kTo)
      b = vshrq_n_u8(b, kFrom - kTo);
    else if constexpr (kFrom < kTo)
      b = vshlq_n_u8(b, kTo - kFrom);
    b = vandq_u8(b, vdupq_n_u8(static_cast<std::uint8_t>(kMask << kTo)));
    return vreinterpretq_s8_u8(vorrq_u8(vreinterpretq_u8_s8(low.v[i]), b));
  });
}
inline VB vb_from_signed(VB x) {
  return x;
}
inline VB vb_table(const std::int8_t* values) {
  return each<VB>([values](int) { return vld1q_s8(values); });
}
inline VB vb_lookup(VB table, VB index) {
  return each<VB>([&](int i) { return vqtbl1q_s8(table.v[i], vreinterpretq_u8_s8(index.v[i])); });
}

// acc + Σ over 4 neighbours of w·a, the 4 activations being the same for every lane.
template <bool kSigned>
inline VI dot4(VI acc, VB w, const std::int8_t* a) {
  std::int32_t word;
  __builtin_memcpy(&word, a, sizeof word);
  const int8x16_t all = vreinterpretq_s8_s32(vdupq_n_s32(word));
  return each<VI>([&](int i) { return vdotq_s32(acc.v[i], w.v[i], all); });
}
// c0·sum[0] + c1·sum[1] in every lane.
inline VI sum_dot(const std::int16_t* sum, int c0, int c1) {
  return vi_set1(c0 * sum[0] + c1 * sum[1]);
}
inline void prefetch(const void* p) {
  __builtin_prefetch(p);
}
inline void prefetch_far(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

}  // namespace
}  // namespace lathe::infer
