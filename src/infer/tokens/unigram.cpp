// SentencePiece's unigrams ("t5"): of all ways to cut a normalized text into tokens the one of the
// highest sum of scores. Characters are replaced first, by a map that SentencePiece compiled into
// a double-array trie.
#include <algorithm>
#include <cstring>
#include <limits>

#include "infer/tokens/token_map.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

// What an unknown character costs, below the worst token.
constexpr double kUnknownPenalty = 10;

// u32 size, the trie's nodes (u32 each, so many bytes), then replacements, each ended by a zero.
// Every index of it is checked: it comes from a file.
class CharacterMap {
 public:
  static Result<CharacterMap> make(std::string_view bytes) {
    CharacterMap map;
    if (bytes.empty()) return map;
    std::uint32_t size = 0;
    if (bytes.size() >= sizeof size) std::memcpy(&size, bytes.data(), sizeof size);
    if (size == 0 || size % sizeof size != 0 || size > bytes.size() - sizeof size)
      return invalid("tokenizer.ggml.precompiled_charsmap: {} bytes that say their trie has {}",
                     bytes.size(), size);
    map.nodes_.resize(size / sizeof size);
    std::memcpy(map.nodes_.data(), bytes.data() + sizeof size, size);
    map.texts_ = bytes.substr(sizeof size + size);
    return map;
  }

  struct Found {
    std::size_t bytes = 0;  // 0: nothing begins the text
    std::string_view text;
  };
  // The longest entry that the text begins with.
  Found find(std::string_view text) const {
    Found found;
    if (nodes_.empty()) return found;
    std::uint32_t at = base(nodes_[0]);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      at ^= byte;
      if (byte == 0 || at >= nodes_.size() || (nodes_[at] & 0x800000ff) != byte) break;
      const bool ends = (nodes_[at] >> 8 & 1) != 0;
      at ^= base(nodes_[at]);
      if (at >= nodes_.size()) break;
      const std::size_t from = nodes_[at] & 0x7fffffff;
      if (!ends || from >= texts_.size()) continue;
      found = {i + 1, texts_.substr(from, texts_.find('\0', from) - from)};
    }
    return found;
  }

 private:
  static std::uint32_t base(std::uint32_t node) { return node >> 10 << ((node & 0x200) >> 6); }
  std::vector<std::uint32_t> nodes_;
  std::string_view texts_;
};

class Unigram final : public FragmentEncoder {
 public:
  Unigram(const VocabularySpec& spec, const CharacterMap& map)
      : spec_(spec), map_(map), prefixed_(spec.add_space_prefix.value_or(true)) {
    double worst = std::numeric_limits<double>::max();
    for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
      const TokenKind kind = spec.kinds[i];
      if (kind == TokenKind::kControl || kind == TokenKind::kUnknown || kind == TokenKind::kByte)
        continue;
      words_.push_back({spec.tokens[i], static_cast<TokenId>(i)});
      if (kind == TokenKind::kNormal) worst = std::min(worst, double{spec.scores[i]});
    }
    std::ranges::sort(words_, {}, &Word::text);
    unknown_score_ = (words_.empty() ? 0 : worst) - kUnknownPenalty;
  }

  void encode(std::string_view text, bool, std::vector<TokenId>& out) const override {
    const std::string normal = normalize(text);
    const std::vector<Step> best = best_ways(normal);
    const std::size_t first = out.size();
    for (std::size_t at = normal.size(); at > 0; at = best[at].from) {
      const TokenId id = best[at].id;
      // Unknown characters that follow each other are one.
      const bool repeats = id == spec_.unknown && out.size() > first && out.back() == id;
      if (id != kNoToken && !repeats) out.push_back(id);
    }
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }

 private:
  struct Word {
    std::string_view text;
    TokenId id;
  };
  // The best way to a place: its last token, and where that begins.
  struct Step {
    double score = -std::numeric_limits<double>::infinity();
    std::size_t from = 0;
    TokenId id = kNoToken;
  };

  // Replaced, spaces marked, and where that is wanted none but single ones between words.
  std::string normalize(std::string_view text) const {
    std::string out;
    bool in_word = false;
    for (std::size_t at = 0; at < text.size();) {
      CharacterMap::Found found = map_.find(text.substr(at));
      const std::size_t bytes = character_at(text, at).bytes;
      if (found.bytes == 0) found = {bytes, text.substr(at, bytes)};
      const bool broken = is_invalid(character_at(text, at));
      at += found.bytes;
      for (const char c : broken ? std::string_view("\uFFFD") : found.text) {
        if (c == ' ') {
          if (!spec_.remove_extra_spaces) out += kSpaceMark;
          in_word = false;
          continue;
        }
        const bool opens = out.empty() && prefixed_;
        const bool parts = spec_.remove_extra_spaces && !in_word && !out.empty();
        if (opens || parts) out += kSpaceMark;
        in_word = true;
        out += c;
      }
    }
    return out;
  }

  std::vector<Step> best_ways(std::string_view text) const {
    std::vector<Step> best(text.size() + 1);
    best[0].score = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = character_at(text, at).bytes;
      bool known = false;
      const auto consider = [&](std::size_t end, TokenId id, double score) {
        known = known || end == at + bytes;
        if (best[at].score + score > best[end].score) best[end] = {best[at].score + score, at, id};
      };
      for_each_word(text, at, consider);
      if (!known) consider(at + bytes, spec_.unknown, unknown_score_);
      at += bytes;
    }
    return best;
  }

  // The words that begin at `at`: of all in order, those that share its next bytes.
  template <class Consider>
  void for_each_word(std::string_view text, std::size_t at, const Consider& consider) const {
    auto low = words_.begin(), high = words_.end();
    for (std::size_t i = at; i < text.size() && low != high; ++i) {
      const std::size_t depth = i - at;
      const auto byte = [depth](const Word& word) {
        return depth < word.text.size() ? static_cast<unsigned char>(word.text[depth]) : -1;
      };
      const auto range =
          std::ranges::equal_range(low, high, int{static_cast<unsigned char>(text[i])}, {}, byte);
      low = range.begin();
      high = range.end();
      for (auto word = low; word != high && word->text.size() == depth + 1; ++word) {
        const auto id = static_cast<std::size_t>(word->id);
        const bool own = spec_.kinds[id] == TokenKind::kUserDefined;
        consider(i + 1, word->id, own ? 0 : double{spec_.scores[id]});
      }
    }
  }

  const VocabularySpec& spec_;
  CharacterMap map_;
  bool prefixed_;
  std::vector<Word> words_;
  double unknown_score_ = 0;
};

}  // namespace

Result<std::unique_ptr<FragmentEncoder>> make_unigram(const VocabularySpec& spec) {
  LATHE_TRY(const CharacterMap map, CharacterMap::make(spec.character_map));
  return std::make_unique<Unigram>(spec, map);
}

}  // namespace lathe::infer
