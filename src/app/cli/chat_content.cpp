// Parts there and back.
#include "app/cli/chat_content.h"

#include "ground/base/base64.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostMedia = std::size_t{64} << 20;

Result<Content> content_of_part(const Json& part) {
  const std::string type = json_string(part, "type");
  if (type == "text") return Content(json_string(part, "text"));
  std::string data = json_string(json_at(part, "input_audio"), "data");
  if (type == "image_url") {
    data = json_string(json_at(part, "image_url"), "url");
    const std::size_t begin = data.find(";base64,");
    if (begin == data.npos) return invalid("a picture of it is no data: URL");
    data.erase(0, begin + std::string_view(";base64,").size());
  } else if (type != "input_audio") {
    return invalid("a part of it is '{}'; texts, pictures and sounds are known",
                   clip_utf8(type, 40));
  }
  LATHE_TRY(std::string bytes, decode_base64(data, kMostMedia));
  auto media = Media::of_file(std::move(bytes));
  if (!media) return invalid("a part of it is neither a picture nor a sound");
  return Content(*std::move(media));
}

}  // namespace

Json json_of_part(const ContentPart& part) {
  const Media* media = std::get_if<Media>(&part);
  if (media == nullptr) return {{"type", "text"}, {"text", std::get<std::string>(part)}};
  const std::string data = to_base64(*media->bytes);
  if (media->kind == Media::Kind::kPicture)
    return {{"type", "image_url"},
            {"image_url", {{"url", fmt::format("data:{};base64,{}", media->media_type, data)}}}};
  return {
      {"type", "input_audio"},
      {"input_audio",
       {{"data", data}, {"format", media->media_type.substr(media->media_type.find('/') + 1)}}}};
}

Result<Content> content_of_json(const Json& json) {
  if (json.is_string()) return Content(json.get<std::string>());
  if (!json.is_array() || json.empty()) return invalid("its content is no text");
  std::optional<Content> content;
  for (const Json& part : json) {
    LATHE_TRY(Content piece, content_of_part(part));
    if (content)
      content->add(std::move(piece));
    else
      content = std::move(piece);
  }
  return *std::move(content);
}

}  // namespace lathe::app
