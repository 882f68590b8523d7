// Calls under a grammar, in every form: whatever it lets a model write is read as calls of the
// offered tools with arguments that fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "ground/base/text.h"
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

class CallGrammar : public ::testing::Test {
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
  // Any text of the grammar that begins so.
  std::string written(const std::shared_ptr<const Grammar>& grammar, std::mt19937& random,
                      std::string text = "") {
    auto constraint = Constraint::start(grammar);
    std::vector<std::uint32_t> bits((tokenizer_->size() + 31) / 32);
    for (const char c : text)
      EXPECT_TRUE(constraint->accept(static_cast<TokenId>(3 + static_cast<unsigned char>(c))))
          << text;
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
  // What an answer means, in two pieces cut at any place the same.
  static AnswerDelta meaning(const AnswerOptions& options, std::string_view text) {
    AnswerDelta whole;
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      const auto parser = AnswerParser::make(options);
      AnswerDelta all = parser->push(text.substr(0, cut));
      for (AnswerDelta& more : std::array{parser->push(text.substr(cut)), parser->finish()}) {
        all.text += more.text;
        all.thinking += more.thinking;
        std::ranges::move(more.calls, std::back_inserter(all.calls));
      }
      if (cut == 0) whole = all;
      EXPECT_EQ(all.text, whole.text) << text.substr(0, cut) << "¦" << text.substr(cut);
      EXPECT_EQ(all.thinking, whole.thinking) << text.substr(0, cut);
      EXPECT_EQ(all.calls.size(), whole.calls.size()) << text.substr(0, cut);
    }
    return whole;
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
    const CallForm& form = *info.form;
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
      {AnswerFormat::kHarmony,
       "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"s\": \"\", \"n\": 0}"},
      {AnswerFormat::kGemma,
       "<|tool_call>call:f{s:<|\"|>a\"b<|\"|>,n:-3,kind:<|\"|>a "
       "b<|\"|>,o:{k:[true,false]}}<tool_call|>"},
      {AnswerFormat::kCommandR,
       "Action: ```json\n[\n    {\n        \"tool_name\": \"f\",\n        \"parameters\": "
       "{\"s\": \"\", \"n\": 0}\n    }\n]```"},
  };
  for (const auto& [format, text] : cases) {
    const auto grammar =
        grammar_of(form(format), {.strict = true, .lead = answer_lead(format, "", {})});
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
    const std::string begin = form.text_quote.empty()
                                  ? fmt::format("{}{}f{}{}s{}", form.begin, form.open,
                                                form.name_end, form.key_open, key_end)
                                  : fmt::format("{}f{{s:{}", form.open, form.text_quote);
    for (const std::string_view word : form.raw_ends) {
      const std::string text = begin + "some <text> " + std::string(word);
      EXPECT_EQ(takes(grammar, text.substr(0, text.size() - 1)), 1) << text;
      EXPECT_EQ(takes(grammar, text + "x"), 0) << text;  // with a line break, its end
    }
  }
}

TEST_F(CallGrammar, TheThinkingThatThePromptOpenedComesFirst) {
  const auto grammar =
      grammar_of(*format_info(AnswerFormat::kHermes).form,
                 {.strict = true, .lead = answer_lead(AnswerFormat::kHermes, "<think>\n", {})});
  const std::string call =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"a\", \"n\": 1}}\n</tool_call>";
  EXPECT_EQ(takes(grammar, "I think </ thin.\n</think>\n\n" + call), 2);
  EXPECT_EQ(takes(grammar, "</think>" + call), 2);
  EXPECT_EQ(takes(grammar, call), 1);
  EXPECT_EQ(takes(grammar, "</think>I say"), 0);
}

// Of a schema, behind thinking or without: whatever is written is read as thinking and JSON that
// fits, the family's own words in its texts left as they are.
TEST_F(CallGrammar, WhatIsHeldComesBehindThinking) {
  std::mt19937 random(38);
  const Json schema = parse_json(R"({"type": "object", "required": ["a", "n"], "properties": {
    "a": {"type": "string", "maxLength": 80}, "n": {"enum": [1, "two"]}},
    "additionalProperties": false})")
                          .value();
  for (const FormatInfo& info : answer_formats()) {
    const auto& [open, close] = info.thoughts.front();
    const std::string head(info.message_ends.empty() ? "" : info.text_opens.front());
    const std::string thought = "is {\"a\": 1} it?";
    for (const bool opened : {false, true}) {
      const AnswerLead lead = answer_lead(info.format, opened ? open : "", true);
      ASSERT_EQ(lead.opened, opened) << info.name;
      const auto grammar = Grammar::from_schema(schema, *tokenizer_, true, lead).value();
      const AnswerOptions options{
          .format = info.format, .starts_thinking = opened, .tools = kTools, .held = true};
      for (int round = 0; round < 20; ++round) {
        const bool thinks = opened || round % 2 == 0;
        std::string begin = thinks ? fmt::format("{}{}{}", opened ? "" : open, thought, close) : "";
        begin += head;
        std::string word = "</think> <tool_call> <answer> <|end|> <|channel|>";
        begin += round < 4 ? "{\"a\": \"" + word : "{";
        if (opened && !info.message_ends.empty()) continue;  // no prompt ends so
        const std::string text = written(grammar, random, begin);
        const AnswerDelta read = meaning(options, text);
        EXPECT_EQ(read.thinking, thinks ? thought : "") << info.name << ": " << text;
        const auto json = parse_json(read.text);
        ASSERT_TRUE(json && json->is_object()) << info.name << ": " << text;
        EXPECT_TRUE((*json)["a"].is_string() && ((*json)["n"] == 1 || (*json)["n"] == "two"));
        if (round < 4) {
          EXPECT_TRUE((*json)["a"].get<std::string>().starts_with(word)) << read.text;
        }
      }
    }
    const auto strictly = [&](std::string_view end, std::optional<bool> thinks) {
      return Grammar::from_schema(schema, *tokenizer_, true, answer_lead(info.format, end, thinks))
          .value();
    };
    EXPECT_EQ(takes(strictly("", false), std::string(open) + "x"), 0) << info.name;
    EXPECT_EQ(takes(strictly("", false), head + "{\"a\""), 1) << info.name;
    EXPECT_EQ(takes(strictly("", {}), std::string(open) + "x"), info.message_ends.empty() ? 0 : 1);
    if (!info.message_ends.empty()) {
      EXPECT_EQ(takes(strictly("", {}), "{"), 0);
      continue;
    }
    // The prompt has closed it.
    EXPECT_EQ(takes(strictly(fmt::format("{}\n\n{}\n\n", open, close), true), "{"), 1);
    EXPECT_EQ(takes(strictly(fmt::format("{}{}", open, close), true), open), 0) << info.name;
  }
}

// Text and thinking are free, a call is not once it is opened.
TEST_F(CallGrammar, CallsOfTheModelsOwnAccordFit) {
  std::mt19937 random(39);
  const auto filled = [](std::string_view words) {
    return replace_all(replace_all(words, "{#}", "0"), "{id}", "abcDEF123");
  };
  const std::string said = "I <b>could</b> {\"name\": \"g\"} call(f) to=5 [1] ";
  for (const FormatInfo& info : answer_formats()) {
    const auto free = free_text(info.format);
    const bool words = info.format == AnswerFormat::kLlama3 ||
                       info.format == AnswerFormat::kCommandR || !info.form;
    ASSERT_EQ(free.has_value(), !words) << info.name;
    if (!free) continue;
    const CallForm& form = *info.form;
    const bool messages = !free->opens.empty();
    const std::string text = messages ? std::string(free->opens.front()) + said : said;
    // Of a tool that is not strict only the name is kept, where the form allows that.
    std::vector<OfferedTool> tools = kTools;
    tools.push_back({"g", kTools[0].parameters, true});
    const auto mixed = Grammar::from_calls(form, tools, {.free = free}, *tokenizer_).value();
    for (const bool several : {false, true}) {
      const auto grammar =
          Grammar::from_calls(form, kTools, {.several = several, .free = free}, *tokenizer_)
              .value();
      EXPECT_EQ(takes(grammar, text), 2) << info.name;
      const std::string before = text + std::string(messages ? free->end : "");
      const std::string opened =
          before + std::string(form.begin) + std::string(form.open.substr(0, form.open.find('{')));
      for (int round = 0; round < 10; ++round) {
        const std::string all = written(grammar, random, opened);
        const AnswerDelta read = meaning({.format = info.format, .tools = kTools}, all);
        EXPECT_FALSE(read.calls.empty()) << info.name << ": " << all;
        EXPECT_TRUE(std::ranges::all_of(read.calls, fits)) << info.name << ": " << all;
        EXPECT_TRUE(read.text.starts_with(trim(said))) << info.name << ": " << read.text;
        if (!several) {
          EXPECT_EQ(read.calls.size(), 1U) << info.name << ": " << all;
        }
      }
      const std::string named = before + std::string(form.begin) + filled(form.open);
      for (const OfferedTool& tool : tools)
        EXPECT_EQ(takes(mixed, named + tool.name), 1) << info.name;
      EXPECT_EQ(takes(mixed, named + "other"), 0) << info.name;
      if (!form.key_end.empty()) continue;
      const std::string name_end = filled(form.name_end);
      const std::string x = form.text_quote.empty() ? "{\"x\"" : "{x";
      EXPECT_EQ(takes(mixed, named + "g" + name_end + x + ": 1}"), form.close.empty() ? 2 : 1);
      EXPECT_EQ(takes(mixed, named + "f" + name_end + x), 0) << info.name;
    }
  }
}

// As models write them, in one answer.
TEST_F(CallGrammar, ThinkingAndTextMayStandAroundCalls) {
  const std::string hermes =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"a\", \"n\": 1}}\n</tool_call>";
  const auto grammar = grammar_of(*format_info(AnswerFormat::kHermes).form,
                                  {.several = true,
                                   .lead = answer_lead(AnswerFormat::kHermes, "<think>", {}),
                                   .free = free_text(AnswerFormat::kHermes)});
  const std::string thought = "a <tool_call> would\n</think>\n\n";
  EXPECT_EQ(takes(grammar, thought + "Well.\n" + hermes + "\n" + hermes + "\nso"), 2);
  EXPECT_EQ(takes(grammar, thought), 2);
  EXPECT_EQ(takes(grammar, thought + "<tool_call> is a word"), 0);
  const auto harmony = grammar_of(*format_info(AnswerFormat::kHarmony).form,
                                  {.free = free_text(AnswerFormat::kHarmony)});
  const std::string between = "<|end|><|start|>assistant";
  const std::string call = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>";
  EXPECT_EQ(takes(harmony, "<|channel|>analysis<|message|>to=functions.x" + between +
                               "<|channel|>commentary<|message|>I look." + between + call +
                               "{\"s\": \"a\", \"n\": 1}"),
            2);
  EXPECT_EQ(takes(harmony, call + "{\"s\": 1"), 0);
  EXPECT_EQ(takes(harmony, "<|channel|>commentary to=functions.x"), 0);
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
              ::testing::ElementsAre(::testing::StartsWith("f#/properties/a: 'contains'")));
  EXPECT_THAT(compile(cannot, true).error().message, ::testing::HasSubstr("'f'"));
  const char* mixed = R"({"properties": {"a": {"type": ["string", "integer"]}}})";
  EXPECT_EQ((*compile(mixed, false))->unkept().size(), 1U);
  EXPECT_TRUE((*compile(R"({"properties": {"a": {}}})", true))->unkept().empty());
}

}  // namespace
}  // namespace lathe::infer
