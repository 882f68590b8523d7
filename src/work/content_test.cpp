// Texts, pictures and sounds of a message, put together; files known by their first bytes.
#include "work/content.h"

#include <gtest/gtest.h>

#include "ground/base/hash.h"

namespace lathe {
namespace {

std::string png(const std::string& rest = "") {
  return "\x89PNG\r\n\x1a\n0123" + rest;
}

Content picture(const std::string& rest = "") {
  return *Media::of_file(png(rest));
}

// "text" of each text, "<image/png>" of each file.
std::string shape(const Content& content) {
  std::string shape;
  for (const ContentPart& part : content.parts()) {
    const auto* text = std::get_if<std::string>(&part);
    shape += text ? "\"" + *text + "\"" : "<" + std::get<Media>(part).media_type + ">";
  }
  return shape;
}

TEST(Content, ATextIsContent) {
  const Content content = "hello";
  EXPECT_TRUE(content.is_text());
  EXPECT_FALSE(content.empty());
  EXPECT_EQ(content, "hello");
  EXPECT_NE(content, "hell");
  EXPECT_EQ(content.text(), "hello");
  EXPECT_TRUE(Content().empty());
  EXPECT_EQ(Content(), "");
  EXPECT_FALSE(picture().empty());
  EXPECT_FALSE(picture().is_text());
  EXPECT_EQ(picture().text(), "");
}

TEST(Content, TextsThatMeetAreOne) {
  EXPECT_EQ(Content("a").add("b"), "a\nb");
  EXPECT_EQ(Content("a").add("b", "\n\n"), "a\n\nb");
  EXPECT_EQ(Content("").add("b"), "\nb") << "an empty text is a text";
  EXPECT_EQ(Content("a").add(""), "a\n");
  EXPECT_EQ(shape(Content("a").add(picture()).add("b").add("c")), "\"a\"<image/png>\"b\nc\"");
  EXPECT_EQ(Content("a").add(picture()).add("b").text(), "a\nb");
}

TEST(Content, NoEmptyTextStandsBesideMedia) {
  EXPECT_EQ(shape(Content("").add(picture())), "<image/png>");
  EXPECT_EQ(shape(Content(picture()).add("")), "<image/png>");
  EXPECT_EQ(shape(Content(picture()).add("").add("b")), "<image/png>\"b\"");
  EXPECT_EQ(shape(Content("").add(Content("a").add(picture()))), "\"a\"<image/png>");
  EXPECT_EQ(shape(Content("Error: ").add(Content("a").add(picture()), "")),
            "\"Error: a\"<image/png>");
}

TEST(Content, OtherBytesAreOtherContent) {
  EXPECT_EQ(picture("x"), picture("x"));
  EXPECT_NE(picture("x"), picture("y"));
  EXPECT_NE(Content("a").add(picture()), Content(picture()).add("a"));
  const Content two = Content(picture("x")).add("and").add(picture("y"));
  ASSERT_EQ(two.media().size(), 2U);
  EXPECT_EQ(two.media()[1]->sha256, sha256_hex(png("y")));
  EXPECT_EQ(*two.media()[1]->bytes, png("y"));
}

TEST(Media, AFileIsWhatItsFirstBytesSay) {
  const std::pair<std::string, std::string> files[] = {
      {png(), "image/png"},
      {"\xff\xd8\xff\xe0" + std::string(8, 'x'), "image/jpeg"},
      {"RIFF....WEBPVP8 ", "image/webp"},
      {"GIF89a" + std::string(6, 'x'), "image/gif"},
      {"GIF87a" + std::string(6, 'x'), "image/gif"},
      {"RIFF....WAVEfmt ", "audio/wav"},
      {"ID3" + std::string(9, 'x'), "audio/mpeg"},
      {"\xff\xfb" + std::string(10, 'x'), "audio/mpeg"},
      {"fLaC" + std::string(8, 'x'), "audio/flac"},
      {"OggS" + std::string(8, 'x'), "audio/ogg"},
  };
  for (const auto& [bytes, type] : files) {
    const auto media = Media::of_file(bytes);
    ASSERT_TRUE(media) << type;
    EXPECT_EQ(media->media_type, type);
    EXPECT_EQ(media->kind == Media::Kind::kSound, type.starts_with("audio/")) << type;
    EXPECT_FALSE(Media::of_file(bytes.substr(0, 11))) << type << ", but too short for any";
  }
  EXPECT_EQ(Media::of_file(png())->name(), "a picture (image/png)");
  EXPECT_EQ(Media::of_file("RIFF....WAVE")->name(), "a sound (audio/wav)");
  for (const char* other :
       {"", "hello, world", "RIFF....AVI ", "<svg xmlns='http:'/>", "%PDF-1.7 xxxx"})
    EXPECT_FALSE(Media::of_file(other)) << other;
}

}  // namespace
}  // namespace lathe
