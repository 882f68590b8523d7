// Finds the tokens that are cut out of a text before anything else: user-defined ones always,
// control tokens and unknowns only where the text is trusted from their first byte to their last.
// Leftmost first, at one place the longest.
// Immutable; any thread.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0, end = 0;
};

class SpecialTokens {
 public:
  explicit SpecialTokens(const VocabularySpec& spec);

  struct Found {
    std::size_t at = 0, bytes = 0;  // bytes 0: none from here on
    TokenId id = kNoToken;
  };
  // `trusted`: ascending, not touching.
  Found find(std::string_view text, std::size_t from, std::span<const TextRange> trusted) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, std::uint32_t>> children;  // by byte
    TokenId user_defined = kNoToken, control = kNoToken;
  };
  Found match(std::string_view text, std::size_t at, std::size_t trusted_end) const;

  std::vector<Node> nodes_;           // a trie; 0 is the root
  std::vector<std::uint32_t> first_;  // by byte: the root's child, 0 for none
};

}  // namespace lathe::infer
