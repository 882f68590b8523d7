// WordPiece ("bert"): words of the normalized text, each cut into the longest entries that match
// from its left. An entry that begins a word is stored with U+2581 in front, one that continues it
// without "##".
#include "infer/tokens/token_map.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

bool is_cjk(char32_t code) {
  constexpr std::pair<char32_t, char32_t> kBlocks[] = {
      {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
      {0x2B740, 0x2B81F}, {0x2B820, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(
      kBlocks, [&](const auto& block) { return code >= block.first && code <= block.second; });
}

// A word of its own: BERT counts every ASCII character that is neither letter nor digit.
bool stands_alone(const Character& c) {
  return c.is(kPunctuations) || (c.code < 0x80 && c.is(kSymbols)) || is_cjk(c.code);
}

bool is_dropped(const Character& c) {
  if (c.code == '\t' || c.code == '\n' || c.code == '\r') return false;
  return c.code == 0xFFFD || c.is(set_of(UnicodeCategory::kOther)) || c.code == 0x0B ||
         c.code == 0x0C || c.code == 0x85;
}

class WordPiece final : public FragmentEncoder {
 public:
  WordPiece(const VocabularySpec& spec, const TokenMap& map)
      : map_(map),
        unknown_(spec.unknown),
        lowercase_(spec.lowercase),
        strip_accents_(spec.strip_accents) {}

  void encode(std::string_view text, bool, std::vector<TokenId>& out) const override {
    std::string word;
    const auto end_word = [&] {
      if (!word.empty()) encode_word(word, out);
      word.clear();
    };
    for (std::size_t at = 0; at < text.size();) {
      const Character c = character_at(text, at);
      at += c.bytes;
      if (is_dropped(c)) continue;
      if (c.is(kSpaces)) {
        end_word();
        continue;
      }
      const auto bases =
          strip_accents_ ? base_of(c.code) : std::array<char32_t, 3>{c.code, U'\0', U'\0'};
      for (const char32_t base : bases) {
        if (base == 0) break;
        const char32_t code = lowercase_ ? lower_of(base) : base;
        const bool alone = stands_alone({code, set_of(category_of(code)), 1});
        if (alone) end_word();
        append_utf8(word, code);
        if (alone) end_word();
      }
    }
    end_word();
  }

 private:
  void encode_word(std::string_view word, std::vector<TokenId>& out) const {
    const std::string marked = std::string(kSpaceMark) + std::string(word);
    const std::string_view all = marked;
    const std::size_t before = out.size();
    for (std::size_t at = 0; at < all.size();) {
      std::size_t bytes = std::min(all.size() - at, map_.longest());
      TokenId id = kNoToken;
      while (bytes > 0 && (id = map_.find_plain(all.substr(at, bytes))) == kNoToken) --bytes;
      if (id == kNoToken) {
        out.resize(before);
        if (unknown_ != kNoToken) out.push_back(unknown_);
        return;
      }
      out.push_back(id);
      at += bytes;
    }
  }

  const TokenMap& map_;
  TokenId unknown_;
  bool lowercase_, strip_accents_;
};

}  // namespace

std::unique_ptr<FragmentEncoder> make_wordpiece(const VocabularySpec& spec, const TokenMap& map) {
  return std::make_unique<WordPiece>(spec, map);
}

}  // namespace lathe::infer
