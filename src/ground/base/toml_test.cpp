// TOML with its places, and hostile or cut text.
#include "ground/base/toml.h"

#include <gmock/gmock.h>

namespace lathe {
namespace {

using ::testing::HasSubstr;

std::string repeated(std::string_view part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

TEST(ParseToml, ReadsTables) {
  const auto table = parse_toml("a = 1\n[b]\nc.d = 'x.y'\n", "f");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ((*table)["b"]["c"]["d"].value<std::string>(), "x.y");
}

TEST(ParseToml, NamesPlaceAndLine) {
  const auto table = parse_toml("a = 1\nb = \n", "recipes/x.toml");
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr("recipes/x.toml:2: "));
}

TEST(ParseToml, RefusesKeysThatWouldOverflowTheStack) {
  const std::string deep = repeated("a.", 2'000'000);
  for (const std::string& text :
       {deep + "a = 1", "[" + deep + "a]", "x = { " + deep + "a = 1 }",
        "\n\n" + repeated("\"a\".", 100'000) + "a = 1", repeated("'#' . ", 100'000) + "a = 1"}) {
    const auto table = parse_toml(text, "f");
    ASSERT_FALSE(table);
    EXPECT_THAT(table.error().message, HasSubstr("more than 33 parts"));
  }
  EXPECT_FALSE(parse_toml("a = " + repeated("[", 100'000), "f"));
  EXPECT_FALSE(parse_toml("a = " + repeated("{a=", 100'000), "f"));
}

TEST(ParseToml, DotsInTextAreNoKeys) {
  const std::string dots = repeated("a. ", 1000);
  for (const std::string& text :
       {"a = \"" + dots + "\"", "a = '" + dots + "'", "a = '''\n'" + dots + "\n''\n'''",
        "a = \"\"\"\n\\\"\"\"" + dots + "\n\"\"\"", "# \"" + dots + "\na = 1",
        "a = [" + repeated("1.5, ", 1000) + "]"})
    EXPECT_TRUE(parse_toml(text, "f")) << text.substr(0, 30);
  EXPECT_TRUE(parse_toml(repeated("a.", 32) + "a = 1", "f"));
}

TEST(ParseToml, SurvivesCutsAndBrokenBytes) {
  const std::string text = "a = \"x\\\"y\"\n[b]\n'c' = '''z'''\nd = \"\"\"q\\\\\"\"\"\n";
  for (std::size_t i = 0; i <= text.size(); ++i) {
    (void)parse_toml(text.substr(0, i), "f");
    std::string broken = text;
    if (i < text.size()) broken[i] = '\xff';
    (void)parse_toml(broken, "f");
  }
  EXPECT_FALSE(parse_toml("a = \"\xff\"", "f"));
}

}  // namespace
}  // namespace lathe
