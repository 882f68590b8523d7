// What a picture's pixels tell without reading: the background, what stands on it, and how far
// letters stand out. Pure; costs some milliseconds, as it looks at a reduced copy where that is
// enough.
#pragma once

#include <array>

#include "ground/media/picture.h"

namespace lathe::loop {

// A connected thing that stands out from the background.
struct Thing {
  Box box;
  double share = 0;              // of the picture's pixels
  double filled = 0;             // share of its box that it covers, what letters hide counted in
  bool plain = false;            // one colour all over
  std::vector<Box> on;           // of the letters given, those that lie on it at least in part …
  std::vector<double> on_share;  // … and how much of each one's surroundings it is, in [0,1]
};

struct Scene {
  bool ground_known = false;  // false: the background is too busy to say what stands on it
  double ink_share = 0;       // of pixels that are not background
  std::array<int, 4>
      cut_pieces{};           // how many pieces of ink end at the top, right, bottom and left edge
  std::vector<Thing> things;  // largest first; letters themselves are left out
  std::vector<double> rims;   // per box of letters: how much of what surrounds it is not background
};

// `letters`: where words were read; they are taken out, and what they lie on is seen through them.
Scene scene_of(const Picture& picture, const std::vector<Box>& letters);

// The contrast of a word with what is around it: the WCAG ratio that seven tenths of its
// surroundings reach. `others`: boxes of other words, which do not count as surroundings.
double word_contrast(const Picture& picture, const Box& word, const std::vector<Box>& others);

// The relative luminance of WCAG 2, in [0,1], and the contrast ratio of two of them, in [1,21].
double luminance(const std::uint8_t* rgb);
double contrast_ratio(double luminance_a, double luminance_b);

}  // namespace lathe::loop
