// The headers of a voice's two files: a tiny one's own, with some keys and shapes of one of them
// changed. Opening it and, where that goes well, speaking three frames end with a value or an
// error.
#include "fuzz/changed_model.h"
#include "infer/voice/voice.h"

namespace lathe::infer {
namespace {

constexpr const char* kNeighbours[] = {"gen.audio.projector_type", "audio.projector_type",
                                       "audio.num_mel_bins", "rope.dimension_sections"};
constexpr const char* kTypes[] = {"qwen3tts_gen", "qwen3tts_spkenc"};

void say(const Gguf& talker, const Gguf& rest) {
  ThreadTeam team(1);
  WeightLoading loading;
  loading.kernels = &best_kernel_table();
  const auto voice = Voice::open(talker, rest, team, loading);
  if (!voice) {
    if (voice.error().message.empty()) std::abort();
    return;
  }
  VoiceWish wish;
  wish.most_frames = 3;
  const std::vector<std::int16_t> recording(7000, 1000);
  if (auto speaker = (*voice)->speaker(recording, nullptr)) wish.speaker = std::move(*speaker);
  static_cast<void>((*voice)->speak("one", wish, nullptr,
                                    [](std::span<const std::int16_t>) { return Status{}; }));
}

}  // namespace
}  // namespace lathe::infer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe::infer;
  static const Base talkers = read_bases("tests/data/models", "qwen3tts.gguf").front();
  static const Base rests = read_bases("tests/data/media", "qwen3tts.mmproj.gguf").front();
  Bytes bytes(data, std::min<std::size_t>(size, 64));
  Base talker = talkers, rest = rests;
  Base& changed = bytes.next() % 4 == 0 ? talker : rest;
  while (!bytes.empty()) change(changed, bytes, kNeighbours, kTypes);
  const auto first = open_changed(talker), second = open_changed(rest);
  if (first && second) say(*first, *second);
  return 0;
}
