// `lathe show MODEL.gguf`: what a model file holds.
#pragma once

#include "app/cli/app.h"

namespace lathe::app {

// `whole_template`: prints the chat template alone, all of it.
int show_model(const App& app, const fs::path& path, bool whole_template);

}  // namespace lathe::app
