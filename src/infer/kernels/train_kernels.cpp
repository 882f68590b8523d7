// How the operands of a product lie.
#include "infer/kernels/train_kernels.h"

#include <algorithm>

namespace lathe::infer {

void transpose_panel(const float* source, std::size_t stride, std::size_t rows, std::size_t k,
                     float* panel) {
  // 16 numbers of every row at a time: whole cache lines on both sides.
  for (std::size_t i = 0; i < k; i += 16) {
    const std::size_t end = std::min(k, i + 16);
    for (std::size_t r = 0; r < kTileColumns; ++r)
      for (std::size_t j = i; j < end; ++j)
        panel[j * kTileColumns + r] = r < rows ? source[r * stride + j] : 0.0f;
  }
}

}  // namespace lathe::infer
