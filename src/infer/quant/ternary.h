// One and two bits an element: codes of the ternary and binary types, for kernels that pack them by
// themselves. Pure.
#pragma once

#include <cstddef>

namespace lathe::infer {

// Element i of a block, as its weight: TQ1_0 -1 … 1, TQ2_0 and Q2_0 -1 … 2, Q1_0 -1 or 1.
int tq1_0_weight(const std::byte* block, std::size_t i);  // of 256; d at byte 52
int tq2_0_weight(const std::byte* block, std::size_t i);  // of 256; d at byte 64
int q1_0_weight(const std::byte* block, std::size_t i);   // of 128; d at byte 0
int q2_0_weight(const std::byte* block, std::size_t i);   // of 64; d at byte 0

}  // namespace lathe::infer
