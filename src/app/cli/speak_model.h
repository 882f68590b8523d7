// A text spoken by a model: a talker's GGUF file, and the encoder's beside it.
#pragma once

#include "app/cli/app.h"
#include "ground/media/sound_encode.h"

namespace lathe::app {

struct ModelSpeaker {
  std::string path;       // the talker's; "": no model speaks
  std::string recording;  // of whom it is to speak like; "": of nobody
  std::string language, kernels;
  std::uint64_t seed = 0;
  int threads = 0;
};
// --model, and what goes with it; none of what is for other voices does.
void add_model_speaker(CLI::App& command, ModelSpeaker& speaker);

struct SpeechTarget {
  std::string file;  // "": played at a terminal, else standard output, as it comes
  SoundFormat format = SoundFormat::kWav;
};
Status speak_with_model(const App& app, const ModelSpeaker& speaker, std::string_view text,
                        const SpeechTarget& target);

}  // namespace lathe::app
