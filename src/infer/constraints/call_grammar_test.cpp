// Calls under a grammar, in every form: whatever it lets a model write is read as calls of the
// offered tools with arguments that fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "infer/constraints/constraint.h"

namespace lathe::infer {
namespace {

// Bytes as tokens; the first is number 3.
std::unique_ptr<Tokenizer> byte_tokenizer() {
  VocabularySpec spec;
  spec.model = "llama";
  spec.tokens = {"<unk>", "<s>", "</s>"};
  spec.kinds = {TokenKind::kUnknown, TokenKind::kControl, TokenKind::kControl};
  for (int byte = 0; byte < 256; ++byte) {
    spec.tokens.push_back(fmt::format("<0x{:02X}>", byte));
    spec.kinds.push_back(TokenKind::kByte);
  }
  spec.scores.assign(spec.tokens.size(), 0);
  spec.unknown = 0;
  spec.bos = 1;
  spec.eos = 2;
  spec.add_space_prefix = false;
  return std::move(Tokenizer::make(std::move(spec)).value());
}

const std::vector<OfferedTool> kTools = {{"f", parse_json(R"({
  "type": "object", "required": ["s", "n"], "additionalProperties": false, "properties": {
    "s": {"type": "string", "maxLength": 5}, "n": {"type": "integer", "minimum": -3, "maximum": 20},
    "kind": {"enum": ["a b", "c", 3]}, "flag": {"$ref": "#/$defs/Flag"},
    "o": {"type": "object", "additionalProperties": false, "properties": {
      "k": {"type": "array", "maxItems": 2, "items": {"type": "boolean"}}}}},
  "$defs": {"Flag": {"type": "boolean"}}})")
                                                   .value()},
                                         {"no.thing-at_all", parse_json(R"({
  "type": "object", "properties": {}, "additionalProperties": false})")
                                                                 .value()}};

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

bool fits(const ToolCall& call) {
  const Json all = parse_json(call.arguments).value();
  if (call.name == "no.thing-at_all") return all.empty();
  if (call.name != "f" || !all.contains("s") || !all.contains("n")) return false;
  for (const auto& [name, value] : all.items()) {
    const bool good =
        name == "s"      ? value.is_string() && characters(value.get<std::string>()) <= 5
        : name == "n"    ? value.is_number_integer() && value >= -3 && value <= 20
        : name == "kind" ? value == "a b" || value == "c" || value == 3
        : name == "flag" ? value.is_boolean()
        : name == "o"    ? value.is_object() &&
                            (value.empty() ||
                             (value.size() == 1 && value["k"].is_array() && value["k"].size() <= 2))
                      : false;
    if (!good) return false;
  }
  return true;
}

class CallGrammar : public testing::Test {
 protected:
  std::shared_ptr<const Grammar> grammar_of(const CallForm& form, CallDemand demand) {
    const auto grammar = Grammar::from_calls(form, kTools, demand, *tokenizer_);
    EXPECT_TRUE(grammar) << (grammar ? "" : grammar.error().message);
    return grammar ? *grammar : nullptr;
  }
  // 0 it breaks off, 1 it may go on, 2 it is complete.
  int takes(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
    auto constraint = Constraint::start(grammar);
    for (const char c : text)
      if (!constraint->accept(static_cast<TokenId>(3 + static_cast<unsigned char>(c)))) return 0;
    return constraint->complete() ? 2 : 1;
  }
  // Any text of the grammar.
  std::string written(const std::shared_ptr<const Grammar>& grammar, std::mt19937& random) {
    auto constraint = Constraint::start(grammar);
    std::vector<std::uint32_t> bits((tokenizer_->size() + 31) / 32);
    std::string text;
    while (text.size() < 4000 && !(constraint->complete() && random() % 2 == 0)) {
      constraint->mask(bits);
      std::vector<TokenId> allowed;
      for (TokenId id = 3; id < static_cast<TokenId>(tokenizer_->size()); ++id)
        if ((bits[static_cast<std::size_t>(id) / 32] >> id % 32 & 1) != 0) allowed.push_back(id);
      if (allowed.empty()) break;
      const TokenId token = allowed[random() % allowed.size()];
      EXPECT_TRUE(constraint->accept(token));
      text += tokenizer_->piece(token);
    }
    EXPECT_TRUE(constraint->complete()) << text;
    return text;
  }
  static std::vector<ToolCall> read(AnswerFormat format, const std::string& text,
                                    std::string& rest) {
    const auto parser = AnswerParser::make({format, false, kTools});
    AnswerDelta first = parser->push(text), last = parser->finish();
    std::ranges::move(last.calls, std::back_inserter(first.calls));
    rest = first.text + last.text + first.thinking + last.thinking;
    return first.calls;
  }

  std::unique_ptr<Tokenizer> tokenizer_ = byte_tokenizer();
};

TEST_F(CallGrammar, WhatItWritesIsReadAsCallsThatFit) {
  std::mt19937 random(37);
  for (const FormatInfo& info : answer_formats()) {
    if (!info.form) continue;
    CallForm form = *info.form;
    form.thought_open = form.thought_end = {};  // without end
    for (const bool several : {false, true}) {
      const auto grammar = grammar_of(form, {.several = several, .strict = true});
      ASSERT_NE(grammar, nullptr);
      std::size_t most = 0;
      for (int round = 0; round < 40; ++round) {
        const std::string text = written(grammar, random);
        std::string rest;
        const std::vector<ToolCall> calls = read(info.format, text, rest);
        EXPECT_EQ(rest.find_first_not_of(" \n"), std::string::npos) << info.name << ": " << text;
        EXPECT_FALSE(calls.empty()) << info.name << ": " << text;
        EXPECT_TRUE(std::ranges::all_of(calls, fits)) << info.name << ": " << text;
        most = std::max(most, calls.size());
      }
      EXPECT_EQ(most > 1, several && !form.single) << info.name;
    }
  }
}

TEST_F(CallGrammar, TakesTheFormAsModelsWriteIt) {
  const auto form = [](AnswerFormat format) { return *format_info(format).form; };
  const std::pair<AnswerFormat, std::string> cases[] = {
      {AnswerFormat::kHermes,
       "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"a\", \"n\": 1}}\n</tool_call>"},
      {AnswerFormat::kQwenXml,
       "<tool_call>\n<function=f>\n<parameter=s>\n12\n</parameter>\n<parameter=n>\n12\n</"
       "parameter>\n"
       "<parameter=kind>\na b\n</parameter>\n</function>\n</tool_call>"},
      {AnswerFormat::kGlm,
       "<tool_call>f\n<arg_key>s</arg_key>\n<arg_value>x</arg_value>\n<arg_key>n</arg_key>\n"
       "<arg_value>-3</arg_value>\n</tool_call>"},
      {AnswerFormat::kMiniMax,
       "<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"s\">a<b</parameter>\n"
       "<parameter name=\"n\">3</parameter>\n</invoke>\n</minimax:tool_call>"},
      {AnswerFormat::kDsml,
       "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"s\" "
       "string=\"true\">x</｜DSML｜parameter>\n<｜DSML｜parameter name=\"n\" string=\"false\">3"
       "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>"},
      {AnswerFormat::kKimi,
       "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>"
       "{\"s\":\"\",\"n\":0}<|tool_call_end|><|tool_calls_section_end|>"},
      {AnswerFormat::kMistralId, "[TOOL_CALLS]f[CALL_ID]abcDEF123[ARGS]{\"s\": \"\", \"n\": 0}"},
      {AnswerFormat::kLfm, "<|tool_call_start|>[f(s=\"a\", n=2, flag=true)]<|tool_call_end|>"},
      {AnswerFormat::kHarmony,
       "<|channel|>analysis<|message|>hm<|end|><|start|>assistant to=functions.f<|channel|>"
       "commentary <|constrain|>json<|message|>{\"s\": \"\", \"n\": 0}"},
  };
  for (const auto& [format, text] : cases) {
    const auto grammar = grammar_of(form(format), {.strict = true});
    EXPECT_EQ(takes(grammar, text), 2) << text;
    EXPECT_EQ(takes(grammar, text.substr(0, text.size() - 1)), 1) << text;
    const std::string opened = std::string(form(format).begin) + std::string(form(format).open);
    EXPECT_EQ(takes(grammar, opened + "f"), 1) << opened;
    EXPECT_EQ(takes(grammar, opened + "g"), 0) << opened;
  }
}

TEST_F(CallGrammar, RefusesWhatTheSchemaDoes) {
  const auto grammar = grammar_of(*format_info(AnswerFormat::kQwenXml).form, {.strict = true});
  const std::string begin = "<tool_call>\n<function=f>\n<parameter=";
  for (const char* bad :
       {"n>", "t>", "s>\n123456", "s>\na</parameter><", "s>\n</function",
        "s>\na\n</parameter>\n</f", "s>\na\n</parameter>\n<parameter=n>\n21",
        "s>\na\n</parameter>\n<parameter=n>\n\"1\"",
        "s>\na\n</parameter>\n<parameter=n>\n1\n</parameter>\n<parameter=kind>\nd"})
    EXPECT_EQ(takes(grammar, begin + bad), 0) << bad;
}

// A text that held them would be read as less than it is.
TEST_F(CallGrammar, TextsHoldNoneOfTheFormsOwnWords) {
  const std::vector<OfferedTool> tools = {
      {"f", parse_json(R"({"properties": {"s": {"type": "string"}}})").value()}};
  for (const FormatInfo& info : answer_formats()) {
    if (!info.form || info.form->raw_ends.empty()) continue;
    const CallForm& form = *info.form;
    const auto grammar = Grammar::from_calls(form, tools, {.strict = true}, *tokenizer_).value();
    const std::string_view key_end = form.text_key_end.empty() ? form.key_end : form.text_key_end;
    const std::string begin =
        fmt::format("{}{}f{}{}s{}", form.begin, form.open, form.name_end, form.key_open, key_end);
    for (const std::string_view word : form.raw_ends) {
      const std::string text = begin + "some <text> " + std::string(word);
      EXPECT_EQ(takes(grammar, text.substr(0, text.size() - 1)), 1) << text;
      EXPECT_EQ(takes(grammar, text + "x"), 0) << text;  // with a line break, its end
    }
  }
}

TEST_F(CallGrammar, TheThinkingThatThePromptOpenedComesFirst) {
  const auto grammar = grammar_of(*format_info(AnswerFormat::kHermes).form,
                                  {.strict = true, .thinking_end = "</think>"});
  const std::string call =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"a\", \"n\": 1}}\n</tool_call>";
  EXPECT_EQ(takes(grammar, "I think </ thin.\n</think>\n\n" + call), 2);
  EXPECT_EQ(takes(grammar, "</think>" + call), 2);
  EXPECT_EQ(takes(grammar, call), 1);
  EXPECT_EQ(takes(grammar, "</think>I say"), 0);
}

TEST_F(CallGrammar, WhatIsNotKeptIsNamedOrRefused) {
  const auto compile = [&](const char* parameters, bool strict) {
    const std::vector<OfferedTool> tools = {{"f", parse_json(parameters).value()}};
    return Grammar::from_calls(*format_info(AnswerFormat::kGlm).form, tools, {.strict = strict},
                               *tokenizer_);
  };
  const char* cannot = R"({"properties": {"a": {"type": "array", "contains": {"const": 1}}}})";
  ASSERT_TRUE(compile(cannot, false));
  EXPECT_THAT((*compile(cannot, false))->unkept(),
              testing::ElementsAre(testing::StartsWith("f#/properties/a: 'contains'")));
  EXPECT_THAT(compile(cannot, true).error().message, testing::HasSubstr("'f'"));
  const char* mixed = R"({"properties": {"a": {"type": ["string", "integer"]}}})";
  EXPECT_EQ((*compile(mixed, false))->unkept().size(), 1U);
  EXPECT_TRUE((*compile(R"({"properties": {"a": {}}})", true))->unkept().empty());
}

}  // namespace
}  // namespace lathe::infer
