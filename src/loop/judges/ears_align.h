// Which of the expected words were heard: a strict alignment in which words that sound the same are
// the same. Pure.
#pragma once

#include <string>
#include <vector>

#include "loop/senses/ear.h"

namespace lathe::loop {

enum class WordMatch { kRight, kWrong, kMissing, kExtra };

struct AlignedWord {
  WordMatch match = WordMatch::kRight;
  std::string expected;       // "" for an extra word
  std::string heard;          // "" for a missing one; blanks between several
  int index = -1;             // of the expected word
  double start = 0, end = 0;  // where it was heard; for a missing word, where it should have been
  double posterior = 0;
};

std::vector<AlignedWord> align_words(const Hearing& hearing);

}  // namespace lathe::loop
