// What a message says: texts, pictures, sounds and documents, in order. Values; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lathe {

// A picture or a sound as its file has it, not decoded. The hash stands for the bytes: two of one
// hash are the same.
struct Media {
  enum class Kind { kPicture, kSound };
  Kind kind;
  std::string media_type;  // "image/png", "audio/wav"
  std::string sha256;      // of the bytes, in hex
  std::shared_ptr<const std::string> bytes;

  // By the first bytes: PNG, JPEG, WebP and GIF, WAV, MP3, FLAC and Ogg; nullopt: none of them.
  static std::optional<Media> of_file(std::string bytes);
  // "a picture (image/png)"
  std::string name() const;
  bool operator==(const Media& other) const { return sha256 == other.sha256; }
};

// A document as its file has it, not read: a model gets its text, of a film pictures.
struct Document {
  std::string name;    // as its sender calls it
  std::string kind;    // "pdf" "docx" "odt" "html" "txt" "film"
  std::string sha256;  // of the bytes, in hex
  std::shared_ptr<const std::string> bytes;

  // By the first bytes; what is text, by the name or the media type ("" where none is told). Films
  // are MP4 and its kin, Matroska, WebM and AVI.
  // nullopt: none of these.
  static std::optional<Document> of_file(std::string name, std::string_view media_type,
                                         std::string bytes);
  std::string_view media_type() const;
  bool operator==(const Document& other) const {
    return sha256 == other.sha256 && kind == other.kind && name == other.name;
  }
};

using ContentPart = std::variant<std::string, Media, Document>;

// At least one part; no two texts stand next to each other, and no empty text beside media.
class Content {
 public:
  Content() : Content(std::string()) {}
  // A text is content as it stands, so that who only writes texts need not know of parts.
  Content(std::string text);
  Content(const char* text) : Content(std::string(text)) {}
  Content(Media media);
  Content(Document document);

  const std::vector<ContentPart>& parts() const { return parts_; }
  bool empty() const { return parts_.size() == 1 && parts_[0] == ContentPart(); }
  bool is_text() const { return parts_.size() == 1 && parts_[0].index() == 0; }
  // The texts, a line break between those that something else stands between.
  std::string text() const;
  std::vector<const Media*> media() const;         // as long as this stays as it is
  std::vector<const Document*> documents() const;  // likewise

  // Puts `more` at the end. Where text meets text, `between` joins them.
  Content& add(Content more, std::string_view between = "\n");

  bool operator==(const Content&) const = default;

 private:
  std::vector<ContentPart> parts_;
};

}  // namespace lathe
