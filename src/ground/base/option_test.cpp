// Options from TOML and from the command line: defaults, wrong types, unknown and missing keys.
#include "ground/base/option.h"

#include <gmock/gmock.h>

#include <limits>

namespace lathe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr OptionSpec kSpecs[] = {
    {"name", OptionType::kString, kMustBeGiven, "who"},
    {"count", OptionType::kInteger, "3"},
    {"ratio", OptionType::kNumber},
    {"on", OptionType::kBool, "true"},
    {"words", OptionType::kStrings, "[]"},
    {"limits", OptionType::kTable},
    {"time", OptionType::kDuration, "\"20m\""},
    {"bar", OptionType::kBar, "0.9"},
    {"memory", OptionType::kBytes, "\"2GiB\""},
};

std::string problem(const char* given) {
  const auto checked = check_options(*parse_json(given), kSpecs);
  return checked ? "" : checked.error().key + ' ' + checked.error().message;
}

TEST(CheckOptions, FillsDefaultsInTheOrderOfTheSpecs) {
  const auto checked = check_options(*parse_json(R"({"count":5,"name":"x"})"), kSpecs);
  ASSERT_TRUE(checked);
  EXPECT_EQ(
      dump_json(*checked),
      R"({"name":"x","count":5,"on":true,"words":[],"time":"20m","bar":0.9,"memory":"2GiB"})");
  EXPECT_EQ(option_duration_ms(*checked, "time"), 1'200'000);
  EXPECT_DOUBLE_EQ(option_bar(*checked, "bar"), 0.9);
  EXPECT_EQ(option_bytes(*checked, "memory"), 2147483648U);
  EXPECT_EQ(option_string(*checked, "absent"), "");
}

TEST(CheckOptions, NamesUnknownAndMissingKeys) {
  EXPECT_EQ(problem(R"({"name":"x","cuont":1})"), "cuont is not known here; did you mean 'count'?");
  EXPECT_THAT(problem("{}"), HasSubstr("name is required: a string (who)"));
  const auto none = check_options(*parse_json(R"({"a":1})"), {});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no options are"));
}

TEST(CheckOptions, WrongTypesAreNamed) {
  const char* bad[] = {R"({"name":1})",
                       R"({"name":"x","count":1.5})",
                       R"({"name":"x","count":"1"})",
                       R"({"name":"x","ratio":"1"})",
                       R"({"name":"x","on":1})",
                       R"({"name":"x","words":"a"})",
                       R"({"name":"x","words":["a",1]})",
                       R"({"name":"x","limits":[]})",
                       R"({"name":"x","time":20})",
                       R"({"name":"x","time":"20 lightyears"})",
                       R"({"name":"x","bar":1.5})",
                       R"({"name":"x","bar":true})",
                       R"({"name":"x","memory":-1})",
                       R"({"name":"x","memory":1.5})",
                       R"({"name":null})"};
  for (const char* given : bad) EXPECT_NE(problem(given), "") << given;
  EXPECT_EQ(problem(R"({"name":"","ratio":2,"bar":"9/10","memory":4096,"limits":{"a":1}})"), "");
}

// Recipes come from TOML, where integers are signed and nan and inf are numbers.
TEST(CheckOptions, ValuesAsTomlGivesThem) {
  Json given = {{"name", "x"}, {"memory", std::int64_t{4096}}};
  EXPECT_TRUE(check_options(given, kSpecs));
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    given["ratio"] = bad;
    EXPECT_FALSE(check_options(given, kSpecs));
  }
}

TEST(ParseOptionText, BecomesAValueOfTheSpecsType) {
  const auto parse = [](std::size_t i, std::string_view text) {
    const auto value = parse_option_text(kSpecs[i], text);
    return value ? dump_json(*value) : "error: " + value.error().message;
  };
  EXPECT_EQ(parse(0, "12"), "\"12\"");
  EXPECT_EQ(parse(1, "12"), "12");
  EXPECT_THAT(parse(1, "12.5"), HasSubstr("error: count: must be a whole number"));
  EXPECT_THAT(parse(1, "x"), HasSubstr("error: count"));
  EXPECT_EQ(parse(2, "12.5"), "12.5");
  EXPECT_EQ(parse(3, "false"), "false");
  EXPECT_THAT(parse(3, "no"), HasSubstr("error"));
  EXPECT_EQ(parse(4, "a, b"), R"(["a","b"])");
  EXPECT_EQ(parse(4, R"(["a, b"])"), R"(["a, b"])");
  EXPECT_EQ(parse(4, ""), "[]");
  EXPECT_EQ(parse(5, R"({"a":1})"), R"({"a":1})");
  EXPECT_EQ(parse(6, "5s"), "\"5s\"");
  EXPECT_THAT(parse(6, "5"), HasSubstr("error"));
  EXPECT_EQ(parse(7, "9/10"), "\"9/10\"");
  EXPECT_EQ(parse(8, "64KiB"), "\"64KiB\"");
}

TEST(OptionReads, Lists) {
  const Json options = *parse_json(R"({"words":["a","b"]})");
  EXPECT_THAT(option_strings(options, "words"), ElementsAre("a", "b"));
  EXPECT_TRUE(option_strings(options, "absent").empty());
}

}  // namespace
}  // namespace lathe
