#include "loop/makers/code_cut.h"

#include <gtest/gtest.h>

#include "ground/base/text.h"

namespace lathe {
namespace {

// "name first-last" of every function.
std::vector<std::string> list(std::string_view path, std::string_view text) {
  std::vector<std::string> result;
  for (const Function& each : functions_of(path, text))
    result.push_back(fmt::format("{} {}-{}", each.name, each.first, each.last));
  return result;
}

using Names = std::vector<std::string>;

TEST(CodeCut, Cpp) {
  const char* text = R"x(#include <map>
#define BRACE {
namespace a {
// comment with { and "
static const char* kText = "} not code {";
static int first(int x) {
  if (x > 0) { return '{'; }
  return R"y(})y"[0];
}

template <class T>
T Outer::second(T (*f)(int),
                int y) const noexcept
{
  for (;;) { auto g = [&] { return y; }; }
}

struct S : Base {
  S() : a_(1), b_{2} { run(); }
  bool operator==(const S& o) const { return true; }
  int field = compute(3);
  enum E { kOne, kTwo };
};
int table[] = {1, 2};
}  // namespace a
)x";
  EXPECT_EQ(list("x.cpp", text),
            (Names{"first 6-9", "Outer::second 11-16", "S 19-19", "operator== 20-20"}));
}

TEST(CodeCut, OtherBraceLanguages) {
  EXPECT_EQ(list("x.go",
                 "package p\n\nfunc (r *T) Name(a int) error {\n\tif a > 0 {\n\t}\n}\n\nfunc "
                 "Other() {\n}\n"),
            (Names{"Name 3-6", "Other 8-9"}));
  EXPECT_EQ(list("x.rs", "impl T {\n    fn name(s: &'a str) -> &'a str {\n        s\n    }\n}\n"),
            (Names{"name 2-4"}));
  EXPECT_EQ(list("x.js",
                 "const add = (a, b) => {\n  return a + b;\n};\nfunction sub(a) {\n}\nconst o = { "
                 "a: 1 };\n"),
            (Names{"add 1-3", "sub 4-5"}));
  EXPECT_EQ(
      list("X.java", "class X {\n  @Override\n  public int size() {\n    return 1;\n  }\n}\n"),
      (Names{"size 2-5"}));
}

TEST(CodeCut, Python) {
  const char* text = R"py(import os

@cache
def first(a,
          b):
    """doc
def not_a_function():
"""
    # note
    return a


class Parser:
    x = 1

    def next(self):
        def inner():
            return 2
        return inner()

    async def last(self):
        pass

value = 3
)py";
  EXPECT_EQ(list("x.py", text), (Names{"first 3-10", "Parser.next 16-19", "Parser.next.inner 17-18",
                                       "Parser.last 21-22"}));
}

TEST(CodeCut, Shell) {
  EXPECT_EQ(list("x.sh",
                 "one() {\n  if true; then\n    echo }\n  fi\n}\ntwo() { echo; }\nfunction three "
                 "{\n  :\n}\n"),
            (Names{"one 1-5", "two 6-6", "three 7-9"}));
}

TEST(CodeCut, UnknownLanguagesAndGarbage) {
  EXPECT_TRUE(list("x.txt", "int f() {\n}\n").empty());
  for (const char* path : {"x.cpp", "x.py", "x.sh"}) {
    for (const char* text : {"", "{", "}", "}}}}", "((((", "f(", "\"", "'", "/*", "R\"(", "#\\\n",
                             "def", "def (", "@", "\"\"\"", "f() {", "\xff\xfe{", "= () => {"})
      list(path, text);
    list(path, std::string(100'000, '{'));
    list(path, std::string(100'000, '('));
  }
}

TEST(CodeCut, FunctionAroundALine) {
  const char* text = "int a() {\n  return 1;\n}\n\nint b() {\n  return 2;\n}\n";
  EXPECT_EQ(function_at("x.c", text, 2)->name, "a");
  EXPECT_EQ(function_at("x.c", text, 5)->name, "b");
  EXPECT_FALSE(function_at("x.c", text, 4));
  EXPECT_FALSE(function_at("x.c", text, 99));
}

TEST(CodeCut, SplicesOneFunction) {
  const char* text = "int a() {\n  return 1;\n}\n\nint b() {\n  return 2;\n}\n";
  EXPECT_EQ(splice_function("x.c", text, "a", "int a() {\n  return 3;\n}\n").value(),
            "int a() {\n  return 3;\n}\n\nint b() {\n  return 2;\n}\n");
  EXPECT_EQ(splice_function("x.c", "int a() {}", "a", "int a() { f(); }\n").value(),
            "int a() { f(); }");  // no newline at the end before, none after
  const char* method =
      "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n";
  EXPECT_EQ(splice_function("x.py", method, "f", "def f(self):\n    return 3\n").value(),
            "class A:\n    def f(self):\n        return 3\n\n    def g(self):\n        return 2\n");
}

TEST(CodeCut, RefusesWhatDoesNotApply) {
  const char* text = "int parse(int a) {\n  return 1;\n}\nint print() {\n}\n";
  const auto unknown = splice_function("x.c", text, "prase", "int prase() {}\n");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("line 1: int parse(int a) {"), std::string::npos);
  EXPECT_FALSE(splice_function("x.c", text, "parse", "int other() {}\n"));
  EXPECT_FALSE(splice_function("x.c", text, "parse", "  return 2;\n"));
  EXPECT_FALSE(splice_function("x.txt", text, "parse", text));
  const char* twice = "int A::f() {\n}\nint B::f() {\n}\n";
  EXPECT_NE(splice_function("x.cpp", twice, "f", "int f() {}").error().message.find("2 functions"),
            std::string::npos);
  EXPECT_TRUE(splice_function("x.cpp", twice, "B::f", "int B::f() { g(); }\n"));
}

TEST(FunctionsBetween, NamesWhatIsExchanged) {
  const std::string before =
      "import os\n\ndef a():\n  return 1\n\nclass C:\n  def b(self):\n"
      "    return 2\n\n  def c(self):\n    return 3\n";
  const auto names = [&](std::string_view after) {
    std::string text;
    for (const FunctionText& each : functions_between("x.py", before, after))
      text += each.name + "\n" + each.code;
    return text;
  };
  const auto with = [&](std::string_view old, std::string_view fresh) {
    return replace_all(before, old, fresh);
  };
  EXPECT_EQ(names(with("return 3", "return 4")), "C.c\n  def c(self):\n    return 4\n");
  EXPECT_EQ(names(replace_all(with("return 3", "return 4"), "return 1", "return 5")),
            "a\ndef a():\n  return 5\nC.c\n  def c(self):\n    return 4\n");
  // A function that is new stands beside one that takes it along.
  EXPECT_EQ(names(with("def a", "def new():\n  pass\n\ndef a")),
            "a\ndef new():\n  pass\n\ndef a():\n  return 1\n");
  EXPECT_EQ(names(with("  return 1\n", "  return new()\n\ndef new():\n  pass\n")),
            "a\ndef a():\n  return new()\n\ndef new():\n  pass\n");
  EXPECT_EQ(names(with("import os", "import re")), "");      // beside none
  EXPECT_EQ(names(with("def a():\n  return 1\n", "")), "");  // nothing defines it
  EXPECT_EQ(names(before.substr(0, before.size() - 1)), "");
}

TEST(SpliceFunction, AFileThatEndsWithoutANewlineStillDoes) {
  const std::string text = "def a():\n  return 1\n\nx = 2";
  EXPECT_EQ(splice_function("x.py", text, "a", "def a():\n  return 2\n").value(),
            "def a():\n  return 2\n\nx = 2");
}

}  // namespace
}  // namespace lathe
