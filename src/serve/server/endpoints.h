// The endpoints: one file each, or one for a few that belong together. api_routes.cpp says where
// they are.
#pragma once

#include "serve/server/call.h"
#include "work/model_host.h"

namespace lathe::serve {

Handled chat_completions(ModelHost& host, Call& call);
Handled completions(ModelHost& host, Call& call);
Handled embeddings(ModelHost& host, Call& call);
Handled rerank(ModelHost& host, Call& call);
Handled transcriptions(ModelHost& host, Call& call);
Handled translations(ModelHost& host, Call& call);
Handled responses(ModelHost& host, Call& call);
Handled input_tokens(ModelHost& host, Call& call);
Handled messages(ModelHost& host, Call& call);
Handled count_tokens(ModelHost& host, Call& call);

Handled list_models(ModelHost& host, Call& call);
Handled show_model(ModelHost& host, Call& call);
Handled load_model(ModelHost& host, Call& call);
Handled unload_model(ModelHost& host, Call& call);

Handled tokenize(ModelHost& host, Call& call);
Handled detokenize(ModelHost& host, Call& call);
Handled apply_template(ModelHost& host, Call& call);

Handled health(ModelHost& host, Call& call);
Handled version(ModelHost& host, Call& call);
Handled metrics(ModelHost& host, Call& call);
Handled status(ModelHost& host, Call& call);
// What it answers.
Json status_json(const ModelHost& host, const Call& call);

Handled ollama_root(ModelHost& host, Call& call);
Handled ollama_version(ModelHost& host, Call& call);
Handled ollama_tags(ModelHost& host, Call& call);
Handled ollama_ps(ModelHost& host, Call& call);
Handled ollama_show(ModelHost& host, Call& call);
Handled ollama_pull(ModelHost& host, Call& call);
Handled ollama_chat(ModelHost& host, Call& call);
Handled ollama_generate(ModelHost& host, Call& call);
Handled ollama_embed(ModelHost& host, Call& call);
Handled ollama_embeddings(ModelHost& host, Call& call);

}  // namespace lathe::serve
