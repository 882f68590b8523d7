// A Hugging Face tokenizer (tokenizer.json, tokenizer_config.json, special_tokens_map.json,
// chat_template.jinja) as GGUF metadata: byte-level BPE, and SentencePiece BPE with byte fallback.
#pragma once

#include "infer/convert/hf_config.h"

namespace lathe::infer {

// `size`: rows of the embedding; ids without a token become "[PADn]".
Result<GgufMetadata> read_hf_vocabulary(const fs::path& directory, std::size_t size);

}  // namespace lathe::infer
