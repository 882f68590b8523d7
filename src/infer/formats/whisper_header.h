// The files that whisper.cpp reads ("ggml-base.en.bin"): older than GGUF, but with the same tensors
// and types. Their header becomes one as a GGUF file has it, so that everything behind reads both:
// "whisper.…" for the sizes, tokenizer.ggml.tokens, whisper.mel_filters (bands × frequencies); the
// encoder's tensors are named as in GGUF files of encoders ("a.blk.0.attn_q.weight").
#pragma once

#include "infer/formats/gguf_header.h"

namespace lathe::infer {

inline constexpr std::uint32_t kWhisperMagic = 0x67676d6c;  // "ggml", the last letter first

// Layout: magic, 11 sizes, filters, tokens, then tensors up to the end of the file, each with its
// own small header and no alignment. Integers are 32 bits.
Result<GgufHeader> read_whisper_header(const InputFile& file);

}  // namespace lathe::infer
