// SentencePiece's BPE ("llama"): characters, merged by the score of what they become.
#include <array>
#include <bit>

#include "infer/tokens/token_map.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

constexpr std::uint32_t kNone = 0xFFFFFFFF;

// The order of floats, turned round: the higher the score, the lower the priority's number.
std::uint32_t priority_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score);
  const std::uint32_t ascending = bits >> 31 != 0 ? ~bits : bits | 0x80000000U;
  return ~ascending;
}

class Spm final : public FragmentEncoder {
 public:
  Spm(const VocabularySpec& spec, const TokenMap& map)
      : map_(map),
        scores_(spec.scores),
        unknown_(spec.unknown),
        add_space_prefix_(spec.add_space_prefix.value_or(true)),
        words_apart_(std::ranges::all_of(spec.tokens, [](const std::string& token) {
          return word_end(token, 0) == token.size();
        })) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const TokenId id = map.find(fmt::format("<0x{:02X}>", byte));
      const bool is_byte =
          id != kNoToken && spec.kinds[static_cast<std::size_t>(id)] == TokenKind::kByte;
      bytes_[byte] = is_byte ? id : kNoToken;
    }
  }

  void encode(std::string_view text, bool opens, std::vector<TokenId>& out) const override {
    if (text.empty()) return;
    std::string marked;
    marked.reserve(text.size() + text.size() / 4 + kSpaceMark.size());
    if (add_space_prefix_ && opens) marked += kSpaceMark;
    for (const char c : text)
      if (c == ' ')
        marked += kSpaceMark;
      else
        marked += c;
    Merger merger;
    const std::string_view all = marked;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t end = words_apart_ ? word_end(all, at) : all.size();
      encode_word(all.substr(at, end - at), merger, out);
      at = end;
    }
  }

 private:
  // The next space mark that follows something else.
  static std::size_t word_end(std::string_view text, std::size_t at) {
    while (text.substr(at).starts_with(kSpaceMark)) at += kSpaceMark.size();
    return std::min(text.find(kSpaceMark, at), text.size());
  }

  void encode_word(std::string_view word, Merger& merger, std::vector<TokenId>& out) const {
    merger.clear();
    for (std::size_t at = 0; at < word.size();) {
      const std::uint32_t bytes = character_at(word, at).bytes;
      merger.add(static_cast<std::uint32_t>(at), bytes,
                 static_cast<std::uint32_t>(map_.find_plain(word.substr(at, bytes))));
      at += bytes;
    }
    merger.run([&](const Merger::Symbol& left, const Merger::Symbol& right, Merger::Merge& merge) {
      const std::size_t bytes = left.bytes + right.bytes;
      if (bytes > map_.longest()) return false;
      const TokenId id = map_.find_plain(word.substr(left.start, bytes));
      if (id == kNoToken) return false;
      merge = {priority_of(scores_[static_cast<std::size_t>(id)]), static_cast<std::uint32_t>(id)};
      return true;
    });
    merger.for_each([&](const Merger::Symbol& symbol) {
      if (symbol.id != kNone)
        out.push_back(static_cast<TokenId>(symbol.id));
      else
        encode_bytes(word.substr(symbol.start, symbol.bytes), out);
    });
  }

  // A character that is no token: its bytes, or one unknown where the vocabulary has no bytes.
  void encode_bytes(std::string_view character, std::vector<TokenId>& out) const {
    const bool have_all = std::ranges::all_of(
        character, [&](char c) { return bytes_[static_cast<unsigned char>(c)] != kNoToken; });
    if (!have_all) {
      if (unknown_ != kNoToken) out.push_back(unknown_);
      return;
    }
    for (const char c : character) out.push_back(bytes_[static_cast<unsigned char>(c)]);
  }

  const TokenMap& map_;
  const std::vector<float>& scores_;
  TokenId unknown_;
  bool add_space_prefix_;
  bool words_apart_;  // no token goes on behind a word: words can be merged one by one
  std::array<TokenId, 256> bytes_{};
};

}  // namespace

std::unique_ptr<FragmentEncoder> make_spm(const VocabularySpec& spec, const TokenMap& map) {
  return std::make_unique<Spm>(spec, map);
}

}  // namespace lathe::infer
