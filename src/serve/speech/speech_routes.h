// POST /v1/audio/speech, as OpenAI's API has it, and GET /v1/audio/voices: the voices of this
// program, which no model is loaded for, and the models of a host that speak.
#pragma once

#include "serve/server/routes.h"
#include "serve/speech/speech_desk.h"

namespace lathe::serve {

// Both must outlive the server.
RouteTable speech_routes(SpeechDesk& desk, ModelHost& host);

}  // namespace lathe::serve
