// A text, texts, token ids, or several of those: what completions and embeddings take.
#pragma once

#include "serve/server/fields.h"
#include "work/model_host.h"

namespace lathe::serve {

// At least one, at most `most`.
ApiResult<std::vector<TextInput>> text_inputs(Fields& body, std::string_view key, std::size_t most);

}  // namespace lathe::serve
