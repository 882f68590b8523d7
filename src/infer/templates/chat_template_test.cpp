// Limits, errors and what is marked as the caller's. That templates render as Jinja2 does is
// checked by tests/templates_test.py.
#include "infer/templates/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace lathe::infer {
namespace {

using ::testing::HasSubstr;

// The rendering with the caller's text in «», or the error.
std::string render(const std::string& source, const Json& variables = Json::object(),
                   const TemplateLimits& limits = {}) {
  const auto chat = ChatTemplate::parse(source);
  if (!chat) return chat.error().message;
  const auto parts = chat->render(variables, 0, limits);
  if (!parts) return parts.error().message;
  std::string out;
  for (const PromptPart& part : *parts) out += part.trusted ? part.text : "«" + part.text + "»";
  return out;
}

TEST(ChatTemplate, TheCallersTextStaysMarked) {
  const Json variables{
      {"u", "ab cd"}, {"bos_token", "<s>"}, {"l", {"x", "y"}}, {"d", {{"k", "v"}}}, {"n", 5}};
  const auto shows = [&](const std::string& source, const std::string& wanted) {
    EXPECT_EQ(render("{{ " + source + " }}", variables), wanted) << source;
  };
  shows("bos_token + u + '!'", "<s>«ab cd»!");
  shows("'<' ~ u ~ n ~ '>'", "<«ab cd»5>");
  shows("u[1:4]", "«b c»");
  shows("('-' + u + '-')[1:]", "«ab cd»-");
  shows("('-' + u + '-')|upper|trim('-')", "«AB CD»");
  shows("u.split(' ')|join('+')", "«ab»+«cd»");
  shows("u|replace('b', '#')", "«a»#« cd»");
  shows("'x'|replace('x', u)", "«ab cd»");
  shows("u|title", "«Ab Cd»");
  shows("(u ~ '\n' ~ 'z')|indent(2)", "«ab cd»\n  z");
  shows("l|join(', ')", "«x», «y»");
  shows("l", "['«x»', '«y»']");
  shows("d|tojson", "«{\"k\": \"v\"}»");
  shows("{'a': 1}|tojson", "{\"a\": 1}");
  shows("'%s!' % u", "«ab cd»!");
  shows("'{}!'.format(u)", "«ab cd»!");
  shows("'\"<t>\"'|from_json", "<t>");
  shows("('\"' ~ u ~ '\"')|from_json", "«ab cd»");
  shows("u|reverse", "«dc ba»");
  shows("u|list|first ~ 'b'", "«a»b");
  EXPECT_EQ(
      render(
          "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(u) }}{% set y %}[{{ u }}]{% endset %}{{ y }}"
          "{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}{% for c in 'a' + u[:1] %}{{ c "
          "}},{% endfor %}",
          variables),
      "<«ab cd»>[«ab cd»]«k»=«v»a,«a»,");
}

// Templates build control tokens from roles: the protocol's own are trusted, others are not.
TEST(ChatTemplate, KnownRolesAreTrusted) {
  const Json variables{
      {"messages",
       {{{"role", "user"}, {"content", "system"}}, {{"role", "im_end"}, {"content", "b"}}}}};
  EXPECT_EQ(
      render("{% for m in messages %}<|{{ m.role }}|>{{ m['content'] }}{% endfor %}", variables),
      "<|user|>«system»<|«im_end»|>«b»");
}

TEST(ChatTemplate, StepsAreLimited) {
  TemplateLimits limits;
  limits.steps = 10000;
  for (const char* source :
       {"{% for i in range(100000) %}{% endfor %}", "{% for i in range(10**18) %}{% endfor %}",
        "{% for i in range(200) %}{% for j in range(200) %}x{% endfor %}{% endfor %}",
        "{% set x = 'ab' * 1000000 %}",
        "{% set ns = namespace(x='aaaaaaaaaaaaaaaaaaaa') %}"
        "{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set l = [1] * 1000000 %}", "{{ range(100000)|list|length }}"})
    EXPECT_THAT(render(source, Json::object(), limits), HasSubstr("more than 10000 steps"))
        << source;
}

TEST(ChatTemplate, DepthIsLimited) {
  EXPECT_THAT(render("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}"),
              HasSubstr("nested too deeply (the limit is 64 calls)"));
  EXPECT_EQ(render("{% macro f(n) %}{{ f(n - 1) if n > 0 else 'x' }}{% endmacro %}{{ f(50) }}"),
            "x");
  const auto repeated = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  for (const std::string& source :
       {"{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}",
        "{{ " + repeated("[", 5000) + repeated("]", 5000) + " }}",
        "{{ " + repeated("-", 5000) + "1 }}", "{{ 1" + repeated("|abs", 5000) + " }}",
        "{{ a" + repeated(".b", 5000) + " }}",
        repeated("{% if 1 %}", 5000) + repeated("{% endif %}", 5000),
        "{{ " + repeated("1 if 1 else ", 5000) + "1 }}", "{{ 1" + repeated(" if 1", 5000) + " }}",
        "{% filter " + repeated("upper|", 5000) + "upper %}{% endfilter %}"})
    EXPECT_THAT(render(source), HasSubstr("nested more than 100 levels deep"))
        << source.substr(0, 40);
  // Long is not deep.
  EXPECT_EQ(render("{{ 0" + repeated(" + 1", 5000) + " }}"), "5000");
  EXPECT_EQ(render("{{ " + repeated("not ", 5000) + "1 }}"), "True");
  // Values that hold themselves.
  EXPECT_THAT(render("{% set l = [] %}{{ l.append(l) }}{{ l }}"), HasSubstr("nested too deeply"));
  EXPECT_THAT(render("{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}"),
              HasSubstr("nested too deeply"));
  EXPECT_THAT(render("{% set l = [] %}{% set m = [] %}{% set _ = l.append(m) %}{% set _ = "
                     "m.append(l) %}{{ l == m }}"),
              HasSubstr("nested too deeply"));
}

TEST(ChatTemplate, OutputIsLimited) {
  TemplateLimits limits;
  limits.output_bytes = 1000;
  EXPECT_THAT(render("{% for i in range(200) %}123456{% endfor %}", Json::object(), limits),
              HasSubstr("beyond 1000 bytes"));
  for (const char* source :
       {"{{ 'a' * 1001 }}", "{% set l = ['a' * 500] * 3 %}{{ l }}",
        "{% set l = ['a' * 500] * 3 %}{{ l|join }}", "{{ (['a' * 500] * 3)|tojson }}",
        "{{ ('a' * 40)|replace('a', 'b' * 30) }}", "{{ ('\n' * 40)|indent(30, blank=true) }}",
        "{% set a = 'a' * 600 %}{{ a ~ a }}"}) {
    EXPECT_THAT(render(source, Json::object(), limits), HasSubstr("beyond 1000 bytes")) << source;
    const auto chat = ChatTemplate::parse(source);
    EXPECT_EQ(chat->render(Json::object(), 0, limits).error().code, "too_long") << source;
  }
  EXPECT_EQ(render("{{ 'a' * 1000 }}", Json::object(), limits).size(), 1000u);
  EXPECT_THAT(render("{{ '%2000d' % 1 }}"), HasSubstr("too large"));
  EXPECT_THAT(render("{{ 'a'|indent(100000) }}"), HasSubstr("too wide"));
}

TEST(ChatTemplate, MemoryIsLimited) {
  TemplateLimits limits;
  limits.memory_bytes = 1 << 20;
  for (const char* source :
       {"{% for i in range(2000) %}{% set x = 'a' * 1000 %}{% endfor %}",
        "{% for i in range(2000) %}{% set x = [1] * 1000 %}{% endfor %}",
        "{% set n = namespace(x='') %}{% for i in range(2000) %}{% set n.x = n.x ~ 'ab' %}"
        "{% endfor %}"})
    EXPECT_THAT(render(source, Json::object(), limits), HasSubstr("more than 1048576 bytes"))
        << source;
}

TEST(ChatTemplate, CanBeStopped) {
  StopFlag stop;
  TemplateLimits limits;
  limits.steps = UINT64_MAX;
  limits.stop = &stop;
  const auto chat = ChatTemplate::parse(
      "{% for i in range(10**6) %}{% for j in range(10**6) %}{% endfor %}{% endfor %}");
  std::thread raiser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop.raise();
  });
  EXPECT_EQ(chat->render(Json::object(), 0, limits).error().kind, ErrorKind::kCancelled);
  raiser.join();
}

TEST(ChatTemplate, ErrorsNameThePlace) {
  EXPECT_EQ(render("a\n  {{ x|nofilter }}"),
            "chat template, line 2, column 8: there is no filter 'nofilter'");
  EXPECT_EQ(render("{% if x %}\n{% endfor %}"),
            "chat template, line 2, column 4: 'endif' is expected, not 'endfor'");
  EXPECT_EQ(render("{% for x in l %}\nab"),
            "chat template, line 2, column 3: 'endfor' is expected, not the end");
  EXPECT_EQ(render("\n{{ 1 +"), "chat template, line 2, column 1: a tag is not closed by '}}'");
  EXPECT_EQ(render("{% include 'x' %}").substr(0, 63),
            "chat template, line 1, column 4: 'include' is no statement of c");
  EXPECT_EQ(render("\n {{ raise_exception('no tools') }}"),
            "chat template, line 2, column 20: the template refuses these messages: no tools");
  EXPECT_THAT(render("{{ 9223372036854775807 + 1 }}"), HasSubstr("is too large"));
  EXPECT_THAT(render("{{ 99999999999999999999 }}"), HasSubstr("out of range"));
  EXPECT_THAT(render("{{ 1 % 0 }}"), HasSubstr("division by zero"));
  EXPECT_EQ(render("x", Json::array()), "chat template: its variables are no JSON object");
}

TEST(ChatTemplate, BordersOfWholeNumbers) {
  const std::string least = "(-9223372036854775807 - 1)";
  EXPECT_THAT(render("{{ " + least + " // -1 }}"), HasSubstr("too large"));
  EXPECT_THAT(render("{{ " + least + " % -1 }}"), HasSubstr("too large"));
  EXPECT_THAT(render("{{ -" + least + " }}"), HasSubstr("too large"));
  EXPECT_THAT(render("{{ " + least + "|abs }}"), HasSubstr("number"));
  EXPECT_EQ(render("{{ 'abc'[" + least + ":] }}"), "abc");
  EXPECT_EQ(render("{{ 'abc'[::" + least + "] }}"), "c");
  EXPECT_EQ(render("{{ 'abc'[" + least + "] }}"), "");
  EXPECT_EQ(render("{{ range(9223372036854775806, 9223372036854775807, 5)|list }}"),
            "[9223372036854775806]");
  EXPECT_EQ(render("{{ 1e300 * 1e300 }}{{ 1e300|int }}"), "inf0");
  EXPECT_EQ(render("{{ (-1) ** 9223372036854775807 }}"), "-1");
}

TEST(ChatTemplate, RendersTheSameTwice) {
  auto chat =
      *ChatTemplate::parse("{% set l = [1] %}{{ l.append(2) }}{{ l }}{{ strftime_now('%Y') }}");
  for (int i = 0; i < 2; ++i) {
    const auto parts = chat.render(Json::object(), 86400 * 400);
    ASSERT_TRUE(parts);
    ASSERT_EQ(parts->size(), 1U);
    EXPECT_EQ((*parts)[0].text, "None[1, 2]1971");
  }
}

}  // namespace
}  // namespace lathe::infer
