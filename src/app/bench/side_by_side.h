// Two files of one model read the same text in step, so that no logits have to be kept: each row of
// the one is compared to that of the other and forgotten. One thread, that of both engines.
#pragma once

#include <functional>

#include "app/bench/quality.h"
#include "ground/base/stop.h"
#include "infer/engine/engine.h"

namespace lathe::app {

struct QualityPlan {
  std::size_t tokens = 8192;  // of text
  std::size_t chunk = 512;    // read from the beginning each; no more than either context
  std::uint64_t seed = 1;     // of the text
};
inline constexpr std::size_t kFewestQualityTokens = 16;

// The text is that of prompts (corpus.h), in chunks of their own; the two have one vocabulary, and
// their steps are of one size. `heard` is told how many tokens are done. When `stop` is raised the
// chunks that are complete are the result, which may be none. An error names the position.
Result<std::vector<QualityChunk>> compare_models(infer::Engine& bigger, infer::Engine& model,
                                                 const infer::Tokenizer& tokenizer,
                                                 const QualityPlan& plan, const StopFlag& stop,
                                                 const std::function<void(std::size_t)>& heard);

}  // namespace lathe::app
