// exp for every instruction set: the same float operations in the same order, so the same bits.
// n = round(x·log2 e), r = x − n·ln 2 in two steps (Cody and Waite), a polynomial of degree 6 on
// |r| ≤ ln 2 / 2 (its Taylor coefficients: below 2 ulp), times 2^n. Below -87.33 the result is 0
// (no subnormal results), above 88.37 infinity; NaN stays NaN. Static, so that each kernel file
// gets its own copy for its own instruction set.

namespace lathe::infer {
namespace {

constexpr float kExpLow = -87.33654f, kExpHigh = 88.37626f;
constexpr float kExpLog2e = 1.44269504f, kExpMagic = 12582912.0f;  // 1.5·2^23 rounds to integers
constexpr float kExpLn2Hi = 0.693359375f, kExpLn2Lo = -2.12194440e-4f;
constexpr float kExpC[7] = {1.0f,         1.0f,          0.5f,         1.0f / 6.0f,
                            1.0f / 24.0f, 1.0f / 120.0f, 1.0f / 720.0f};

[[maybe_unused, gnu::always_inline]] inline float exp1(float x) {
  const float t = __builtin_fmaf(x, kExpLog2e, kExpMagic);
  const float n = t - kExpMagic;
  float r = __builtin_fmaf(n, -kExpLn2Hi, x);
  r = __builtin_fmaf(n, -kExpLn2Lo, r);
  float p = kExpC[6];
  p = __builtin_fmaf(p, r, kExpC[5]);
  p = __builtin_fmaf(p, r, kExpC[4]);
  p = __builtin_fmaf(p, r, kExpC[3]);
  p = __builtin_fmaf(p, r, kExpC[2]);
  p = __builtin_fmaf(p, r, kExpC[1]);
  p = __builtin_fmaf(p, r, kExpC[0]);
  const float power = __builtin_bit_cast(float, (__builtin_bit_cast(unsigned, t) + 127u) << 23);
  const float y = p * power;
  return x < kExpLow ? 0.0f : x > kExpHigh ? __builtin_inff() : y;
}

}  // namespace
}  // namespace lathe::infer
