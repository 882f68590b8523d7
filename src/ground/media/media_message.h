// What Lathe and its media workers send each other: a JSON head and raw bytes behind it, in one
// frame.
#pragma once

#include "ground/base/json.h"
#include "ground/media/sound.h"

namespace lathe {

struct MediaMessage {
  Json head = Json::object();
  std::string body;
};

std::string to_frame(const MediaMessage& message);
Result<MediaMessage> parse_frame(std::string_view frame);

std::string to_body(const Sound& sound);  // samples, little-endian
Result<Sound> sound_from_body(std::string_view body);

}  // namespace lathe
