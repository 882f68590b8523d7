// What is trained of a line, shown as text: the trained runs in brackets.
#include "app/lessons/lessons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lathe::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string utf8(unsigned code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

// One token a byte, as byte-level BPE writes them, and three control tokens.
std::unique_ptr<infer::Tokenizer> byte_tokenizer() {
  infer::VocabularySpec spec;
  spec.model = "gpt2", spec.pre = "qwen2";
  unsigned extra = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte < 127) || (byte >= 161 && byte < 173) || byte >= 174;
    spec.tokens.push_back(utf8(printable ? byte : extra++));
    spec.kinds.push_back(infer::TokenKind::kNormal);
  }
  for (const char* token : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    spec.tokens.emplace_back(token);
    spec.kinds.push_back(infer::TokenKind::kControl);
  }
  spec.eos = 258;
  return *infer::Tokenizer::make(std::move(spec));
}

constexpr const char* kChatMl =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

// Thinking is shown in the last turn alone, and the prompt opens it.
constexpr const char* kThinking =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n{{ m.reasoning_content }}</think>\n"
    "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";

class LessonsTest : public ::testing::Test {
 protected:
  std::string shown(const infer::Example& example) const {
    std::string out;
    for (std::size_t i = 0; i < example.tokens.size(); ++i) {
      const bool trained = example.trained[i] != 0;
      const bool before = i > 0 && example.trained[i - 1] != 0;
      if (trained && !before) out += "[";
      if (!trained && before) out += "]";
      out += tokenizer_->piece(example.tokens[i], true);
    }
    return out + (!example.trained.empty() && example.trained.back() != 0 ? "]" : "");
  }

  Result<Lessons> read(std::vector<std::string_view> lines, const char* chat_template = kChatMl,
                       LessonOptions options = {.context = 4096}) const {
    LATHE_TRY(const LessonReader reader, LessonReader::create(*tokenizer_, chat_template, options));
    return reader.read(lines, "data.jsonl");
  }

  std::vector<std::string> texts(std::vector<std::string_view> lines,
                                 const char* chat_template = kChatMl) const {
    const auto lessons = read(std::move(lines), chat_template);
    if (!lessons) return {"error: " + lessons.error().message};
    std::vector<std::string> out;
    for (const Lesson& lesson : lessons->lessons) out.push_back(shown(lesson.example));
    return out;
  }

  std::unique_ptr<infer::Tokenizer> tokenizer_ = byte_tokenizer();
};

TEST_F(LessonsTest, EveryShapeTrainsTheAnswerAndItsEnd) {
  EXPECT_THAT(texts({R"({"prompt": "2+2=", "completion": "4"})"}),
              ElementsAre("2+2=[4<|im_end|>]"));
  EXPECT_THAT(texts({R"({"text": "all of it"})"}), ElementsAre("[all of it<|im_end|>]"));
  EXPECT_THAT(
      texts({R"({"instruction": "Add", "input": "1 2", "output": "3"})"}),
      ElementsAre("<|im_start|>user\nAdd\n\n1 2<|im_end|>\n<|im_start|>assistant\n[3<|im_end|>]"));
  EXPECT_THAT(
      texts(
          {R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})"}),
      ElementsAre("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]"));
}

// The newline behind <|im_end|> is the template's, not the model's; what a user writes is no
// control token, whatever it looks like.
TEST_F(LessonsTest, AllTurnsOfTheAssistantInOneDocument) {
  const auto lessons = read({R"({"messages": [
      {"role": "system", "content": "s"}, {"role": "user", "content": "<|im_end|>"},
      {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
      {"role": "assistant", "content": "d"}]})"});
  ASSERT_TRUE(lessons) << lessons.error().message;
  ASSERT_EQ(lessons->lessons.size(), 1u);
  const infer::Example& example = lessons->lessons[0].example;
  EXPECT_EQ(shown(example),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n<|im_end|><|im_end|>\n"
            "<|im_start|>assistant\n[b<|im_end|>]\n<|im_start|>user\nc<|im_end|>\n"
            "<|im_start|>assistant\n[d<|im_end|>]");
  // Five turns end; the user's own was spelled out, byte by byte.
  EXPECT_EQ(std::ranges::count(example.tokens, 258), 5);
}

// A template that forgets earlier thinking: each turn is learnt in the prompt it would have had.
TEST_F(LessonsTest, TurnsThatATemplateShowsDifferentlyLaterAreDocumentsOfTheirOwn) {
  EXPECT_THAT(texts({R"({"messages": [{"role": "user", "content": "a"},
                 {"role": "assistant", "content": "b", "reasoning_content": "x"},
                 {"role": "user", "content": "c"},
                 {"role": "assistant", "content": "d", "reasoning_content": "y"}]})"},
                    kThinking),
              ElementsAre("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>\n"
                          "[x</think>\nb<|im_end|>]",
                          "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
                          "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n<think>\n"
                          "[y</think>\nd<|im_end|>]"));
}

TEST_F(LessonsTest, ToolsAndCallsGoThroughTheTemplate) {
  constexpr const char* kTools =
      "{% for t in tools %}({{ t.function.name }}){% endfor %}{% for m in messages %}<|im_start|>"
      "{{ m.role }}:{{ m.content }}{% for c in m.tool_calls %}{{ c.function.name }}="
      "{{ c.function.arguments.x }}{% endfor %}<|im_end|>{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}";
  EXPECT_THAT(texts({R"({"tools": [{"type": "function", "function": {"name": "add"}}], "messages": [
              {"role": "user", "content": [{"type": "text", "text": "q"}]},
              {"role": "assistant", "content": null, "tool_calls": [
                {"id": "1", "type": "function",
                 "function": {"name": "add", "arguments": "{\"x\": 7}"}}]},
              {"role": "tool", "tool_call_id": "1", "content": "8"},
              {"role": "assistant", "content": "it is 8"}]})"},
                    kTools),
              ElementsAre("(add)<|im_start|>user:q<|im_end|><|im_start|>assistant:[add=7<|im_end|>]"
                          "<|im_start|>tool:8<|im_end|><|im_start|>assistant:[it is 8<|im_end|>]"));
}

TEST_F(LessonsTest, BadLinesAreNamed) {
  const std::pair<const char*, const char*> kBad[] = {
      {"{\"prompt\": ", "data.jsonl:2: "},
      {"[1]", "data.jsonl:2: it is array, not an object"},
      {"{}", "it has none of 'messages'"},
      {R"({"prompt": "a"})", "'completion' is missing"},
      {R"({"prompt": "a", "completion": ""})", "nothing to learn"},
      {R"({"prompt": 1, "completion": "a"})", "'prompt' is number, not a string"},
      {R"({"messages": []})", "'messages' is empty"},
      {R"({"messages": [{"role": "user", "content": "a"}]})", "no turn of the assistant"},
      {R"({"messages": [{"role": "wizard", "content": "a"}]})", "the role 'wizard' is unknown"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})", "is not text"},
      {R"({"conversations": [{"from": "human", "value": "a"}]})", "no turn of the assistant"},
      {R"({"instruction": "a", "output": ""})", "nothing to learn"},
      {R"({"text": ""})", "nothing of it would be learnt"},
  };
  constexpr const char* kGood = R"({"prompt": "a", "completion": "b"})";
  for (const auto& [line, message] : kBad) {
    const auto refused = read({kGood, line});
    ASSERT_FALSE(refused) << line;
    EXPECT_THAT(refused.error().message, HasSubstr(message));
    EXPECT_THAT(refused.error().message, HasSubstr("--skip-bad"));
    const auto rest = read({kGood, line}, kChatMl, {.context = 99, .skip_bad = true});
    ASSERT_TRUE(rest) << line;
    EXPECT_EQ(rest->lessons.size(), 1u);
    EXPECT_EQ(rest->bad, 1u);
    EXPECT_THAT(rest->notes, ElementsAre(HasSubstr(message)));
  }
  EXPECT_THAT(read({R"({"instruction": "a", "output": "b"})"}, "").error().message,
              HasSubstr("no chat template"));
}

TEST_F(LessonsTest, LongOnesAreLeftOutAndSaidNeverCut) {
  const std::string_view kLong = R"({"prompt": "0123456789", "completion": "0123456789"})";
  const std::string_view kShort = R"({"prompt": "0", "completion": "1"})";
  const auto lessons = read({kLong, kShort, kShort}, kChatMl, {.context = 20});
  ASSERT_TRUE(lessons);
  EXPECT_EQ(lessons->too_long, 1u);
  EXPECT_EQ(lessons->duplicates, 1u);
  EXPECT_EQ(lessons->lessons.size(), 1u);
  EXPECT_THAT(lessons->notes, ElementsAre("data.jsonl:1: 21 tokens; the context holds 20"));
  const auto none = read({kLong}, kChatMl, {.context = 20});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no example is left of 1 lines (0 bad, 1 too long"));
}

TEST_F(LessonsTest, ATaskIsNeverOnBothSides) {
  std::vector<std::string> lines;
  for (int i = 0; i < 300; ++i)
    lines.push_back(
        fmt::format(R"({{"task": "t{}", "prompt": "p{}", "completion": "c"}})", i % 60, i));
  auto lessons = read({lines.begin(), lines.end()});
  ASSERT_TRUE(lessons);
  auto off = split_off(lessons->lessons, 0.3);
  EXPECT_EQ(off.size() + lessons->lessons.size(), 300u);
  EXPECT_GT(off.size(), 40u);
  EXPECT_LT(off.size(), 140u);
  for (const Lesson& a : off)
    for (const Lesson& b : lessons->lessons) ASSERT_NE(a.task, b.task);
}

}  // namespace
}  // namespace lathe::app
