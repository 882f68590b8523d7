// Which neighbouring symbols a BPE's list of merges joins, and into what. Internal to this room.
#pragma once

#include <bit>
#include <span>
#include <string>
#include <vector>

#include "infer/tokens/token_map.h"

namespace lathe::infer {

// Pairs of symbols → what they merge into. Open addressing, at most half full.
class PairTable {
 public:
  explicit PairTable(std::size_t pairs)
      : rows_(std::bit_ceil(pairs * 2 + 1)), mask_(rows_.size() - 1) {}

  // A vocabulary's list, best first; `symbol` gives the id of a symbol's text.
  template <class SymbolOf>
  Status add_merges(const VocabularySpec& spec, const SymbolOf& symbol) {
    for (std::size_t rank = 0; rank < spec.merges.size(); ++rank) {
      const std::string& merge = spec.merges[rank];
      const auto space = merge.find(' ', 1);
      if (space == merge.npos || space + 1 == merge.size())
        return invalid(
            "tokenizer.ggml.merges[{}]: '{}' is not two symbols with a space between them", rank,
            merge);
      const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
      add(symbol(left), symbol(right), {static_cast<std::uint32_t>(rank), symbol(left + right)});
    }
    return {};
  }

  // Merges the symbols of a piece; those that are no tokens come out as their bytes'.
  void merge(Merger& merger, std::string_view piece, std::uint32_t tokens,
             std::span<const TokenId, 256> bytes, std::vector<TokenId>& out) const {
    merger.run([this](const Merger::Symbol& left, const Merger::Symbol& right,
                      Merger::Merge& merge) { return find(left.id, right.id, merge); });
    merger.for_each([&](const Merger::Symbol& symbol) {
      if (symbol.id < tokens) {
        out.push_back(static_cast<TokenId>(symbol.id));
        return;
      }
      for (const char c : piece.substr(symbol.start, symbol.bytes))
        if (const TokenId id = bytes[static_cast<unsigned char>(c)]; id != kNoToken)
          out.push_back(id);
    });
  }

  void add(std::uint32_t left, std::uint32_t right, Merger::Merge merge) {
    Row& row = rows_[place(left, right)];
    if (row.left == kNone) row = {left, right, merge};  // of a repeated pair the first rank counts
  }
  bool find(std::uint32_t left, std::uint32_t right, Merger::Merge& merge) const {
    const Row& row = rows_[place(left, right)];
    if (row.left == kNone) return false;
    merge = row.merge;
    return true;
  }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Row {
    std::uint32_t left = kNone, right = kNone;
    Merger::Merge merge{};
  };
  std::size_t place(std::uint32_t left, std::uint32_t right) const {
    std::uint64_t hash = (std::uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 32;
    std::size_t at = hash & mask_;
    while (rows_[at].left != kNone && (rows_[at].left != left || rows_[at].right != right))
      at = (at + 1) & mask_;
    return at;
  }

  std::vector<Row> rows_;
  std::size_t mask_;
};

}  // namespace lathe::infer
