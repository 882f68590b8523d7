// Parts of messages, and the pictures, sounds and documents in them.
#include "serve/server/content_request.h"

#include <algorithm>

#include "ground/base/base64.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

std::string_view files_of(Media::Kind kind) {
  return kind == Media::Kind::kPicture ? "PNG, JPEG, WebP or GIF picture"
                                       : "WAV, MP3, FLAC or Ogg sound";
}

Content read_base64(Fields& holder, std::string_view key, std::string_view data, Media::Kind kind) {
  auto bytes = decode_base64(data, kMaxMediaBytes);
  if (!bytes) {
    holder.refuse(key, bytes.error().message, "unsupported_value");
    return {};
  }
  auto media = Media::of_file(std::move(*bytes));
  if (media && media->kind == kind) return *std::move(media);
  holder.refuse(key, fmt::format("is no {}", files_of(kind)), "unsupported_value");
  return {};
}

Content read_base64(Fields& holder, std::string_view key, Media::Kind kind) {
  const Json& data = holder.raw(key);
  if (data.is_string()) return read_base64(holder, key, data.get_ref<const std::string&>(), kind);
  holder.refuse(key, "must be a file as base64");
  return {};
}

// "data:image/png;base64,…"; what stands before the comma but for the last word is not looked at:
// the bytes say what they are.
Content read_picture_url(Fields& holder, std::string_view key) {
  std::string_view url;
  if (const Json& value = holder.raw(key); value.is_string())
    url = value.get_ref<const std::string&>();
  const std::size_t comma = url.find(',');
  const std::string head = to_lower_ascii(url.substr(0, std::min<std::size_t>(comma, 200)));
  if (head.starts_with("data:") && head.ends_with(";base64") && comma != url.npos)
    return read_base64(holder, key, url.substr(comma + 1), Media::Kind::kPicture);
  holder.refuse(key, "must be a data: URL with the picture as base64: this server fetches nothing",
                "unsupported_value");
  return {};
}

// OpenAI's two APIs: the URL in an object, or as it stands.
Content read_picture(Fields& part) {
  if (part.has("file_id")) {
    part.refuse("file_id", "cannot be used: this server keeps no files; send the picture itself",
                "unsupported_value");
    return {};
  }
  if (!part.raw("image_url").is_object()) return read_picture_url(part, "image_url");
  Fields inner = part.within("image_url");
  return read_picture_url(inner, "url");
}

// The bytes of a document, as it stands or as a data: URL.
Content read_document(Fields& holder, std::string_view key, std::string name,
                      std::string_view data) {
  std::string media_type;
  if (const std::size_t comma = data.find(','); data.starts_with("data:") && comma != data.npos) {
    media_type = to_lower_ascii(data.substr(5, std::min<std::size_t>(comma - 5, 200)));
    data.remove_prefix(comma + 1);
  }
  auto bytes = decode_base64(data, kMaxMediaBytes);
  if (!bytes) {
    holder.refuse(key, bytes.error().message, "unsupported_value");
    return {};
  }
  auto document = Document::of_file(std::move(name), media_type, std::move(*bytes));
  if (document) return *std::move(document);
  holder.refuse(key, "is no PDF, DOCX, ODT, HTML, text or film", "unsupported_value");
  return {};
}

// What a sender calls it, fit to stand in a prompt.
std::string document_name(Fields& holder, std::string_view key) {
  std::string name = holder.text(key).value_or("");
  std::ranges::replace_if(
      name, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  name = clip_utf8(name, 200);
  return name.empty() ? "document" : name;
}

// OpenAI's two APIs: in an object, or as it stands.
Content read_file_part(Fields& file) {
  for (const char* elsewhere : {"file_id", "file_url"})
    if (file.has(elsewhere)) {
      file.refuse(elsewhere,
                  "cannot be used: this server fetches nothing and keeps no files; send file_data",
                  "unsupported_value");
      return {};
    }
  const Json& data = file.raw("file_data");
  if (data.is_string())
    return read_document(file, "file_data", document_name(file, "filename"),
                         data.get_ref<const std::string&>());
  file.refuse("file_data", "must be a file as base64");
  return {};
}

Content read_film_url(Fields& holder, std::string_view key) {
  const Json& url = holder.raw(key);
  if (!url.is_string() || !url.get_ref<const std::string&>().starts_with("data:")) {
    holder.refuse(key, "must be a data: URL with the film as base64: this server fetches nothing",
                  "unsupported_value");
    return {};
  }
  Content film = read_document(holder, key, "film", url.get_ref<const std::string&>());
  if (holder.fine() && film.documents().front()->kind != "film")
    holder.refuse(key, "is no MP4, Matroska, WebM or AVI film", "unsupported_value");
  return film;
}

// As vLLM and others take it: the URL in an object, or as it stands.
Content read_film(Fields& part) {
  if (!part.raw("video_url").is_object()) return read_film_url(part, "video_url");
  Fields inner = part.within("video_url");
  return read_film_url(inner, "url");
}

std::string read_text(Fields& part, std::string_view key) {
  const auto text = part.text(key);
  if (!text) part.refuse(key, "is missing");
  return text.value_or("");
}

Content read_part(Fields& part) {
  const std::string type = part.text("type").value_or("text");
  if (type == "text" || type == "input_text" || type == "output_text" || type == "summary_text" ||
      type == "reasoning_text")
    return read_text(part, "text");
  if (type == "refusal") return read_text(part, "refusal");
  if (type == "image_url" || type == "input_image") return read_picture(part);
  if (type == "image") return read_image_block(part);
  if (type == "input_audio") {
    Fields sound = part.within("input_audio");
    return read_base64(sound, "data", Media::Kind::kSound);
  }
  if (type == "video_url" || type == "input_video") return read_film(part);
  if (type == "input_file") return read_file_part(part);
  if (type == "file") {
    Fields file = part.within("file");
    return read_file_part(file);
  }
  if (type == "document") return read_document_block(part);
  part.refuse(
      "type",
      fmt::format(
          "is '{}': texts, pictures, sounds, films and documents are what this server knows",
          clip_utf8(type, 40)),
      "unsupported_value");
  return {};
}

}  // namespace

Content read_content(Fields& holder, std::string_view key) {
  if (!holder.raw(key).is_array()) return holder.text(key).value_or("");
  Content content;
  bool first = true;
  for (Fields& part : holder.each(key)) {
    Content read = read_part(part);
    if (!part.fine()) break;
    if (std::exchange(first, false))
      content = std::move(read);
    else
      content.add(std::move(read));
  }
  return content;
}

std::string read_words(Fields& holder, std::string_view key) {
  const Content content = read_content(holder, key);
  if (!content.is_text()) holder.refuse(key, "must be text", "unsupported_value");
  return content.text();
}

Content read_image_block(Fields& block) {
  Fields source = block.within("source");
  const std::string type = source.text("type").value_or("");
  if (type == "base64") return read_base64(source, "data", Media::Kind::kPicture);
  source.refuse("type",
                fmt::format("is '{}', and must be base64: this server fetches nothing and keeps no "
                            "files",
                            clip_utf8(type, 40)),
                "unsupported_value");
  return {};
}

Content read_document_block(Fields& block) {
  const std::string name = document_name(block, "title");
  Content content;
  Fields source = block.within("source");
  const std::string type = source.text("type").value_or("");
  const Json& data = source.raw("data");
  if (type == "content") {
    content = read_content(source, "content");
  } else if (type != "base64" && type != "text") {
    source.refuse("type",
                  fmt::format("is '{}', and must be base64, text or content: this server fetches "
                              "nothing and keeps no files",
                              clip_utf8(type, 40)),
                  "unsupported_value");
  } else if (!data.is_string()) {
    source.refuse("data", type == "text" ? "must be a text" : "must be a file as base64");
  } else if (type == "base64") {
    content = read_document(source, "data", name, data.get_ref<const std::string&>());
  } else if (auto text = Document::of_file(name, "text/plain", data.get<std::string>())) {
    content = *std::move(text);
  } else {
    source.refuse("data", "must be a text without zero bytes", "unsupported_value");
  }
  if (std::string context = block.text("context").value_or(""); !context.empty())
    return Content(std::move(context)).add(std::move(content));
  return content;
}

void read_images(Fields& holder, Content& content) {
  const Json& images = holder.array("images");
  for (std::size_t i = 0; i < images.size() && holder.fine(); ++i) {
    const std::string place = fmt::format("images[{}]", i);
    if (images[i].is_string())
      content.add(read_base64(holder, place, images[i].get_ref<const std::string&>(),
                              Media::Kind::kPicture));
    else
      holder.refuse(place, "must be a file as base64");
  }
}

}  // namespace lathe::serve
