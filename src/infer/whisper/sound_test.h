// What the tests of Whisper share: files in tests/data/media, the distance from the truth, a sound.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ground/base/file.h"

namespace lathe::infer {

inline fs::path media(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/media" / name;
}

inline std::vector<float> read_floats(const fs::path& path) {
  const std::string bytes = *read_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

inline double relative_error(const std::vector<float>& ours, const std::vector<float>& truth) {
  if (ours.size() != truth.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    difference += std::pow(double{ours[i]} - double{truth[i]}, 2);
    norm += std::pow(double{truth[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

inline std::vector<std::int16_t> three_seconds() {
  const std::string file = *read_file(media("s3.wav"));
  std::vector<std::int16_t> samples((file.size() - 44) / 2);
  std::memcpy(samples.data(), file.data() + 44, samples.size() * 2);
  return samples;
}

}  // namespace lathe::infer
