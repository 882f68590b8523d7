// Tokens of an answer to text that is safe to show: whole characters, no stop texts.
#include "infer/engine/answer_text.h"

#include <algorithm>

namespace lathe::infer {

std::string AnswerText::push(TokenId token) {
  if (stopped_) return {};
  held_ += stream_.push(token);
  return release(false);
}

std::string AnswerText::finish() {
  if (stopped_) return {};
  held_ += stream_.finish();
  return release(true);
}

std::string AnswerText::release(bool all) {
  std::size_t cut = std::string::npos;
  for (const std::string& stop : stop_) {
    const std::size_t at = held_.find(stop);
    if (at >= cut) continue;
    cut = at;
    stopped_by_ = stop;
  }
  if (cut != std::string::npos) {
    stopped_ = true;
    return held_.substr(0, cut);
  }
  std::size_t keep = 0;
  if (!all) {
    for (const std::string& stop : stop_) {
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
        if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
      }
    }
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace lathe::infer
