// Pieces of an encoded picture in a prompt. Pure.
#pragma once

#include "infer/encoders/picture_encoder.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// Each word is the one token of that text, control tokens too; a word that the vocabulary has no
// such token of is encoded as text.
std::vector<TokenId> tokens_of(const Tokenizer& tokenizer, const PicturePlan::Words& words);

void add(Prompt& prompt, const Tokenizer& tokenizer, std::span<const EncodedPiece> pieces);

}  // namespace lathe::infer
