// Text as it is said: numbers, dates, times, money, units and abbreviations become words, marks
// that nobody says go. The voice speaks this text and the ear expects its words, so that both mean
// the same. Pure, and linear in the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::loop {

// Words and the punctuation that a voice makes use of (. , ? !).
std::string spoken_text(std::string_view text);
// Its sentences, in order, blanks at their ends left out: they end at . ? or ! before a blank,
// where abbreviations have none any more.
std::vector<std::string> sentences_of(std::string_view spoken);
// Its words: lower case, a-z and apostrophes.
std::vector<std::string> words_of(std::string_view spoken);

}  // namespace lathe::loop
