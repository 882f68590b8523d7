// AVX2 with FMA and F16C, for processors without any byte dot product.
#include "infer/kernels/avx2.inl"
#include "infer/kernels/table.inl"

#include "infer/kernels/avx2_wide.inl"

namespace lathe::infer {

constinit const KernelTable kAvx2Table = make_table<PanelMatmul<QuadProducts>>("avx2");

}  // namespace lathe::infer
