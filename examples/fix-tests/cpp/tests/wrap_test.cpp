#include <iostream>
#include <string>

#include "wrap.h"

namespace {

int expect(int line, const std::string& actual, const std::string& expected) {
  if (actual == expected) return 0;
  std::cout << "tests/wrap_test.cpp:" << line << ": expected\n" << expected << "\nbut got\n"
            << actual << "\nfrom wrap() in src/wrap.cpp:23\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "empty") return expect(__LINE__, wrap("", 10), "");
  if (name == "one_word") return expect(__LINE__, wrap("word", 10), "word") ||
                                 expect(__LINE__, wrap("word", 4), "word");
  if (name == "breaks_between_words")
    return expect(__LINE__, wrap("one two three", 9), "one two\nthree");
  if (name == "exact_width") return expect(__LINE__, wrap("abcd efgh ij", 9), "abcd efgh\nij") ||
                                    expect(__LINE__, wrap("abcd efgh ij", 8), "abcd\nefgh ij");
  if (name == "long_word") return expect(__LINE__, wrap("a incredibly b", 4), "a\nincredibly\nb");
  if (name == "keeps_paragraphs") return expect(__LINE__, wrap("a b\nc d", 10), "a b\nc d");
  std::cout << "no such test: " << name << "\n";
  return 2;
}
