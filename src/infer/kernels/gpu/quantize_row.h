// clang-format off
// Rows in 8 bits, by 256 lanes that have one number each.
SHARED float row_tile[256];
SHARED uint code_tile[256];

// x: the lane's number of 256 that stand from block `block` on (8 of 32), of which `count` are there.
FN void quantize_tile(float x, uint lane, uint count, uint block, Words q, Floats scale, Shorts sum) {
  row_tile[lane] = x;
  BARRIER;
  uint top = 0u;
  for (uint i = 0u; i < 32u; ++i) top = larger_magnitude(top, row_tile[lane / 32u * 32u + i]);
  BlockScale s = scale_of_block(top);
  code_tile[lane] = code_of(x, s);
  BARRIER;
  if (lane < count && lane % 4u == 0u) {
    uint word = 0u;
    for (uint i = 0u; i < 4u; ++i) word |= (code_tile[lane + i] & 0xffu) << (8u * i);
    q.v[block * 8u + lane / 4u] = word;
  }
  if (lane < count && lane % 16u == 0u) {
    uint all = 0u;
    for (uint i = 0u; i < 16u; ++i) all += code_tile[lane + i];
    sum.v[block * 2u + lane / 16u] = int16_t(all);
  }
  if (lane < count && lane % 32u == 0u) scale.v[block + lane / 32u] = s.scale;
}
