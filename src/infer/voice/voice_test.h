// What the tests of voices share: the tiny voice in tests/data, its parts, what they have to give.
#pragma once

#include <gmock/gmock.h>

#include "infer/encoders/encoder_test.h"
#include "infer/voice/voice.h"

namespace lathe::infer {

inline fs::path talker_file() {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models/qwen3tts.gguf";
}
inline fs::path rest_file() {
  return media("qwen3tts.mmproj.gguf");
}

inline std::vector<std::int32_t> read_codes(const std::string& name) {
  const std::vector<float> raw = read_floats(media(name));
  std::vector<std::int32_t> codes(raw.size());
  std::memcpy(codes.data(), raw.data(), raw.size() * sizeof(float));
  return codes;
}

inline std::vector<std::int16_t> reference_samples() {
  const auto file = read_file(media("qwen3tts.ref24k.wav"));
  std::vector<std::int16_t> samples((file->size() - 44) / 2);
  std::memcpy(samples.data(), file->data() + 44, samples.size() * 2);
  return samples;
}

// The parts of the second file, each for itself.
struct VoiceParts {
  explicit VoiceParts(const KernelTable& kernels = best_kernel_table(), int threads = 2)
      : team(threads), file(*Gguf::open(rest_file())) {
    const VoiceHeader header = *read_voice_header(file);
    WeightLoading loading;
    loading.kernels = &kernels;
    WeightList tables(file), codes(file), waves(file), speakers(file);
    predictor.emplace(header, codes, tables);
    decoder.emplace(waves, tables);
    speaker.emplace(header, speakers);
    for (WeightList* list : {&tables, &codes, &waves, &speakers}) {
      const Status fine = list->check("none.");
      EXPECT_TRUE(fine) << fine.error().message;
      pages.push_back(std::move(*list->load(team, loading)));
    }
    EXPECT_TRUE(predictor->reserve(codes, loading, team));
    EXPECT_TRUE(decoder->reserve(waves, loading, team));
    EXPECT_TRUE(speaker->reserve(speakers, loading, team));
  }
  ThreadTeam team;
  Gguf file;
  std::vector<Pages> pages;
  std::optional<CodePredictor> predictor;
  std::optional<WaveDecoder> decoder;
  std::optional<SpeakerEncoder> speaker;
};

// The whole, with what it said.
struct LoadedVoice {
  explicit LoadedVoice(const KernelTable& kernels = best_kernel_table(), int threads = 2)
      : team(threads), talker(*Gguf::open(talker_file())), rest(*Gguf::open(rest_file())) {
    WeightLoading loading;
    loading.kernels = &kernels;
    auto opened = Voice::open(talker, rest, team, loading);
    EXPECT_TRUE(opened) << opened.error().message;
    if (opened) voice = std::move(*opened);
  }
  SpokenText speak(std::string_view text, const VoiceWish& wish) {
    samples.clear();
    pieces = 0;
    const auto spoken = voice->speak(text, wish, nullptr, [&](std::span<const std::int16_t> more) {
      samples.insert(samples.end(), more.begin(), more.end());
      ++pieces;
      return Status{};
    });
    EXPECT_TRUE(spoken) << spoken.error().message;
    return spoken.value_or(SpokenText{});
  }
  ThreadTeam team;
  Gguf talker, rest;
  std::unique_ptr<Voice> voice;
  std::vector<std::int16_t> samples;
  std::size_t pieces = 0;
};

}  // namespace lathe::infer
