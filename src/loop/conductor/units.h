// Cuts an input into units: the smallest things judged alone. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "loop/terms/terms.h"

namespace lathe::loop {

inline constexpr std::size_t kMaxUnits = 10'000;
inline constexpr std::size_t kMaxUnitBytes = 64 << 10;     // a line, a paragraph, a record
inline constexpr std::size_t kMaxFileUnitBytes = 1 << 20;  // split = "file"

// `name` is for messages, and says what the input is: in a .md file the marks of headings, lists
// and quotes are left out.
//   line       each line that is not blank; key L001 is line 1
//   paragraph  blank lines part them; key P001 is the first
//   file       all of it; key is the file's name
//   jsonl      each line {"key": "…", "text": "…", "after": ["other key"], …}: a unit waits until
//   those after which it comes
//              have passed
// Errors name the line: nothing to do, too many units or too long a one, bytes that are not UTF-8,
// keys that stand twice, are not known or wait for each other in a circle.
Result<std::vector<Unit>> split_units(std::string_view text, std::string_view split,
                                      const std::string& name);

}  // namespace lathe::loop
