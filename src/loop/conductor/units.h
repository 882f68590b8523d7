// Cuts an input into units: the smallest things judged alone. Pure.
#pragma once

#include <span>
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
//              have passed; "worker": the one of the ladder that makes it; "seed": a whole number
//   from 0 on, that it is made from
// Errors name the line: nothing to do, too many units or too long a one, bytes that are not UTF-8,
// keys that stand twice, are not known or wait for each other in a circle.
Result<std::vector<Unit>> split_units(std::string_view text, std::string_view split,
                                      const std::string& name);

// That the workers which units name are of the ladder.
Status check_own_workers(std::span<const Unit> units, std::span<const std::string> ladder,
                         const std::string& name);

inline constexpr std::size_t kMaxGridBytes = std::size_t{64} << 20;  // texts of all cells together

// The cells of a grid: each unit for each of the ladder and each seed from 1 on, as units "KEY
// WORKER SEED" whose data has "of" (the unit's key), "worker" and "seed". Refuses more than
// kMaxUnits of them, and units that name a worker, a seed or others that they come after.
Result<std::vector<Unit>> grid_cells(std::span<const Unit> units,
                                     std::span<const std::string> ladder, int seeds,
                                     const std::string& name);
// The key of such a cell.
std::string cell_key(std::string_view unit, std::string_view worker, std::int64_t seed);

}  // namespace lathe::loop
