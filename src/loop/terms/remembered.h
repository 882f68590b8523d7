// What is remembered, in units and answers: a unit's data names the facts that were recalled for
// it, each by its number and its blob; an answer may propose others. The texts are blobs, so that
// they can be forgotten without a record being changed.
#pragma once

#include <span>

#include "loop/terms/terms.h"

namespace lathe::loop {

struct Recalled {
  std::int64_t id = 0;
  std::string text;
};

struct RecalledBlob {
  std::int64_t id = 0;
  std::string blob;
};

void put_recalled(std::span<const RecalledBlob> facts, Unit& unit);
// Of all the units, each once.
std::vector<RecalledBlob> recalled_of(std::span<const Unit> units);

// For the prompt; "": nothing is remembered and nothing may be proposed.
std::string remembered_text(std::span<const std::string> facts, bool may_propose);

inline constexpr std::size_t kMostProposals = 5;  // of one answer

// Takes the lines that propose facts ("REMEMBER: …") out of an answer, but not out of its fenced
// blocks. Pure.
std::string without_proposals(std::string_view answer, std::vector<std::string>& proposals);

}  // namespace lathe::loop
