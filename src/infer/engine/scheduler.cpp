#include "infer/engine/scheduler.h"

#include <algorithm>

namespace lathe {

StepPlan plan_step(std::span<const SequenceState> sequences, const SchedulerLimits& limits) {
  StepPlan plan;
  std::size_t promised = 0, running = 0;
  for (const SequenceState& sequence : sequences) {
    if (!sequence.running) continue;
    promised += sequence.blocks_left;
    ++running;
  }
  std::vector<bool> active(sequences.size());
  bool queue_blocked = false;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const SequenceState& sequence = sequences[i];
    active[i] = sequence.running;
    if (sequence.running || queue_blocked) continue;
    // First come, first served: a small request does not overtake a large one, which could then
    // wait for ever.
    if (running >= limits.sequences || promised + sequence.blocks_left > limits.free_blocks) {
      queue_blocked = true;
      continue;
    }
    promised += sequence.blocks_left;
    ++running;
    active[i] = true;
    plan.admit.push_back(sequence.id);
  }
  std::size_t tokens = limits.step_tokens, outputs = limits.step_outputs;
  for (const bool decoding : {true, false}) {
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const SequenceState& sequence = sequences[i];
      if (!active[i] || sequence.decoding != decoding || sequence.pending == 0) continue;
      const std::size_t share = std::min(sequence.pending, tokens);
      if (share == 0 || outputs == 0) continue;
      plan.parts.push_back({sequence.id, share});
      tokens -= share;
      if (share == sequence.pending) --outputs;  // the last one gives a row
    }
  }
  return plan;
}

}  // namespace lathe
