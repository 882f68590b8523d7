// Byte-level BPE: pieces of the pre-tokenizer, merged by the ranks of the vocabulary's list.
#include <array>

#include "infer/tokens/pair_table.h"
#include "infer/tokens/pretokenizer.h"
#include "infer/tokens/token_map.h"

namespace lathe::infer {
namespace {

constexpr bool prints_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<char32_t, 256> to{};
  std::array<int, 512> from{};
};

constexpr Alphabet make_alphabet() {
  Alphabet out;
  out.from.fill(-1);
  char32_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    out.to[byte] = prints_itself(byte) ? byte : next++;
    out.from[out.to[byte]] = static_cast<int>(byte);
  }
  return out;
}
constexpr Alphabet kAlphabet = make_alphabet();

class Bpe final : public FragmentEncoder {
 public:
  Bpe(const VocabularySpec& spec, const TokenMap& map, const PreTokenizer& pre)
      : pre_(pre),
        tokens_(static_cast<std::uint32_t>(spec.tokens.size())),
        pairs_(spec.merges.size()) {
    std::string character;
    for (unsigned byte = 0; byte < 256; ++byte) {
      character.clear();
      append_utf8(character, byte_to_printable(static_cast<unsigned char>(byte)));
      bytes_[byte] = map.find_plain(character);
    }
    if (pre.ignore_merges) add_whole_pieces(spec, map);
  }

  Status add_merges(const VocabularySpec& spec, const TokenMap& map) {
    // A list may merge into symbols that are no tokens: they get ids beyond the tokens'.
    std::unordered_map<std::string, std::uint32_t> others;
    const auto symbol = [&](std::string_view text) {
      if (const TokenId id = map.find_plain(text); id != kNoToken)
        return static_cast<std::uint32_t>(id);
      const auto next = static_cast<std::uint32_t>(tokens_ + others.size());
      return others.try_emplace(std::string(text), next).first->second;
    };
    std::string character;
    for (unsigned byte = 0; byte < 256; ++byte) {
      character.clear();
      append_utf8(character, byte_to_printable(static_cast<unsigned char>(byte)));
      symbols_[byte] = symbol(character);
    }
    return pairs_.add_merges(spec, symbol);
  }

  void encode(std::string_view text, bool, std::vector<TokenId>& out) const override {
    Merger merger;
    split_pieces(pre_.stages, text,
                 [&](std::string_view piece) { encode_piece(piece, merger, out); });
  }

 private:
  void add_whole_pieces(const VocabularySpec& spec, const TokenMap& map) {
    for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (map.find_plain(spec.tokens[i]) != id) continue;
      std::string bytes;
      const std::string_view text = spec.tokens[i];
      std::size_t at = 0;
      for (Character c; (c = character_at(text, at)).bytes > 0; at += c.bytes) {
        const int byte = printable_to_byte(c.code);
        if (byte < 0) break;
        bytes += static_cast<char>(byte);
      }
      if (at < text.size()) continue;  // not of the alphabet: no piece maps to it
      whole_.try_emplace(std::move(bytes), id);
    }
  }

  void encode_piece(std::string_view piece, Merger& merger, std::vector<TokenId>& out) const {
    if (pre_.ignore_merges) {
      const auto found = whole_.find(std::string(piece));
      if (found != whole_.end()) {
        out.push_back(found->second);
        return;
      }
    }
    merger.clear();
    for (std::uint32_t i = 0; i < piece.size(); ++i)
      merger.add(i, 1, symbols_[static_cast<unsigned char>(piece[i])]);
    pairs_.merge(merger, piece, tokens_, bytes_, out);
  }

  const PreTokenizer& pre_;
  std::uint32_t tokens_;
  PairTable pairs_;
  std::array<std::uint32_t, 256> symbols_{};
  std::array<TokenId, 256> bytes_{};
  std::unordered_map<std::string, TokenId> whole_;  // bytes of a token; with ignore_merges
};

}  // namespace

char32_t byte_to_printable(unsigned char byte) {
  return kAlphabet.to[byte];
}
int printable_to_byte(char32_t code) {
  return code < 512 ? kAlphabet.from[code] : -1;
}

Result<std::unique_ptr<FragmentEncoder>> make_bpe(const VocabularySpec& spec, const TokenMap& map,
                                                  const PreTokenizer& pre) {
  auto bpe = std::make_unique<Bpe>(spec, map, pre);
  LATHE_TRY_STATUS(bpe->add_merges(spec, map));
  return bpe;
}

}  // namespace lathe::infer
