#include <cstdio>
#include <string>

#include "wrap.h"

namespace {

int expect(int line, const std::string& actual, const std::string& expected) {
  if (actual == expected) return 0;
  std::printf("tests/wrap_test.cpp:%d: expected\n%s\nbut got\n%s\n", line, expected.c_str(),
              actual.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "empty") return expect(__LINE__, wrap("", 10), "");
  if (name == "one_word")
    return expect(__LINE__, wrap("word", 10), "word") || expect(__LINE__, wrap("word", 4), "word");
  if (name == "breaks") return expect(__LINE__, wrap("one two three", 9), "one two\nthree");
  if (name == "exact_width")
    return expect(__LINE__, wrap("abcd efgh ij", 9), "abcd efgh\nij") ||
           expect(__LINE__, wrap("abcd efgh ij", 8), "abcd\nefgh ij");
  if (name == "long_word") return expect(__LINE__, wrap("a incredibly b", 4), "a\nincredibly\nb");
  if (name == "paragraphs") return expect(__LINE__, wrap("a b\nc d", 10), "a b\nc d");
  return 2;
}
