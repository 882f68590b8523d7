// A training on disk: a GGUF file with the weights, both moments, and where it stands. It appears
// whole or not at all, so a full disk or a kill leaves the one before.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ground/base/file.h"

namespace lathe::infer {

struct CheckpointState {
  std::string fingerprint;
  // Named numbers and lists of them; doubles as their bits.
  std::vector<std::pair<std::string, std::vector<std::uint64_t>>> numbers;
  const std::vector<std::uint64_t>& list(std::string_view name) const;  // {} if absent
  std::uint64_t number(std::string_view name) const;                    // 0 if absent
};
struct CheckpointArray {
  std::string name;
  std::span<float> values;  // read: as many as are expected
};

Status write_checkpoint(const fs::path& path, const CheckpointState& state,
                        std::span<const CheckpointArray> arrays);
// Fills the arrays; one of no numbers is left out if the file has none of that name. nullopt: no
// such file. Errors say what does not fit.
Result<std::optional<CheckpointState>> read_checkpoint(const fs::path& path,
                                                       std::string_view fingerprint,
                                                       std::span<const CheckpointArray> arrays);

}  // namespace lathe::infer
