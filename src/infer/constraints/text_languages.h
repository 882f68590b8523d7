// What patterns, formats and bounds of numbers allow, as regular languages. Internal to this room.
#pragma once

#include <optional>
#include <string_view>

#include "infer/constraints/regular.h"

namespace lathe::infer::grammar {

// The texts in which an ECMA-262 pattern (with the flag u) matches somewhere. Without look-behind,
// back references, \b and \p, and look-ahead within repetitions: the error says which.
Result<Regular> pattern_language(std::string_view pattern);
// Nothing: no format that is known here. What is, holds for every text; formats of many forms
// (email, uri) are kept to the common ones.
const Regular* format_language(std::string_view name);

struct NumberRange {
  Json low, high;                     // null: none
  bool above = false, below = false;  // the bound itself is not in it
  Json multiple_of;                   // null: of nothing
};
// Numbers without exponent: whole ones of up to 16 digits, else of up to 15, which no two of are
// the same double. Nothing: more than can be kept.
std::optional<Regular> number_language(const NumberRange& range, bool whole);

}  // namespace lathe::infer::grammar
