// Pronunciations as the CMU dictionary writes them ("M AY T AH K AA N D R IY AH") and as the voices
// want them. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::loop {

// Upper case without stress marks, single blanks; nothing when a part is no CMU phone. Takes what
// people and voices write: "k uw1 b", "K UW B", flite's "ax".
std::optional<std::string> cmu_phones(std::string_view written);
// With a stress digit on every vowel, as flite's addenda want it: those of `written` are kept; when
// it has none, the first full vowel is stressed.
std::string flite_phones(std::string_view written);
// espeak-ng's mnemonics, without the surrounding brackets.
std::string espeak_phones(std::string_view written);
// What "espeak-ng -x" prints, as CMU phones; nothing when it has a sound that they lack.
std::optional<std::string> cmu_from_espeak(std::string_view mnemonics);

// Phones by which two pronunciations differ: insertions, deletions and substitutions.
int phone_distance(std::string_view a, std::string_view b);
// The possessive of a word with these phones: "T AA M" → "T AA M Z".
std::string possessive_phones(std::string_view phones);
// What `pronounce` gives for the word, or for the word that it is the possessive of.
std::optional<std::string> given_phones(const std::map<std::string, std::string>& pronounce,
                                        const std::string& word);

// The text with every word (of ASCII letters, with apostrophes in it) as `by` has it.
std::string replace_words(std::string_view text,
                          const std::function<std::string(const std::string& word)>& by);

int count_phones(std::string_view phones);

}  // namespace lathe::loop
