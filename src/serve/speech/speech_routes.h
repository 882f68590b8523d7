// POST /v1/audio/speech, as OpenAI's API has it, and GET /v1/audio/voices: the voices of this
// program, which no model is loaded for.
#pragma once

#include "serve/server/routes.h"
#include "serve/speech/speech_desk.h"

namespace lathe::serve {

// The desk must outlive the server.
RouteTable speech_routes(SpeechDesk& desk);

}  // namespace lathe::serve
