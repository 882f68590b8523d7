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

}  // namespace

std::string match_expression(std::string_view question) {
  std::vector<std::string> terms;
  const auto add = [&](std::string_view term) {
    if (terms.size() < kMostTerms && std::ranges::find(terms, to_lower_ascii(term)) == terms.end())
      terms.push_back(to_lower_ascii(term));
  };
  for (const std::string& word :
       split(replace_all(replace_all(make_valid_utf8(question), "\n", " "), "\t", " "), ' ')) {
    std::string plain;
    for (const char c : word) plain += is_letter(c) ? c : ' ';
    const std::string_view parts = trim(plain);
    if (parts.empty()) continue;
    add(parts);
    if (parts.find(' ') == parts.npos) continue;
    for (const std::string& part : split(parts, ' '))
      if (!part.empty()) add(part);
  }
  std::string expression;
  for (const std::string& term : terms)
    expression += fmt::format("{}\"{}\"", expression.empty() ? "" : " OR ", term);
  return expression;
}

}  // namespace lathe::books
