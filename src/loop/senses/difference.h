// How far one picture is from another: structure (SSIM) and colour, part by part. Pure and
// deterministic.
#pragma once

#include "ground/media/picture.h"

namespace lathe::loop {

struct Difference {
  double similarity = 0;  // of the whole, in [0,1]; 1: the same
  int columns = 0, rows = 0;
  std::vector<double> parts;  // (rows, columns): how far each is off, in [0,1]
};

// `picture` is brought to the reference's size first.
Difference difference_of(const Picture& picture, const Picture& reference);

}  // namespace lathe::loop
