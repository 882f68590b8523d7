// What a server is asked for a text to be spoken, and what its answer is, as OpenAI's API has them.
// Pure.
#pragma once

#include "serve/net/http_call.h"
#include "work/work.h"

namespace lathe::serve {

inline constexpr std::size_t kMaxSpokenBytes = std::size_t{64} << 20;  // of a sound's file

Json speech_fields(const std::string& model, const SpeechRequest& asked, bool cloud);

// The sound in a 200. kInvalid: it holds none; kUnavailable: it broke off.
Result<SpokenFile> spoken_file(HttpAnswer answer, std::string_view place);

}  // namespace lathe::serve
