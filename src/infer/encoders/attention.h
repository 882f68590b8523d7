// Attention in which rows see each other both ways, all of them or those of their span. Memory
// grows with the rows, not with their square: queries walk over keys and values chunk by chunk,
// with the engine's kernels (KvFormat, in f32). The chunks of a row's span are folded one after the
// other, whoever computes them.
#pragma once

#include <vector>

#include "infer/encoders/layers.h"

namespace lathe::infer {

// Rows [0, ends[0]) see each other, then [ends[0], ends[1]) …
using Spans = std::vector<std::size_t>;

std::uint64_t attention_bytes(const EncoderSizes& sizes);  // of keys and values
std::size_t attention_floats(const EncoderSizes& sizes);   // of a thread's scratch

// One head of row t.
void store_keys_values(EncoderPass& pass, std::size_t t, std::size_t head, const float* k,
                       const float* v, int thread);
// pass.q (rows, width), scaled: each head's queries become what it gives.
void attend(EncoderPass& pass, std::size_t rows, const Spans& spans);

}  // namespace lathe::infer
