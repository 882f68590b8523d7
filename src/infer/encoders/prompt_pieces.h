// Pieces of encoded pictures and sounds in a prompt. Pure.
#pragma once

#include <span>

#include "infer/encoders/encoded_piece.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// Each word is the one token of that text, control tokens too; a word that the vocabulary has no
// such token of is encoded as text.
std::vector<TokenId> tokens_of(const Tokenizer& tokenizer, const PromptWords& words);

void add(Prompt& prompt, const Tokenizer& tokenizer, std::span<const EncodedPiece> pieces);

}  // namespace lathe::infer
