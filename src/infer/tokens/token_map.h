// What the tokenizers share: token texts → ids, and the merging of neighbours by priority. Internal
// to this room.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// Views a spec (with a kind for each token), which must outlive it and stay where it is. Immutable.
class TokenMap {
 public:
  explicit TokenMap(const VocabularySpec& spec);
  TokenId find(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? kNoToken : found->second;
  }
  // The same for tokens that plain text may become: control tokens and unknowns are not among them.
  TokenId find_plain(std::string_view text) const {
    const TokenId id = find(text);
    if (id == kNoToken) return kNoToken;
    const TokenKind kind = spec_.kinds[static_cast<std::size_t>(id)];
    const bool plain =
        kind == TokenKind::kNormal || kind == TokenKind::kUserDefined || kind == TokenKind::kUnused;
    return plain ? id : kNoToken;
  }
  std::size_t longest() const { return longest_; }  // bytes

 private:
  std::unordered_map<std::string_view, TokenId> ids_;
  const VocabularySpec& spec_;
  std::size_t longest_ = 0;
};

// Encodes text that holds no special token. Immutable; any thread.
class FragmentEncoder {
 public:
  virtual ~FragmentEncoder() = default;
  // `opens`: the fragment begins the text or follows a special token.
  virtual void encode(std::string_view text, bool opens, std::vector<TokenId>& out) const = 0;
};

// The spec's control tokens and byte tokens have their kinds; `map` views it.
std::unique_ptr<FragmentEncoder> make_spm(const VocabularySpec& spec, const TokenMap& map);
std::unique_ptr<FragmentEncoder> make_wordpiece(const VocabularySpec& spec, const TokenMap& map);
Result<std::unique_ptr<FragmentEncoder>> make_unigram(const VocabularySpec& spec);
struct PreTokenizer;
Result<std::unique_ptr<FragmentEncoder>> make_bpe(const VocabularySpec& spec, const TokenMap& map,
                                                  const PreTokenizer& pre);

Result<std::unique_ptr<FragmentEncoder>> make_character_bpe(const VocabularySpec& spec,
                                                            const TokenMap& map,
                                                            const PreTokenizer& pre);

// GPT-2's printable alphabet: the character that stands for a byte, and back (-1: for none).
char32_t byte_to_printable(unsigned char byte);
int printable_to_byte(char32_t code);

inline constexpr std::string_view kSpaceMark = "\u2581";

// A list of neighbouring symbols that are merged pair by pair, the pair of lowest priority first,
// of equal ones the leftmost: O(n log n). Kept between words, so that a text allocates a few times.
class Merger {
 public:
  struct Symbol {
    std::uint32_t start, bytes;
    std::uint32_t id;
    std::int32_t previous, next;  // -1: none
  };
  struct Merge {
    std::uint32_t priority;
    std::uint32_t id;  // of the merged symbol
  };

  void clear() { symbols_.clear(); }
  void add(std::uint32_t start, std::uint32_t bytes, std::uint32_t id) {
    const auto index = static_cast<std::int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({start, bytes, id, index - 1, -1});
  }

  // `find(left, right, merge)`: whether two neighbours may be merged, and into what.
  template <class Find>
  void run(const Find& find) {
    heap_.clear();
    for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols_.size()); ++i)
      consider(i, find);
    std::ranges::make_heap(heap_, after);
    while (!heap_.empty()) {
      std::ranges::pop_heap(heap_, after);
      const Candidate best = heap_.back();
      heap_.pop_back();
      Symbol& left = at(best.left);
      // Symbols only grow: a pair of another size is not the one that was considered.
      if (left.bytes == 0 || left.next < 0) continue;
      Symbol& right = at(left.next);
      if (left.bytes + right.bytes != best.bytes) continue;
      left.bytes = best.bytes;
      left.id = best.id;
      left.next = right.next;
      right.bytes = 0;
      if (left.next >= 0) at(left.next).previous = best.left;
      if (left.previous >= 0 && consider(left.previous, find)) std::ranges::push_heap(heap_, after);
      if (left.next >= 0 && consider(best.left, find)) std::ranges::push_heap(heap_, after);
    }
  }

  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::int32_t i = symbols_.empty() ? -1 : 0; i >= 0;
         i = symbols_[static_cast<std::size_t>(i)].next)
      visit(symbols_[static_cast<std::size_t>(i)]);
  }

 private:
  struct Candidate {
    std::uint32_t priority;
    std::int32_t left;
    std::uint32_t bytes, id;
  };
  static bool after(const Candidate& a, const Candidate& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.left > b.left;
  }
  Symbol& at(std::int32_t index) { return symbols_[static_cast<std::size_t>(index)]; }

  template <class Find>
  bool consider(std::int32_t index, const Find& find) {
    const Symbol& left = at(index);
    const Symbol& right = at(left.next);
    Merge merge{};
    if (!find(left, right, merge)) return false;
    heap_.push_back({merge.priority, index, left.bytes + right.bytes, merge.id});
    return true;
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace lathe::infer
