// clang-format off
// Sums and maxima over rows: 16 virtual lanes (element i in lane i % 16), added as a fixed tree
// (kernels/elementwise.inl). A workgroup has room for those of 8 rows.
SHARED float lanes[128];

FN float sum_of_lanes(uint at) {
  float s[8];
  for (uint i = 0u; i < 8u; ++i) s[i] = add1(lanes[at + i], lanes[at + i + 8u]);
  for (uint i = 0u; i < 4u; ++i) s[i] = add1(s[i], s[i + 4u]);
  return add1(add1(s[0], s[2]), add1(s[1], s[3]));
}
FN float largest_lane(uint at) {
  float m[8];
  for (uint i = 0u; i < 8u; ++i) m[i] = larger(lanes[at + i], lanes[at + i + 8u]);
  for (uint i = 0u; i < 4u; ++i) m[i] = larger(m[i], m[i + 4u]);
  return larger(larger(m[0], m[2]), larger(m[1], m[3]));
}

// What a row of n elements is multiplied by, from its 16 sums of squares.
FN float rms_factor(uint n, float epsilon) {
  float mean = div1(sum_of_lanes(0u), float_of_int(int(n)));
  return div1(1.0f, sqrt1(add1(mean, epsilon)));
}
