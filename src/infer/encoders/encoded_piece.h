// What an encoder makes of a picture or a sound, and what it takes. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "infer/executor/prompt.h"

namespace lathe::infer {

// A word is one token where the vocabulary has one of its name, control tokens too; else it is
// text.
using PromptWords = std::vector<std::string>;

// Of a prompt, in its order: words, or rows of the picture or the sound.
struct EncodedPiece {
  PromptWords words;
  std::shared_ptr<const RowBlock> rows;  // nullptr: words
};

// What an encoder takes in memory, by its header alone.
struct EncoderBytes {
  std::uint64_t weights = 0;
  std::uint64_t scratch = 0;  // while the largest input is encoded
};

}  // namespace lathe::infer
