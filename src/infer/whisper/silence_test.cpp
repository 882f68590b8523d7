// Where a sound is silent, and that what is silent is not listened to.
#include "infer/whisper/silence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lathe::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Seconds of a square wave of these levels behind each other.
std::vector<std::int16_t> sound(std::initializer_list<std::pair<double, int>> parts) {
  std::vector<std::int16_t> samples;
  for (const auto& [seconds, level] : parts)
    for (std::size_t i = 0; i < static_cast<std::size_t>(seconds * 16000); ++i)
      samples.push_back(static_cast<std::int16_t>(i % 2 == 0 ? level : -level));
  return samples;
}

TEST(Silence, IsLongAndQuiet) {
  EXPECT_THAT(silent_stretches({}), IsEmpty());
  EXPECT_THAT(silent_stretches(sound({{5, 1000}})), IsEmpty());
  EXPECT_THAT(silent_stretches(sound({{1, 1000}, {1.98, 0}, {1, 1000}})), IsEmpty());
  EXPECT_THAT(silent_stretches(sound({{1, 1000}, {2, 0}, {1, 1000}})),
              ElementsAre(SilentStretch{133, 267}));
  // −60 dB is 32.8 of full scale.
  EXPECT_THAT(silent_stretches(sound({{1, 1000}, {3, 33}, {1, 1000}})), IsEmpty());
  EXPECT_THAT(silent_stretches(sound({{1, 1000}, {3, 32}, {1, 1000}})),
              ElementsAre(SilentStretch{133, 367}));
  // At the ends of the sound there is nothing to be cut.
  EXPECT_THAT(silent_stretches(sound({{3, 0}, {1, 1000}, {4, 0}})),
              ElementsAre(SilentStretch{0, 267}, SilentStretch{433, 800}));
  EXPECT_THAT(silent_stretches(sound({{3, 0}})), ElementsAre(SilentStretch{0, 300}));
}

TEST(Silence, IsGoneOverFromAnywhereInIt) {
  const std::vector<SilentStretch> stretches{{100, 200}, {300, 400}};
  for (const auto& [at, expected] : std::vector<std::pair<std::size_t, std::size_t>>{{0, 0},
                                                                                     {99, 99},
                                                                                     {100, 200},
                                                                                     {199, 200},
                                                                                     {200, 200},
                                                                                     {299, 299},
                                                                                     {399, 400},
                                                                                     {500, 500}})
    EXPECT_EQ(behind_silence(stretches, at), expected) << at;
  EXPECT_EQ(behind_silence({}, 7), 7U);
}

}  // namespace
}  // namespace lathe::infer
