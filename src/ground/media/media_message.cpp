// A JSON head and raw bytes in one frame, between Lathe and its media workers.
#include "ground/media/media_message.h"

namespace lathe {
namespace {
constexpr std::size_t kLengthBytes = 4;
constexpr JsonLimits kHeadLimits{.max_bytes = std::size_t{16} << 20, .max_depth = 16};
}  // namespace

std::string to_frame(const MediaMessage& message) {
  const std::string head = dump_json(message.head);
  std::string frame;
  frame.reserve(kLengthBytes + head.size() + message.body.size());
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    frame += static_cast<char>(head.size() >> (8 * i) & 0xFFU);
  return frame + head + message.body;
}

Result<MediaMessage> parse_frame(std::string_view frame) {
  if (frame.size() < kLengthBytes) return invalid("a media frame of {} bytes", frame.size());
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    length |= std::size_t{static_cast<unsigned char>(frame[i])} << (8 * i);
  frame.remove_prefix(kLengthBytes);
  if (length > frame.size())
    return invalid("a media frame whose head claims {} of {} bytes", length, frame.size());
  MediaMessage message;
  LATHE_TRY(message.head, parse_json(frame.substr(0, length), kHeadLimits));
  if (!message.head.is_object()) return invalid("a media frame whose head is no object");
  message.body = frame.substr(length);
  return message;
}

std::string to_body(const Sound& sound) {
  std::string body;
  body.reserve(sound.samples.size() * 2);
  for (const std::int16_t sample : sound.samples) {
    const auto bits = static_cast<std::uint16_t>(sample);
    body += static_cast<char>(bits & 0xFFU);
    body += static_cast<char>(bits >> 8);
  }
  return body;
}

Result<Sound> sound_from_body(std::string_view body) {
  if (body.size() % 2 != 0) return invalid("half a sample at the end of a sound");
  Sound sound;
  sound.samples.reserve(body.size() / 2);
  for (std::size_t i = 0; i < body.size(); i += 2)
    sound.samples.push_back(static_cast<std::int16_t>(
        static_cast<unsigned char>(body[i]) | static_cast<unsigned char>(body[i + 1]) << 8));
  return sound;
}

}  // namespace lathe
