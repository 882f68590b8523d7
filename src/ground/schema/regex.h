// Regular expressions over foreign text with limits on their work (PCRE2). A Regex is immutable and
// may be used from several threads.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe {

struct Match {
  std::size_t begin = 0;
  std::size_t end = 0;
};

class Regex {
 public:
  enum class Flavour {
    kEcma,  // JSON Schema's: \d and \w are ASCII, \s is not, '$' is the very end, \u0041
    kText,  // a person's: Unicode classes, '^' and '$' at every line
  };
  // Errors name the pattern and the place in it.
  static Result<Regex> compile(std::string_view pattern, Flavour flavour);

  // The first match at or after `from`, or nothing. `text` must be valid UTF-8. An error: the
  // pattern needs more work on this text than the limits allow.
  Result<std::optional<Match>> find(std::string_view text) const;
  // All matches, one after another, but no more than `most`.
  Result<std::vector<Match>> find_all(std::string_view text, std::size_t most) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

}  // namespace lathe
