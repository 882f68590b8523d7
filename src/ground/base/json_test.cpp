// JSON at its limits, each on both sides, and text that is none.
#include "ground/base/json.h"

#include <gmock/gmock.h>

namespace lathe {
namespace {

using ::testing::HasSubstr;

std::string nested(int levels) {
  return std::string(static_cast<std::size_t>(levels), '[') +
         std::string(static_cast<std::size_t>(levels), ']');
}

std::string problem(std::string_view text, const JsonLimits& limits = {}) {
  const auto value = parse_json(text, limits);
  return value ? "" : value.error().message;
}

TEST(ParseJson, KeepsKeyOrder) {
  EXPECT_EQ(dump_json(*parse_json(R"({"b":1,"a":[true,null,-2.5,"é"]})")),
            R"({"b":1,"a":[true,null,-2.5,"é"]})");
}

TEST(ParseJson, RefusesWhatIsNotJson) {
  for (const std::string_view bad : {"",           " ",           "{",        "[1,]",
                                     "{\"a\":1,}", "01",          "+1",       "NaN",
                                     "Infinity",   "'a'",         "\"a",      "1 2",
                                     "{\"a\" 1}",  "\"\\ud800\"", "\"\xff\"", "\"\xed\xa0\x80\"",
                                     "\"a\nb\"",   "// x\n1",     "1e999",    "tru",
                                     "{1:2}"})
    EXPECT_THAT(problem(bad), HasSubstr("not valid JSON")) << bad;
  EXPECT_THAT(problem("[1, x]"), HasSubstr("at byte 5"));
}

TEST(ParseJson, DepthIsBoundedAtTheBorder) {
  EXPECT_EQ(problem(nested(64)), "");
  EXPECT_THAT(problem(nested(65)), HasSubstr("deeper than 64"));
  EXPECT_THAT(problem(std::string(1'000'000, '[')), HasSubstr("deeper than 64"));
  EXPECT_EQ(problem(nested(2), {.max_depth = 2}), "");
  EXPECT_NE(problem("{\"a\":[{}]}", {.max_depth = 2}), "");
}

TEST(ParseJson, SizeIsBoundedAtTheBorder) {
  EXPECT_EQ(problem("[10]", {.max_bytes = 4}), "");
  EXPECT_THAT(problem("[100]", {.max_bytes = 4}), HasSubstr("over the limit of 4"));
}

TEST(ParseJson, MembersAreBoundedAtTheBorder) {
  EXPECT_EQ(problem(R"({"a":{"x":1,"y":2},"b":3})", {.max_members = 2}), "");
  EXPECT_THAT(problem(R"({"a":1,"b":2,"c":3})", {.max_members = 2}), HasSubstr("more than 2"));
}

TEST(ParseJson, ValuesAreBoundedAtTheBorder) {
  EXPECT_EQ(problem(R"([1,"a",{"b":null}])", {.max_values = 5}), "");
  EXPECT_THAT(problem(R"([1,"a",{"b":null},true])", {.max_values = 5}), HasSubstr("more than 5"));
}

TEST(ParseJson, DuplicateKeysAreRefusedPerObject) {
  EXPECT_THAT(problem(R"({"a":1,"a":1})"), HasSubstr("twice"));
  EXPECT_THAT(problem(R"({"a":1,"\u0061":1})"), HasSubstr("twice"));
  EXPECT_EQ(problem(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})"), "");
}

TEST(ParseSortedJson, KeepsTheLimitsOfParseJson) {
  EXPECT_EQ((*parse_sorted_json(R"({"b":1,"a":2})"))["a"], 2);
  EXPECT_FALSE(parse_sorted_json(R"({"a":1,"a":2})"));
  EXPECT_FALSE(parse_sorted_json("[[1]]", {.max_depth = 1}));
  EXPECT_FALSE(parse_sorted_json("{"));
}

TEST(DumpJson, InvalidUtf8NeverThrows) {
  EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(canonical_json(Json({{"\xc0", "\xff"}})), "{\"\xEF\xBF\xBD\":\"\xEF\xBF\xBD\"}");
}

TEST(CanonicalJson, OrderOfKeysDoesNotMatter) {
  EXPECT_EQ(canonical_json(*parse_json(R"({"b":{"y":1,"x":2},"a":[3,1]})")),
            R"({"a":[3,1],"b":{"x":2,"y":1}})");
  EXPECT_EQ(canonical_json(*parse_json(R"({"a":1,"b":2})")),
            canonical_json(*parse_json(R"({"b":2,"a":1})")));
  EXPECT_NE(canonical_json(Json({1, 2})), canonical_json(Json({2, 1})));
}

TEST(JsonReads, FallBackOnAbsentAndOtherTypes) {
  const Json json = *parse_json(R"({"s":"x","n":1.5,"i":-3,"b":true,"big":18446744073709551615})");
  EXPECT_EQ(json_string(json, "s"), "x");
  EXPECT_EQ(json_string(json, "n", "d"), "d");
  EXPECT_EQ(json_string(json, "absent", "d"), "d");
  EXPECT_EQ(json_number(json, "n", 0), 1.5);
  EXPECT_EQ(json_number(json, "i", 0), -3);
  EXPECT_EQ(json_number(json, "s", 7), 7);
  EXPECT_EQ(json_int(json, "i", 0), -3);
  EXPECT_EQ(json_int(json, "n", 7), 7);
  EXPECT_EQ(json_int(json, "big", 7), 7) << "does not fit";
  EXPECT_TRUE(json_bool(json, "b", false));
  EXPECT_TRUE(json_bool(json, "i", true));
  EXPECT_TRUE(json_at(json, "absent").is_null());
  EXPECT_TRUE(json_at(Json(3), "a").is_null());
  EXPECT_EQ(json_string(Json::array(), "a", "d"), "d");
}

}  // namespace
}  // namespace lathe
