// AVX2 and AVX-VNNI: vpdpbusd on vectors of 32 bytes (Intel Core since Alder Lake, Zen 5).
#include "infer/kernels/avx2.inl"
#include "infer/kernels/table.inl"

#include "infer/kernels/avx2_wide.inl"

namespace lathe::infer {

constinit const KernelTable kAvxVnniTable = make_table<PanelMatmul<QuadProducts>>("avxvnni");

}  // namespace lathe::infer
