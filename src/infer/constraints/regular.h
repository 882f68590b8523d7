// Regular languages over characters, as deterministic automata: what patterns, formats, lengths and
// bounds of numbers have in common, so that any of them can be kept together. Sizes and work are
// bounded: whatever would take more gives nothing. Immutable.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "infer/constraints/grammar.h"

namespace lathe::infer::grammar {

class Regular {
 public:
  // No text at all.
  Regular() = default;

  static Regular nothing_written();  // the empty text alone
  static Regular anything();
  static Regular one_of(const CodePoints& characters);
  static Regular words(const std::vector<std::string>& words);
  static std::optional<Regular> of_length(std::uint32_t min, std::uint32_t max);

  using Maybe = std::optional<Regular>;
  // From one whose arrows may overlap.
  static Maybe made_of(const TextAutomaton& states);
  static Maybe both(const Regular& a, const Regular& b);
  static Maybe either(const std::vector<Regular>& options);
  static Maybe then(const Regular& a, const Regular& b);
  // All texts that hold none of these words.
  static Result<Regular> without(const std::vector<std::string_view>& words);
  static Maybe repeated(const Regular& what, std::uint32_t min, std::uint32_t max);
  // Every text that is not in it.
  Regular others() const;

  bool is_empty() const { return states_.empty(); }
  bool has(std::string_view text) const;
  const TextAutomaton& states() const { return states_; }

 private:
  friend class RegularBuilder;
  void trim();

  TextAutomaton states_;  // from each of them an end can be reached; the first is the start
};

}  // namespace lathe::infer::grammar
