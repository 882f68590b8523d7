// Functions in sources: found, exchanged and removed, and nothing else changed.
#include "loop/makers/code_functions.h"

#include <gtest/gtest.h>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

const StopFlag go;

FunctionFinder& finder() {
  static FunctionFinder one(false, go);
  return one;
}

std::string spliced(std::string_view path, std::string_view text, std::string_view name,
                    std::string_view code) {
  const auto made = splice_function(finder(), path, text, name, code);
  return made ? *made : "refused: " + made.error().message;
}

// "name first-last" of every function.
std::vector<std::string> list(std::string_view path, std::string_view text) {
  std::vector<std::string> result;
  const auto functions = finder().of(path, text);
  EXPECT_TRUE(functions) << functions.error().message;
  if (functions)
    for (const Function& each : *functions)
      result.push_back(fmt::format("{} {}-{}", each.name, each.first, each.last));
  return result;
}

using Names = std::vector<std::string>;

TEST(Functions, EndsAreKnownOrSaidNotToBe) {
  EXPECT_EQ(list("x.cpp",
                 "namespace a {\nstatic int first(int x) {\n  return R\"y(})y\"[0];\n}\ntemplate "
                 "<class T>\nT Outer::second(T (*f)(int),\n                int y) "
                 "const\n{\n  for (;;) { auto g = [&] { return y; }; }\n}\n}\n"),
            (Names{"a::first 2-4", "a::Outer::second 6-10"}));
  EXPECT_EQ(list("X.java",
                 "class X {\n  @Override\n  public int size() {\n    char c = '}';\n  "
                 "}\n}\n"),
            (Names{"X.size 3-5"}));
  EXPECT_EQ(list("x.py",
                 "@cache\ndef first(a,\n          b):\n    \"\"\"doc\ndef no():\n\"\"\"\n   "
                 " return a\n\nclass P:\n    def next(self):\n        def inner():\n         "
                 "   return 2\n        return inner()\n"),
            (Names{"first 2-7", "P.next 10-13", "P.next.inner 11-12"}));
  // Of these ctags tells no ends: the layout does, or nothing.
  EXPECT_EQ(list("x.ts", "export const add = (a: number) => {\n  return a;\n};\nconst n = 3;\n"),
            (Names{"add 1-3"}));
  EXPECT_EQ(list("x.rs", "impl T {\n    fn name(s: &'a str) {\n    }\n}\n"),
            (Names{"T::name 2-3"}));
  EXPECT_EQ(list("x.sh", "one() {\n  :\n}\n"), (Names{"one 1-3"}));
  EXPECT_EQ(list("x.js",
                 "function f() { return 1; }\nconst g = (x) => x;\nif (f()) {\n}\n"
                 "function h(\n  a = {},\n) {\n  return a;\n}\nfunction i({ b })\n{\n}\n"),
            (Names{"f 1-1", "g 2-0", "h 5-9", "i 10-12"}));
  for (const char* body : {"  return '{';\n", "  return `\n}\n`;\n", "  return /}/;\n"})
    EXPECT_EQ(list("x.js", fmt::format("function f() {{\n{}}}\n", body)), (Names{"f 1-0"})) << body;
  EXPECT_TRUE(list("x.txt", "int f() {\n}\n").empty());
}

TEST(Functions, AnyTextIsRead) {
  for (const char* path : {"x.cpp", "x.py", "-f", "a b$(id).c", "\xff.c", "x."})
    for (const char* text : {"", "{", "((((", "\"", "def (", "\xff\xfe{"})
      EXPECT_TRUE(finder().of(path, text)) << path;
}

TEST(Functions, AroundALine) {
  const auto functions =
      finder().of("x.c", "int a() {\n  return 1;\n}\n\nint b() {\n  return 2;\n}\n").value();
  EXPECT_EQ(function_at(functions, 2)->name, "a");
  EXPECT_EQ(function_at(functions, 5)->name, "b");
  EXPECT_FALSE(function_at(functions, 4));
  EXPECT_FALSE(function_at(functions, 99));
}

TEST(SpliceFunction, ExchangesOneAndNothingElse) {
  const char* text = "int a() {\n  return 1;\n}\n\nint b() {\n  return 2;\n}\n";
  EXPECT_EQ(spliced("x.c", text, "a", "int a() {\n  return 3;\n}\n"),
            "int a() {\n  return 3;\n}\n\nint b() {\n  return 2;\n}\n");
  EXPECT_EQ(spliced("x.c", "int a() {}", "a", "int a() { f(); }\n"), "int a() { f(); }");
  EXPECT_EQ(spliced("x.c", replace_all(text, "\n", "\r\n"), "a", "int a() {\n  return 3;\n}\n"),
            "int a() {\r\n  return 3;\r\n}\r\n\r\nint b() {\r\n  return 2;\r\n}\r\n");
  const char* method =
      "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n";
  EXPECT_EQ(spliced("x.py", method, "f", "def f(self):\n    return 3\n"),
            "class A:\n    def f(self):\n        return 3\n\n    def g(self):\n        return 2\n");
  EXPECT_EQ(spliced("x.py", "def a():\n  return 1\n\nx = 2", "a", "def a():\n  return 2\n"),
            "def a():\n  return 2\n\nx = 2");
}

// What stands behind the function is not its own, whatever its quotes look like.
TEST(SpliceFunction, NeighboursStay) {
  for (const char* rest : {"\nX = \"\"\"\ntext\n\"\"\"\n\ndef b():\n    return 2\n",
                           "X = '''\ntext\n'''\n\ndef b():\n    return 2\n",
                           "\nX = '\"\"\"'\n\ndef b():\n    return 2\n\nY = '\"\"\"'\n",
                           "\n\n# a note\nX = \"# '''\"\n\ndef b():\n    return 2\n",
                           "\nclass C:\n    '''doc\nhere'''\n    def b(self):\n        return 2\n",
                           "\nX = [\n\"\"\"a\n\"\"\",\n]\ndef b(): return 2\n"}) {
    const std::string text = std::string("def a():\n    return 1\n") + rest;
    EXPECT_EQ(spliced("x.py", text, "a", "def a():\n    return 9\n"),
              std::string("def a():\n    return 9\n") + rest);
  }
}

TEST(SpliceFunction, WhatStandsAboveStaysUnlessItIsSent) {
  const std::string text = "x = 1\n# note\n@cache\n@other(\n    1)\ndef a():\n    return 1\n";
  EXPECT_EQ(spliced("x.py", text, "a", "def a():\n    return 2\n"),
            "x = 1\n# note\n@cache\n@other(\n    1)\ndef a():\n    return 2\n");
  EXPECT_EQ(spliced("x.py", text, "a", "@cache\ndef a():\n    return 2\n"),
            "x = 1\n# note\n@cache\ndef a():\n    return 2\n");
  EXPECT_EQ(spliced("x.cpp", "int z;\ntemplate <class T>\nT f() {\n  return {};\n}\n", "f",
                    "template <class T>\nT f() {\n  return T(1);\n}\n"),
            "int z;\ntemplate <class T>\nT f() {\n  return T(1);\n}\n");
  EXPECT_EQ(spliced("x.c", "static int\nf(void)\n{\n  return 1;\n}\n", "f",
                    "static int\nf(void)\n{\n  return 2;\n}\n"),
            "static int\nf(void)\n{\n  return 2;\n}\n");
}

TEST(SpliceFunction, CommentsThatAreNotRepeatedStay) {
  const std::string text = "int z;\n// one\n// two\n// three\nint f() {\n  return 1;\n}\n";
  const auto with = [&](const std::string& comment) {
    const std::string all = spliced("x.c", text, "f", comment + "int f() {\n  return 2;\n}\n");
    return all.substr(7, all.find("int f") - 7);
  };
  EXPECT_EQ(with("// new\n"), "// one\n// two\n// three\n// new\n");
  EXPECT_EQ(with("// two\n// three\n"), "// two\n// three\n");
  EXPECT_EQ(with("// new\n// two\n// three\n"), "// new\n// two\n// three\n");
  EXPECT_EQ(with("// one\n// two\n// 3\n"), "// one\n// two\n// 3\n");
  EXPECT_EQ(with(""), "// one\n// two\n// three\n");
}

TEST(SpliceFunction, NamesAsModelsWriteThem) {
  const std::string text =
      "class P:\n    def next(self, a):\n        return 1\n\ndef last():\n    return 2\n";
  for (const char* name : {"next", "P.next", "P::next", "next()", "next(self, a)", "`P.next`",
                           "def next", "def next(self, a):", "next (lines 2-3)", "next:2-3",
                           "P.next(self, a) -> int", "next [2-3]", "async def next"})
    EXPECT_EQ(spliced("x.py", text, name, "    def next(self, a):\n        return 9\n"),
              replace_all(text, "return 1", "return 9"))
        << name;
  EXPECT_NE(spliced("x.py", text, "nxt", "x").find("line 2: def next(self, a):"),
            std::string::npos);
}

TEST(SpliceFunction, RefusesWhatDoesNotApply) {
  const char* text = "int parse(int a) {\n  return 1;\n}\nint print() {\n}\n";
  for (const char* code : {"int other() {}\n", "  return 2;\n", ""})
    EXPECT_NE(spliced("x.c", text, "parse", code).find("does not define parse"), std::string::npos);
  EXPECT_NE(spliced("x.txt", text, "parse", text).find("no functions are recognised"),
            std::string::npos);
  EXPECT_NE(spliced("x.sh", "one() {\n  : '{'\n}\n", "one", "one() {\n  ls\n}\n").find("not known"),
            std::string::npos);
  const char* twice = "int A::f() {\n}\nint B::f() {\n}\n";
  EXPECT_NE(spliced("x.cpp", twice, "f", "int f() {}").find("2 functions"), std::string::npos);
  EXPECT_EQ(spliced("x.cpp", twice, "B::f", "int B::f() { g(); }\n"),
            "int A::f() {\n}\nint B::f() { g(); }\n");
}

TEST(RemoveFunction, TakesItsHeadAlong) {
  EXPECT_EQ(
      remove_function(finder(), "x.py", "x = 1\n@dec\ndef a():\n    pass\n\ny = 2\n", "a").value(),
      "x = 1\n\ny = 2\n");
}

TEST(FunctionsGone, CountsThem) {
  const std::vector<Function> before{{"a", 1, 1}, {"b", 2, 2}, {"b", 3, 3}};
  EXPECT_TRUE(functions_gone(before, before).empty());
  EXPECT_EQ(functions_gone(before, {{"b", 1, 1}}), (Names{"a", "b"}));
  EXPECT_TRUE(functions_gone({}, before).empty());
}

TEST(FunctionsBetween, NamesWhatIsExchanged) {
  const std::string before =
      "import os\n\ndef a():\n  return 1\n\nclass C:\n  def b(self):\n"
      "    return 2\n\n  def c(self):\n    return 3\n";
  const auto names = [&](std::string_view after) {
    std::string text;
    const auto changed = functions_between(finder(), "x.py", before, after);
    EXPECT_TRUE(changed);
    for (const FunctionText& each : *changed) text += each.name + "\n" + each.code;
    return text;
  };
  const auto with = [&](std::string_view old, std::string_view fresh) {
    return replace_all(before, old, fresh);
  };
  EXPECT_EQ(names(with("return 3", "return 4")), "C.c\n  def c(self):\n    return 4\n");
  EXPECT_EQ(names(replace_all(with("return 3", "return 4"), "return 1", "return 5")),
            "a\ndef a():\n  return 5\nC.c\n  def c(self):\n    return 4\n");
  EXPECT_EQ(names(with("def a", "def new():\n  pass\n\ndef a")), "");  // not by functions alone
  EXPECT_EQ(names(with("import os", "import re")), "");
  EXPECT_EQ(names(with("def a():\n  return 1\n", "")), "");
}

}  // namespace
}  // namespace lathe::loop
