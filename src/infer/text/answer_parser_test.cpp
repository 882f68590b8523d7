#include "infer/text/answer_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "infer/text/answer_calls.h"

namespace lathe {
namespace {

using enum AnswerFormat;

struct Answer {
  std::string text, thinking;
  std::vector<std::string> calls;  // "name {arguments} id"
  bool operator==(const Answer&) const = default;
};

void PrintTo(const Answer& answer, std::ostream* out) {
  *out << "text «" << answer.text << "» thinking «" << answer.thinking << "»";
  for (const std::string& call : answer.calls) *out << " call «" << call << "»";
}

void add(Answer& answer, const AnswerDelta& delta) {
  answer.text += delta.text;
  answer.thinking += delta.thinking;
  for (const ToolCall& call : delta.calls)
    answer.calls.push_back(call.name + " " + call.arguments +
                           (call.id.empty() ? "" : " " + call.id));
}

Answer read(const AnswerOptions& options, std::string_view text, std::mt19937* random = nullptr) {
  const auto parser = AnswerParser::make(options);
  Answer answer;
  while (!text.empty()) {
    const std::size_t bytes =
        random == nullptr ? text.size() : std::min<std::size_t>(1 + (*random)() % 9, text.size());
    add(answer, parser->push(text.substr(0, bytes)));
    text.remove_prefix(bytes);
  }
  add(answer, parser->finish());
  return answer;
}

const Json kTools = {{{"type", "function"},
                      {"function",
                       {{"name", "f"},
                        {"parameters",
                         {{"type", "object"},
                          {"properties",
                           {{"s", {{"type", "string"}}},
                            {"n", {{"type", "integer"}}},
                            {"o", {{"type", "object"}}}}}}}}}}};

struct Case {
  AnswerFormat format;
  std::string text;
  Answer wanted;
  bool starts_thinking = false;
};

const std::string kHarmonyAnswer =
    "<|channel|>analysis<|message|>Let me\nsee.<|end|><|start|>assistant<|channel|>commentary"
    "<|message|>I look it up.<|end|><|start|>assistant to=functions.f<|channel|>commentary "
    "<|constrain|>json<|message|>{\"n\": 1}<|call|>";

std::vector<Case> cases() {
  return {
      {kPlain, "Hello.\n", {"Hello.\n", "", {}}},
      {kPlain, " <think>\nhm\n\nyes\n</think>\n\nHello", {"Hello", "hm\n\nyes", {}}},
      {kPlain, "hm</think>\nHello", {"Hello", "hm", {}}, true},
      {kPlain, "hm", {"", "hm", {}}, true},
      {kPlain, "A <think> in text</think>", {"A <think> in text</think>", "", {}}},
      {kPlain, "<thin", {"<thin", "", {}}},
      {kPlain,
       "<tool_call>{\"name\":\"f\"}</tool_call>",
       {"<tool_call>{\"name\":\"f\"}</tool_call>", "", {}}},
      {kPlain, "[THINK]a[/THINK]b", {"b", "a", {}}},

      {kHermes,
       "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"</tool_call>}\"}}\n</tool_call>",
       {"", "", {"f {\"s\":\"</tool_call>}\"}"}}},
      {kHermes,
       "<think>a</think>\nI call.\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n"
       "<tool_call>\n{\"name\":\"g\"}\n</tool_call>\n",
       {"I call.", "a", {"f {}", "g {}"}}},
      {kHermes,
       "<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}</tool_call> Done.",
       {"Done.", "", {"f {\"a\":1}"}}},
      // Not calls: everything comes out as it was.
      {kHermes,
       "<tool_call>\nnot json\n</tool_call>",
       {"<tool_call>\nnot json\n</tool_call>", "", {}}},
      {kHermes, "a <tool_call>{\"name\":\"f\"", {"a <tool_call>{\"name\":\"f\"", "", {}}},
      {kHermes,
       "<tool_call>{\"name\":\"f\"} x</tool_call>",
       {"<tool_call>{\"name\":\"f\"} x</tool_call>", "", {}}},
      {kHermes,
       "<tool_call>{\"nom\":\"f\"}</tool_call>",
       {"<tool_call>{\"nom\":\"f\"}</tool_call>", "", {}}},
      {kHermes,
       "<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>",
       {"<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>", "", {}}},
      {kHermes,
       "<tool_call>{\"name\":\"f\",}</tool_call>",
       {"<tool_call>{\"name\":\"f\",}</tool_call>", "", {}}},
      {kHermes,
       "<tool_call><tool_call>{\"name\":\"f\"}</tool_call>",
       {"<tool_call>", "", {"f {}"}}},
      {kHermes, "<tool_cal", {"<tool_cal", "", {}}},

      {kQwenXml,
       "Now.\n<tool_call>\n<function=f>\n<parameter=s>\n12\n</parameter>\n<parameter=n>\n12\n"
       "</parameter>\n<parameter=o>\n{\"a\": [1]}\n</parameter>\n</function>\n</tool_call>",
       {"Now.", "", {"f {\"s\":\"12\",\"n\":12,\"o\":{\"a\":[1]}}"}}},
      {kQwenXml,
       "<function=f>\n<parameter=s>\na\n\n</parameter>\n</function>\nafter",
       {"after", "", {"f {\"s\":\"a\\n\"}"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n<parameter=s>\nif (a</parameter> < b) </function> "
       "x\n</parameter>\n"
       "</function>\n</tool_call>",
       {"", "", {"f {\"s\":\"if (a</parameter> < b) </function> x\"}"}}},
      {kQwenXml,
       "<tool_call>\n<function=other>\n<parameter=x>\n5\n</parameter>\n<parameter=y>\nfive\n"
       "</parameter>\n</function>\n</tool_call><tool_call>\n<function=f>\n</function>\n</"
       "tool_call>",
       {"", "", {"other {\"x\":5,\"y\":\"five\"}", "f {}"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n<parameter=s>\nx",
       {"<tool_call>\n<function=f>\n<parameter=s>\nx", "", {}}},
      {kQwenXml, "<function=>\n</function>", {"<function=>\n</function>", "", {}}},
      {kQwenXml,
       "<tool_call>{\"name\":\"f\"}</tool_call>",
       {"<tool_call>{\"name\":\"f\"}</tool_call>", "", {}}},

      {kLlama3, " {\"name\": \"f\", \"parameters\": {\"n\": 1}} ", {"", "", {"f {\"n\":1}"}}},
      {kLlama3, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}", {"", "", {"f {}"}}},
      {kLlama3,
       "<|python_tag|>brave_search.call(query=\"a \\\"b\\\", c\", n=2)",
       {"", "", {"brave_search {\"query\":\"a \\\"b\\\", c\",\"n\":2}"}}},
      {kLlama3, "<|python_tag|>print(1)", {"<|python_tag|>print(1)", "", {}}},
      {kLlama3,
       "{\"name\": \"f\", \"parameters\": {}} and more",
       {"{\"name\": \"f\", \"parameters\": {}} and more", "", {}}},
      {kLlama3, "{\"a\": 1}", {"{\"a\": 1}", "", {}}},
      {kLlama3, "{\"name\": \"f\"", {"{\"name\": \"f\"", "", {}}},
      {kLlama3, "Hello {\"name\": \"f\"}", {"Hello {\"name\": \"f\"}", "", {}}},

      {kMistral,
       "[TOOL_CALLS][{\"name\":\"f\",\"arguments\":{\"n\":1},\"id\":\"abc123XYZ\"},{\"name\":\"g\","
       "\"arguments\":{}}]",
       {"", "", {"f {\"n\":1} abc123XYZ", "g {}"}}},
      {kMistral,
       "Well. [TOOL_CALLS]f[CALL_ID]abc123XYZ[ARGS]{\"s\": \"[x]\"}",
       {"Well.", "", {"f {\"s\":\"[x]\"} abc123XYZ"}}},
      {kMistral,
       "[THINK]t[/THINK][TOOL_CALLS]f[ARGS]{\"n\": 1}[TOOL_CALLS]g[ARGS]{}",
       {"", "t", {"f {\"n\":1}", "g {}"}}},
      {kMistral, "[TOOL_CALLS]f[ARGS][1]", {"[TOOL_CALLS]f[ARGS][1]", "", {}}},
      {kMistral, "[TOOL_CALLS] what?", {"[TOOL_CALLS] what?", "", {}}},
      {kMistral, "[TOOL_CALLS][]", {"[TOOL_CALLS][]", "", {}}},
      {kMistral, "[TOOL_CALLS]f[ARGS]{\"a\"", {"[TOOL_CALLS]f[ARGS]{\"a\"", "", {}}},

      {kHarmony, kHarmonyAnswer, {"I look it up.", "Let me\nsee.", {"f {\"n\":1}"}}},
      {kHarmony, "<|channel|>final<|message|>Hi <b>|</b>", {"Hi <b>|</b>", "", {}}},
      {kHarmony,
       "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"s\":\"<|x|>\"}",
       {"", "", {"f {\"s\":\"<|x|>\"}"}}},
      {kHarmony,
       " to=functions.f<|channel|>analysis json<|message|>{}<|call|>",
       {"", "", {"f {}"}}},
      {kHarmony,
       "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|"
       "return|>",
       {"b", "a", {}}},
      {kHarmony, "Just text.", {"Just text.", "", {}}},
      {kHarmony,
       "<|channel|>commentary to=functions.f<|message|>no json",
       {"<|channel|>commentary to=functions.f<|message|>no json", "", {}}},
      {kHarmony, "<|channel|>anal", {"<|channel|>anal", "", {}}},
  };
}

TEST(AnswerParser, ReadsEachFormat) {
  for (const Case& each : cases())
    EXPECT_EQ(read({each.format, each.starts_thinking, kTools}, each.text), each.wanted)
        << each.text;
}

TEST(AnswerParser, IsTheSameHoweverTheTextIsCut) {
  std::mt19937 random(13);
  for (const Case& each : cases())
    for (int round = 0; round < 200; ++round)
      ASSERT_EQ(read({each.format, each.starts_thinking, kTools}, each.text, &random), each.wanted)
          << each.text;
}

// Markers in any order: nothing of the property needs the text to make sense.
TEST(AnswerParser, NonsenseIsTheSameHoweverItIsCut) {
  const std::vector<std::string> bits{"<think>",
                                      "</think>",
                                      "<tool_call>",
                                      "</tool_call>",
                                      "<function=f>",
                                      "</function>",
                                      "<parameter=s>",
                                      "</parameter>",
                                      "[TOOL_CALLS]",
                                      "[ARGS]",
                                      "[CALL_ID]",
                                      "f",
                                      "{",
                                      "}",
                                      "{\"name\":\"f\"}",
                                      "[",
                                      "]",
                                      "\"",
                                      "\\",
                                      "\n",
                                      " ",
                                      "<|channel|>",
                                      "<|message|>",
                                      "<|end|>",
                                      "<|start|>",
                                      "final",
                                      "analysis",
                                      " to=functions.f",
                                      "<|python_tag|>",
                                      "f.call(",
                                      ")",
                                      "a"};
  std::mt19937 random(17);
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    for (std::size_t n = random() % 16; n > 0; --n) text += bits[random() % bits.size()];
    for (const AnswerFormat format : {kPlain, kHermes, kQwenXml, kLlama3, kMistral, kHarmony}) {
      const AnswerOptions options{format, random() % 4 == 0, kTools};
      ASSERT_EQ(read(options, text, &random), read(options, text)) << text;
    }
  }
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  while (times-- > 0) out += text;
  return out;
}

// Calls that never end: each of them was read to the end of the answer once, 10^11 bytes here.
TEST(AnswerParser, AnAnswerFullOfOpenCallsIsReadInLinearTime) {
  constexpr std::size_t kTimes = 100'000;
  const auto test = [](AnswerFormat format, std::string_view unit, std::string_view end) {
    const std::string text = repeated(unit, kTimes) + repeated(end, kTimes) + ".";
    const Answer answer = read({format, false, kTools}, text);
    EXPECT_EQ(answer.text.size(), text.size()) << unit << end;
    EXPECT_TRUE(answer.text == text);
    EXPECT_TRUE(answer.calls.empty());
  };
  for (const char* end : {"", "}", "\"}x"}) {
    test(kHermes, "<tool_call>{", end);
    test(kHermes, "<tool_call>{\"", end);
    test(kHermes, "<tool_call>{\"a\\\"", end);
    test(kMistral, "[TOOL_CALLS][", end);
    test(kMistral, "[TOOL_CALLS]f[ARGS]{\"", end);
    test(kLlama3, "{\"", end);
  }
  for (const char* end : {"", "</parameter>", "a</function>", "</parameter><parameter=s>"}) {
    test(kQwenXml, "<tool_call>", end);
    test(kQwenXml, "<function=f>", end);
    test(kQwenXml, "<function=f><parameter=s>", end);
    test(kQwenXml, "<function=f><parameter=s>a</parameter><parameter=s>", end);
    test(kQwenXml, "<tool_call><function=f><parameter=s>\n{", end);
  }
  test(kHarmony, "<|start|>", "");
  test(kHarmony, "<|channel|>", "<|end|");
}

TEST(CallNotes, EachByteIsLookedAtAFewTimes) {
  std::mt19937 random(19);
  for (const std::size_t size : {1000u, 2000u, 4000u}) {
    std::string text;
    while (text.size() < size) text += "{}[]\"\\a "[random() % 8];
    CallNotes notes;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] == '{' || text[at] == '[') notes.json_end(std::string_view(text).substr(at), 0);
      notes.drop(1);
    }
    EXPECT_LE(notes.steps(), 3 * text.size());
  }
}

// Against a scan of its own for every bracket, in a text that grows and is taken away in between.
TEST(CallNotes, FindsTheEndOfEveryValue) {
  const auto scan = [](std::string_view text, std::size_t at) {
    int depth = 0;
    for (bool string = false; at < text.size(); ++at) {
      const char c = text[at];
      if (string) {
        if (c == '\\') ++at;
        string = c != '"';
        continue;
      }
      string = c == '"';
      depth += (c == '{' || c == '[') - (c == '}' || c == ']');
      if ((c == '}' || c == ']') && depth <= 0) return at + 1;
    }
    return text.npos;
  };
  std::mt19937 random(23);
  int found = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    CallNotes notes;
    for (int step = 0; step < 20; ++step) {
      for (std::size_t n = random() % 8; n > 0; --n) text += "{}[]\"\\a{}"[random() % 9];
      const std::size_t begin = text.find_first_of("{[", text.empty() ? 0 : random() % text.size());
      if (begin != text.npos) {
        const std::size_t end = scan(text, begin);
        found += end != text.npos;
        ASSERT_EQ(notes.json_end(text, begin), end) << text << " from " << begin;
      }
      if (random() % 4 == 0 && !text.empty()) {
        const std::size_t gone = random() % text.size();
        text.erase(0, gone);
        notes.drop(gone);
      }
    }
  }
  EXPECT_GT(found, 1000);
}

TEST(AnswerParser, TextComesAtOnce) {
  const auto parser = AnswerParser::make({kHermes, false, nullptr});
  EXPECT_EQ(parser->push("Hello wor").text, "Hello wor");
  EXPECT_EQ(parser->push("ld <").text, "ld");
  EXPECT_EQ(parser->push("b> <tool").text, " <b>");
  EXPECT_EQ(parser->finish().text, " <tool");
}

TEST(AnswerParser, FormatFollowsFromTheTemplate) {
  EXPECT_EQ(answer_format_of("<|im_start|>"), kPlain);
  EXPECT_EQ(answer_format_of("<tool_call> {\"name\""), kHermes);
  EXPECT_EQ(answer_format_of("<tool_call>\n<function=x>\n<parameter=y>"), kQwenXml);
  EXPECT_EQ(answer_format_of("<|start_header_id|> \"parameters\""), kLlama3);
  EXPECT_EQ(answer_format_of("[TOOL_CALLS]"), kMistral);
  EXPECT_EQ(answer_format_of("<|channel|> <tool_call>"), kHarmony);
  EXPECT_EQ(answer_format_of("<tool_call> <arg_key>"), kPlain);
}

}  // namespace
}  // namespace lathe
