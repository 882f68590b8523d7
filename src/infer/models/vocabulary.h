// The vocabulary and the chat templates of a GGUF file. Pure functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "infer/formats/gguf.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// With the defaults of the vocabulary's kind for what the file leaves out. Errors name the key;
// what only the tokenizer can tell (an unknown pre-tokenizer …) is checked by Tokenizer::make.
Result<VocabularySpec> read_vocabulary(const Gguf& gguf);

struct NamedTemplate {
  std::string name;  // "" for the model's own, "tool_use", "rag" …
  std::string source;
};
Result<std::vector<NamedTemplate>> read_chat_templates(const Gguf& gguf);

// How a reranker's pair of texts is written, with {query} and {document}; "": the vocabulary joins
// them.
Result<std::string> read_rerank_template(const Gguf& gguf);
// The pair as the reranker reads it; neither text names control tokens.
std::vector<TokenId> pair_tokens(const Tokenizer& tokenizer, std::string_view rerank_template,
                                 std::string_view query, std::string_view document);

}  // namespace lathe::infer
