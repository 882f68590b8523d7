// What a tiny Whisper with random weights and a whole vocabulary writes, against another program;
// beams, long sounds, the same text wherever it is written.
#include "infer/whisper/transcribe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/encoders/encoder_test.h"

namespace lathe::infer {
namespace {

struct Hearing {
  explicit Hearing(int threads = 2, const KernelTable& kernels = best_kernel_table())
      : team(threads), file(*Gguf::open(media("ggml-tiny-random-q4_0.bin"))) {
    WeightLoading loading;
    loading.kernels = &kernels;
    model = std::move(*WhisperModel::open(file, team, loading));
    tokens = *WhisperTokens::of(file);
  }
  Transcript write(const std::vector<std::int16_t>& samples, const TranscribeOptions& options) {
    return *transcribe(*model, tokens, samples, team, options, nullptr, {});
  }
  ThreadTeam team;
  Gguf file;
  std::unique_ptr<WhisperModel> model;
  WhisperTokens tokens;
};

TranscribeOptions plain(std::size_t beams) {
  TranscribeOptions options;
  options.beams = beams;
  options.temperature_step = 0;
  options.most_no_speech = 2;
  options.least_entropy = 0;
  return options;
}

std::string shown(const Transcript& transcript) {
  std::string lines;
  for (const TranscriptSegment& segment : transcript.segments) {
    lines += fmt::format("t0 {:.0f} t1 {:.0f} ids", segment.start * 100, segment.end * 100);
    for (const auto token : segment.tokens) lines += fmt::format(" {}", token);
    lines += '\n';
  }
  return lines;
}

// Greedy; its beams are drawn at random, ours are the likeliest.
TEST(Transcribe, WritesWhatTheOtherProgramWrites) {
  Hearing hearing;
  const Transcript transcript = hearing.write(three_seconds(), plain(1));
  EXPECT_EQ(shown(transcript), "t0 60 t1 312 ids 40118\n");
  EXPECT_NEAR(transcript.segments[0].logprobs[0], -3.98, 0.03);  // it rounds activations
  EXPECT_EQ(transcript.language, std::nullopt);
}

// Of this sound: in general the most likely sum need not have the most likely mean.
TEST(Transcribe, BeamsFindWhatIsAtLeastAsLikely) {
  Hearing hearing;
  const auto samples = three_seconds();
  const Transcript greedy = hearing.write(samples, plain(1));
  for (const std::size_t beams : {2, 3}) {
    const Transcript found = hearing.write(samples, plain(beams));
    ASSERT_FALSE(found.segments.empty());
    EXPECT_GE(found.segments[0].mean_logprob, greedy.segments[0].mean_logprob - 1e-6) << beams;
  }
}

TEST(Transcribe, TheSameTextOnEveryTableAndNumberOfThreads) {
  const auto samples = three_seconds();
  std::string expected;
  for (const KernelTable* kernels : kernel_tables()) {
    Hearing hearing(kernels == kernel_tables()[0] ? 1 : 3, *kernels);
    TranscribeOptions options = plain(2);
    options.temperature = 0.6;  // drawn
    options.best_of = 2;
    options.seed = 5;
    const std::string text = shown(hearing.write(samples, options));
    if (expected.empty()) expected = text;
    EXPECT_EQ(text, expected) << kernels->name;
  }
}

TEST(Transcribe, LongSoundsAreHeardWindowByWindowAndCanBeStopped) {
  Hearing hearing;
  const auto part = three_seconds();
  std::vector<std::int16_t> samples;
  for (int i = 0; i < 25; ++i) samples.insert(samples.end(), part.begin(), part.end());
  StopFlag stop;
  double reached = 0;
  const auto all = transcribe(*hearing.model, hearing.tokens, samples, hearing.team, plain(1),
                              &stop, [&](const TranscriptSegment*, double done) {
                                EXPECT_GE(done, reached);
                                reached = done;
                              });
  ASSERT_TRUE(all);
  EXPECT_NEAR(reached, 75, 0.11);
  for (const TranscriptSegment& segment : all->segments) EXPECT_LE(segment.start, segment.end);
  stop.raise();
  const auto stopped =
      transcribe(*hearing.model, hearing.tokens, samples, hearing.team, plain(1), &stop, {});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);
}

// The model is random, so that the times mean nothing: but they belong to the words, follow one
// another, lie in the sound, and are the same everywhere.
TEST(Transcribe, WordsHaveTimes) {
  std::string expected;
  for (const KernelTable* kernels : kernel_tables()) {
    Hearing hearing(kernels == kernel_tables()[0] ? 1 : 3, *kernels);
    TranscribeOptions options = plain(1);
    options.words = true;
    options.times = false;  // all that fits into a window
    const Transcript transcript = hearing.write(three_seconds(), options);
    ASSERT_EQ(transcript.segments.size(), 1u);
    const TranscriptSegment& segment = transcript.segments[0];
    std::string text, times;
    double before = 0;
    for (const SpokenWord& word : segment.words) {
      text += word.text;
      EXPECT_GE(word.start, before);
      EXPECT_GE(word.end, word.start);
      before = word.end;
      times += fmt::format("{} {} {}\n", word.text, word.start, word.end);
    }
    EXPECT_EQ(text, segment.text);
    EXPECT_GT(before, 0);
    EXPECT_LE(before, 3);
    if (expected.empty()) expected = times;
    EXPECT_EQ(times, expected) << kernels->name;
  }
}

// Long silence costs no window, and what comes behind it has its own time.
TEST(Transcribe, SilenceIsNotListenedTo) {
  Hearing hearing;
  const auto part = three_seconds();
  const auto windows_of = [&](const std::vector<std::int16_t>& samples, bool skip) {
    TranscribeOptions options = plain(1);
    options.skip_silence = skip;
    std::vector<double> times;
    const auto all =
        transcribe(*hearing.model, hearing.tokens, samples, hearing.team, options, nullptr,
                   [&](const TranscriptSegment*, double done) { times.push_back(done); });
    EXPECT_TRUE(all);
    return std::pair(times.size(), shown(*all));
  };
  EXPECT_EQ(windows_of(part, true), windows_of(part, false)) << "no silence, no difference";
  EXPECT_EQ(windows_of(std::vector<std::int16_t>(90 * 16000), true).first, 0U);
  std::vector<std::int16_t> late(120 * 16000);
  late.insert(late.end(), part.begin(), part.end());
  const auto [windows, text] = windows_of(late, true);
  EXPECT_LT(windows, windows_of(late, false).first);
  TranscribeOptions options = plain(1);
  const Transcript transcript = hearing.write(late, options);
  ASSERT_FALSE(transcript.segments.empty());
  EXPECT_GE(transcript.segments.front().start, 119.6);
}

TEST(Transcribe, ASoundOfNothingHasNoText) {
  Hearing hearing;
  for (const std::size_t size : {0, 1, 100, 1000})
    EXPECT_TRUE(hearing.write(std::vector<std::int16_t>(size), plain(1)).segments.empty()) << size;
}

}  // namespace
}  // namespace lathe::infer
