// Base64 of others: what is one, and where it ends.
#include "ground/base/base64.h"

#include <gmock/gmock.h>

#include "ground/base/text.h"

namespace lathe {
namespace {

using ::testing::HasSubstr;

TEST(Base64, AgreesWithPublishedVectors) {  // RFC 4648, section 10
  for (const auto& [bytes, text] : {std::pair<std::string, std::string>{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(decode_base64(text, 6).value(), bytes);
    EXPECT_EQ(decode_base64(text.substr(0, text.find('=')), 6).value(), bytes) << "without '='";
  }
  EXPECT_EQ(decode_base64("Zm9v\r\n YmFy\t", 6).value(), "foobar");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(decode_base64(to_base64(all), 256).value(), all);
}

TEST(Base64, WhatIsNoneIsNamed) {
  const auto problem = [](std::string_view text) {
    const auto bytes = decode_base64(text, 100);
    return bytes ? "fine" : bytes.error().message;
  };
  EXPECT_THAT(problem("Zm9*"), HasSubstr("byte 3 is none"));
  EXPECT_THAT(problem("Zm-_"), HasSubstr("byte 2 is none"));
  EXPECT_THAT(problem(std::string_view("Zm\0v", 4)), HasSubstr("byte 2 is none"));
  EXPECT_THAT(problem("Zg==Zg=="), HasSubstr("byte 4 is none"));
  for (const char* cut : {"Z", "Zm9vY", "Zg=", "Z===", "Zm9v=", "Zg===", "====", "="})
    EXPECT_THAT(problem(cut), HasSubstr("cut off")) << cut;
}

TEST(Base64, StopsAtItsLimit) {
  for (const std::size_t size : {1U, 2U, 3U, 4U, 100U, 101U, 102U}) {
    const std::string text = to_base64(std::string(size, 'x'));
    EXPECT_TRUE(decode_base64(text, size)) << size;
    const auto more = decode_base64(text, size - 1);
    ASSERT_FALSE(more) << size;
    EXPECT_THAT(more.error().message, HasSubstr(std::to_string(size - 1) + " bytes"));
  }
}

}  // namespace
}  // namespace lathe
