// Forms, as programs send them and as they are sent to do harm.
#include "serve/net/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ground/base/hash.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;

std::string shown(const Result<std::vector<FormPart>>& parts) {
  if (!parts) return "error: " + parts.error().message;
  std::string text;
  for (const FormPart& part : *parts)
    text += fmt::format("[{}{}={}]", part.name, part.is_file ? " file " + part.file_name : "",
                        part.data);
  return text;
}

// A part with these headers beside its name.
std::string part(std::string_view name, std::string_view data, std::string_view more = "") {
  return fmt::format("--b\r\nContent-Disposition: form-data; name=\"{}\"{}\r\n\r\n{}\r\n", name,
                     more, data);
}

TEST(Multipart, ReadsWhatProgramsSend) {
  // curl, Python's requests, browsers, undici: quoted names or none, types, blanks, a preamble.
  EXPECT_EQ(shown(parse_form(
                "b", part("model", "w") + part("a[]", "1") + part("a[]", "2") + "--b--\r\n")),
            "[model=w][a[]=1][a[]=2]");
  EXPECT_EQ(shown(parse_form("b",
                             "--b\r\ncontent-disposition: FORM-DATA;name=file ; "
                             "filename=\"a \\\"b\\\".wav\"\r\nContent-Type: audio/wav\r\n\r\n"
                             "x\r\n--b--")),
            "[file file a \"b\".wav=x]");
  EXPECT_EQ(shown(parse_form("b", "preamble\r\n" + part("x", "1") + "--b-- \r\nepilogue")),
            "[x=1]");
  EXPECT_EQ(shown(parse_form("b", "--b \t\r\n" + part("x", "1").substr(5) + "--b--\r\n")), "[x=1]");
  // Data may look like much; no data is data.
  EXPECT_EQ(shown(parse_form("b", part("x", "-b\r\n\r\n-b\r\n--") + "--b--")),
            "[x=-b\r\n\r\n-b\r\n--]");
  EXPECT_EQ(shown(parse_form("b", part("x", "") + part("y", "", "; filename=\"\"") + "--b--")),
            "[x=][y file =]");
  EXPECT_EQ(shown(parse_form("b", "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n--b--")),
            "[x=]");
  EXPECT_EQ(shown(parse_form("b", "--b--")), "");
  EXPECT_EQ(
      shown(parse_form("b", part("x", std::string("a\0b", 3), "; filename*=UTF-8''z") + "--b--")),
      std::string("[x file =a\0b]", 13));
}

TEST(Multipart, WhatIsCutOffOrAmbiguousIsRefused) {
  const std::string whole = part("x", "data", "; filename=\"f\"") + part("y", "1") + "--b--";
  ASSERT_EQ(shown(parse_form("b", whole)), "[x file f=data][y=1]");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_form("b", std::string_view(whole).substr(0, size))) << size;
  const auto refused = [](std::string_view body, std::string_view why) {
    EXPECT_THAT(shown(parse_form("b", body)),
                ::testing::AllOf(HasSubstr("error: "), HasSubstr(why)))
        << body;
  };
  refused("", "no part");
  refused("--b\nContent-Disposition: form-data; name=x\n\n1\n--b--\n", "end of its line");
  refused(part("x", "1\r\n--bb") + "--b--", "end of its line");
  refused("--b\r\n\r\nno headers\r\n--b--", "do not end");
  // Where a boundary follows a part's head at once, its line end may be either's.
  refused(part("x", "--b\r\n") + "--b--", "part 2");
  refused("--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--", "no Content-Disposition");
  refused("--b\r\nContent-Disposition: attachment; name=x\r\n\r\n1\r\n--b--", "form-data; name");
  refused("--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", "form-data; name");
  refused("--b\r\nContent-Disposition: form-data; name=x; name=y\r\n\r\n1\r\n--b--", "once");
  refused("--b\r\nContent-Disposition: form-data; name=\"x\r\n\r\n1\r\n--b--", "once");
  refused(
      "--b\r\nContent-Disposition: form-data; name=x\r\nContent-Disposition: form-data; "
      "name=y\r\n\r\n1\r\n--b--",
      "once");
  refused("--b\r\nContent-Disposition: form-data;\r\n name=x\r\n\r\n1\r\n--b--", "once");
  refused("--b\r\nContent-Disposition: form-data; name=x\nX: y\r\n\r\n1\r\n--b--", "CRLF");
  refused(
      "--b\r\nContent-Disposition: form-data; name=x\r\nContent-Transfer-Encoding: base64\r\n"
      "\r\nMQ==\r\n--b--",
      "base64");
  refused(
      "--b\r\nContent-Disposition: form-data; name=x\r\nContent-Type: multipart/mixed; "
      "boundary=c\r\n\r\n--c--\r\n--b--",
      "form itself");
  refused("--b\r\nX: " + std::string(kMaxPartHead, 'y'), "do not end");
  std::string many;
  for (std::size_t i = 0; i <= kMaxFormParts; ++i) many += part("x", "1");
  refused(many + "--b--", "more than 64");
}

TEST(Multipart, ABoundaryIsOneToSeventyCharacters) {
  const auto boundary = [](std::string_view type) {
    const auto found = form_boundary(type);
    return found ? *found : "error: " + found.error().message;
  };
  const std::string longest(70, 'x');
  EXPECT_EQ(boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(boundary("Multipart/Form-Data ;charset=utf-8; Boundary=\"a b:c\""), "a b:c");
  EXPECT_EQ(boundary("multipart/form-data; boundary=" + longest), longest);
  EXPECT_THAT(boundary("multipart/form-data; boundary=" + longest + "x"), HasSubstr("has 71"));
  EXPECT_THAT(boundary("multipart/form-data; boundary=\"\""), HasSubstr("has 0"));
  EXPECT_THAT(boundary("multipart/form-data; boundary=\"a \""), HasSubstr("error"));
  EXPECT_THAT(boundary("multipart/form-data; boundary=\"a\r\nb\""), HasSubstr("error"));
  EXPECT_THAT(boundary("multipart/form-data; boundary=\"a"), HasSubstr("name its boundary"));
  EXPECT_THAT(boundary("multipart/form-data; boundary=a; boundary=b"), HasSubstr("boundary"));
  EXPECT_THAT(boundary("multipart/form-data"), HasSubstr("name its boundary"));
  EXPECT_THAT(boundary("application/json"), HasSubstr("must be a form"));
  EXPECT_TRUE(is_form("multipart/form-data; boundary=x"));
  EXPECT_FALSE(is_form("multipart/form-datax"));
}

TEST(Multipart, WhatIsWrittenReadsBackWhateverItHolds) {
  const std::string file(300, '\0');
  const std::string boundary = "lathe" + sha256_hex(file).substr(0, 32);
  const std::string text = "--" + boundary + "--\r\n\r\n--\xff";
  const std::vector<FormField> fields{
      {"prompt", text}, {"empty", ""}, {"image", file, "image.png"}};
  const WrittenForm form = write_form(fields);
  EXPECT_EQ(form.body, write_form(fields).body);
  const auto named = form_boundary(form.type);
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_NE(*named, boundary) << "it stands in the text";
  const auto parts = parse_form(*named, form.body);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*parts)[i].name, fields[i].name);
    EXPECT_EQ((*parts)[i].data, fields[i].data);
    EXPECT_EQ((*parts)[i].file_name, fields[i].file_name);
  }
}

}  // namespace
}  // namespace lathe::serve
