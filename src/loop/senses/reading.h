// Words as the eye reads them against words as they should be. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ground/media/picture.h"

namespace lathe::loop {

struct SeenWord {
  std::string text;
  double confidence = 0;  // of the reader, in [0,100]
  Box box;
  int line = 0;  // words of one line follow each other
  int pass = 0;  // 0: the picture as it is; above: one of the retries; below: a closer look
};

// A phrase per '|' or line: "Title|Subtitle".
std::vector<std::string> phrases_of(std::string_view expect);
// The words of a phrase, as written. What has neither a letter nor a digit is no word.
std::vector<std::string> words_in(std::string_view phrase);

// What is left of a word when look-alikes are the same: case, accents, 0/O, 1/l/I/|, quotes and
// dashes. Points and commas inside numbers stay.
std::string folded(std::string_view word);

// Which expected words the words of one pass have, counted: a word that is expected twice must be
// seen twice. A seen word may be two expected ones run together, or up to three seen ones one
// expected. The result per expected word: the box, or nothing.
std::vector<std::optional<Box>> tick_off(const std::vector<std::string>& expected,
                                         const std::vector<SeenWord>& seen,
                                         std::vector<bool>* used = nullptr);

// How alike two words look, in [0,1]; 1: the same when folded.
double likeness(std::string_view a, std::string_view b);

}  // namespace lathe::loop
