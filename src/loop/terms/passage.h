// Pieces of documents that were looked up for a unit: its prompt shows them, numbered, and what is
// quoted from them can be checked. They stand in the unit's data, so that a run's record has them.
#pragma once

#include <span>

#include "loop/terms/terms.h"

namespace lathe::loop {

inline constexpr std::size_t kMostPassages = 50;

struct Passage {
  std::string id;           // of the bytes that it was read from, and where in them
  std::string file, place;  // "guide.md", "lines 3 to 9" or "page 2"
  std::string text;
};

void put_passages(std::span<const Passage> passages, Unit& unit);
// The first kMostPassages of all the units, each once: number 1 is the first.
std::vector<Passage> passages_of(std::span<const Unit> units);
// For the prompt; "": there are none.
std::string passages_text(std::span<const Unit> units);

}  // namespace lathe::loop
