// The visible text of an answer while it grows: whole UTF-8 sequences only, cut before the first
// stop string, and with anything that may still become one held back. One per sequence; copyable.
#pragma once

#include <string>
#include <vector>

#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stop)
      : stream_(tokenizer), stop_(std::move(stop)) {}

  // The text that is now certain. After a stop string was met: `stopped()` and nothing more.
  std::string push(TokenId token);
  std::string finish();
  bool stopped() const { return stopped_; }
  const std::string& stopped_by() const { return stopped_by_; }  // the stop string that it was

 private:
  std::string release(bool all);

  TextStream stream_;
  std::vector<std::string> stop_;
  std::string held_, stopped_by_;
  bool stopped_ = false;
};

}  // namespace lathe::infer
