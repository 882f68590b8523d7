// clang-format off
// How a chunk of 64 positions of one head lies in a block (kernels/attend.inl): KV_… says of which
// type. `base` is the chunk's first word, `dim` the padded dimensions of a head.

#if defined(KV_F16)

FN float key_at(Words p, uint base, uint dim, uint slot, uint d) {
  uint i = slot / 16u * 16u * dim + d * 16u + slot % 16u;
  return half1(p.v[base + i / 2u] >> (16u * (i & 1u)) & 0xffffu);
}
FN float value_at(Words p, uint base, uint dim, uint slot, uint d) {
  uint i = (64u + slot) * dim + d;
  return half1(p.v[base + i / 2u] >> (16u * (i & 1u)) & 0xffffu);
}

#elif defined(KV_Q8_0)

// Word g of the key's block b.
FN uint key_word(Words p, uint base, uint dim, uint slot, uint b, uint g) {
  return p.v[base + 128u * (slot / 16u * (dim / 32u) + b) + 16u * g + slot % 16u];
}
FN uint half_word(Words p, uint base, uint i) {
  return p.v[base + i / 2u] >> (16u * (i & 1u)) & 0xffffu;
}
FN float key_scale(Words p, uint base, uint dim, uint slot, uint b) {
  return half1(half_word(p, base, 32u * dim + 16u * (slot / 16u * (dim / 32u) + b) + slot % 16u));
}
FN float value_scale(Words p, uint base, uint dim, uint slot, uint b) {
  return half1(half_word(p, base, 66u * dim + 64u * b + slot));
}
FN float value_code(Words p, uint base, uint dim, uint slot, uint d) {
  uint word = p.v[base + 17u * dim + (slot * dim + d) / 4u];
  return float_of_int(int(word << (24u - 8u * (d & 3u))) >> 24);
}

#endif
