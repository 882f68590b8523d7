// Answers in each format mean the same however their text is cut.
#include "infer/answers/answer_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/answers/answer_calls.h"
#include "infer/answers/answer_test.h"

namespace lathe::infer {
namespace {

using enum AnswerFormat;

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

// What stands where a call would, when none could be meant: it is the answer.
TEST(AnswerParser, WithoutToolsThereAreNoCalls) {
  for (const Case& each : cases()) {
    const Answer answer = read({each.format, each.starts_thinking}, each.text);
    EXPECT_TRUE(answer.calls.empty()) << each.text;
    if (each.wanted.calls.empty()) continue;
    EXPECT_NE((answer.text + answer.thinking).find_first_of("{<(["), std::string::npos)
        << each.text;
  }
  const std::string person = "{\"name\": \"Ada\", \"age\": 36}";
  EXPECT_EQ(read({kLlama3, false}, person), (Answer{person, "", {}}));
  const auto parser = AnswerParser::make({kLlama3, false});
  EXPECT_EQ(parser->push("{\"name\": ").text, "{\"name\":");
}

// A bare object is a call only of a tool that was offered, with its arguments.
TEST(AnswerParser, AnObjectWithANameIsNoCall) {
  for (const char* text :
       {"{\"name\": \"Ada\", \"age\": 36}", "{\"name\": \"f\"}", "{\"name\": \"f\", \"age\": 1}",
        "{\"name\": \"g\", \"parameters\": {}}", "{\"name\": \"f\", \"parameters\": [1]}",
        "{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"Ada\"}", "[{\"name\": \"Ada\"}]",
        "[f(1)]", "[g(a=1)]", "[f(a=x)]", "[f(a=1)] and more", "<function=g>{}</function>"}) {
    for (std::size_t cut = 0; cut <= std::string_view(text).size(); ++cut) {
      const auto parser = AnswerParser::make({kLlama3, false, kTools});
      Answer answer;
      add(answer, parser->push(std::string_view(text).substr(0, cut)));
      add(answer, parser->push(std::string_view(text).substr(cut)));
      add(answer, parser->finish());
      EXPECT_EQ(answer, (Answer{text, "", {}})) << cut;
    }
  }
}

const std::vector<OfferedTool> kMany = {{"f", parse_json(R"({
  "type":"object","$defs":{"Zip":{"type":"string"},"Size":{"enum":["1",2,null,"small"]}},
  "properties":{"a":{},"b":{},"zip":{"$ref":"#/$defs/Zip"},"size":{"$ref":"#/$defs/Size"},
  "flag":{"type":"boolean"},"maybe":{"anyOf":[{"type":"string"},{"type":"null"}]},
  "both":{"type":["integer","string"]},"o":{"type":"object"},"l":{"type":"array"},
  "n":{"type":"integer"},"x":{"type":"number"},"c":{"const":5}}})")
                                                  .value()}};

// A grammar made the whole answer one call: it is that, or it was cut off.
TEST(AnswerParser, TheOneCallThatWasAskedFor) {
  const std::string call = R"({"name": "f", "arguments": {"n": 1}})";
  for (const AnswerFormat format : {kPlain, kHermes, kHarmony}) {
    const AnswerOptions options{.format = format, .tools = kTools, .one_call = true};
    for (std::size_t cut = 0; cut < call.size(); ++cut) {
      EXPECT_EQ(read(options, call.substr(0, cut)), (Answer{call.substr(0, cut), "", {}})) << cut;
      const auto parser = AnswerParser::make(options);
      EXPECT_TRUE(parser->push(call.substr(0, cut)).text.empty());
      EXPECT_TRUE(parser->push(call.substr(cut)).text.empty());
      Answer answer;
      add(answer, parser->finish());
      EXPECT_EQ(answer, (Answer{"", "", {R"(f {"n":1})"}})) << cut;
    }
  }
}

// Unambiguous drift from the form of the template.
std::vector<Case> drift() {
  const std::string one = "<parameter=a>\nx\n</parameter>\n";
  const std::string call = "{\"name\": \"f\", \"arguments\": {\"a\": 1}}";
  return {
      // Closing tags that are missing.
      {kQwenXml, "<tool_call>\n<function=f>\n" + one + "</function>", {"", "", {R"(f {"a":"x"})"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n" + one + "</tool_call>",
       {"", "", {R"(f {"a":"x"})"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n" + one + "</function>\n</tool_",
       {"", "", {R"(f {"a":"x"})"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n<parameter=a>\nx\n<parameter=b>\n3\n</parameter>\n</function>\n"
       "</tool_call>",
       {"", "", {R"(f {"a":"x","b":3})"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n<parameter=a>\nx\n</function>\n</tool_call>",
       {"", "", {R"(f {"a":"x"})"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n<parameter=a>\nx\n</tool_call>",
       {"", "", {R"(f {"a":"x"})"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n" + one + "<tool_call>\n<function=f>\n" + one + "</function>",
       {"", "", {R"(f {"a":"x"})", R"(f {"a":"x"})"}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n" + one + "</function>\n<function=f>\n" + one +
           "</function>\n</tool_call>",
       {"", "", {R"(f {"a":"x"})", R"(f {"a":"x"})"}}},
      {kQwenXml,
       "<function=f>\n" + one + "</function>\n</tool_call>\nDone.",
       {"Done.", "", {R"(f {"a":"x"})"}}},
      {kHermes, "<tool_call>\n" + call, {"", "", {R"(f {"a":1})"}}},
      {kHermes, "<tool_call>" + call + "\n</tool", {"", "", {R"(f {"a":1})"}}},
      {kHermes,
       "<tool_call>" + call + "<tool_call>" + call + "</tool_call>",
       {"", "", {R"(f {"a":1})", R"(f {"a":1})"}}},
      // Several in one, a list, a fence, Python's way to write them.
      {kHermes,
       "<tool_call>" + call + "\n" + call + "</tool_call>",
       {"", "", {R"(f {"a":1})", R"(f {"a":1})"}}},
      {kHermes,
       "<tool_call>[" + call + ", " + call + "]</tool_call>",
       {"", "", {R"(f {"a":1})", R"(f {"a":1})"}}},
      {kHermes,
       "<tool_call>\n```json\n" + call + "\n```\n</tool_call>",
       {"", "", {R"(f {"a":1})"}}},
      {kHermes,
       "<tool_call>{'name': 'f', 'arguments': {'flag': True, 'a': None}}</tool_call>",
       {"", "", {R"(f {"flag":true,"a":null})"}}},
      {kHermes,
       "<tool_call>{\"type\":\"function\",\"function\":" + call + "}</tool_call>",
       {"", "", {R"(f {"a":1})"}}},
      // The form of another family.
      {kHermes,
       "<tool_call>\n<function=f>\n" + one + "</function>\n</tool_call>",
       {"", "", {R"(f {"a":"x"})"}}},
      {kQwenXml, "<tool_call>\n" + call + "\n</tool_call>", {"", "", {R"(f {"a":1})"}}},
      {kQwenXml,
       "<tool_call><function=f>{\"a\": 1}</function></tool_call>",
       {"", "", {R"(f {"a":1})"}}},
      {kLlama3, "<function=f>{\"a\": 1}</function>", {"", "", {R"(f {"a":1})"}}},
      {kLlama3, "I call. <function=f>{\"a\": 1}</function>", {"I call.", "", {R"(f {"a":1})"}}},
      {kLlama3,
       "{\"name\": \"f\", \"parameters\": {\"a\": 1}}; {\"name\": \"f\", \"parameters\": {\"a\": "
       "2}}",
       {"", "", {R"(f {"a":1})", R"(f {"a":2})"}}},
      {kLlama3,
       "{\"name\": \"f\", \"parameters\": {\"a\": 1}}\n{\"name\": \"f\", \"parameters\": {\"a\": "
       "2}};",
       {"", "", {R"(f {"a":1})", R"(f {"a":2})"}}},
      {kLlama3,
       "{\"type\": \"function\", \"function\": \"f\", \"parameters\": {\"a\": 1}}",
       {"", "", {R"(f {"a":1})"}}},
      {kLlama3, "[" + call + "]", {"", "", {R"(f {"a":1})"}}},
      {kLlama3,
       "[f(a=1, flag=True), f(l=['x', \"y\"])]",
       {"", "", {R"(f {"a":1,"flag":true})", R"(f {"l":["x","y"]})"}}},
      {kLlama3, "<|python_tag|>f(a=1)", {"", "", {R"(f {"a":1})"}}},
      {kMistral, "[TOOL_CALLS]" + call, {"", "", {R"(f {"a":1})"}}},
      {kMistral, "[TOOL_CALLS]f{\"a\": 1}", {"", "", {R"(f {"a":1})"}}},
      {kHarmony,
       "<|channel|>commentary to=f<|message|>{\"a\": 1}<|call|>",
       {"", "", {R"(f {"a":1})"}}},
      // Cut off, or of two meanings: text, every byte of it.
      {kQwenXml,
       "<tool_call>\n<function=f>\n" + one,
       {"<tool_call>\n<function=f>\n" + one, "", {}}},
      {kQwenXml,
       "<tool_call>\n<function=f>\n<parameter=a>\nx\n</fun",
       {"<tool_call>\n<function=f>\n<parameter=a>\nx\n</fun", "", {}}},
      {kQwenXml,
       "<function=f>\n<parameter=a>\nx\n<parameter=zzz>\n3\n</parameter>\n</function>",
       {"<function=f>\n<parameter=a>\nx\n<parameter=zzz>\n3\n</parameter>\n</function>", "", {}}},
      {kQwenXml,
       "<function=f>\n" + one + one + "</function>",
       {"<function=f>\n" + one + one + "</function>", "", {}}},
      {kQwenXml, "<function=f>{\"a\": 1", {"<function=f>{\"a\": 1", "", {}}},
      {kHermes, "<function=g>\n</function>", {"<function=g>\n</function>", "", {}}},
      {kHermes, "<tool_call>" + call + " and more", {"<tool_call>" + call + " and more", "", {}}},
      {kLlama3, call + "; " + call.substr(0, 20), {call + "; " + call.substr(0, 20), "", {}}},
  };
}

TEST(AnswerParser, DriftIsUnderstoodWhereItIsUnambiguous) {
  for (const Case& each : drift())
    EXPECT_EQ(read({each.format, false, kMany}, each.text), each.wanted) << each.text;
}

TEST(AnswerParser, EveryCutOfEveryAnswerIsTheSame) {
  std::vector<Case> all = cases();
  std::ranges::move(drift(), std::back_inserter(all));
  for (const Case& each : all) {
    const AnswerOptions options{each.format, each.starts_thinking, kMany};
    const Answer whole = read(options, each.text);
    const std::string_view text = each.text;
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      const auto parser = AnswerParser::make(options);
      Answer answer;
      add(answer, parser->push(text.substr(0, cut)));
      add(answer, parser->push(text.substr(cut)));
      add(answer, parser->finish());
      ASSERT_EQ(answer, whole) << each.text << " cut at " << cut;
    }
    const auto parser = AnswerParser::make(options);
    Answer answer;
    for (const char c : text) add(answer, parser->push(std::string_view(&c, 1)));
    add(answer, parser->finish());
    ASSERT_EQ(answer, whole) << each.text;
  }
}

TEST(OfferedTools, AValueIsWhatItsSchemaSays) {
  const OfferedTools tools(kMany);
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"zip", "94107", R"("94107")"},
      {"zip", "true", R"("true")"},
      {"zip", "\"q\"", R"("\"q\"")"},
      {"flag", "True", "true"},
      {"flag", "false", "false"},
      {"flag", "yes", R"("yes")"},
      {"maybe", "94107", R"("94107")"},
      {"maybe", "null", "null"},
      {"maybe", "None", "null"},
      {"both", "5", "5"},
      {"both", "007", R"("007")"},
      {"both", "5.5", R"("5.5")"},
      {"o", "{'a': True}", R"({"a":true})"},
      {"o", "{\"a\": 1}", R"({"a":1})"},
      {"o", "{a", R"("{a")"},
      {"l", "('x', None)", R"(["x",null])"},
      {"n", "5", "5"},
      {"n", "five", R"("five")"},
      {"x", "5", "5"},
      {"x", "1e3", "1000.0"},
      {"size", "1", R"("1")"},
      {"size", "2", "2"},
      {"size", "null", "null"},
      {"size", "\"small\"", R"("small")"},
      {"c", "5", "5"},
      {"a", "5", "5"},
      {"a", "text", R"("text")"},
      {"a", "\"t\"", R"("\"t\"")"},
      {"unknown", "True", R"("True")"},
  };
  for (const auto& [name, text, wanted] : cases)
    EXPECT_EQ(dump_json(tools.value("f", name, text)), wanted) << name << " " << text;
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
  const auto parser = AnswerParser::make({kHermes, false, kTools});
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
  EXPECT_EQ(answer_format_of("[TOOL_CALLS]"), kMistralList);
  EXPECT_EQ(answer_format_of("[TOOL_CALLS] [ARGS]"), kMistral);
  EXPECT_EQ(answer_format_of("<|channel|> <tool_call>"), kHarmony);
  EXPECT_EQ(answer_format_of("<tool_call> <arg_key>"), kGlm);
}

}  // namespace
}  // namespace lathe::infer
