// From a question to an expression of FTS5, which reads what stands between double quotes as words
// in a row.
#include "books/sqlite/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::size_t kMostTerms = 64;

bool is_letter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

// What stands between blanks, with blanks for all that is no letter.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (const std::string& word :
       split(replace_all(replace_all(make_valid_utf8(text), "\n", " "), "\t", " "), ' ')) {
    std::string plain;
    for (const char c : word) plain += is_letter(c) ? c : ' ';
    if (const std::string_view parts = trim(plain); !parts.empty()) words.emplace_back(parts);
  }
  return words;
}

}  // namespace

std::string match_expression(std::string_view question) {
  std::vector<std::string> terms;
  const auto add = [&](std::string_view term) {
    if (terms.size() < kMostTerms && std::ranges::find(terms, to_lower_ascii(term)) == terms.end())
      terms.push_back(to_lower_ascii(term));
  };
  for (const std::string& word : words_of(question)) {
    add(word);
    if (!word.contains(' ')) continue;
    for (const std::string& part : split(word, ' '))
      if (!part.empty()) add(part);
  }
  std::string expression;
  for (const std::string& term : terms)
    expression += fmt::format("{}\"{}\"", expression.empty() ? "" : " OR ", term);
  return expression;
}

std::string match_beginnings(std::string_view typed) {
  std::string expression;
  std::size_t terms = 0;
  for (const std::string& word : words_of(typed))
    if (++terms <= kMostTerms)
      expression += fmt::format("{}\"{}\" *", expression.empty() ? "" : " AND ", word);
  return expression;
}

}  // namespace lathe::books
