// Constraints by schema and grammar: what they let through, and what they cost.
#include "infer/constraints/constraint.h"

#include <gtest/gtest.h>

#include <random>
#include <regex>

namespace lathe::infer {
namespace {

// Bytes as tokens, and some longer ones that cut across everything: words, half characters, JSON
// punctuation.
std::unique_ptr<Tokenizer> make_tokenizer() {
  VocabularySpec spec;
  spec.model = "llama";
  spec.tokens = {"<unk>", "<s>", "</s>"};
  spec.kinds = {TokenKind::kUnknown, TokenKind::kControl, TokenKind::kControl};
  for (int byte = 0; byte < 256; ++byte) {
    spec.tokens.push_back(fmt::format("<0x{:02X}>", byte));
    spec.kinds.push_back(TokenKind::kByte);
  }
  for (const char* word : {"true", "false", "null", "\":", "\",", "{\"", "\"}", "ab", "aba", "ba",
                           "12", "99", "],", "\xc3\xa4\xc3", "name", "\xe2\x82", "<think>"}) {
    spec.tokens.emplace_back(word);
    spec.kinds.push_back(TokenKind::kNormal);
  }
  spec.scores.assign(spec.tokens.size(), 0);
  spec.unknown = 0;
  spec.bos = 1;
  spec.eos = 2;
  spec.add_space_prefix = false;
  auto tokenizer = Tokenizer::make(std::move(spec));
  EXPECT_TRUE(tokenizer.has_value()) << (tokenizer ? "" : tokenizer.error().message);
  return std::move(*tokenizer);
}

class Constraints : public ::testing::Test {
 protected:
  std::shared_ptr<const Grammar> gbnf(std::string_view source) {
    auto grammar = Grammar::from_gbnf(source, *tokenizer);
    EXPECT_TRUE(grammar.has_value()) << (grammar ? "" : grammar.error().message);
    return grammar ? *grammar : nullptr;
  }
  std::string gbnf_error(std::string_view source) {
    const auto grammar = Grammar::from_gbnf(source, *tokenizer);
    return grammar ? "accepted" : grammar.error().message;
  }
  std::string schema_error(std::string_view source) {
    const auto grammar = Grammar::from_schema(*parse_json(source), *tokenizer);
    return grammar ? "accepted" : grammar.error().message;
  }
  // Feeds a text byte by byte: 0 it breaks off, 1 it may go on, 2 it is complete.
  int read(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
    auto constraint = Constraint::start(grammar);
    for (const char c : text) {
      if (!constraint->accept(static_cast<TokenId>(3 + static_cast<unsigned char>(c)))) return 0;
    }
    return constraint->complete() ? 2 : 1;
  }
  std::vector<std::uint32_t> mask(Constraint& constraint) {
    std::vector<std::uint32_t> bits((tokenizer->size() + 31) / 32);
    constraint.mask(bits);
    return bits;
  }
  static bool bit(const std::vector<std::uint32_t>& bits, TokenId id) {
    return (bits[static_cast<std::size_t>(id) / 32] >> (static_cast<std::size_t>(id) % 32) & 1u) !=
           0;
  }
  std::unique_ptr<Tokenizer> tokenizer = make_tokenizer();
};

TEST_F(Constraints, AgreeWithRegularExpressionsOnEveryShortText) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(root ::= "ab"* "a"?)", "(ab)*a?"},
      {R"(root ::= [ab]{2,4} | "b" root2 "b"
root2 ::= "a"+)",
       "[ab]{2,4}|ba+b"},
      {R"(root ::= x x? x{0,2} "c"
x ::= "a" | "b" "a")",
       "(a|ba)(a|ba)?(a|ba){0,2}c"},
      {R"(root ::= [^ab]{1,3} ("a" | "b" # a comment
  | "cc")?)",
       "[^ab]{1,3}(a|b|cc)?"},
      {R"(root ::= ("a" ("b" ("c" "a"?)*)+)*)", "(a(b(ca?)*)+)*"},
  };
  for (const auto& [source, pattern] : cases) {
    const auto grammar = gbnf(source);
    const std::regex regex(pattern);
    std::vector<std::string> texts{""};
    for (std::size_t i = 0; i < texts.size() && texts[i].size() < 6; ++i) {
      for (const char c : {'a', 'b', 'c'}) texts.push_back(texts[i] + c);
    }
    for (const std::string& text : texts) {
      EXPECT_EQ(read(grammar, text) == 2, std::regex_match(text, regex))
          << source << " on '" << text << "'";
    }
  }
}

// The mask says of every token exactly what accepting it would say.
TEST_F(Constraints, MasksAreExact) {
  const auto schema =
      parse_json(R"({"type":"object","properties":{"name":{"type":"string","maxLength":5},
      "list":{"type":"array","items":{"type":"integer","minimum":-12,"maximum":99}},"ok":{"type":"boolean"}},
      "required":["name"],"additionalProperties":false})");
  for (const auto& grammar :
       {gbnf("root ::= (\"ab\" | \"ba\" | \"ä\" | [€-₿] | <think>){1,6} \"!\""),
        *Grammar::from_schema(*schema, *tokenizer), *Grammar::any_json(*tokenizer)}) {
    std::mt19937 random(1);
    for (int walk = 0; walk < 30; ++walk) {
      auto constraint = Constraint::start(grammar);
      for (int step = 0; step < 40; ++step) {
        const auto bits = mask(*constraint);
        std::vector<TokenId> allowed;
        for (std::size_t i = 0; i < tokenizer->size(); ++i) {
          const auto id = static_cast<TokenId>(i);
          auto fork = constraint->fork();
          EXPECT_EQ(bit(bits, id), fork->accept(id).has_value()) << "token " << id;
          if (bit(bits, id) && !tokenizer->is_end(id)) allowed.push_back(id);
        }
        EXPECT_EQ(bit(bits, 2), constraint->complete());
        if (allowed.empty()) break;
        ASSERT_TRUE(constraint->accept(allowed[random() % allowed.size()]).has_value());
      }
    }
  }
}

TEST_F(Constraints, ARefusedTokenChangesNothing) {
  const auto grammar = gbnf(R"(root ::= "abc")");
  auto constraint = Constraint::start(grammar);
  const auto before = mask(*constraint);
  EXPECT_FALSE(constraint->accept(3 + 'x').has_value());
  EXPECT_FALSE(constraint->accept(2).has_value());
  EXPECT_EQ(mask(*constraint), before);
}

TEST_F(Constraints, CharactersAreWholeInUtf8) {
  const auto any = gbnf("root ::= .*");
  EXPECT_EQ(read(any, "aä€😀"), 2);
  EXPECT_EQ(read(any, "\xc3"), 1);
  EXPECT_EQ(read(any, "\xc0\x80"), 0);      // overlong
  EXPECT_EQ(read(any, "\xed\xa0\x80"), 0);  // surrogate
  EXPECT_EQ(read(any, "\xf4\x90\x80\x80"), 0);
  const auto range = gbnf(R"(root ::= [\u0400-\u20FF])");
  for (const auto& [text, fits] : {std::pair{"Ѐ", true},
                                   {"⃿", true},
                                   {"Ͽ", false},
                                   {"℀", false},
                                   {"中", false},
                                   {"ࠀ", true}}) {
    EXPECT_EQ(read(range, text) == 2, fits) << text;
  }
}

TEST_F(Constraints, GbnfErrorsNameThePlace) {
  EXPECT_EQ(gbnf_error("root ::= \"a"), "line 1, column 12: the closing '\"' is missing");
  EXPECT_EQ(gbnf_error("x ::= \"a\""), "there is no rule 'root' to start from");
  EXPECT_EQ(gbnf_error("root ::= y"), "the rule 'y' is used and never defined");
  EXPECT_EQ(gbnf_error("root ::= root \"a\" | \"b\""),
            "the rule 'root' is left-recursive: it can call itself before it has read anything");
  EXPECT_EQ(gbnf_error("root ::= x* \"b\"\nx ::= \"\" root"),
            "the rule 'root' is left-recursive: it can call itself before it has read anything");
  EXPECT_EQ(gbnf_error("root ::= \"a\"{3,2}"), "line 1, column 18: {3,2} is empty");
  EXPECT_EQ(gbnf_error("root ::= \"a\"{3000}"), "line 1, column 18: repetitions go up to 2000");
  EXPECT_EQ(gbnf_error("root ::= [z-a]"), "line 1, column 14: the range runs backwards");
  EXPECT_EQ(gbnf_error("root ::= \"a\"\nroot ::= \"b\""),
            "line 2, column 9: the rule 'root' is defined twice");
  EXPECT_EQ(gbnf_error("root ::= <nothing>"),
            "line 1, column 10: '<nothing>' is no token of this model");
  EXPECT_EQ(gbnf_error("root ::= <[999999]>"), "line 1, column 14: the vocabulary has 276 tokens");
  EXPECT_NE(gbnf_error("root ::= ((((\"ab\"{2000}){2000}){2000}){2000})").find("too large"),
            std::string::npos);
  EXPECT_NE(gbnf_error("root ::= " + std::string(5000, '(')).find("nested more than"),
            std::string::npos);
}

TEST_F(Constraints, DeepTextDoesNotGrowTheStackOfARightRecursion) {
  const auto grammar = gbnf(R"(root ::= "a" root | "b")");
  EXPECT_EQ(read(grammar, std::string(100000, 'a') + "b"), 2);
  const auto nested = gbnf(R"(root ::= "[" root? "]")");
  EXPECT_EQ(read(nested, std::string(5000, '[') + std::string(5000, ']')), 2);
  EXPECT_EQ(read(nested, std::string(5000, '[') + std::string(5001, ']')), 0);
}

// Strictly they are refused, else named.
TEST_F(Constraints, SchemaKeywordsThatCannotBeKeptAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"array","uniqueItems":true})", "#: 'uniqueItems' cannot be kept"},
      {R"({"type":"object","properties":{"a":{"type":"array","contains":{}}}})",
       "#/properties/a: 'contains' cannot be kept"},
      {R"({"type":"object","dependentRequired":{"a":["b"]}})", "'dependentRequired'"},
      {R"({"not":{}})", "'not'"},
      {R"({"if":{},"then":{}})", "'if'"},
      {R"({"type":"string","pattern":"(a)\\1"})", "this escape cannot be kept"},
      {R"({"type":"string","pattern":"(?<=a)b"})", "'(?<=a)b', character 5: look-behind"},
      {R"({"type":"string","pattern":"(a$)*"})", "an anchor or look-ahead within a repetition"},
      {R"({"type":"string","maxLength":100000})", "'maxLength'"},
      {R"({"type":"string","format":"email","pattern":"^[0-9]+$"})", "'format'"},
  };
  for (const auto& [schema, expected] : cases) {
    const auto strict = Grammar::from_schema(*parse_json(schema), *tokenizer, true);
    EXPECT_NE((strict ? "accepted" : strict.error().message).find(expected), std::string::npos)
        << schema << " → " << (strict ? "accepted" : strict.error().message);
    const auto loose = Grammar::from_schema(*parse_json(schema), *tokenizer, false);
    ASSERT_TRUE(loose) << loose.error().message;
    ASSERT_EQ((*loose)->unkept().size(), 1U) << schema;
    EXPECT_NE((*loose)->unkept()[0].find(expected), std::string::npos) << (*loose)->unkept()[0];
  }
}

TEST_F(Constraints, SchemasThatNothingFitsAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"thing"})", "the type 'thing' is unknown"},
      {R"({"$ref":"#/nowhere"})", "'$ref' names '#/nowhere', which is not in the schema"},
      {R"({"$ref":"http://elsewhere"})", "only '#/…' is followed"},
      {R"({"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})", "left-recursive"},
      {R"({"type":"object","required":["x"],"additionalProperties":false})",
       "'required' names 'x', which nothing may be"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "no whole number that can be written"},
      {R"({"type":"string","pattern":"^a$","minLength":2})", "no text of these lengths"},
      {"false", "#: the schema 'false' fits nothing"},
      {"[]", "#: a schema must be an object or a boolean"},
      {R"({"enum":[]})", "'enum' must be a list that is not empty"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "fits nothing"},
  };
  for (const auto& [schema, expected] : cases) {
    EXPECT_NE(schema_error(schema).find(expected), std::string::npos)
        << schema << " → " << schema_error(schema);
  }
}

// Texts that ECMA-262 matches, where other readers of patterns differ.
TEST_F(Constraints, PatternsMeanWhatEcmaMeans) {
  const std::tuple<const char*, const char*, bool> cases[] = {
      {R"(^\\s$)", "\u00a0", true},
      {R"(^\\s$)", "\u3000", true},
      {R"(^\\S$)", "\u2003", false},
      {R"(^\\d$)", "٣", false},
      {R"(^.$)", "\u2028", false},
      {R"(a|^b)", "xa", true},
      {R"(a|^b)", "xb", false},
      {R"(^(?!a)..$)", "ab", false},
      {R"(^(?!a)..$)", "ba", true},
      {R"(^(?:a|b(?=c)).+$)", "bc", true},
      {R"(^(?:a|b(?=c)).+$)", "bd", false},
  };
  for (const auto& [pattern, text, fits] : cases) {
    const auto grammar = Grammar::from_schema(
        *parse_json(fmt::format(R"({{"type":"string","pattern":"{}"}})", pattern)), *tokenizer,
        true);
    ASSERT_TRUE(grammar) << grammar.error().message;
    EXPECT_EQ(read(*grammar, fmt::format("\"{}\"", text)) == 2, fits) << pattern << " " << text;
  }
}

TEST_F(Constraints, AddressesAreOnes) {
  const std::tuple<const char*, const char*, bool> cases[] = {
      {"uri", "http://host:abc/", false},
      {"uri", "http://host:80/", true},
      {"uri", "no uri", false},
      {"ipv4", "256.1.1.1", false},
      {"ipv6", "1:2:3", false},
      {"ipv6", "::", true},
      {"email", "a@b", false},
      {"email", "a@b.cd", true},
      {"hostname", "-a", false},
      {"date", "2023-02-29", false},
      {"duration", "P", false},
      {"duration", "PT", false},
  };
  for (const auto& [format, text, fits] : cases) {
    const auto grammar = Grammar::from_schema(
        *parse_json(fmt::format(R"({{"type":"string","format":"{}"}})", format)), *tokenizer, true);
    ASSERT_TRUE(grammar) << grammar.error().message;
    EXPECT_EQ(read(*grammar, fmt::format("\"{}\"", text)) == 2, fits) << format << " " << text;
  }
}

// As printers write JSON, whichever: a model can spend no tokens on blanks elsewhere.
TEST_F(Constraints, BlanksAreFew) {
  const auto grammar = Grammar::from_schema(
      *parse_json(
          R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"boolean"}}},
                      "required":["a"],"additionalProperties":false})"),
      *tokenizer, true);
  ASSERT_TRUE(grammar);
  for (const char* text :
       {R"({"a":[true,false]})", R"({"a": [true, false]})", R"({ "a": [ true ] })",
        "{\n  \"a\": [\n    true,\n    false\n  ]\n}", "{\n\t\"a\": []\n}"})
    EXPECT_EQ(read(*grammar, text), 2) << text;
  for (const char* text : {"{\n\n", "{  ", R"({"a" )", R"({"a":  )", "{\"a\":\n",
                           R"({"a":[true )"
                           ",",
                           "{\n                     "})
    EXPECT_EQ(read(*grammar, text), 0) << text;
}

// 128 tools of ten texts each, and a list of 8,000 values.
TEST_F(Constraints, LargeSchemasAreKept) {
  Json tools = Json::array();
  for (int tool = 0; tool < 128; ++tool) {
    Json parameters = {{"type", "object"}, {"properties", Json::object()}};
    for (int i = 0; i < 10; ++i) {
      const std::string name = fmt::format("argument_{}", i);
      parameters["properties"][name] = {{"type", "string"}};
      parameters["required"].push_back(name);
    }
    tools.push_back({{"type", "object"},
                     {"properties",
                      {{"name", {{"const", fmt::format("tool_{}", tool)}}},
                       {"arguments", std::move(parameters)}}},
                     {"required", {"name", "arguments"}}});
  }
  const auto calls = Grammar::from_schema({{"anyOf", std::move(tools)}}, *tokenizer, true);
  ASSERT_TRUE(calls) << calls.error().message;
  EXPECT_EQ(read(*calls, R"({"name": "tool_77", "arguments": {"argument_0": ")"), 1);
  Json values = Json::array();
  for (int i = 0; i < 8000; ++i) values.push_back(fmt::format("value {}", i));
  const auto listed = Grammar::from_schema({{"enum", std::move(values)}}, *tokenizer, true);
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(read(*listed, "\"value 7999\""), 2);
  EXPECT_EQ(read(*listed, "\"value 8000\""), 0);
}

TEST_F(Constraints, AnAmbiguousGrammarSaysThatItIs) {
  const auto wide = gbnf(R"(root ::= (x? y? x? y?){2000} | (y? x? y? x?){2000} "!"
x ::= [ab]{0,99}
y ::= [bc]{0,99})");
  ASSERT_TRUE(wide);
  auto constraint = Constraint::start(wide);
  std::vector<std::uint32_t> bits((tokenizer->size() + 31) / 32);
  EXPECT_FALSE(constraint->mask(bits));
  EXPECT_NE(wide->problem().find("too many ways at once"), std::string::npos);
  const auto narrow = gbnf(R"(root ::= "a")");
  auto other = Constraint::start(narrow);
  mask(*other);
  EXPECT_EQ(narrow->problem(), "");
}

TEST_F(Constraints, IntegersInEveryRange) {
  std::mt19937 random(2);
  for (int round = 0; round < 60; ++round) {
    int low = static_cast<int>(random() % 2400) - 1200,
        high = low + static_cast<int>(random() % (round < 30 ? 30 : 1500));
    const auto grammar = Grammar::from_schema(
        *parse_json(fmt::format(R"({{"type":"integer","minimum":{},"exclusiveMaximum":{}}})", low,
                                high + 1)),
        *tokenizer);
    ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
    for (int value = low - 30; value <= high + 30; value += 1 + round / 20) {
      EXPECT_EQ(read(*grammar, std::to_string(value)) == 2, low <= value && value <= high)
          << low << " " << value << " " << high;
    }
    EXPECT_NE(read(*grammar, "007"), 2);
    EXPECT_NE(read(*grammar, "-0"), 2);
  }
}

TEST_F(Constraints, AnAdditionalMemberCannotStandInForADeclaredOne) {
  const auto grammar = Grammar::from_schema(
      *parse_json(
          R"({"type":"object","properties":{"a":{"type":"integer"},"ab":{"type":"integer"}}})"),
      *tokenizer);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  EXPECT_EQ(read(*grammar, R"({"a": 1, "c": "text"})"), 2);
  EXPECT_EQ(read(*grammar, R"({"b":null,"abc":[1,{"a":"x"}],"":0})"), 2);
  EXPECT_EQ(read(*grammar, R"({"a": "text")"), 0);
  EXPECT_EQ(read(*grammar, R"({"x": 1, "ab": "text")"), 0);
  EXPECT_EQ(read(*grammar, R"({"x": 1, "\u0061": "text")"), 0);
}

}  // namespace
}  // namespace lathe::infer
