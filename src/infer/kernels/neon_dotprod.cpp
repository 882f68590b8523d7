// The kernel table of NEON with dot products.
#include "infer/kernels/neon.inl"
#include "infer/kernels/table.inl"

namespace lathe::infer {

constinit const KernelTable kNeonDotprodTable = make_table<PanelMatmul<>>("neon-dotprod");

}  // namespace lathe::infer
