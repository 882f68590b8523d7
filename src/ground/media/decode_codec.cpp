// Sounds and pictures as values between processes.
#include "ground/media/decode_codec.h"

#include <algorithm>

namespace lathe {
namespace {

int side_from(const Json& head, std::string_view key) {
  return static_cast<int>(std::clamp<std::int64_t>(json_int(head, key, 0), 0, kMaxPicturePixels));
}

}  // namespace

MediaMessage to_message(const Decoded& decoded) {
  return {{{"rate", decoded.source_rate},
           {"channels", decoded.source_channels},
           {"clipped_runs", decoded.clipped_runs}},
          to_body(decoded.sound)};
}

Result<Decoded> decoded_from(const MediaMessage& message) {
  Decoded decoded;
  decoded.source_rate = static_cast<int>(json_int(message.head, "rate", 0));
  decoded.source_channels = static_cast<int>(json_int(message.head, "channels", 0));
  decoded.clipped_runs = static_cast<int>(json_int(message.head, "clipped_runs", 0));
  LATHE_TRY(decoded.sound, sound_from_body(message.body));
  return decoded;
}

MediaMessage to_message(const Picture& picture) {
  return {{{"width", picture.width}, {"height", picture.height}},
          {reinterpret_cast<const char*>(picture.rgb.data()), picture.rgb.size()}};
}

Result<Picture> picture_from(const MediaMessage& message) {
  Picture picture{side_from(message.head, "width"), side_from(message.head, "height"), {}};
  const auto pixels = std::int64_t{picture.width} * picture.height;
  if (pixels < 1 || pixels > kMaxPicturePixels ||
      message.body.size() != static_cast<std::size_t>(pixels) * 3)
    return fail(ErrorKind::kUnavailable, "{} bytes are no picture of {}x{}", message.body.size(),
                picture.width, picture.height);
  picture.rgb.assign(message.body.begin(), message.body.end());
  return picture;
}

}  // namespace lathe
