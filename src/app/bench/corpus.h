// The text that prompts are made of: plain English sentences, written here from a few lists of
// words, so that tokenizers, drafts and experts meet language and not noise; the same on every
// machine. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>

#include "infer/tokens/tokenizer.h"

namespace lathe::app {

// So many words, the same for the same seed; texts of two seeds differ from their first word on.
std::string corpus_text(std::uint64_t seed, std::size_t words);
// Its first `size` tokens, with those that a text begins with.
std::vector<infer::TokenId> corpus_tokens(const infer::Tokenizer& tokenizer, std::uint64_t seed,
                                          std::size_t size);

}  // namespace lathe::app
