// clang-format off
// Float functions whose bits are IEEE 754's, or those of kernels/exp.inl, on every device that
// rounds sums, products and fma right, however inexact its division and square root are (Vulkan
// promises 2.5 ulp and less).

// The neighbour away from zero (or, with -1, towards it).
FN float neighbour(float x, int ulps) { return float_of(uint(int(bits_of(x)) + ulps)); }
FN float magnitude(float x) { return float_of(bits_of(x) & 0x7fffffffu); }

// a / b where both and the quotient are normal. Of the candidates about the device's quotient the
// one with the smallest remainder: a − q·b is exact by fma near the quotient, and its sign tells on
// which side q is.
FN float div1(float a, float b) {
  float q = near_quotient(a, b);
  for (int i = 0; i < 4; ++i) {
    float r = fma1(-q, b, a);
    if (r == 0.0f) break;
    uint too_large = (bits_of(r) ^ bits_of(b) ^ bits_of(q)) >> 31u;
    float next = neighbour(q, too_large == 0u ? 1 : -1);
    float s = fma1(-next, b, a);
    if (!(magnitude(s) < magnitude(r))) break;  // a quotient is never halfway
    q = next;
  }
  return q;
}

// x / d for d ≥ 1 up to infinity. Vulkan says nothing of divisors above 2^126: large ones are
// scaled down first, which is exact as long as the quotient is normal.
FN float div_by_sum(float x, float d) {
  if (d == float_of(0x7f800000u)) return float_of(bits_of(x) & 0x80000000u);
  bool large = d > 1.8446744e19f;  // 2^64
  float q = div1(x, large ? mul1(d, 5.421010862427522e-20f) : d);
  return large ? mul1(q, 5.421010862427522e-20f) : q;
}

FN float sqrt1(float a) {
  float q = near_root(a);
  for (int i = 0; i < 8; ++i) {
    float r = fma1(-q, q, a);
    if (r == 0.0f) break;
    float next = neighbour(q, r > 0.0f ? 1 : -1);
    float s = fma1(-next, next, a);
    if (!(magnitude(s) < magnitude(r))) break;
    q = next;
  }
  return q;
}

// kernels/exp.inl.
FN float exp1(float x) {
  float t = fma1(x, 1.44269504f, 12582912.0f);
  float n = sub1(t, 12582912.0f);
  float r = fma1(n, -0.693359375f, x);
  r = fma1(n, 2.12194440e-4f, r);
  float p = 1.0f / 720.0f;
  p = fma1(p, r, 1.0f / 120.0f);
  p = fma1(p, r, 1.0f / 24.0f);
  p = fma1(p, r, 1.0f / 6.0f);
  p = fma1(p, r, 0.5f);
  p = fma1(p, r, 1.0f);
  p = fma1(p, r, 1.0f);
  float y = mul1(p, float_of((bits_of(t) + 127u) << 23u));
  return x < -87.33654f ? 0.0f : (x > 88.37626f ? float_of(0x7f800000u) : y);
}

FN float larger(float a, float b) { return b > a || a != a ? b : a; }

// f16 → f32 by integers: no device rounds or flushes anything.
FN float half1(uint h) {
  uint sign = (h & 0x8000u) << 16u, value = (h & 0x7fffu) << 13u, exponent = value & 0x0f800000u;
  value += 112u << 23u;
  if (exponent == 0x0f800000u) {
    value += 112u << 23u;
    if ((value & 0x007fffffu) != 0u) value |= 0x00400000u;
  } else if (exponent == 0u) {
    value = bits_of(sub1(float_of(value + (1u << 23u)), float_of(113u << 23u)));
  }
  return float_of(value | sign);
}
