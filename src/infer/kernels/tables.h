// The tables that this build has; registry.cpp chooses. Kernel files see each other only here.
#pragma once

#include "infer/kernels/kernels.h"

namespace lathe::infer {

extern const KernelTable kScalarTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvxVnniTable;
extern const KernelTable kAvx512VnniTable;
extern const KernelTable kAvx512AmxTable;
#elif defined(__aarch64__)
extern const KernelTable kNeonDotprodTable;
extern const KernelTable kNeonI8mmTable;
#endif

}  // namespace lathe::infer
