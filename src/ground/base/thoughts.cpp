// Splits the thinking at the head of a model's answer from its text. Pure.
#include "ground/base/thoughts.h"

#include "ground/base/fence.h"
#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

// How many bytes at the end of `text` may be the beginning of `mark`; both in lower case.
std::size_t begun(std::string_view text, std::string_view mark) {
  for (std::size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n)
    if (mark.starts_with(text.substr(text.size() - n))) return n;
  return 0;
}

}  // namespace

SplitAnswer ThoughtSplitter::push(std::string_view piece) {
  pending_ += piece;
  return run(false);
}

SplitAnswer ThoughtSplitter::finish() {
  return run(true);
}

SplitAnswer ThoughtSplitter::run(bool last) {
  SplitAnswer out;
  for (;;) {
    if (state_ == State::kText) {
      out.text += std::exchange(pending_, {});
      return out;
    }
    if (state_ == State::kThoughts) {
      const std::string lower = to_lower_ascii(pending_), close = to_lower_ascii(close_);
      const auto end = lower.find(close);
      if (end == lower.npos) {
        const std::size_t safe = pending_.size() - (last ? 0 : begun(lower, close));
        out.thoughts += pending_.substr(0, safe);
        pending_.erase(0, safe);
        return out;
      }
      out.thoughts += pending_.substr(0, end);
      pending_.erase(0, end + close_.size());
      state_ = State::kHead;
      after_thoughts_ = true;
      continue;
    }
    const auto start = std::min(pending_.find_first_not_of(kSpaces), pending_.size());
    const std::string rest = to_lower_ascii(std::string_view(pending_).substr(start));
    bool wait = rest.empty();
    for (const auto& [open, close] : kThoughtMarks) {
      const std::string mark = to_lower_ascii(open);
      wait |= mark.starts_with(rest);
      if (!rest.starts_with(mark)) continue;
      close_ = close;
      state_ = State::kThoughts;
      pending_.erase(0, start + open.size());
      break;
    }
    if (state_ == State::kThoughts) continue;
    if (wait && !last) return out;
    if (after_thoughts_) pending_.erase(0, start);
    state_ = State::kText;
  }
}

SplitAnswer split_thoughts(std::string_view answer) {
  ThoughtSplitter splitter;
  SplitAnswer split = splitter.push(answer);
  const SplitAnswer end = splitter.finish();
  split.text += end.text;
  split.thoughts += end.thoughts;
  if (!split.thoughts.empty()) return split;
  const std::string lower = to_lower_ascii(answer);
  for (const auto& [open, close] : kThoughtMarks) {
    const auto at = lower.find(to_lower_ascii(close));
    if (at == lower.npos || lower.find(to_lower_ascii(open)) < at ||
        ends_in_fence(answer.substr(0, at)))
      continue;
    const auto line = at == 0 ? answer.npos : answer.find_last_of('\n', at - 1);
    const std::string_view before = answer.substr(line == answer.npos ? 0 : line + 1,
                                                  at - (line == answer.npos ? 0 : line + 1));
    const std::string_view behind = answer.substr(at + close.size());
    if (!trim(before).empty() || !trim(behind.substr(0, behind.find('\n'))).empty()) continue;
    const auto text = behind.find_first_not_of(kSpaces);
    return {std::string(text == behind.npos ? "" : behind.substr(text)),
            std::string(answer.substr(0, at))};
  }
  return split;
}

}  // namespace lathe
