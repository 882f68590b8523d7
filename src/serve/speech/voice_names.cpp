// The table of OpenAI's voices.
#include "serve/speech/voice_names.h"

#include "loop/senses/voice.h"
#include "work/cloud_names.h"

namespace lathe::serve {
namespace {

// By what they sound like: higher ones and lower ones.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"alloy", "flite:slt"},  {"ash", "flite:rms"},   {"ballad", "flite:awb"},
    {"cedar", "flite:rms"},  {"coral", "flite:slt"}, {"echo", "flite:rms"},
    {"fable", "flite:awb"},  {"marin", "flite:slt"}, {"nova", "flite:slt"},
    {"onyx", "flite:kal16"}, {"sage", "flite:slt"},  {"shimmer", "flite:slt"},
    {"verse", "flite:rms"},
};

}  // namespace

std::span<const std::pair<std::string_view, std::string_view>> voice_aliases() {
  return kAliases;
}

Result<std::string> find_voice(std::string_view asked) {
  if (asked.empty()) return std::string(loop::default_voices().front());
  for (const auto& [alias, voice] : kAliases)
    if (alias == asked) return std::string(voice);
  LATHE_TRY_STATUS(loop::check_voice(asked));
  return std::string(asked);
}

bool is_speech_model(std::string_view asked) {
  return asked.empty() || asked == kSpeechModel || asked == "tts-1" || asked == "tts-1-hd" ||
         is_cloud_name(asked);
}

}  // namespace lathe::serve
