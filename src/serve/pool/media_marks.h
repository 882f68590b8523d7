// Where a talk's pictures and sounds stand in its prompt: a mark stands for each in the text of its
// message, goes through the chat template like any word of it, and is found again in what that
// wrote. A mark holds a random word, so that no text that somebody writes is one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "infer/tokens/tokenizer.h"
#include "work/content.h"

namespace lathe::serve {

class MediaMarks {
 public:
  MediaMarks();

  // The texts as they follow each other, a mark in place of each medium; nothing but texts: as
  // Content::text() has them.
  std::string text_of(const Content& content);
  std::size_t count() const { return count_; }  // media so far: they are numbered in order
  std::size_t bytes() const;                    // of all marks

  // What stands before a mark, and its medium; behind the last one there is none.
  struct Stretch {
    std::vector<infer::PromptPart> text;
    std::optional<std::size_t> medium;
  };
  // An error where the template has left a medium out or has it twice.
  Result<std::vector<Stretch>> split(const std::vector<infer::PromptPart>& parts) const;

 private:
  std::string head_;  // of a mark; its medium's number and an end follow
  std::size_t count_ = 0;
};

}  // namespace lathe::serve
