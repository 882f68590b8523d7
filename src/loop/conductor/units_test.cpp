// Units of files: how they are split, and every bad input with its place.
#include "loop/conductor/units.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

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

std::vector<Unit> grid_units() {
  return *split_units("{\"key\":\"a\",\"text\":\"A?\"}\n{\"key\":\"b\",\"text\":\"B?\"}\n", "jsonl",
                      "t.jsonl");
}

TEST(Grids, ACellForEveryPromptWorkerAndSeed) {
  const std::vector<std::string> ladder{"small", "big"};
  const auto cells = grid_cells(grid_units(), ladder, 3, "t.jsonl");
  ASSERT_TRUE(cells) << cells.error().message;
  ASSERT_EQ(cells->size(), 12);
  EXPECT_EQ(cells->front().key, "a small 1");
  EXPECT_EQ(cells->back().key, "b big 3");
  EXPECT_EQ((*cells)[4].key, "a big 2");
  EXPECT_EQ(own_worker((*cells)[4]), "big");
  EXPECT_EQ(own_seed((*cells)[4]), 2);
  EXPECT_EQ(json_string((*cells)[4].data, "of"), "a");
}

TEST(Grids, WhatIsTooMuchOrMeansNothingIsRefused) {
  const std::vector<std::string> ladder{"small", "big"};
  const auto error = [&](const std::vector<Unit>& units, int seeds) {
    const auto cells = grid_cells(units, ladder, seeds, "t.jsonl");
    return cells ? "no error" : cells.error().message;
  };
  EXPECT_EQ(error(grid_units(), 2500), "no error") << "10,000 cells";
  EXPECT_THAT(error(grid_units(), 2501),
              HasSubstr("are 10004 cells, and a grid has at most 10000"));
  for (const char* member : {"after", "seed", "worker"}) {
    std::vector<Unit> units = grid_units();
    units[1].data[member] = 1;
    EXPECT_THAT(error(units, 1), HasSubstr(std::string("t.jsonl:2: \"") + member));
  }
  std::vector<Unit> long_ones = grid_units();
  long_ones[0].text = std::string(60'000, 'x');
  EXPECT_THAT(error(long_ones, 1000), HasSubstr("bytes of text together"));
}

TEST(Units, MayNameAWorkerAndASeed) {
  const auto error = [](const std::string& more) {
    const auto units =
        split_units("{\"key\":\"a\",\"text\":\"A\"," + more + "}", "jsonl", "t.jsonl");
    if (!units) return units.error().message;
    const Status fine =
        check_own_workers(*units, std::vector<std::string>{"small", "big"}, "t.jsonl");
    return fine ? "no error" : fine.error().message;
  };
  EXPECT_EQ(error("\"worker\":\"big\",\"seed\":0"), "no error");
  EXPECT_THAT(error("\"worker\":\"smal\""), HasSubstr("t.jsonl:1: \"worker\" is 'smal'"));
  EXPECT_THAT(error("\"worker\":\"smal\""), HasSubstr("did you mean 'small'"));
  EXPECT_THAT(error("\"worker\":3"), HasSubstr("t.jsonl:1: \"worker\" must be a string"));
  for (const char* seed : {"-1", "\"1\"", "0.5"})
    EXPECT_THAT(error(std::string("\"seed\":") + seed), HasSubstr("t.jsonl:1: \"seed\" must be"));
}

}  // namespace
}  // namespace lathe::loop
