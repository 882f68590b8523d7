// The list, in lower case.
#include "loop/senses/word_list.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace lathe::loop {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 40> kListed{{
    {"ascii", "AE S K IY"},
    {"async", "EY S IH NG K"},
    {"backend", "B AE K EH N D"},
    {"boolean", "B UW L IY AH N"},
    {"chatbot", "CH AE T B AA T"},
    {"chromium", "K R OW M IY AH M"},
    {"debian", "D EH B IY AH N"},
    {"emoji", "IH M OW JH IY"},
    {"firmware", "F ER M W EH R"},
    {"frontend", "F R AH N T EH N D"},
    {"github", "G IH T HH AH B"},
    {"gitlab", "G IH T L AE B"},
    {"grep", "G R EH P"},
    {"gui", "G UW IY"},
    {"jpeg", "JH EY P EH G"},
    {"json", "JH EY S AH N"},
    {"kubernetes", "K UW B ER N EH T IY Z"},
    {"linux", "L IH N AH K S"},
    {"localhost", "L OW K AH L HH OW S T"},
    {"metadata", "M EH T AH D EY T AH"},
    {"mpeg", "EH M P EH G"},
    {"nginx", "EH N JH IH N EH K S"},
    {"numpy", "N AH M P AY"},
    {"oauth", "OW AO TH"},
    {"plugin", "P L AH G IH N"},
    {"postgres", "P OW S T G R EH S"},
    {"quantize", "K W AA N T AY Z"},
    {"regex", "R EH JH EH K S"},
    {"screenshot", "S K R IY N SH AA T"},
    {"sqlite", "S IY K W AH L AY T"},
    {"sudo", "S UW D UW"},
    {"timestamp", "T AY M S T AE M P"},
    {"tokenizer", "T OW K AH N AY Z ER"},
    {"toml", "T AA M AH L"},
    {"ubuntu", "UW B UH N T UW"},
    {"unicode", "Y UW N IH K OW D"},
    {"wasm", "W AA Z AH M"},
    {"webassembly", "W EH B AH S EH M B L IY"},
    {"wifi", "W AY F AY"},
    {"yaml", "Y AE M AH L"},
}};

}  // namespace

std::map<std::string, std::string> listed_phones(std::span<const std::string> words) {
  std::map<std::string, std::string> phones;
  for (const auto& [word, sounds] : kListed)
    if (std::ranges::find(words, word) != words.end()) phones.emplace(word, sounds);
  return phones;
}

}  // namespace lathe::loop
