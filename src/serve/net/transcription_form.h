// What a server is asked for a transcript, and what its answer says, as OpenAI's API has them.
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "serve/net/multipart.h"
#include "work/work.h"

namespace lathe::serve {

// A form with the sound, which asks for a verbose answer, and what that says. A sound counts as
// many rows as are made of each second. An error: an answer without a text.
WrittenForm transcription_form(const std::string& model, const SoundRequest& request);
Result<Transcription> transcription_of(const Json& json, std::string_view place,
                                       const TranscriptOptions& asked);

}  // namespace lathe::serve
