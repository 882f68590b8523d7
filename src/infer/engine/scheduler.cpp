// Which sequences take part in the next step, and with how many tokens.
#include "infer/engine/scheduler.h"

#include <algorithm>

namespace lathe::infer {

std::vector<std::size_t> choose_drafts(std::span<const SequenceState> decodes, std::size_t room,
                                       std::span<const double> step_seconds) {
  std::vector<std::size_t> chosen(decodes.size()), best;
  best = chosen;
  std::size_t rows = 0;
  for (const SequenceState& decode : decodes) rows += decode.pending;
  const auto seconds = [&](std::size_t width) { return step_seconds[width - 1]; };
  if (rows == 0 || rows > step_seconds.size()) return best;
  // How likely it is that all chosen tokens of a draft are right. The next one is worth that times
  // the confidence in it; the most valuable one goes in first.
  std::vector<double> right(decodes.size(), 1.0);
  const auto worth = [&](std::size_t i) { return right[i] * decodes[i].confidence; };
  double tokens = static_cast<double>(decodes.size()), best_rate = tokens / seconds(rows);
  double again = 0;  // tokens that will probably be computed again
  room = std::min(room, step_seconds.size() - rows);
  for (std::size_t added = 1; added <= room; ++added) {
    std::size_t next = decodes.size();
    for (std::size_t i = 0; i < decodes.size(); ++i) {
      if (chosen[i] == decodes[i].drafted) continue;
      if (next == decodes.size() || worth(i) > worth(next)) next = i;
    }
    if (next == decodes.size()) break;
    const SequenceState& decode = decodes[next];
    if (decode.rewinds)
      again += (right[next] - worth(next)) * static_cast<double>(decode.pending + chosen[next]);
    tokens += worth(next);
    right[next] = worth(next);
    ++chosen[next];
    const double each = (seconds(rows + added) - seconds(rows)) / static_cast<double>(added);
    if (const double rate = tokens / (seconds(rows + added) + again * each); rate > best_rate) {
      best_rate = rate;
      best = chosen;
    }
  }
  return best;
}

StepPlan plan_step(std::span<const SequenceState> sequences, const SchedulerLimits& limits) {
  StepPlan plan;
  std::uint64_t promised = 0;
  std::size_t running = 0;
  for (const SequenceState& sequence : sequences) {
    if (!sequence.running) continue;
    promised += sequence.bytes_left;
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
    if (running >= limits.sequences || promised + sequence.bytes_left > limits.free_bytes) {
      queue_blocked = true;
      continue;
    }
    promised += sequence.bytes_left;
    ++running;
    active[i] = true;
    plan.admit.push_back(sequence.id);
  }
  std::size_t tokens = limits.step_tokens, outputs = limits.step_outputs;
  std::vector<SequenceState> decodes;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const SequenceState& sequence = sequences[i];
    if (!active[i] || !sequence.decoding || sequence.pending == 0) continue;
    if (tokens == 0 || outputs == 0) break;
    SequenceState& decode = decodes.emplace_back(sequence);
    if (decode.pending > tokens) {  // it was taken back: the rest, and its row, come later
      decode.pending = tokens;
      decode.drafted = 0;
    } else {
      --outputs;
    }
    tokens -= decode.pending;
  }
  const std::vector<std::size_t> drafted =
      choose_drafts(decodes, std::min(tokens, outputs), limits.step_seconds);
  for (std::size_t i = 0; i < decodes.size(); ++i) {
    plan.parts.push_back({decodes[i].id, decodes[i].pending, drafted[i]});
    tokens -= drafted[i];
    outputs -= drafted[i];
  }
  const std::size_t beside = tokens;  // room beside the decodes
  tokens = std::min(tokens, limits.prompt_tokens);
  bool first = limits.prompt_tokens != 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const SequenceState& sequence = sequences[i];
    if (!active[i] || sequence.decoding || sequence.pending == 0) continue;
    std::size_t share = uncut(sequence.rows, sequence.computed, std::min(sequence.pending, tokens));
    // The first prompt goes on, whatever is left for it: with more than its caller wants, or, if
    // that has no place beside the decodes, in a step of its own, behind which they go on.
    const std::size_t whole = together_until(sequence.rows, sequence.computed) - sequence.computed;
    if (first && share == 0 && whole > 1) {
      share = tokens = whole;
      if (whole > beside) {
        plan.parts.clear();
        outputs = limits.step_outputs;
      }
    }
    first = false;
    if (share == 0 || outputs == 0) continue;
    plan.parts.push_back({sequence.id, share});
    tokens -= share;
    if (share == sequence.pending) --outputs;  // the last one gives a row
  }
  return plan;
}

}  // namespace lathe::infer
