// BPE over characters ("gemma4"): spaces are marked as SentencePiece marks them, pieces are merged
// by the ranks of the vocabulary's list, and what is no token becomes its bytes.
#include <array>

#include "infer/tokens/pair_table.h"
#include "infer/tokens/pretokenizer.h"

namespace lathe::infer {
namespace {

class CharacterBpe final : public FragmentEncoder {
 public:
  CharacterBpe(const VocabularySpec& spec, const TokenMap& map, const PreTokenizer& pre)
      : map_(map),
        pre_(pre),
        tokens_(static_cast<std::uint32_t>(spec.tokens.size())),
        pairs_(spec.merges.size()) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const TokenId id = map.find(fmt::format("<0x{:02X}>", byte));
      const bool is_byte =
          id != kNoToken && spec.kinds[static_cast<std::size_t>(id)] == TokenKind::kByte;
      bytes_[byte] = is_byte ? id : kNoToken;
    }
  }

  Status add_merges(const VocabularySpec& spec) {
    return pairs_.add_merges(spec, [this](std::string_view text) {
      if (const TokenId id = map_.find_plain(text); id != kNoToken)
        return static_cast<std::uint32_t>(id);
      const auto next = static_cast<std::uint32_t>(tokens_ + others_.size());
      return others_.try_emplace(std::string(text), next).first->second;
    });
  }

  void encode(std::string_view text, bool, std::vector<TokenId>& out) const override {
    std::string marked;
    marked.reserve(text.size() + text.size() / 4);
    for (const char c : text)
      if (c == ' ')
        marked += kSpaceMark;
      else
        marked += c;
    Merger merger;
    split_pieces(pre_.stages, marked,
                 [&](std::string_view piece) { encode_piece(piece, merger, out); });
  }

 private:
  // Of a symbol; one that no merge knows is none's.
  std::uint32_t symbol_of(std::string_view character) const {
    if (const TokenId id = map_.find_plain(character); id != kNoToken)
      return static_cast<std::uint32_t>(id);
    const auto other = others_.find(std::string(character));
    return other == others_.end() ? tokens_ + static_cast<std::uint32_t>(others_.size())
                                  : other->second;
  }

  void encode_piece(std::string_view piece, Merger& merger, std::vector<TokenId>& out) const {
    // Newlines are no part of merges: a run of them is a token or each is one.
    if (piece.starts_with('\n')) {
      if (const TokenId id = map_.find_plain(piece); id != kNoToken) {
        out.push_back(id);
        return;
      }
    }
    merger.clear();
    for (std::size_t at = 0; at < piece.size();) {
      const std::uint32_t bytes = character_at(piece, at).bytes;
      merger.add(static_cast<std::uint32_t>(at), bytes, symbol_of(piece.substr(at, bytes)));
      at += bytes;
    }
    pairs_.merge(merger, piece, tokens_, bytes_, out);
  }

  const TokenMap& map_;
  const PreTokenizer& pre_;
  std::uint32_t tokens_;
  PairTable pairs_;
  std::unordered_map<std::string, std::uint32_t> others_;  // symbols that are no tokens
  std::array<TokenId, 256> bytes_{};
};

}  // namespace

Result<std::unique_ptr<FragmentEncoder>> make_character_bpe(const VocabularySpec& spec,
                                                            const TokenMap& map,
                                                            const PreTokenizer& pre) {
  auto bpe = std::make_unique<CharacterBpe>(spec, map, pre);
  LATHE_TRY_STATUS(bpe->add_merges(spec));
  return bpe;
}

}  // namespace lathe::infer
