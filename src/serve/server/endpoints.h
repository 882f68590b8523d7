// The endpoints: one file each, or one for a few that belong together. routes.cpp says where they
// are.
#pragma once

#include "serve/server/call.h"

namespace lathe::serve {

Outcome chat_completions(Call& call);
Outcome completions(Call& call);
Outcome embeddings(Call& call);
Outcome responses(Call& call);
Outcome input_tokens(Call& call);
Outcome messages(Call& call);
Outcome count_tokens(Call& call);

Outcome list_models(Call& call);
Outcome show_model(Call& call);
Outcome load_model(Call& call);
Outcome unload_model(Call& call);

Outcome tokenize(Call& call);
Outcome detokenize(Call& call);
Outcome apply_template(Call& call);

Outcome health(Call& call);
Outcome version(Call& call);
Outcome metrics(Call& call);
Outcome status(Call& call);

Outcome ollama_root(Call& call);
Outcome ollama_version(Call& call);
Outcome ollama_tags(Call& call);
Outcome ollama_ps(Call& call);
Outcome ollama_show(Call& call);
Outcome ollama_pull(Call& call);
Outcome ollama_chat(Call& call);
Outcome ollama_generate(Call& call);
Outcome ollama_embed(Call& call);
Outcome ollama_embeddings(Call& call);

}  // namespace lathe::serve
