// Sentences by the rule by which the voice knows them: a full stop that it would not speak over.
#include "app/talk/sentences.h"

#include "ground/base/text.h"
#include "loop/senses/spoken.h"

namespace lathe::app {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// As the voice has it, before a further word: "Dr." is no end there.
bool ends_sentence(std::string_view sentence) {
  const auto sentences = [](std::string_view text) {
    return loop::sentences_of(loop::spoken_text(text)).size();
  };
  return sentences(std::string(sentence) + " Next.") > sentences(sentence);
}

// Not within a character.
std::size_t before_character(std::string_view text, std::size_t at) {
  while (at > 1 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
  return at;
}

// Bytes of the first sentence, or 0: it may go on.
std::size_t first_sentence(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') return i + 1;
    if (std::string_view(".?!").find(text[i]) != std::string_view::npos && i + 1 < text.size() &&
        is_blank(text[i + 1]) && ends_sentence(text.substr(0, i + 1)))
      return i + 1;
    if (i >= SentenceCutter::kLongest) {
      const std::size_t blank = text.substr(0, i).find_last_of(" \t");
      return blank == text.npos || blank == 0 ? before_character(text, i) : blank + 1;
    }
  }
  return 0;
}

void take(std::string_view sentence, std::vector<std::string>& sentences) {
  const std::string_view whole = trim(sentence);
  if (!loop::words_of(loop::spoken_text(whole)).empty()) sentences.emplace_back(whole);
}

}  // namespace

std::vector<std::string> SentenceCutter::add(std::string_view piece) {
  std::vector<std::string> sentences;
  text_ += piece;
  while (const std::size_t size = first_sentence(text_)) {
    take(std::string_view(text_).substr(0, size), sentences);
    text_.erase(0, size);
  }
  return sentences;
}

std::vector<std::string> SentenceCutter::end() {
  std::vector<std::string> sentences;
  take(text_, sentences);
  text_.clear();
  return sentences;
}

}  // namespace lathe::app
