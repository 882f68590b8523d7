// The values and block scales of the unevenly spaced 4-bit types, for kernels that unpack them by
// themselves. Pure.
#pragma once

#include <array>

namespace lathe::infer {

inline constexpr std::array<float, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                     1,    13,   25,  38,  53,  69,  89,  113};
// E2M1 times 2.
inline constexpr std::array<float, 16> kFp4Values = {0, 1,  2,  3,  4,  6,  8,  12,
                                                     0, -1, -2, -3, -4, -6, -8, -12};

float mxfp4_scale(unsigned e);  // of a block's E8M0 byte, halved
float nvfp4_scale(unsigned c);  // of 16 elements' E4M3 byte, halved

}  // namespace lathe::infer
