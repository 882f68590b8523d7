// Formats by their first bytes.
#include "serve/runs/sniff.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  std::string_view start;
  std::size_t offset;     // of `then`
  std::string_view then;  // "": nothing more
  std::string_view type;
};

// Public signatures of the formats; of two that fit, the first counts.
constexpr Magic kMagics[] = {
    {"\x89PNG\r\n\x1a\n"sv, 0, "", "image/png"},
    {"\xff\xd8\xff"sv, 0, "", "image/jpeg"},
    {"GIF87a", 0, "", "image/gif"},
    {"GIF89a", 0, "", "image/gif"},
    {"RIFF", 8, "WEBP", "image/webp"},
    {"RIFF", 8, "WAVE", "audio/wav"},
    {"OggS", 0, "", "audio/ogg"},
    {"fLaC", 0, "", "audio/flac"},
    {"ID3", 0, "", "audio/mpeg"},
    {"\xff\xfb"sv, 0, "", "audio/mpeg"},
    {"\xff\xf3"sv, 0, "", "audio/mpeg"},
    {"", 4, "ftypM4A", "audio/mp4"},
    {"", 4, "ftypavif", "image/avif"},
    {"", 4, "ftyp", "video/mp4"},
    {"\x1a\x45\xdf\xa3"sv, 0, "", "video/webm"},
};

// Tabs, line breaks and form feeds are text; other control characters are not.
bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') || byte == 0x7F;
}

}  // namespace

std::string_view sniffed_media_type(std::string_view bytes) {
  for (const Magic& magic : kMagics) {
    if (!bytes.starts_with(magic.start)) continue;
    if (magic.then.empty() ||
        (bytes.size() > magic.offset && bytes.substr(magic.offset).starts_with(magic.then)))
      return magic.type;
  }
  const bool text =
      find_invalid_utf8(bytes) == std::string_view::npos && std::ranges::none_of(bytes, is_control);
  return text ? "text/plain; charset=utf-8" : "application/octet-stream";
}

bool looks_like_markup(std::string_view bytes) {
  if (!sniffed_media_type(bytes).starts_with("text/")) return false;
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  bytes = trim(bytes);
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return bytes.size() > 1 && bytes[0] == '<' &&
         (letter(bytes[1]) || bytes[1] == '!' || bytes[1] == '?');
}

bool shown_inline(std::string_view media_type) {
  return media_type != "application/octet-stream";
}

}  // namespace lathe::serve
