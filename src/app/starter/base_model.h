// A Llama-shaped model with random weights, as training begins with it.
#pragma once

#include "ground/base/file.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::app {

struct StarterShape {
  std::uint64_t width = 256, layers = 4, hidden = 768, heads = 4, kv_heads = 2, context = 1024;
};

// F32, output tied to the embedding; weights normal with a deviation of 0.02, less where a layer
// adds to the stream. Norms are ones.
Status write_base_model(const fs::path& path, const StarterShape& shape,
                        const infer::VocabularySpec& vocabulary, std::uint64_t seed);

}  // namespace lathe::app
