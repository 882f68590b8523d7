// The names of test machinery, language by language: one row a name. In machinery_table.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lathe::loop {

// The languages that a row holds for, as bits.
inline constexpr std::uint8_t kInC = 1, kInScript = 2, kInPython = 4, kInShell = 8, kInGo = 16,
                              kInRust = 32, kInJava = 64, kInAll = 127;

enum class Searched { kCode, kText };  // the code alone, or its strings too; never comments

struct MachineryRow {
  std::uint8_t languages;
  Searched searched;
  std::string_view name;     // what a recipe allows it by
  std::string_view pattern;  // a regular expression; '^' is every line's begin
  std::string_view why;
};

std::span<const MachineryRow> machinery_table();

}  // namespace lathe::loop
