// Voices as clients call them. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ground/base/result.h"

namespace lathe::serve {

inline constexpr std::string_view kSpeechModel = "classical";

// OpenAI's names, and what speaks for each of them here.
std::span<const std::pair<std::string_view, std::string_view>> voice_aliases();
// A voice of loop::check_voice(): itself, or what an alias stands for; "": the first one. An error
// says which there are.
Result<std::string> find_voice(std::string_view asked);
// Whether a request's model means the voices here: their own name, none, or one of a cloud's.
bool is_speech_model(std::string_view asked);

}  // namespace lathe::serve
