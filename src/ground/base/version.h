// What this program is, and the number of its arithmetic. While the latter stays, the same request
// with the same seed gives the same bits: whatever changes one raises it, and CHANGELOG.md says
// why. It stands in records, snapshots, bench files and /version.
#pragma once

namespace lathe {

inline constexpr int kNumerics = 1;

// "1.2.3", as CMakeLists.txt has it. A function, so that another version compiles one file anew.
const char* program_version();

}  // namespace lathe
