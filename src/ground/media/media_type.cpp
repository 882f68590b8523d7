// Media types by the ends of names.
#include "ground/media/media_type.h"

#include <utility>

#include "ground/base/text.h"

namespace lathe {

std::string_view media_type_of_name(const fs::path& file) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".wav", "audio/wav"},   {".flac", "audio/flac"},       {".ogg", "audio/ogg"},
      {".mp3", "audio/mpeg"},  {".json", "application/json"}, {".md", "text/markdown"},
      {".png", "image/png"},   {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"},
      {".webp", "image/webp"}, {".svg", "image/svg+xml"},     {".html", "text/html"},
      {".htm", "text/html"},
  };
  const std::string extension = to_lower_ascii(file.extension().string());
  for (const auto& [end, type] : kTypes)
    if (extension == end) return type;
  return "text/plain";
}

}  // namespace lathe
