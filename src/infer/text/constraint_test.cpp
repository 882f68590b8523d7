#include "infer/text/constraint.h"

#include <gtest/gtest.h>

#include <random>
#include <regex>

namespace lathe {
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

class Constraints : public testing::Test {
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
        *Grammar::from_schema(*schema, *tokenizer), Grammar::any_json(*tokenizer)}) {
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

TEST_F(Constraints, SchemaKeywordsThatCannotBeKeptAreRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"number","minimum":3})", "#: the keyword 'minimum' cannot be kept"},
      {R"({"type":"object","properties":{"a":{"type":"integer","multipleOf":5}}})",
       "#/properties/a: the keyword 'multipleOf' cannot be kept"},
      {R"({"type":"array","uniqueItems":true})", "#: the keyword 'uniqueItems' cannot be kept"},
      {R"({"type":"array","contains":{}})", "'contains'"},
      {R"({"type":"object","patternProperties":{}})", "'patternProperties'"},
      {R"({"type":"object","propertyNames":{}})", "'propertyNames'"},
      {R"({"type":"object","dependentRequired":{}})", "'dependentRequired'"},
      {R"({"not":{}})", "'not'"},
      {R"({"if":{}})", "'if'"},
      {R"({"type":"string","format":"email"})", "the format 'email'"},
      {R"({"type":"string","pattern":"(?=a)b"})", "'(?=a)b', character 3: only plain groups"},
      {R"({"type":"string","pattern":"(a)\\1"})", "this escape cannot be kept"},
      {R"({"type":"string","minLength":2,"pattern":"a"})", "cannot be kept together"},
      {R"({"type":"thing"})", "the type 'thing' is unknown"},
      {R"({"$ref":"#/nowhere"})", "'$ref' names '#/nowhere', which is not in the schema"},
      {R"({"$ref":"http://elsewhere"})", "only '#/…' is followed"},
      {R"({"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})", "left-recursive"},
      {R"({"type":"object","required":["x"]})",
       "'required' names 'x', which 'properties' does not declare"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "no whole number lies between"},
      {"false", "#: the schema 'false' fits nothing"},
      {"[]", "#: a schema must be an object or a boolean"},
      {R"({"enum":[]})", "'enum' must be a list that is not empty"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})",
       "'allOf' says 'type' twice, differently"},
  };
  for (const auto& [schema, expected] : cases) {
    EXPECT_NE(schema_error(schema).find(expected), std::string::npos)
        << schema << " → " << schema_error(schema);
  }
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
}  // namespace lathe
