// Byte-level BPE cuts a text into pieces before it merges: by a list of regular expressions that
// the vocabulary was trained with . Each expression is a hand-written matcher
// here: none recurses, all together look at a byte a bounded number of times. Constant data and
// pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "infer/tokens/unicode.h"

namespace lathe::infer {

// How many bytes of `text` one expression matches at `at`: 0 for none.
using PieceMatcher = std::size_t (*)(std::string_view text, std::size_t at);

struct PreTokenizer {
  std::span<const std::string_view> names;
  // Applied one after the other: each cuts the pieces that the former left; what an expression does
  // not match stays a piece.
  std::span<const PieceMatcher> stages;
  bool ignore_merges = false;  // a piece that is a token needs no merging
  bool add_bos = false;        // unless the file says otherwise
  bool add_separator = false;
};

const PreTokenizer* find_pretokenizer(std::string_view name);  // null: not known
const PreTokenizer& line_pretokenizer();  // Gemma 4's: lines, and runs of newlines
std::string known_pretokenizers();        // "a, b, c"

template <class Emit>
void split_pieces(std::span<const PieceMatcher> stages, std::string_view text, const Emit& emit) {
  if (text.empty()) return;
  if (stages.empty()) {
    emit(text);
    return;
  }
  const auto rest = stages.subspan(1);
  std::size_t gap = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = stages[0](text, at);
    if (bytes == 0) {
      at += character_at(text, at).bytes;
      continue;
    }
    split_pieces(rest, text.substr(gap, at - gap), emit);
    split_pieces(rest, text.substr(at, bytes), emit);
    gap = at += bytes;
  }
  split_pieces(rest, text.substr(gap), emit);
}

}  // namespace lathe::infer
