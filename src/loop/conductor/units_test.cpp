// Units of files: how they are split, and every bad input with its place.
#include "loop/conductor/units.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

using testing::HasSubstr;

std::vector<std::string> texts(std::string_view text, std::string_view split,
                               const std::string& name = "a.txt") {
  const auto units = split_units(text, split, name);
  std::vector<std::string> all;
  if (!units) return {"error: " + units.error().message};
  for (const Unit& unit : *units) all.push_back(unit.key + "=" + unit.text);
  return all;
}

TEST(Units, Lines) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(texts("one\n\n two \r\nthree", "line"), (Texts{"L001=one", "L003=two", "L004=three"}));
  EXPECT_EQ(texts("# Title\n- point\n> said\n", "line", "a.md"),
            (Texts{"L001=Title", "L002=point", "L003=said"}));
  // A line without a word is none, whatever the script.
  EXPECT_EQ(texts("a\n---\n***\n😀 …\n→\n```\né\n7\n日本\n", "line"),
            (Texts{"L001=a", "L007=é", "L008=7", "L009=日本"}));
  EXPECT_EQ(texts("# not a title\n", "line"), (Texts{"L001=# not a title"}));
  EXPECT_EQ(texts("a\nb\n\n\nc\n", "paragraph"), (Texts{"P001=a\nb", "P002=c"}));
  EXPECT_EQ(texts("a\nb\n", "file", "dir/x.md"), (Texts{"x.md=a\nb\n"}));
  EXPECT_EQ(texts(R"({"key":"k","text":"t","more":1})", "jsonl"), (Texts{"k=t"}));
}

TEST(Units, EveryBadInputIsNamedWithItsPlace) {
  const auto error = [](std::string_view text, std::string_view split) {
    const auto units = split_units(text, split, "in.txt");
    return units ? "no error" : units.error().message;
  };
  EXPECT_THAT(error("", "line"), HasSubstr("in.txt: is empty"));
  EXPECT_THAT(error(" \n\t\n", "paragraph"), HasSubstr("is empty"));
  EXPECT_THAT(error("ok\nbad \xff\n", "line"), HasSubstr("in.txt:2: not valid UTF-8"));
  EXPECT_THAT(error(std::string_view("a\0b", 3), "line"), HasSubstr("NUL"));
  EXPECT_THAT(error(std::string(70'000, 'x'), "line"), HasSubstr("70000 bytes are too many"));
  EXPECT_THAT(error(std::string(10 << 20, 'x'), "file"), HasSubstr("too many for one unit"));
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "line\n";
  EXPECT_THAT(error(many, "line"), HasSubstr("more than 10000 units"));
  EXPECT_THAT(error("{", "jsonl"), HasSubstr("in.txt:1"));
  EXPECT_THAT(error("[]", "jsonl"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(error(R"({"key":"a"})", "jsonl"), HasSubstr("\"text\""));
  EXPECT_THAT(error(R"({"key":"a","text":"t","after":"b"})", "jsonl"), HasSubstr("list of keys"));
  EXPECT_THAT(error("{\"key\":\"a\",\"text\":\"t\"}\n{\"key\":\"a\",\"text\":\"u\"}", "jsonl"),
              HasSubstr("stands twice"));
  EXPECT_THAT(error(R"({"key":"a","text":"t","after":["z"]})", "jsonl"),
              HasSubstr("does not exist"));
  EXPECT_THAT(error("{\"key\":\"a\",\"text\":\"t\",\"after\":[\"b\"]}\n{\"key\":\"b\",\"text\":"
                    "\"t\",\"after\":[\"c\"]}\n"
                    "{\"key\":\"c\",\"text\":\"t\",\"after\":[\"a\"]}",
                    "jsonl"),
              HasSubstr("circle: a → b → c → a"));
}

// A long chain must neither recurse nor take quadratic time.
TEST(Units, ALongChainIsNoCircle) {
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += fmt::format("{{\"key\":\"{}\",\"text\":\"t\"{}}}\n", i,
                        i + 1 < 5000 ? fmt::format(",\"after\":[\"{}\"]", i + 1) : "");
  EXPECT_TRUE(split_units(text, "jsonl", "a"));
}

}  // namespace
}  // namespace lathe::loop
