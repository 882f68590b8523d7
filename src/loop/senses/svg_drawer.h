// Draws SVG with librsvg, always with the same few fonts (DejaVu, and Liberation for Arial, Times
// and their kin), so that a drawing looks the same wherever it is judged. Nothing outside the file
// is loaded and no script runs. Foreign bytes: use it in a confined process only
// (MediaPool::open_picture()); everything it needs from the disk is opened by make(). One thread.
#pragma once

#include <memory>

#include "ground/media/picture.h"

namespace lathe::loop {

// By its first bytes alone: is it XML with an <svg> in it?
bool looks_like_svg(std::string_view file);

inline constexpr std::size_t kMaxSvgFile = std::size_t{16} << 20;

// One <text> of the source, with the pixels that it would ink on an endless canvas.
struct SvgText {
  std::string text;
  Box ink;  // in pixels of the drawing; empty where nothing is drawn
};

struct Drawn {
  Picture picture;
  std::vector<SvgText> texts;        // in document order, at most kMaxSvgTexts
  std::vector<std::string> outside;  // what the source asks for beyond itself: URLs, scripts
};
inline constexpr std::size_t kMaxSvgTexts = 200;

class SvgDrawer {
 public:
  static Result<std::unique_ptr<SvgDrawer>> make();
  // At the drawing's own size; larger than 4096 pixels a side is drawn smaller.
  Result<Drawn> draw(std::string_view svg) const;
};

}  // namespace lathe::loop
