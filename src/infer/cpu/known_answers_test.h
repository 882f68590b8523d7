// What the tests of models with known answers share: their files, the ids they are of, the distance
// from the truth.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ground/base/file.h"

namespace lathe::infer {

inline fs::path data(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / name;
}

inline std::vector<float> read_floats(const fs::path& path) {
  const auto bytes = read_file(path);
  EXPECT_TRUE(bytes.has_value()) << path;
  std::vector<float> values(bytes ? bytes->size() / sizeof(float) : 0);
  if (bytes) std::memcpy(values.data(), bytes->data(), values.size() * sizeof(float));
  return values;
}

// Where an independent evaluation is kept, it; else the peer's answer.
inline std::vector<float> truth_of(const std::string& name) {
  const fs::path exact = data(name + ".truth.f32");
  return read_floats(fs::exists(exact) ? exact : data(name + ".f32"));
}

inline double relative_error(const std::vector<float>& ours, const std::vector<float>& truth) {
  EXPECT_EQ(ours.size(), truth.size());
  if (ours.size() != truth.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    difference += std::pow(double{ours[i]} - double{truth[i]}, 2);
    norm += std::pow(double{truth[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

inline std::vector<std::int32_t> ids_of(std::size_t count, std::size_t vocabulary) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>((7 * i * i + 3 * i + 1) % (vocabulary - 1)));
  return ids;
}

}  // namespace lathe::infer
