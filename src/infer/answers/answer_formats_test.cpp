// The forms of the families, each with its calls, its thinking and what is no call in it.
#include "infer/answers/answer_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "infer/answers/answer_calls.h"
#include "infer/answers/answer_test.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {
namespace {

using enum AnswerFormat;

const std::string kWritten = R"(f {"s":"a \"b\"\n<c> é","n":12,"o":{"k":[1,"x",null,true]}})";
const std::string kJson = R"({"s": "a \"b\"\n<c> é", "n": 12, "o": {"k": [1, "x", null, true]}})";
const std::string kText = "a \"b\"\n<c> é", kObject = R"({"k": [1, "x", null, true]})";

std::string glm(const std::string& between) {
  return "<tool_call>f" + between + "<arg_key>s</arg_key>" + between + "<arg_value>" + kText +
         "</arg_value>" + between + "<arg_key>n</arg_key>" + between + "<arg_value>12</arg_value>" +
         between + "<arg_key>o</arg_key>" + between + "<arg_value>" + kObject + "</arg_value>" +
         between + "</tool_call>";
}

// The same call with other words for the tags of Qwen's form.
std::string tagged(const std::string& function, const std::string& function_end,
                   const std::string& open, const std::string& end, const std::string& close) {
  const auto parameter = [&](const std::string& name, const std::string& value) {
    return open + name + end + value + close + "\n";
  };
  return function + parameter("s", kText) + parameter("n", "12") + parameter("o", kObject) +
         function_end;
}

const std::string kInvoke =
    tagged("<invoke name=\"f\">\n", "</invoke>\n", "<parameter name=\"", "\">", "</parameter>");
const std::string kSeedCall =
    "<seed:tool_call>\n" +
    tagged("<function=f>\n", "</function>\n", "<parameter=", ">", "</parameter>") +
    "</seed:tool_call>";
const std::string kDsmlInvoke =
    "<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"s\" string=\"true\">" + kText +
    "</｜DSML｜parameter>\n<｜DSML｜parameter name=\"n\" string=\"false\">12</｜DSML｜parameter>\n"
    "<｜DSML｜parameter name=\"o\" string=\"false\">" +
    kObject + "</｜DSML｜parameter>\n</｜DSML｜invoke>\n";
const std::string kDeepSeekCall =
    "<｜tool▁call▁begin｜>f<｜tool▁sep｜>" + kJson + "<｜tool▁call▁end｜>";
const std::string kGemmaCall = "<|tool_call>call:f{s:<|\"|>" + kText +
                               "<|\"|>,n:12,o:{k:[1,<|\"|>x<|\"|>,None,true]}}<tool_call|>";

std::vector<Case> cases() {
  return {
      {kGlm, "<think>hm</think>\nI call.\n" + glm("\n"), {"I call.", "hm", {kWritten}}},
      {kGlm, "hm</think>" + glm("") + glm(""), {"", "hm", {kWritten, kWritten}}, true},
      {kGlm, "<tool_call>f\n</tool_call> Done.", {"Done.", "", {"f {}"}}},
      {kGlm,
       "<tool_call>g<arg_key>x</arg_key><arg_value>5</arg_value></tool_call>",
       {"", "", {"g {\"x\":5}"}}},
      {kGlm,
       "<tool_call>f<arg_key>s</arg_key><arg_value>12</arg_value></tool_call>",
       {"", "", {"f {\"s\":\"12\"}"}}},
      {kGlm,
       "<tool_call>f<arg_key>s</arg_key><arg_value>\n x\n</arg_value></tool_call>",
       {"", "", {"f {\"s\":\"\\n x\\n\"}"}}},

      {kMiniMax,
       "Now.\n<minimax:tool_call>\n" + kInvoke + "</minimax:tool_call>",
       {"Now.", "", {kWritten}}},
      {kMiniMax,
       "<think>\nhm\n</think>\n\n<minimax:tool_call>\n" + kInvoke +
           "<invoke name=\"other\">\n</invoke>\n</minimax:tool_call>\nDone.",
       {"Done.", "hm", {kWritten, "other {}"}}},

      {kSeed,
       "<seed:think>hm</seed:think>\n" + kSeedCall + kSeedCall,
       {"", "hm", {kWritten, kWritten}}},
      {kSeed, "hm</seed:think>text", {"text", "hm", {}}, true},

      {kDsml,
       "Now.\n\n<｜DSML｜function_calls>\n" + kDsmlInvoke + "</｜DSML｜function_calls>",
       {"Now.", "", {kWritten}}},
      {kDsml,
       "hm</think><｜DSML｜function_calls>\n" + kDsmlInvoke + kDsmlInvoke +
           "</｜DSML｜function_calls>",
       {"", "hm", {kWritten, kWritten}},
       true},
      {kDsml,
       "<｜DSML｜function_calls><｜DSML｜invoke name=\"g\"><｜DSML｜parameter name=\"x\" "
       "string=\"true\">12</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>",
       {"", "", {"g {\"x\":\"12\"}"}}},
      {kDsml4,
       "<｜DSML｜tool_calls>\n" + kDsmlInvoke + "</｜DSML｜tool_calls>",
       {"", "", {kWritten}}},

      {kDeepSeek,
       "Now.<｜tool▁calls▁begin｜>" + kDeepSeekCall + kDeepSeekCall + "<｜tool▁calls▁end｜>",
       {"Now.", "", {kWritten, kWritten}}},
      {kDeepSeek,
       "<think>hm</"
       "think>\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n" +
           kJson + "\n```<｜tool▁call▁end｜>\n" + kDeepSeekCall + "<｜tool▁calls▁end｜>",
       {"", "hm", {kWritten, kWritten}}},
      {kDeepSeek,
       "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
       {"", "", {"function {}"}}},

      {kKimi,
       "Now.<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
       "<|tool_call_argument_begin|>" +
           kJson +
           "<|tool_call_end|><|tool_call_begin|>functions.a.b:12<|tool_call_argument_begin|>{}"
           "<|tool_call_end|><|tool_calls_section_end|>",
       {"Now.", "", {kWritten + " functions.f:0", "a.b {} functions.a.b:12"}}},
      {kKimi,
       "<think>hm <|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
       "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
       {"", "hm", {"f {} functions.f:0"}}},
      {kKimi,
       "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{}"
       "<|tool_call_begin|>functions.f:1<|tool_call_argument_begin|>{}",
       {"", "", {"f {} functions.f:0", "f {} functions.f:1"}}},

      {kGemma, "Now." + kGemmaCall + kGemmaCall, {"Now.", "", {kWritten, kWritten}}},
      {kGemma, "<|channel>thought\nhm\n<channel|>" + kGemmaCall, {"", "hm", {kWritten}}},
      {kGemma, "<|channel>thought<channel|>Hello", {"Hello", "", {}}},
      {kGemma, "Hello <|channel>thought\nhm<channel|> you", {"Helloyou", "hm", {}}},
      {kGemma, "<|tool_call>call:f{}<tool_call|>", {"", "", {"f {}"}}},
      {kGemma,
       "<|tool_call>call:f{n:-7, l:[], x:1.5e10, <|\"|>a b<|\"|>:\"q\"}<tool_call|>",
       {"", "", {R"(f {"n":-7,"l":[],"x":15000000000.0,"a b":"q"})"}}},

      {kLfm,
       "Now. <|tool_call_start|>[f(s='a \"b\"\n<c> é', n=12, o={\"k\": [1, \"x\", null, True]}), "
       "g()]<|tool_call_end|>\nDone.",
       {"Now.Done.", "", {kWritten, "g {}"}}},
      {kLfm,
       "<|tool_call_start|>[{\"name\": \"f\", \"arguments\": " + kJson + "}]<|tool_call_end|>",
       {"", "", {kWritten}}},
      {kLfm,
       "<|tool_call_start|>[f(s=\"\\u00e9\\ud83d\\ude00\")]<|tool_call_end|>",
       {"", "", {"f {\"s\":\"é😀\"}"}}},

      {kCommand,
       "<|START_THINKING|>hm<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
       "\"tool_name\": \"f\", \"parameters\": " +
           kJson + "}\n]<|END_ACTION|>",
       {"", "hm", {kWritten}}},
      {kCommand,
       "hm<|END_THINKING|><|START_RESPONSE|>Hello\n<|END_RESPONSE|>",
       {"Hello", "hm", {}},
       true},
      {kCommandR,
       "Action: ```json\n[{\"tool_name\": \"f\", \"parameters\": {\"n\": 1}}]\n```",
       {"", "", {"f {\"n\":1}"}}},

      {kHunyuan,
       "<think:opensource>hm</think:opensource><tool_calls:opensource>\n<tool_call:opensource>f"
       "<tool_sep:opensource>\n<arg_key:opensource>n</arg_key:opensource>\n"
       "<arg_value:opensource>12</arg_value:opensource>\n</tool_call:opensource>\n"
       "</tool_calls:opensource>",
       {"", "hm", {"f {\"n\":12}"}}},
      {kNemotron,
       "Now.\n<TOOLCALL>[{\"name\": \"f\", \"arguments\": " + kJson +
           "}, {\"name\": \"g\", \"arguments\": {}}]</TOOLCALL>",
       {"Now.", "", {kWritten, "g {}"}}},
      {kApertus,
       "<|inner_prefix|>hm<|inner_suffix|><|tools_prefix|>[{\"f\": " + kJson +
           "}, {\"g\": {}}]<|tools_suffix|>",
       {"", "hm", {kWritten, "g {}"}}},
      {kGranite,
       "<|tool_call|>[{\"name\": \"f\", \"arguments\": " + kJson + "}]",
       {"", "", {kWritten}}},
      {kGranite,
       "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>",
       {"", "", {"f {}"}}},
      {kToolCalls,
       "<think>\nhm\n</think>\n<answer>\nHi\n<tool_calls>[{\"name\": \"f\", \"arguments\": {}}]"
       "</tool_calls>\n</answer>",
       {"Hi", "hm", {"f {}"}}},
      {kErnie,
       "hm\n</think>\n<response>\nHi\n</response>\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
       "{}}\n</tool_call>",
       {"Hi", "hm", {"f {}"}},
       true},
      {kMistral,
       "[TOOL_CALLS]f[CALL_ID]abcdef123[ARGS]" + kJson + "[TOOL_CALLS]f[ARGS]{}",
       {"", "", {kWritten + " abcdef123", "f {}"}}},
      {kLlama3, "<|python_start|>[f(n=1)]<|python_end|>", {"", "", {"f {\"n\":1}"}}},
      {kHarmony,
       "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary"
       " to=functions.f <|constrain|>json<|message|>" +
           kJson,
       {"", "hm", {kWritten}}},
  };
}

// Broken, or only like a call: all of it is text.
std::vector<std::pair<AnswerFormat, std::string>> no_calls() {
  return {
      {kGlm, "A <tool_call> is a tag.</tool_call>"},
      {kGlm, "<tool_call>f<arg_key>n</arg_key>12</tool_call>"},
      {kGlm,
       "<tool_call>f<arg_key>n</arg_key><arg_value>1</arg_value><arg_key>n</arg_key>"
       "<arg_value>2</arg_value></tool_call>"},
      {kGlm, "<tool_call>f<arg_key>n</arg_key><arg_value>12</arg_value>"},
      {kMiniMax, "<invoke name=\"g\"></invoke>"},
      {kMiniMax, "<minimax:tool_call><invoke name=\"f\"><parameter name=\"n\">1"},
      {kDsml,
       "<｜DSML｜function_calls><｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"n\">1"
       "</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>"},
      {kDeepSeek, "<｜tool▁call▁begin｜>f<｜tool▁sep｜>[1]<｜tool▁call▁end｜>"},
      {kDeepSeek, "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}, and so on"},
      {kKimi, "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"a\": "},
      {kKimi, "<|tool_call_begin|> a b<|tool_call_argument_begin|>{}<|tool_call_end|>"},
      {kGemma, "<|tool_call>call:f{n:}<tool_call|>"},
      {kGemma, "<|tool_call>call:f{n:1,n:2}<tool_call|>"},
      {kGemma, "<|tool_call>call:f{n:1"},
      {kGemma, "<|tool_call>call:f{s:<|\"|>x}<tool_call|>"},
      {kGemma, "<|tool_call>f{}<tool_call|>"},
      {kLfm, "<|tool_call_start|>[f(1)]<|tool_call_end|>"},
      {kLfm, "<|tool_call_start|>[f(n=1)"},
      {kLfm, "<|tool_call_start|>[]<|tool_call_end|>"},
      {kCommand, "<|START_ACTION|>[{\"tool_name\": 1}]<|END_ACTION|>"},
      {kCommand, "<|START_ACTION|>[{\"tool_name\": \"f\"}] no"},
      {kCommandR, "Action: [{\"tool_name\": \"g\", \"parameters\": {}}]"},
      {kCommandR, "Action: go on."},
      {kNemotron, "<TOOLCALL>[{\"name\": \"f\", \"argu"},
      {kApertus, "<|tools_prefix|>[{\"f\": 1}]<|tools_suffix|>"},
      {kApertus, "<|tools_prefix|>[{\"f\": {}, \"g\": {}}]<|tools_suffix|>"},
  };
}

TEST(AnswerFormats, EachReadsItsCalls) {
  for (const Case& each : cases())
    EXPECT_EQ(read({each.format, each.starts_thinking, kTools}, each.text), each.wanted)
        << each.text;
}

TEST(AnswerFormats, WhatIsBrokenIsText) {
  for (const auto& [format, text] : no_calls())
    EXPECT_EQ(read({format, false, kTools}, text), (Answer{text, "", {}})) << text;
}

TEST(AnswerFormats, AnyCutGivesTheSame) {
  std::vector<Case> all = cases();
  for (const auto& [format, text] : no_calls()) all.push_back({format, text, {text, "", {}}});
  std::mt19937 random(29);
  for (const Case& each : all) {
    const AnswerOptions options{each.format, each.starts_thinking, kTools};
    const std::string_view text = each.text;
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      const auto parser = AnswerParser::make(options);
      Answer answer;
      add(answer, parser->push(text.substr(0, cut)));
      add(answer, parser->push(text.substr(cut)));
      add(answer, parser->finish());
      ASSERT_EQ(answer, each.wanted) << each.text << " cut at " << cut;
    }
    for (int round = 0; round < 50; ++round)
      ASSERT_EQ(read(options, each.text, &random), each.wanted) << each.text;
  }
}

// An answer that ends early holds the first calls of the whole one, and no others.
TEST(AnswerFormats, ACutOffCallIsNoOtherCall) {
  for (const Case& each : cases()) {
    for (std::size_t size = 0; size < each.text.size(); ++size) {
      const Answer cut =
          read({each.format, each.starts_thinking, kTools}, each.text.substr(0, size));
      ASSERT_LE(cut.calls.size(), each.wanted.calls.size());
      ASSERT_TRUE(std::equal(cut.calls.begin(), cut.calls.end(), each.wanted.calls.begin()))
          << each.text.substr(0, size);
    }
  }
}

TEST(AnswerFormats, NonsenseIsTheSameHoweverItIsCut) {
  std::mt19937 random(31);
  for (const FormatInfo& info : answer_formats()) {
    std::vector<std::string> bits{"<think>",  "</think>", "f", "{",  "}",   "\"",    "[",
                                  "]",        "\n",       " ", "{}", "```", "(n=1)", ":",
                                  "call:f{}", "s",        "=", ">",  "a"};
    for (const Case& each : cases()) {
      if (each.format != info.format) continue;
      // The case's own words: what stands from one '<' to the next.
      for (std::size_t at = each.text.find('<'); at != std::string::npos;) {
        const std::size_t next = each.text.find('<', at + 1);
        const std::size_t end = std::min(each.text.find('>', at), next);
        bits.push_back(each.text.substr(at, end == std::string::npos ? end : end + 1 - at));
        at = next;
      }
    }
    for (int round = 0; round < 1500; ++round) {
      std::string text;
      for (std::size_t n = random() % 24; n > 0; --n) text += bits[random() % bits.size()];
      const AnswerOptions options{info.format, random() % 4 == 0, kTools};
      ASSERT_EQ(read(options, text, &random), read(options, text)) << info.name << ": " << text;
    }
  }
}

// Calls that never end are not each read to the end of the answer.
TEST(AnswerFormats, OpenCallsAreReadInLinearTime) {
  constexpr std::size_t kTimes = 50'000;
  const auto test = [](AnswerFormat format, const std::string& unit, const std::string& end) {
    std::string text;
    for (std::size_t i = 0; i < kTimes; ++i) text += unit;
    for (std::size_t i = 0; i < kTimes; ++i) text += end;
    text += '.';
    const Answer answer = read({format, false, kTools}, text);
    EXPECT_TRUE(answer.calls.empty());
    EXPECT_TRUE(answer.text == text) << unit << end;
  };
  for (const char* end : {"", "}", "\"}x"}) {
    test(kDeepSeek, "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"", end);
    test(kKimi, "<|tool_calls_section_begin|><|tool_call_begin|>f<|tool_call_argument_begin|>{",
         end);
    test(kLfm, "<|tool_call_start|>[f(s='", end);
    test(kLfm, "<|tool_call_start|>[{\"", end);
    test(kGemma, "<|tool_call>call:f{s:<|\"|>", end);
    test(kGemma, "<|tool_call>", end);
    test(kCommand, "<|START_ACTION|>[{", end);
  }
  for (const char* end : {"", "</arg_value>x", "<arg_key>s</arg_key>"}) {
    test(kGlm, "<tool_call>f<arg_key>s</arg_key><arg_value>", end);
    test(kGlm, "<tool_call>f", end);
  }
  for (const char* end : {"", "</parameter>x", "<parameter name=\"s\">"})
    test(kMiniMax, "<minimax:tool_call><invoke name=\"f\"><parameter name=\"s\">", end);
}

TEST(AnswerFormats, EachIsARowThatItsOwnSignsChoose) {
  std::set<std::string_view> names;
  for (const FormatInfo& info : answer_formats()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(&format_info(info.format), &info);
    EXPECT_EQ(info.openers.empty(), info.reader == nullptr) << info.name;
    for (const auto& words : info.signs) {
      std::string source;
      for (const std::string_view word : words) source += std::string(word) + " ";
      EXPECT_EQ(answer_format_of(source), info.format) << source;
    }
  }
}

// A control token that a reader waits for is no use where it is hidden.
TEST(AnswerFormats, TheirMarkersAreShownWhereTheyAreControlTokens) {
  std::set<std::string> markers;
  for (const FormatInfo& info : answer_formats()) {
    for (const auto& [open, close] : info.thoughts) {
      if (info.format == kHarmony) continue;  // its markers are shown in its vocabulary alone
      markers.insert(std::string(open));
      markers.insert(std::string(close));
    }
    for (const auto& list : {info.openers, info.wrappers}) markers.insert(list.begin(), list.end());
  }
  for (const Case& each : cases()) {
    if (each.format == kHarmony) continue;
    for (std::size_t at = 0; (at = each.text.find('<', at)) != std::string::npos; ++at) {
      const std::size_t end = each.text.find('>', at);
      if (end != std::string::npos) markers.insert(each.text.substr(at, end + 1 - at));
    }
  }
  // Words of several tokens.
  static constexpr const char* kSpelled[] = {"function", "invoke",  "parameter", "DSML",
                                             "<c>",      "thought", "call:f"};
  VocabularySpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  for (const std::string& marker : markers) {
    if (!marker.starts_with('<') && !marker.starts_with('[')) continue;
    if (std::ranges::any_of(kSpelled, [&](const char* word) { return marker.contains(word); }))
      continue;
    spec.tokens.push_back(marker);
    spec.kinds.push_back(TokenKind::kControl);
  }
  const auto tokenizer = Tokenizer::make(spec);
  ASSERT_TRUE(tokenizer);
  for (std::size_t i = 0; i < spec.tokens.size(); ++i)
    EXPECT_EQ((*tokenizer)->piece(static_cast<TokenId>(i)), spec.tokens[i]);
}

TEST(AnswerFormats, APromptMayOpenTheThinking) {
  EXPECT_EQ(thinking_end(kQwenXml, "<|im_start|>assistant\n<think>\n"), "</think>");
  EXPECT_EQ(thinking_end(kQwenXml, "<think>\n\n</think>\n\n"), "");
  EXPECT_EQ(thinking_end(kSeed, "<seed:think>"), "</seed:think>");
  EXPECT_EQ(thinking_end(kSeed, "<think>"), "");
  EXPECT_EQ(thinking_end(kCommand, "<|START_THINKING|>"), "<|END_THINKING|>");
  EXPECT_EQ(thinking_end(kGemma, "<|channel>thought\n"), "<channel|>");
}

}  // namespace
}  // namespace lathe::infer
