// JSON Schema against python3-jsonschema's verdicts, with bounds on work and errors.
#include "ground/schema/json_schema.h"

#include <gmock/gmock.h>

#include "ground/base/file.h"
#include "ground/schema/json_format.h"
#include "ground/schema/json_value.h"

namespace lathe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json json(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value) << text;
  return value ? *value : Json();
}

Result<JsonSchema> compile(std::string_view schema, bool formats = false) {
  return JsonSchema::compile(json(schema), formats);
}

std::vector<std::string> errors(std::string_view schema, std::string_view instance) {
  const auto compiled = compile(schema);
  if (!compiled) return {compiled.error().message};
  const auto found = compiled->validate(json(instance));
  if (!found) return {found.error().message};
  std::vector<std::string> lines;
  for (const SchemaError& error : *found)
    lines.push_back(fmt::format("{} {}: {}", error.instance, error.keyword, error.message));
  return lines;
}

std::string refusal(std::string_view schema, bool formats = false) {
  const auto compiled = compile(schema, formats);
  return compiled ? "" : compiled.error().message;
}

// What python3-jsonschema, an independent implementation, says: see make.py beside the cases.
TEST(JsonSchema, AgreesWithTheOracle) {
  int pairs = 0, valid = 0;
  for (const char* name : {"handwritten.json", "generated.json"}) {
    const auto text =
        read_file(fs::path(LATHE_SOURCE_DIR) / "tests" / "cases" / "json_schema" / name);
    ASSERT_TRUE(text) << text.error().message;
    for (const Json& group : json(*text)) {
      const auto schema = JsonSchema::compile(group["schema"]);
      ASSERT_TRUE(schema) << group["name"] << ": " << schema.error().message;
      for (const Json& test : group["tests"]) {
        const auto found = schema->validate(test["instance"]);
        ASSERT_TRUE(found) << group["name"] << found.error().message;
        EXPECT_EQ(found->empty(), test["valid"].get<bool>()) << name << ' ' << group["name"] << "\n"
                                                             << group["schema"] << "\n"
                                                             << test;
        ++pairs;
        valid += test["valid"].get<bool>();
      }
    }
  }
  EXPECT_GT(pairs, 5000);
  EXPECT_GT(valid, 1500);
  EXPECT_LT(valid, pairs - 1500);
}

TEST(JsonSchema, ErrorsNamePlaceAndKeyword) {
  EXPECT_THAT(errors(R"({"properties":{"a/b":{"items":{"type":"integer"}}},"required":["c"]})",
                     R"({"a/b":[1,"x"]})"),
              ElementsAre(" required: must have the member \"c\"",
                          "/a~1b/1 type: must be integer, but is string (\"x\")"));
  EXPECT_THAT(
      errors(R"({"anyOf":[{"type":"string"},{"required":["a"]}]})", "{}"),
      ElementsAre(" anyOf: fits none of the 2 alternatives; 1: must be string, but is object "
                  "({}); 2: must have the member \"a\""));
  EXPECT_THAT(errors(R"({"oneOf":[true,{"minimum":1},false]})", "3"),
              ElementsAre(" oneOf: fits alternatives 1, 2 at once, but must fit exactly one"));
}

TEST(JsonSchema, WhatIsNotSupportedIsRefusedByName) {
  EXPECT_THAT(refusal(R"({"$schema":"http://json-schema.org/draft-07/schema#"})"),
              HasSubstr("only draft 2020-12"));
  EXPECT_EQ(refusal(R"({"$schema":"https://json-schema.org/draft/2020-12/schema"})"), "");
  EXPECT_THAT(refusal(R"({"properties":{"a":{"items":[true]}}})"), HasSubstr("'/properties/a'"));
  EXPECT_THAT(refusal(R"({"items":[true]})"), HasSubstr("prefixItems"));
  EXPECT_THAT(refusal(R"({"dependencies":{}})"), HasSubstr("dependentSchemas"));
  EXPECT_THAT(refusal(R"({"additionalItems":false})"), HasSubstr("\"additionalItems\""));
  EXPECT_THAT(refusal(R"({"properties":{"a":{"$id":"x"}}})"), HasSubstr("below the root"));
  EXPECT_THAT(refusal(R"({"$ref":"https://example.com/other.json"})"),
              HasSubstr("leaves the schema"));
  EXPECT_THAT(refusal(R"({"$ref":"other.json#/a"})"), HasSubstr("leaves the schema"));
  EXPECT_THAT(refusal(R"({"$ref":"file:///etc/passwd"})"), HasSubstr("leaves the schema"));
  EXPECT_THAT(refusal(R"({"requird":["a"]})"), HasSubstr("did you mean 'required'?"));
  EXPECT_THAT(refusal(R"({"minLenght":1})"), HasSubstr("did you mean 'minLength'?"));
  EXPECT_EQ(refusal(R"({"x-order":1,"nullable":true,"discriminator":{}})"), "");
}

TEST(JsonSchema, WrongSchemasAreRefused) {
  const char* bad[] = {"3",
                       "null",
                       "[]",
                       R"({"type":"int"})",
                       R"({"type":[]})",
                       R"({"type":["string","string"]})",
                       R"({"enum":1})",
                       R"({"minLength":-1})",
                       R"({"minLength":1.5})",
                       R"({"minimum":"1"})",
                       R"({"multipleOf":0})",
                       R"({"multipleOf":-1})",
                       R"({"required":"a"})",
                       R"({"required":["a","a"]})",
                       R"({"required":[1]})",
                       R"({"allOf":[]})",
                       R"({"allOf":{}})",
                       R"({"not":1})",
                       R"({"properties":[]})",
                       R"({"properties":{"a":1}})",
                       R"({"dependentRequired":{"a":"b"}})",
                       R"({"pattern":"(("})",
                       R"({"pattern":"[z-a]"})",
                       R"({"patternProperties":{"*":true}})",
                       R"({"$ref":3})",
                       R"({"$ref":"#/nowhere"})",
                       R"({"$ref":"#nowhere"})",
                       R"({"$ref":"#/enum/0","enum":[{}]})",
                       R"({"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}})"};
  for (const char* schema : bad) EXPECT_NE(refusal(schema), "") << schema;
}

TEST(JsonSchema, ReferencesThatGoNowhereAreFound) {
  for (const char* schema :
       {R"({"$ref":"#"})", R"({"allOf":[{"$ref":"#"}]})", R"({"not":{"$ref":"#"}})",
        R"({"if":true,"then":{"$ref":"#"}})", R"({"dependentSchemas":{"a":{"$ref":"#"}}})",
        R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[{"$ref":"#/$defs/a"}]}}})",
        R"({"$dynamicAnchor":"a","oneOf":[{"$dynamicRef":"#a"}]})"})
    EXPECT_THAT(refusal(schema), HasSubstr("refers to itself without going deeper")) << schema;
  EXPECT_EQ(refusal(R"({"items":{"$ref":"#"},"properties":{"a":{"$ref":"#"}}})"), "");
}

TEST(JsonSchema, WorkIsBounded) {
  // Two references to the next one, seventeen times, at every level of the instance.
  std::string schema = R"({"$ref":"#/$defs/0","$defs":{)";
  for (int i = 0; i < 17; ++i)
    schema += fmt::format(
        R"("{0}":{{"anyOf":[{{"$ref":"#/$defs/{1}"}},{{"$ref":"#/$defs/{1}"}}]}},)", i, i + 1);
  schema += R"("17":{"items":{"items":{"anyOf":[{"$ref":"#/$defs/0"},{"$ref":"#/$defs/0"}]}}}}})";
  EXPECT_THAT(errors(schema, "[[[[]]]]").at(0), HasSubstr("too much work"));

  std::string chain = R"({"$ref":"#/$defs/0","$defs":{)";
  for (int i = 0; i < 100; ++i) chain += fmt::format(R"("{}":{{"$ref":"#/$defs/{}"}},)", i, i + 1);
  EXPECT_THAT(refusal(chain + R"("100":true}})"), HasSubstr("more than 40 schemas"));

  const std::string as(5000, 'a');
  EXPECT_THAT(errors(R"({"pattern":"^(a+)+$"})", '"' + as + "!\"").at(0),
              HasSubstr("could not be tried"));

  std::string deep = "1";
  for (int i = 0; i < 60; ++i) deep = '[' + deep + ']';
  EXPECT_TRUE(errors(R"({"items":{"$ref":"#"}})", deep).empty());
}

TEST(JsonSchema, ManyErrorsAreBounded) {
  std::string items = "[";
  for (int i = 0; i < 1000; ++i) items += "1,";
  EXPECT_EQ(errors(R"({"items":{"type":"string"}})", items + "1]").size(), 50U);
}

// As ECMAScript has it, in classes and outside.
TEST(JsonSchema, SpacesAreAllOfUnicode) {
  const auto fits = [](std::string_view pattern, std::string_view text) {
    const std::string schema = dump_json({{"pattern", pattern}});
    return errors(schema, dump_json(Json(text))).empty();
  };
  for (const char* space : {" ", "\t", "\u00a0", "\u2003", "\u2028", "\u3000", "\ufeff"}) {
    EXPECT_TRUE(fits("^\\s$", space)) << space;
    EXPECT_TRUE(fits("^[x\\s]$", space)) << space;
    EXPECT_FALSE(fits("\\S", space)) << space;
  }
  EXPECT_FALSE(fits("[\\S]", "\u2003"));
  EXPECT_FALSE(fits("^\\s$", "\u0085"));
  EXPECT_TRUE(fits("^\\\\s$", "\\s"));  // a backslash and an s
  EXPECT_TRUE(fits("^[^\\S]$", "\ufeff"));
  EXPECT_TRUE(fits("^[\\S]$", "\U0001f600"));
  EXPECT_THAT(refusal(R"({"pattern":"\\s("})"), HasSubstr("at byte 3"));
}

TEST(JsonSchema, FormatsAreAssertedOnDemand) {
  const auto schema = compile(R"({"format":"date"})", true);
  ASSERT_TRUE(schema);
  EXPECT_TRUE(schema->validate(json("\"2024-02-29\""))->empty());
  EXPECT_EQ(schema->validate(json("\"2023-02-29\""))->at(0).keyword, "format");
  EXPECT_TRUE(schema->validate(json("5"))->empty());
  EXPECT_THAT(refusal(R"({"format":"shoe-size"})", true), HasSubstr("shoe-size"));
  EXPECT_EQ(refusal(R"({"format":"shoe-size"})"), "");
}

TEST(JsonFormat, Borders) {
  const std::map<std::string_view, std::pair<std::vector<std::string>, std::vector<std::string>>>
      cases{
          {"date-time",
           {{"1990-12-31T23:59:60Z", "1990-12-31T15:59:60-08:00", "2000-02-29T00:00:00.123+14:00",
             "1963-06-19t08:30:06.283185z"},
            {"1990-02-31T15:59:59Z", "1990-12-31T22:59:60Z", "1990-12-31 15:59:59Z",
             "1990-12-31T15:59:59", "1990-12-31T24:00:00Z", "1990-12-31T15:59:59.Z", "", "x"}}},
          {"date",
           {{"2000-02-29", "2024-12-31"}, {"1900-02-29", "2024-13-01", "2024-1-1", "2024-04-31"}}},
          {"time",
           {{"08:30:06Z", "23:59:60Z"}, {"08:30:06", "24:00:00Z", "12:00:60Z", "08:30:06+24:00"}}},
          {"email",
           {{"joe.bloggs@example.com", "te~st@example.com", "a@b", "\"a b@c\"@d", "a@[127.0.0.1]",
             "a@[IPv6:::1]"},
            {"2962", ".test@example.com", "test.@example.com", "te..st@example.com", "@x", "a@",
             "a b@c", "\"a\"b\"@c", "a@[300.0.0.1]", "a@[::1]"}}},
          {"hostname", {{"www.example.com", "a", "1host"}, {"-a", "a-", "a..b", "", "a_b", "a."}}},
          {"ipv4",
           {{"192.168.0.1"}, {"256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/24"}}},
          {"ipv6", {{"::1", "12:34::5", "::ffff:1.2.3.4"}, {"12345::", "1:2", ":::", "::1%eth0"}}},
          {"uri",
           {{"http://foo.bar/?baz=qux#quux", "urn:a:b", "mailto:a@b.c"},
            {"//foo", "/abc", "foo", ":// x", "http://a b", "http://x/%zz", "1a:b",
             "http://example.com:abc/", "http://a:8:0/", "http://a#b#c", "http://[::1",
             "http://[x]", "http://a[b]/", "http://2001:db8::1/", "http://x/%6",
             "http://\u00fc/"}}},
          {"uri-reference",
           {{"//foo", "/abc", "foo", "", "a/b:c", "?q", "#f", "http://u:p@h:80/a?b#c"},
            {"a b", "1:a", "\\\\win", "#\\"}}},
          {"iri",
           {{"http://\u00fc.\u00df/\u00e9?\u03c0#\u00ef", "http://[2001:db8::1]", "http://[V1.fe]"},
            {"/abc", "\u00fc", "http://\u00fc/\n", "http://[::ffff:192.168.0.01]"}}},
          {"iri-reference", {{"/\u00fc", "\u03c0\u03c0"}, {"\\\\\u00fc"}}},
          {"uri-template",
           {{"", "a/{x:1}/{x}", "{+a,b*}", "{a.b}", "{%41}", "{v:9999}", "\u00fc"},
            {"{x", "x}", "{}", "{a,,b}", "{v:0}", "{v:10000}", "{a..b}", "{,+v}", "a b"}}},
          {"duration",
           {{"P4DT12H30M5S", "P2W", "PT0S", "P1Y2M", "P1M2D", "P01D"},
            {"P", "PT", "P1YT", "P2D1Y", "P1Y2D", "PT1H2S", "P1Y2W", "P1WT1H", "PT0.5S", "-P1D",
             "P1", "1D", "P1D "}}},
          {"relative-json-pointer",
           {{"1", "0#", "0/a", "120//", "2/~0"}, {"", "/a", "01", "-1", "0##", "0/~", "1#/a"}}},
          {"uuid",
           {{"2EB8AA08-aa98-11ea-b4aa-73b441d16380"},
            {"2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
             "geb8aa08-aa98-11ea-b4aa-73b441d16380"}}},
          {"json-pointer", {{"", "/a~0b/~1", "/"}, {"a", "/~", "/~2"}}},
          {"regex",
           {{"^a$", "", "(?<n>a)\\k<n>", "\\cA", "[]"},
            {"(", "[z-a]", "\\a", "a\\Z", "(?i)a", "(?P<n>a)", "(?#c)"}}},
      };
  for (const auto& [format, lists] : cases) {
    ASSERT_TRUE(is_known_format(format));
    for (const std::string& good : lists.first) EXPECT_TRUE(has_format(format, good)) << good;
    for (const std::string& bad : lists.second)
      EXPECT_FALSE(has_format(format, bad)) << format << ' ' << bad;
  }
}

TEST(JsonValue, KeysAreEqualExactlyForEqualValues) {
  const std::vector<std::vector<const char*>> classes{{"1", "1.0", "10e-1", "0.1e1"},
                                                      {"-1"},
                                                      {"0", "0.0", "-0", "-0.0"},
                                                      {"true"},
                                                      {"\"1\""},
                                                      {"null"},
                                                      {"9007199254740993"},
                                                      {"9007199254740992", "9007199254740992.0"},
                                                      {"1e300", "10e299"},
                                                      {"[1,2]", "[1.0,2]"},
                                                      {"[2,1]"},
                                                      {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1.0}"},
                                                      {"{\"a\":1}"},
                                                      {"\"a\"", "\"\\u0061\""},
                                                      {"[]"},
                                                      {"{}"},
                                                      {"18446744073709551615"},
                                                      {"0.1"},
                                                      {"\"\""},
                                                      {"[[]]"},
                                                      {"[\"1,\"]"},
                                                      {"5e-324"}};
  for (std::size_t i = 0; i < classes.size(); ++i)
    for (std::size_t k = 0; k < classes.size(); ++k)
      for (const char* a : classes[i])
        for (const char* b : classes[k])
          EXPECT_EQ(value_key(json(a)) == value_key(json(b)), i == k) << a << ' ' << b;
}

TEST(Regex, FindsAndIsBounded) {
  const auto word = Regex::compile("\\bé\\w+$", Regex::Flavour::kText);
  ASSERT_TRUE(word);
  const auto found = word->find("an était\nx");
  ASSERT_TRUE(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->begin, 3U);
  EXPECT_EQ((*found)->end, 9U);
  EXPECT_FALSE(word->find("")->has_value());
  EXPECT_FALSE(Regex::compile("(", Regex::Flavour::kText));
  EXPECT_FALSE(Regex::compile(std::string(20000, 'a'), Regex::Flavour::kText));
  EXPECT_FALSE(Regex::compile(std::string(500, '('), Regex::Flavour::kText));
  EXPECT_FALSE(word->find("\xff")) << "an error, not \"no match\"";
  const auto ecma = Regex::compile("^\\d$", Regex::Flavour::kEcma);
  EXPECT_TRUE(ecma->find("1")->has_value());
  EXPECT_FALSE(ecma->find("1\n")->has_value()) << "'$' is the very end";
  EXPECT_FALSE(ecma->find("٣")->has_value()) << "\\d is ASCII";
  EXPECT_TRUE(Regex::compile("^\\u{1F600}$", Regex::Flavour::kEcma)->find("😀")->has_value());
}

}  // namespace
}  // namespace lathe
