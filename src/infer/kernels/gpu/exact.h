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
  if (d == float_of(0x7f800000u))
    return magnitude(x) < d ? float_of(bits_of(x) & 0x80000000u) : float_of(0x7fc00000u);
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

// kernels/elementwise.inl.
FN float tanh1(float x) {
  float square = mul1(x, x);
  float series = fma1(square, -17.0f / 315.0f, 2.0f / 15.0f);
  series = fma1(series, square, -1.0f / 3.0f);
  series = fma1(mul1(series, square), x, x);
  float e = exp1(mul1(-2.0f, magnitude(x)));
  float far = div1(sub1(1.0f, e), add1(1.0f, e));
  far = float_of((bits_of(far) & 0x7fffffffu) | (bits_of(x) & 0x80000000u));
  return magnitude(x) < 0.2f ? series : far;
}
FN float silu1(float x) { return div_by_sum(x, add1(1.0f, exp1(-x))); }
FN float gelu1(float x) {
  float inner = mul1(1.59576912f, fma1(mul1(mul1(0.044715f, x), x), x, x));
  return div_by_sum(x, add1(1.0f, exp1(-inner)));
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

// f32 → f16, to the nearest, ties to even (quant/half.cpp).
FN uint half_of(float x) {
  uint value = bits_of(x) & 0x7fffffffu;
  if (value > 0x7f800000u) value = 0x7e00u | (value >> 13u & 0x3ffu);
  else if (value >= 0x47800000u) value = 0x7c00u;
  else if (value < 0x38800000u) value = bits_of(add1(float_of(value), 0.5f)) - 0x3f000000u;
  else value = (value - (112u << 23u) + 0xfffu + (value >> 13u & 1u)) >> 13u;
  return value | (bits_of(x) >> 16u & 0x8000u);
}
