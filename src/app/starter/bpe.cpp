// Learns a byte-pair vocabulary.
#include "app/starter/bpe.h"

#include <map>

#include "infer/tokens/pretokenizer.h"
#include "infer/tokens/token_map.h"

namespace lathe::app {
namespace {

struct Piece {
  std::vector<std::string> symbols;  // in GPT-2's printable alphabet
  std::size_t count = 0;
};

std::string printable(unsigned char byte) {
  std::string out;
  infer::append_utf8(out, infer::byte_to_printable(byte));
  return out;
}

std::vector<Piece> pieces_of(std::span<const std::string> texts) {
  const infer::PreTokenizer* pre = infer::find_pretokenizer("qwen2");
  LATHE_CHECK(pre != nullptr);
  std::map<std::string, std::size_t, std::less<>> counts;
  for (const std::string& text : texts)
    infer::split_pieces(pre->stages, text,
                        [&](std::string_view piece) { ++counts[std::string(piece)]; });
  std::vector<Piece> pieces;
  for (const auto& [text, count] : counts) {
    Piece& piece = pieces.emplace_back();
    piece.count = count;
    for (const char c : text) piece.symbols.push_back(printable(static_cast<unsigned char>(c)));
  }
  return pieces;
}

using Pair = std::pair<std::string, std::string>;

void merge(Piece& piece, const Pair& pair) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < piece.symbols.size(); ++i) {
    if (i + 1 < piece.symbols.size() && piece.symbols[i] == pair.first &&
        piece.symbols[i + 1] == pair.second) {
      out.push_back(pair.first + pair.second);
      ++i;
    } else {
      out.push_back(piece.symbols[i]);
    }
  }
  piece.symbols = std::move(out);
}

}  // namespace

infer::VocabularySpec learn_bpe(std::span<const std::string> texts, std::size_t size,
                                std::size_t least) {
  infer::VocabularySpec spec;
  spec.model = "gpt2";
  spec.pre = "qwen2";
  spec.tokens.push_back("<|end|>");
  spec.kinds.push_back(infer::TokenKind::kControl);
  for (unsigned byte = 0; byte < 256; ++byte)
    spec.tokens.push_back(printable(static_cast<unsigned char>(byte)));
  spec.bos = spec.eos = 0;
  spec.add_bos = false;
  std::vector<Piece> pieces = pieces_of(texts);
  while (spec.tokens.size() < size) {
    std::map<Pair, std::size_t> pairs;
    for (const Piece& piece : pieces)
      for (std::size_t i = 0; i + 1 < piece.symbols.size(); ++i)
        pairs[{piece.symbols[i], piece.symbols[i + 1]}] += piece.count;
    const auto best = std::ranges::max_element(
        pairs, {}, [](const auto& entry) { return entry.second; });  // the first of the greatest
    if (best == pairs.end() || best->second < least) break;
    spec.merges.push_back(best->first.first + " " + best->first.second);
    spec.tokens.push_back(best->first.first + best->first.second);
    for (Piece& piece : pieces) merge(piece, best->first);
  }
  spec.kinds.resize(spec.tokens.size(), infer::TokenKind::kNormal);
  return spec;
}

}  // namespace lathe::app
