// Exchanges lines of a text: as search/replace blocks, as a unified diff, as a whole. What is not
// exchanged keeps its bytes: line ends, the byte-order mark, the newline at the end or its absence.
// Pure; safe on any text.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe::loop {

struct Replacement {
  std::string before, after;  // whole lines
  // Where a diff says that it stands, from 1. It decides only between equal places.
  std::size_t line = 0;
  bool insert = false;  // a diff's hunk that only adds: behind `line`, which may be 0
};

// "<<<<<<< SEARCH", and its kin.
bool opens_search(std::string_view line);
// One or more blocks <<<<<<< SEARCH … ======= … >>>>>>> REPLACE.
Result<std::vector<Replacement>> parse_search_blocks(std::string_view text);

// "--- a/src/x.c", "@@ -1,3 +1,4 @@", …: the text begins as a diff does.
bool looks_like_diff(std::string_view text);
// The hunks of one file; lines of its header are skipped.
Result<std::vector<Replacement>> parse_hunks(std::string_view text);

// Each `before` must stand exactly once (spaces at the ends of lines do not count where it stands
// nowhere else); errors name the nearest real line.
Result<std::string> replace_lines(std::string_view path, std::string_view text,
                                  const std::vector<Replacement>& replacements);
// Lines first to last, from 1, both included, become `fresh`; last = first - 1 inserts.
std::string replace_range(std::string_view text, std::size_t first, std::size_t last,
                          std::string_view fresh);
// All of it.
std::string replace_all_lines(std::string_view text, std::string_view fresh);
// The one exchange that makes `after` of `before`, with as many lines around it as it needs to be
// found; nothing when no lines of `before` can be named, or bytes differ that no line says.
std::optional<Replacement> replacement_between(std::string_view before, std::string_view after);

// As a model is shown it: no byte-order mark, lines end with a line feed.
std::string shown_text(std::string_view text);

}  // namespace lathe::loop
