// clang-format off
// Blocks of 32 numbers in 8 bits: what kernels/elementwise.inl makes of them.
struct BlockScale {
  float scale, inverse;
  bool none;  // the block is zero
};

// `top`: the bits of the largest magnitude.
FN BlockScale scale_of_block(uint top) {
  BlockScale to;
  bool bad = top >= 0x7f800000u;
  to.none = bad || top < 0x03fe0000u;  // the scale would be below 2^-126
  float scale = div1(to.none ? 1.0f : float_of(top), 127.0f);
  to.inverse = div1(1.0f, scale);
  to.scale = bad ? float_of(0x7fc00000u) : (to.none ? 0.0f : scale);
  return to;
}
FN uint code_of(float x, BlockScale s) {
  if (s.none) return 0u;
  return bits_of(add1(mul1(x, s.inverse), 12582912.0f)) - 0x4b400000u;
}
FN uint larger_magnitude(uint top, float x) {
  uint m = bits_of(x) & 0x7fffffffu;
  return m > top ? m : top;
}
