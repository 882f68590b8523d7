// Reads a picture file (PNG, JPEG, WebP, by Leptonica). Foreign bytes: call it in a confined
// process only; decode_picture_file() does.
#pragma once

#include "ground/media/picture.h"

namespace lathe {

inline constexpr std::size_t kMaxPictureFile = std::size_t{64} << 20;
inline constexpr int kMaxPictureSide = 16'000;

Result<Picture> decode_picture(std::string_view file);

// A picture file as librsvg can take it: a WebP becomes a PNG, with its transparency.
struct PlainPicture {
  std::string png;  // empty: the file is fine as it is
  std::int64_t pixels = 0;
};
Result<PlainPicture> plain_picture(std::string_view file);

}  // namespace lathe
