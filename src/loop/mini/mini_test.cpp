// Mini-Python does as Python, within exact limits.
#include "loop/mini/mini.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Result<MiniValue> run(std::string_view source, std::string_view arguments,
                      const MiniFuel& fuel = {}) {
  LATHE_TRY(const MiniProgram program, MiniProgram::parse(source));
  LATHE_TRY(const std::vector<MiniValue> values, parse_mini_literals(arguments));
  return program.call(values, fuel);
}

std::string said(std::string_view source, std::string_view arguments, const MiniFuel& fuel = {}) {
  const auto value = run(source, arguments, fuel);
  return value ? mini_repr(*value) : "!" + value.error().code;
}

TEST(Mini, RunsASmallFunction) {
  const char* source =
      "def f(xs, k):\n"
      "    t = 0  # the total\n"
      "    for x in xs:\n"
      "        if x % 2 == 0 and x > k:\n"
      "            t += x\n"
      "        elif x < 0:\n"
      "            break\n"
      "        else:\n"
      "            continue\n"
      "    return t\n";
  EXPECT_EQ(said(source, "[1,4,8,-1,100],3"), "12");
  EXPECT_EQ(said(source, "[],3"), "0");
  EXPECT_EQ(said("def g():\n pass\n", ""), "None");
}

TEST(Mini, WritesValuesAsPythonDoes) {
  EXPECT_EQ(said("def f(x):\n return x\n", "[1,-2,True,None,'it\\'s','\"']"),
            R"([1, -2, True, None, "it's", '"'])");
  EXPECT_EQ(said("def f(x):\n return x+'\\n\\t\\\\'\n", "'a'"), R"('a\n\t\\')");
  EXPECT_EQ(said("def f(x):\n return chr(x)\n", "127"), R"('\x7f')");
}

TEST(Mini, DividesDownwards) {
  EXPECT_EQ(said("def f(a,b):\n return [a//b,a%b]\n", "-7,2"), "[-4, 1]");
  EXPECT_EQ(said("def f(a,b):\n return [a//b,a%b]\n", "7,-2"), "[-4, -1]");
  EXPECT_EQ(said("def f(a,b):\n return a//b\n", "7,0"), "!ZeroDivisionError");
}

TEST(Mini, ListsAreSharedButArgumentsAreNot) {
  EXPECT_EQ(said("def f():\n a=[1]\n b=a\n b.append(2)\n a+=[3]\n return b\n", ""), "[1, 2, 3]");
  const auto program = MiniProgram::parse("def f(a):\n a.append(9)\n return a\n");
  const auto values = parse_mini_literals("[1]");
  EXPECT_EQ(mini_repr(*program->call(*values)), "[1, 9]");
  EXPECT_EQ(mini_repr(values->front()), "[1]");
}

TEST(Mini, LimitsHaveNamesOfTheirOwn) {
  EXPECT_EQ(said("def f():\n while True:\n  pass\n", ""), "!Fuel");
  EXPECT_EQ(said("def f():\n a=[1]\n for x in a:\n  a.append(x)\n return a\n", ""), "!Fuel");
  EXPECT_EQ(said("def f():\n a=[1]\n for x in a:\n  a.append(x)\n return a\n", "",
                 {.steps = 1'000'000, .memory = 100}),
            "!Memory");
  EXPECT_EQ(said("def f():\n s='ab'\n while True:\n  s=s+s\n", "",
                 {.steps = 1'000'000, .memory = 100'000}),
            "!Memory");
  EXPECT_EQ(said("def f(s):\n return s*999999999999\n", "'ab'"), "!Memory");
  EXPECT_EQ(said("def f():\n return list(range(1000000000))\n", ""), "!Fuel");
  EXPECT_EQ(said("def f():\n return 9223372036854775807+1\n", ""), "!Overflow");
  EXPECT_EQ(said("def f(x):\n return (-x-1)//-1\n", "9223372036854775807"), "!Overflow");
  EXPECT_EQ(said("def f():\n return [[1]]\n", ""), "!Unsupported");
  EXPECT_EQ(said("def f():\n return '%d'%3\n", ""), "!Unsupported");
}

// The step at which fuel ends is exact: one less is not enough.
TEST(Mini, FuelIsExact) {
  const char* source = "def f():\n return 1+2\n";
  EXPECT_EQ(said(source, "", {.steps = 4}), "3");
  EXPECT_EQ(said(source, "", {.steps = 3}), "!Fuel");
  const char* made = "def f():\n return 'ab'+'c'\n";
  EXPECT_EQ(said(made, "", {.memory = 3}), "'abc'");
  EXPECT_EQ(said(made, "", {.memory = 2}), "!Memory");
}

TEST(Mini, ErrorsNameTheLine) {
  const auto value = run("def f(a):\n b=1\n return a[b]\n", "[1]");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, "IndexError");
  EXPECT_EQ(value.error().message, "line 3: IndexError: index out of range");
  EXPECT_EQ(said("def f():\n if False:\n  t=1\n return t\n", ""), "!UnboundLocalError");
  EXPECT_EQ(said("def f():\n return t\n", ""), "!NameError");
  EXPECT_EQ(said("def f(a):\n return a\n", "1,2"), "!TypeError");
}

struct Refused {
  const char* source;
  const char* message;
};
class MiniSyntax : public ::testing::TestWithParam<Refused> {};

TEST_P(MiniSyntax, IsRefusedByLine) {
  const auto program = MiniProgram::parse(GetParam().source);
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().code, "SyntaxError");
  EXPECT_THAT(program.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Sources, MiniSyntax,
    ::testing::Values(
        Refused{"", "there is no function"}, Refused{"x=1\n", "line 1: 'def' is missing"},
        Refused{"def f(a,a):\n pass\n", "'a' is a parameter twice"},
        Refused{"def f():\n", "an indented block is missing"},
        Refused{"def f():\nreturn 1\n", "an indented block is missing"},
        Refused{"def f(): return 1\n", "lines of its own"},
        Refused{"def f():\n  a=1\n b=2\n", "line 3: only one function"},
        Refused{"def f():\n a=1\n  b=2\n", "line 3: the line is indented too far"},
        Refused{"def f():\n return 1.5\n", "line 2: only whole decimal numbers"},
        Refused{"def f():\n return 007\n", "does not begin with 0"},
        Refused{"def f():\n return 99999999999999999999\n", "too large"},
        Refused{"def f():\n return 'a\n", "the string has no end"},
        Refused{"def f():\n return '\\x41'\n", "the escape \\x is not supported"},
        Refused{"def f():\n return a/b\n", "'/' is not supported"},
        Refused{"def f():\n return 1<2<3\n", "comparisons are not chained"},
        Refused{"def f():\n return eval('1')\n", "the function 'eval' is not supported"},
        Refused{"def f(a):\n return a.sort()\n", "the method 'sort' is not supported"},
        Refused{"def f(a):\n return len(a,a)\n", "len() is not called with 2"},
        Refused{"def f():\n return range(3)\n", "range() stands alone"},
        Refused{"def f():\n for x in range(3)+[1]:\n  pass\n", "range() stands alone"},
        Refused{"def f():\n break\n", "'break' is outside a loop"},
        Refused{"def f():\n sum=1\n", "'sum' is Python's own name"},
        Refused{"def f():\n 1=2\n", "only a name or an item"},
        Refused{"def f():\n import os\n", "line 2: a name is missing before 'import'"},
        Refused{"def f():\n return \xC3\xA4\n", "only printable ASCII"},
        Refused{"def f():\n\treturn 1\n", "only printable ASCII"}));

TEST(Mini, NestingIsBounded) {
  const std::string deep =
      "def f():\n return " + std::string(5000, '(') + "1" + std::string(5000, ')') + "\n";
  EXPECT_EQ(said(deep, ""), "!SyntaxError");
  std::string blocks = "def f():\n", sums = "def f():\n return 1";
  for (int i = 1; i < 100; ++i) blocks += std::string(static_cast<std::size_t>(i), ' ') + "if 1:\n";
  for (int i = 1; i < 1000; ++i) sums += "+1";
  EXPECT_EQ(said(blocks, ""), "!SyntaxError");
  EXPECT_EQ(said(sums + "\n", ""), "!SyntaxError");
}

TEST(MiniLiterals, AreOnlyLiterals) {
  EXPECT_EQ(parse_mini_literals("[1,'a'],-3,None")->size(), 3U);
  EXPECT_TRUE(parse_mini_literals(" ")->empty());
  for (const char* text : {"f(1)", "a", "1+1", "[[1]]", "-'a'", "1,", "[1", "1\n2"})
    EXPECT_FALSE(parse_mini_literals(text)) << text;
}

}  // namespace
}  // namespace lathe::loop
