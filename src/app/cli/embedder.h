// A model that makes embeddings of texts: of this process or of a server.
#pragma once

#include "app/cli/app.h"
#include "books/index/index.h"
#include "work/work.h"

namespace lathe::app {

// `name`: a file, or the name of a model at the server that runs here. Texts go no further than
// `allowed`. What a model has no room for is left out at a text's end.
Result<books::Embedder> open_embedder(const App& app, const std::string& name, Reach allowed);

}  // namespace lathe::app
