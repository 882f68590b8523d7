// What the header of a voice's second file (GGUF, general.architecture "clip") says of its
// predictor of codes, and what all parts of a voice hold what they read to. Every number is
// bounded; errors name the file, the key and what it may be.
#pragma once

#include "infer/formats/gguf.h"

namespace lathe::infer {

struct VoiceHeader {
  const Gguf* file = nullptr;
  std::size_t embedding = 0;  // of the talker
  // Of the predictor.
  std::size_t width = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0;
  float epsilon = 0;
  std::size_t bins = 0;  // of a mel frame of who is to be spoken like; 0: it has no such encoder
};

// Whether the file is one that goes with a talker.
bool is_voice(const Gguf& file);
Result<VoiceHeader> read_voice_header(const Gguf& file);

}  // namespace lathe::infer
