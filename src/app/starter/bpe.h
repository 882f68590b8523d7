// Learning a byte-level BPE from texts: the most frequent pair of neighbours becomes a token, again
// and again. Pairs never cross the pieces that the pre-tokenizer `qwen2` cuts, so digits stay
// alone. Of pairs equally frequent the first in byte order counts: the same texts give the same
// vocabulary. Pure.
#pragma once

#include <span>
#include <string>

#include "infer/tokens/tokenizer.h"

namespace lathe::app {

// Ids: the end of a text, then the 256 bytes, then what was merged, best first. It may stay below
// `size` where no pair comes `least` times.
infer::VocabularySpec learn_bpe(std::span<const std::string> texts, std::size_t size,
                                std::size_t least);

}  // namespace lathe::app
