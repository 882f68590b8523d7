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

}  // namespace lathe::infer
