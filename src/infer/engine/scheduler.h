// What the next step computes, as a pure function of what is waiting: decodes first (every running
// stream moves on one token, and drafted tokens are checked where that pays), then prompts in order
// of arrival, cut so that a step stays short; rows that see each other are not cut. New sequences
// are admitted, in order, as long as their worst case can be promised: a running sequence never
// lacks a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "infer/executor/prompt.h"

namespace lathe::infer {

using SequenceId = std::uint64_t;

struct SequenceState {
  SequenceId id = 0;
  bool running = false;      // admitted: its worst case is promised
  std::size_t pending = 0;   // tokens known but not yet computed (while decoding 1, or a few again)
  std::size_t computed = 0;  // the position of the first of these
  std::span<const PlacedRows> rows = {};  // of its prompt
  bool decoding = false;                  // its pending token was sampled
  bool rewinds = false;  // where a draft is wrong, all of its step is computed again
  // Of KV, that it may still take: all of the worst case when waiting.
  std::uint64_t bytes_left = 0;
  std::size_t drafted = 0;  // tokens that probably come next, while decoding
  double confidence = 0;    // that one of them is right if those before it are
};

struct SchedulerLimits {
  std::size_t step_tokens = 512;         // of one step
  std::size_t step_outputs = 64;         // rows of logits a step can hold
  std::size_t sequences = 64;            // running at once
  std::uint64_t free_bytes = 0;          // of KV: free now, or only held by the prefix index
  std::size_t prompt_tokens = SIZE_MAX;  // of prompts, in one step
  // Seconds of a step of 1, 2, 3 … tokens, as measured; empty: drafts are not checked.
  std::span<const double> step_seconds = {};
};

struct StepPlan {
  std::vector<SequenceId> admit;  // in order
  struct Part {
    SequenceId id;
    std::size_t tokens;
    std::size_t drafted = 0;  // that many of its drafted tokens are checked too
    bool operator==(const Part&) const = default;
  };
  std::vector<Part> parts;
};

// How many drafted tokens of each decode to check in one step, at most `room` of all: what gives
// most tokens a second. A draft's k-th token is worth confidence^k tokens; the cost is the table's,
// and that of what is computed again where decodes rewind.
std::vector<std::size_t> choose_drafts(std::span<const SequenceState> decodes, std::size_t room,
                                       std::span<const double> step_seconds);

// `sequences` in order of arrival.
StepPlan plan_step(std::span<const SequenceState> sequences, const SchedulerLimits& limits);

}  // namespace lathe::infer
