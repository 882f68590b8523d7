// The number of the arithmetic. While it stays, the same request with the same seed gives the same
// bits: whatever changes one raises it, and CHANGELOG.md says why. It stands in records, snapshots,
// bench files and /version.
#pragma once

namespace lathe {

inline constexpr int kNumerics = 1;

}  // namespace lathe
