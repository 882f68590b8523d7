// Puts the parts of a message together.
#include "work/content.h"

#include <fmt/format.h>

#include <utility>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe {

namespace {

struct FileType {
  std::string_view begins, further;  // what the file begins with, and what stands at byte 8
  Media::Kind kind;
  std::string_view media_type;
};
constexpr FileType kFileTypes[] = {
    {"\x89PNG\r\n\x1a\n", "", Media::Kind::kPicture, "image/png"},
    {"\xff\xd8\xff", "", Media::Kind::kPicture, "image/jpeg"},
    {"RIFF", "WEBP", Media::Kind::kPicture, "image/webp"},
    {"GIF87a", "", Media::Kind::kPicture, "image/gif"},
    {"GIF89a", "", Media::Kind::kPicture, "image/gif"},
    {"RIFF", "WAVE", Media::Kind::kSound, "audio/wav"},
    {"ID3", "", Media::Kind::kSound, "audio/mpeg"},
    // A frame of MPEG's layer III without a tag before it; of version 1 and 2, with and without a
    // checksum.
    {"\xff\xfb", "", Media::Kind::kSound, "audio/mpeg"},
    {"\xff\xfa", "", Media::Kind::kSound, "audio/mpeg"},
    {"\xff\xf3", "", Media::Kind::kSound, "audio/mpeg"},
    {"\xff\xf2", "", Media::Kind::kSound, "audio/mpeg"},
    {"fLaC", "", Media::Kind::kSound, "audio/flac"},
    {"OggS", "", Media::Kind::kSound, "audio/ogg"},
};

struct DocumentType {
  std::string_view kind, media_type;
};
constexpr DocumentType kDocumentTypes[] = {
    {"pdf", "application/pdf"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"html", "text/html"},
    {"txt", "text/plain"},
    {"film", "video/mp4"},
};

// "": none. An archive is told apart by its first member, which OpenDocument demands.
std::string_view kind_of(std::string_view name, std::string_view media_type,
                         std::string_view bytes) {
  if (bytes.starts_with("%PDF-")) return "pdf";
  if (bytes.starts_with("PK\x03\x04"))
    return bytes.substr(0, 200).contains("mimetypeapplication/vnd.oasis.opendocument.text")
               ? "odt"
               : "docx";
  if (bytes.substr(0, 8).ends_with("ftyp") || bytes.starts_with("\x1a\x45\xdf\xa3") ||
      (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("AVI ")))
    return "film";
  if (find_invalid_utf8(bytes) != bytes.npos || bytes.contains('\0')) return "";
  const std::string lower = to_lower_ascii(name);
  const bool html =
      lower.ends_with(".html") || lower.ends_with(".htm") || media_type.starts_with("text/html");
  return html ? "html" : "txt";
}

}  // namespace

std::optional<Media> Media::of_file(std::string bytes) {
  const std::string_view file = bytes;
  for (const FileType& type : kFileTypes) {
    if (!file.starts_with(type.begins) || file.size() < 12 ||
        !file.substr(8).starts_with(type.further))
      continue;
    std::string hash = sha256_hex(bytes);
    return Media{type.kind, std::string(type.media_type), std::move(hash),
                 std::make_shared<const std::string>(std::move(bytes))};
  }
  return std::nullopt;
}

std::string Media::name() const {
  return fmt::format("{} ({})", kind == Kind::kPicture ? "a picture" : "a sound", media_type);
}

std::optional<Document> Document::of_file(std::string name, std::string_view media_type,
                                          std::string bytes) {
  const std::string_view kind = kind_of(name, media_type, bytes);
  if (kind.empty()) return std::nullopt;
  Document document;
  document.name = std::move(name);
  document.kind = kind;
  document.sha256 = sha256_hex(bytes);
  document.bytes = std::make_shared<const std::string>(std::move(bytes));
  return document;
}

std::string_view Document::media_type() const {
  for (const DocumentType& type : kDocumentTypes)
    if (type.kind == kind) return type.media_type;
  return "application/octet-stream";
}

Content::Content(std::string text) {
  parts_.emplace_back(std::move(text));
}

Content::Content(Media media) {
  parts_.emplace_back(std::move(media));
}

Content::Content(Document document) {
  parts_.emplace_back(std::move(document));
}

std::string Content::text() const {
  std::string all;
  bool first = true;
  for (const ContentPart& part : parts_) {
    const std::string* text = std::get_if<std::string>(&part);
    if (text == nullptr) continue;
    if (!std::exchange(first, false)) all += '\n';
    all += *text;
  }
  return all;
}

std::vector<const Media*> Content::media() const {
  std::vector<const Media*> found;
  for (const ContentPart& part : parts_)
    if (const Media* media = std::get_if<Media>(&part)) found.push_back(media);
  return found;
}

std::vector<const Document*> Content::documents() const {
  std::vector<const Document*> found;
  for (const ContentPart& part : parts_)
    if (const Document* document = std::get_if<Document>(&part)) found.push_back(document);
  return found;
}

Content& Content::add(Content more, std::string_view between) {
  const bool all_text = is_text() && more.is_text();
  for (ContentPart& part : more.parts_) {
    std::string* last = std::get_if<std::string>(&parts_.back());
    const std::string* text = std::get_if<std::string>(&part);
    if (last != nullptr && text != nullptr && (all_text || !last->empty())) {
      *last += between;
      *last += *text;
    } else if (last != nullptr && last->empty()) {
      parts_.back() = std::move(part);
    } else if (text == nullptr || !text->empty()) {
      parts_.push_back(std::move(part));
    }
  }
  return *this;
}

}  // namespace lathe
