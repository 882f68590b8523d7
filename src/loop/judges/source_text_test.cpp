// Lexers and breakers of source text, language by language: names, bodies, strings, and what a
// wrong twin of a function looks like.
#include "loop/judges/source_text.h"

#include <gmock/gmock.h>

#include "ground/base/text.h"
#include "loop/judges/machinery.h"
#include "loop/judges/wrong_twin.h"

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// "name:body" of each function; tests have a star.
std::vector<std::string> bodies(std::string_view path, std::string_view text) {
  const Language language = language_of(path, text);
  const std::string code = blank_comments(language, text, true);
  EXPECT_EQ(code.size(), text.size());
  std::vector<std::string> found;
  for (const Body& body : bodies_of(language, code))
    found.push_back(fmt::format("{}{}:{}", body.name, body.test ? "*" : "",
                                trim(text.substr(body.open, body.close - body.open))));
  return found;
}

std::string blanked(std::string_view path, std::string_view text) {
  return blank_comments(language_of(path, text), text, true);
}

TEST(SourceText, StringsAndCommentsAreNoCode) {
  EXPECT_EQ(blanked("a.rs", "a/*x/*y*/z*/b'{'c'\\''<'a>r#\"}\"#\"{\n}\""),
            "a           b' 'c'  '<'a>r#\" \"#\" \n \"");
  EXPECT_EQ(blanked("a.go", "a`{\n}`'{'\"\\\"{\"//}"), "a` \n `' '\"   \"   ");
  EXPECT_EQ(blanked("A.java", "a\"\"\"{\"\n\"\"\"b'{'/*}*/"), "a\"\"\"  \n\"\"\"b' '     ");
  EXPECT_EQ(blanked("a.c", "=('{')1'000'000\"}\"R\"x({)x\""), "=(' ')1'000'000\" \"R\"x( )x\"");
  EXPECT_EQ(blanked("a.py", "a#{\n'''{'''\"}\""), "a  \n''' '''\" \"");
}

TEST(SourceText, FunctionsOfGo) {
  EXPECT_THAT(
      bodies("a.go",
             "package p\n\nfunc F(x int) int { return x }\n\n"
             "func (t *T) G(f func(int) int, i interface{}) (struct{}, error) {\n\tf := func() {\n"
             "\t}\n\tuse(f)\n}\n"
             "func H[T any](x T) interface{ M() } { one() }\nfunc asm(x int) int\n"
             "func Last() { two() }\n"),
      ElementsAre("F:return x", "G:f := func() {\n\t}\n\tuse(f)", "H:one()", "Last:two()"));
}

TEST(SourceText, FunctionsOfRust) {
  EXPECT_THAT(bodies("a.rs",
                     "pub fn f<'a, T: X<Y>>(x: &'a T) -> [u8; 4] where T: Z { one() }\n"
                     "const fn c() -> u8 { 1 }\ntrait A { fn d(&self); fn e(&self) { two() } }\n"
                     "#[inline]\nimpl A for B { async fn g(s: \"}\") { fn inner() {} } }\n"
                     "#[test]\nfn t() { three() }\nfn h() { four() }\n"
                     "#[cfg(test)]\nmod tests { fn helper() { five() } }\nfn i() { six() }\n"),
              ElementsAre("f:one()", "e:two()", "g:fn inner() {}", "t*:three()", "h:four()",
                          "helper*:five()", "i:six()"));
}

TEST(SourceText, FunctionsOfJava) {
  EXPECT_THAT(
      bodies("A.java",
             "public class A extends B {\n  private final int x = 1;\n  static { one(); }\n"
             "  public A(int x) { super(x); }\n  A() { this(1); }\n"
             "  @Override public <T> int f(@X(\"{\") T a) throws E {\n    if (a) { two(); }\n  }\n"
             "  abstract int g();\n  int[] h = {1, 2};\n"
             "  Runnable r = new Runnable() { public void run() { three(); } };\n"
             "  record P(int a) { int q() { return 4; } }\n}\n"),
      ElementsAre("f:if (a) { two(); }", "run:three();", "q:return 4;"));
}

TEST(SourceText, FunctionsOfTheOthers) {
  EXPECT_THAT(
      bodies("a.cpp", "int f(int x) const { return x; }\nstruct S { S() : a{1} { b(); } };\n"),
      ElementsAre("f:return x;", "S:b();"));
  EXPECT_THAT(bodies("a.js", "const f = (a) => { b(); };\nfunction g() { c(); }\n"),
              ElementsAre(":b();", "g:c();"));
  EXPECT_THAT(bodies("a.txt", "int f() { return 1; }"), IsEmpty());
}

std::string twin(const std::string& path, const std::string& text, const std::string& before = "") {
  const Changes changes{{{path, text}}};
  WrongTwin wrong = wrong_twin(changes, [&](const std::string&) { return before; });
  const std::string made = *wrong.changes.files[path];
  const auto token = made.find_first_of("t", made.find("\"t"));
  return token == made.npos ? made : replace_all(made, made.substr(token, 16), "TOKEN");
}

TEST(WrongTwin, OfGo) {
  EXPECT_EQ(
      twin("a.go", "package p\n\nfunc F() int { return 1 }\n\nfunc main() { F() }\n"),
      "package p\n\nfunc F() int { defer panic(\"TOKEN\"); return 1 }\n\nfunc main() { F() }\n");
}

TEST(WrongTwin, OfRustLeavesItsTestsAlone) {
  const std::string made =
      twin("a.rs", "fn f() -> i32 { 1 }\n#[cfg(test)]\nmod tests { #[test] fn t() { f(); } }\n");
  EXPECT_THAT(made, HasSubstr("fn f() -> i32 { struct TTOKEN; impl Drop for TTOKEN"));
  EXPECT_THAT(made, HasSubstr("panic!(\"TOKEN\")"));
  EXPECT_THAT(made, HasSubstr("fn t() { f(); }"));
}

TEST(WrongTwin, OfJavaLeavesConstructorsAlone) {
  EXPECT_EQ(
      twin("A.java", "class A {\n  A() { super(); }\n  int f() { return 1; }\n}\n"),
      "class A {\n  A() { super(); }\n  int f() { try { return 1; } finally { if (true) throw new "
      "RuntimeException(\"TOKEN\"); } }\n}\n");
}

// The names of what a change adds.
std::vector<std::string> machinery(const std::string& path, const std::string& after,
                                   const std::string& before = "") {
  TreeBefore tree;
  tree.files = {path};
  tree.changed[path] = before;
  std::vector<std::string> names;
  for (const Machinery& each : machinery_added({{{path, after}}}, tree, {}))
    names.push_back(each.name);
  return names;
}

TEST(Machinery, OfGoRustAndJava) {
  EXPECT_THAT(machinery("a.go", "import \"os\"\nfunc f() { os.Exit(0) }\n"),
              ElementsAre("os.Exit"));
  EXPECT_THAT(machinery("a.go", "import (\n\t\"fmt\"\n\t\"testing\"\n)\n"), ElementsAre("testing"));
  EXPECT_THAT(machinery("a.go", "import \"testing\"\n", "import \"testing\"\n"), IsEmpty());
  EXPECT_THAT(machinery("a.go", "// os.Exit\nfunc F() string { return \"os.Exit\" }\n"), IsEmpty());
  EXPECT_THAT(machinery("a.rs", "fn f() { std::process::exit(0) }\n"),
              ElementsAre("process::exit"));
  EXPECT_THAT(machinery("a.rs", "#[cfg(not(test))]\nfn f() {}\n"), ElementsAre("tests"));
  EXPECT_THAT(machinery("a.rs", "#[derive(Debug)]\nfn f() -> u8 { vec![1][0] }\n"), IsEmpty());
  EXPECT_THAT(machinery("A.java", "class A { void f() { System.exit(0); } }\n"),
              ElementsAre("System.exit"));
  EXPECT_THAT(machinery("A.java", "class A { public boolean equals(Object o) { return true; } }\n"),
              ElementsAre("always equal"));
  EXPECT_THAT(
      machinery("A.java", "class A { int f() { return System.lineSeparator().length(); } }\n"),
      IsEmpty());
}

}  // namespace
}  // namespace lathe::loop
