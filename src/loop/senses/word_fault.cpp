// A wrong word written into a critique, and read back.
#include "loop/senses/word_fault.h"

#include <fmt/format.h>

#include <charconv>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::string_view kAt = " @ ";
constexpr std::string_view kDictionary = "; dictionary: ";
constexpr std::string_view kNothing = "nothing";

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string fault_locus(const WordFault& fault) {
  return fmt::format("{}{}{:.2f}-{:.2f} s", fault.word.empty() ? "+" + fault.heard : fault.word,
                     kAt, fault.start, fault.end);
}

std::string fault_evidence(const WordFault& fault) {
  const std::string heard =
      fault.heard.empty() ? std::string(kNothing) : fmt::format("'{}'", fault.heard);
  return fmt::format("heard {}{}{}", heard, fault.dictionary.empty() ? "" : kDictionary,
                     fault.dictionary);
}

std::optional<WordFault> parse_fault(std::string_view locus, std::string_view evidence) {
  const auto at = locus.rfind(kAt);
  if (at == locus.npos || !locus.ends_with(" s") || locus.starts_with('+')) return std::nullopt;
  const std::string_view span = locus.substr(at + kAt.size(), locus.size() - at - kAt.size() - 2);
  const auto dash = span.find('-');
  if (dash == span.npos) return std::nullopt;
  const auto start = number(span.substr(0, dash)), end = number(span.substr(dash + 1));
  if (!start || !end) return std::nullopt;
  WordFault fault{std::string(locus.substr(0, at)), *start, *end, "", ""};
  const auto dictionary = evidence.find(kDictionary);
  if (dictionary != evidence.npos)
    fault.dictionary = trim(evidence.substr(dictionary + kDictionary.size()));
  constexpr std::string_view kHeard = "heard '";
  if (evidence.starts_with(kHeard))
    fault.heard =
        evidence.substr(kHeard.size(), evidence.substr(0, dictionary).rfind('\'') - kHeard.size());
  return fault;
}

}  // namespace lathe::loop
