// How a wrong word is written into a critique, so that the voice maker can read it back: the ear
// names the word, its place, and the dictionary's pronunciation where the voice has another.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lathe::loop {

struct WordFault {
  std::string word;  // as expected; "" for one that was not asked for
  double start = 0, end = 0;
  std::string heard;       // "" when it is missing
  std::string dictionary;  // phones; "" when the voice would say just these
};

std::string fault_locus(const WordFault& fault);     // "fourier @ 1.24-1.61 s"
std::string fault_evidence(const WordFault& fault);  // "heard 'free air'; dictionary: F UH R …"
std::optional<WordFault> parse_fault(std::string_view locus, std::string_view evidence);

}  // namespace lathe::loop
