// The kernel table of AVX-512 with VNNI.
#include "infer/kernels/avx512.inl"
#include "infer/kernels/table.inl"

namespace lathe::infer {

constinit const KernelTable kAvx512VnniTable = make_table<PanelMatmul<>>("avx512vnni");

}  // namespace lathe::infer
