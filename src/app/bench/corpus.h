// The text that prompts are made of: plain English sentences, written here from a few lists of
// words, so that tokenizers, drafts and experts meet language and not noise; the same on every
// machine. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>

namespace lathe::app {

// So many words, the same for the same seed; texts of two seeds differ from their first word on.
std::string corpus_text(std::uint64_t seed, std::size_t words);

}  // namespace lathe::app
