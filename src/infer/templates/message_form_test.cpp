// Templates of each kind, and the messages that they are given.
#include "infer/templates/message_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lathe::infer {
namespace {

MessageForm form_of(const std::string& source) {
  const auto chat = ChatTemplate::parse(source);
  EXPECT_TRUE(chat) << source;
  return chat ? message_form_of(*chat) : MessageForm();
}

std::string each_message(const std::string& body) {
  return "{% for m in messages %}" + body + "{% endfor %}";
}

const std::string kCalls =
    "{% for c in m.tool_calls or [] %}{{ c.function.name }} {{ ARGUMENTS }}{% endfor %}";

std::string with_arguments(const std::string& expression) {
  std::string calls = kCalls;
  calls.replace(calls.find("ARGUMENTS"), 9, expression);
  return each_message("{{ m.content }}" + calls);
}

TEST(MessageForm, TextsWhereTheyAreShown) {
  EXPECT_EQ(form_of(each_message("{{ m.role }}: {{ m.content }}")), MessageForm());
  EXPECT_EQ(form_of("nothing of anything"), MessageForm());
  EXPECT_EQ(form_of("{{ raise_exception('no') }}"), MessageForm());
}

TEST(MessageForm, PartsWhereTheTemplateWantsThem) {
  EXPECT_TRUE(form_of(each_message("{% for p in m.content %}{{ p.text }}{% endfor %}")).parts);
  EXPECT_TRUE(form_of(each_message("{% if m['content'][0]['type'] == 'text' %}"
                                   "{{ m['content'][0]['text'] }}{% endif %}"))
                  .parts);
  // Both will do: it stays a text.
  EXPECT_FALSE(form_of(each_message("{% if m.content is string %}{{ m.content }}{% else %}"
                                    "{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}"))
                   .parts);
}

TEST(MessageForm, SystemMessagesWhereTheyHaveAPlace) {
  EXPECT_FALSE(
      form_of("{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" +
              each_message("{{ m.content }}"))
          .system);
  EXPECT_FALSE(form_of(each_message("{% if m.role == 'user' %}{{ m.content }}{% endif %}")).system);
  EXPECT_FALSE(form_of(each_message("{% if m.role == 'user' %}{% for p in m.content %}{{ p.text }}"
                                    "{% endfor %}{% endif %}"))
                   .system);
}

TEST(MessageForm, ArgumentsAsObjectsOrAsText) {
  EXPECT_FALSE(form_of(with_arguments("c.function.arguments | tojson")).arguments);
  EXPECT_FALSE(form_of(with_arguments("c.function.arguments.items() | list | tojson")).arguments);
  EXPECT_TRUE(form_of(with_arguments("c.function.arguments")).arguments);
  EXPECT_TRUE(form_of(with_arguments("'' + c.function.arguments")).arguments);
  EXPECT_FALSE(form_of(with_arguments("c.function.arguments if c.function.arguments is string else "
                                      "c.function.arguments | tojson"))
                   .arguments);
}

TEST(MessageForm, ThinkingUnderItsName) {
  EXPECT_EQ(form_of(each_message("{{ m.content }}{{ m.thinking }}")).thinking, "thinking");
  EXPECT_EQ(form_of(each_message("{{ m.content }}{{ m.reasoning }}")).thinking, "reasoning");
  EXPECT_EQ(
      form_of(each_message("{{ m.content }}{{ m.reasoning or m.reasoning_content }}")).thinking,
      "reasoning_content");
}

TEST(MessageForm, MessagesAreShaped) {
  const Json messages = *parse_json(R"([
    {"role": "system", "content": "S"}, {"role": "user", "content": "U"},
    {"role": "assistant", "content": "", "reasoning_content": "R",
     "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}])");
  EXPECT_EQ(shaped(messages, {}), messages);
  const MessageForm all{.system = false, .parts = true, .arguments = true, .thinking = "thinking"};
  EXPECT_EQ(shaped(messages, all), *parse_json(R"([
    {"role": "user", "content": [{"type": "text", "text": "S\n\nU"}]},
    {"role": "assistant", "content": [{"type": "text", "text": ""}],
     "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\":1}"}}], "thinking": "R"}])"));
  EXPECT_EQ(shaped(Json::array({messages[0]}), {.system = false}),
            *parse_json(R"([{"role": "user", "content": "S"}])"));
}

TEST(MessageForm, ThinkingIsTurnedOnAndOffUnderEveryName) {
  const auto completed = [](const char* text) {
    Json variables = *parse_json(text);
    complete_thinking(variables);
    return variables;
  };
  EXPECT_EQ(completed("{}"), Json::object());
  EXPECT_EQ(completed(R"({"enable_thinking": true})"),
            *parse_json(R"({"enable_thinking": true, "thinking": true})"));
  EXPECT_EQ(completed(R"({"thinking": false})"),
            *parse_json(R"({"thinking": false, "enable_thinking": false, "thinking_budget": 0})"));
  EXPECT_EQ(completed(R"({"thinking": false, "enable_thinking": true})"),
            *parse_json(R"({"thinking": false, "enable_thinking": true})"));
  EXPECT_EQ(
      completed(R"({"reasoning_effort": "high"})"),
      *parse_json(R"({"reasoning_effort": "high", "enable_thinking": true, "thinking": true})"));
  EXPECT_EQ(completed(R"({"reasoning_effort": "none", "thinking_budget": 9})")["thinking"], false);
  EXPECT_EQ(completed(R"({"reasoning_effort": "high", "enable_thinking": false})")["thinking"],
            false);
  EXPECT_EQ(completed(R"({"reasoning_effort": "minimal"})").size(), 1U);
}

}  // namespace
}  // namespace lathe::infer
