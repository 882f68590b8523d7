// Words to tokens, rows to their places.
#include "infer/encoders/prompt_pieces.h"

namespace lathe::infer {
namespace {

// kNoToken: there is none. Byte-level vocabularies write "\n\n" in letters of their own, so all
// tokens are asked for their bytes.
TokenId whole_token(const Tokenizer& tokenizer, const std::string& word) {
  for (std::size_t i = 0; i < tokenizer.size(); ++i)
    if (const auto id = static_cast<TokenId>(i); tokenizer.piece(id, true) == word) return id;
  return kNoToken;
}

}  // namespace

std::vector<TokenId> tokens_of(const Tokenizer& tokenizer, const PromptWords& words) {
  std::vector<TokenId> ids;
  for (const std::string& word : words) {
    std::vector<TokenId> encoded;
    if (const TokenId known = tokenizer.find(word); known != kNoToken)
      encoded = {known};
    else
      encoded = tokenizer.encode(word, false, true);
    if (encoded.size() > 1)
      if (const TokenId whole = whole_token(tokenizer, word); whole != kNoToken) encoded = {whole};
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }
  return ids;
}

void add(Prompt& prompt, const Tokenizer& tokenizer, std::span<const EncodedPiece> pieces) {
  for (const EncodedPiece& piece : pieces) {
    if (piece.rows != nullptr)
      prompt.add(piece.rows);
    else
      prompt.add(tokens_of(tokenizer, piece.words));
  }
}

}  // namespace lathe::infer
