#include "loop/media/media_pool.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

const fs::path kSelf = "/proc/self/exe";

TEST(MediaPool, SpeaksALineAndHearsIt) {
  MediaPool pool(kSelf, 1);
  const StopFlag stop;
  const std::vector<std::string> words{"the", "train", "leaves", "in", "two", "hours"};
  const auto sound =
      pool.speak("The train leaves in two hours.", {.voice = "rms"}, Milliseconds(60'000), stop);
  ASSERT_TRUE(sound) << sound.error().message;
  EXPECT_GT(sound->seconds(), 1.0);
  const auto hearing = pool.hear({{words}, {}}, *sound, words, Milliseconds(60'000), stop);
  ASSERT_TRUE(hearing) << hearing.error().message;
  std::vector<std::string> heard;
  for (const HeardWord& word : hearing->heard) heard.push_back(word.word);
  EXPECT_EQ(heard, words);
  for (const auto& w : hearing->heard)
    printf("%s %.2f %.2f p=%.3f %s\n", w.word.c_str(), w.start, w.end, w.posterior,
           w.phones.c_str());
  for (const auto& w : hearing->expected)
    printf("%s %.2f %.2f a=%.3f %s | %s\n", w.word.c_str(), w.start, w.end, w.acoustic,
           w.pronunciations[0].c_str(), w.voice_says.c_str());
  EXPECT_TRUE(hearing->aligned);
}

}  // namespace
}  // namespace lathe
