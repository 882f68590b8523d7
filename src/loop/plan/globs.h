// Whether two globs can match one path. Pure.
#pragma once

#include <string>
#include <string_view>

namespace lathe::loop {

// Longer globs of plans are refused: what is compared grows with the product of two lengths.
inline constexpr std::size_t kMaxGlobBytes = 160;

// Never false where some path is matched by both (glob_match); true where one is matched, and at
// times where none is. Cases of letters do not count, as on some file systems.
bool globs_overlap(std::string_view a, std::string_view b);

// The same for what is written: a file also overlaps with all that stands below its own name.
bool writes_overlap(std::string_view a, std::string_view b);

bool has_wildcard(std::string_view glob);
// The directories and the name before the first wildcard's part: "src/report" of
// "src/report/**".
std::string fixed_part(std::string_view glob);
// Whether all that the glob matches is `path`, or stands below it.
bool lies_within(std::string_view glob, std::string_view path);

}  // namespace lathe::loop
