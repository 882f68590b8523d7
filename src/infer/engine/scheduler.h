// What the next step computes, as a pure function of what is waiting: decodes first (every running
// stream moves on one token), then prompts in order of arrival, cut so that a step stays short. New
// sequences are admitted, in order, as long as their worst case in KV blocks can be promised: a
// running sequence never lacks a block.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lathe {

using SequenceId = std::uint64_t;

struct SequenceState {
  SequenceId id = 0;
  bool running = false;         // admitted: its worst case is promised
  std::size_t pending = 0;      // tokens known but not yet computed (1 while decoding)
  bool decoding = false;        // its pending token was sampled
  std::size_t blocks_left = 0;  // that it may still take: all of the worst case when waiting
};

struct SchedulerLimits {
  std::size_t step_tokens = 512;  // of one step
  std::size_t step_outputs = 64;  // rows of logits a step can hold
  std::size_t sequences = 64;     // running at once
  std::size_t free_blocks = 0;    // free now, or only held by the prefix index
};

struct StepPlan {
  std::vector<SequenceId> admit;  // in order
  struct Part {
    SequenceId id;
    std::size_t tokens;
    bool operator==(const Part&) const = default;
  };
  std::vector<Part> parts;
};

// `sequences` in order of arrival.
StepPlan plan_step(std::span<const SequenceState> sequences, const SchedulerLimits& limits);

}  // namespace lathe
