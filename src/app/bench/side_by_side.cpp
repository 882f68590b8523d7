// Steps two engines over one text and compares their rows.
#include "app/bench/side_by_side.h"

#include "app/bench/corpus.h"
#include "ground/base/random.h"

namespace lathe::app {
namespace {

constexpr std::uint64_t kTexts = 2;  // the stream of seeds: not that of prompts

// The rows that the bigger model's last step gave.
struct HeldRows {
  std::size_t first = 0;  // the position of the first one
  std::size_t width = 0;
  std::vector<float> values = {};

  void take(std::size_t position, std::span<const float> row) {
    if (values.empty()) first = position;
    width = row.size();
    values.insert(values.end(), row.begin(), row.end());
  }
  std::span<const float> row(std::size_t position) const {
    return std::span(values).subspan((position - first) * width, width);
  }
};

// Nothing: it was stopped.
Result<std::optional<QualityChunk>> compare_chunk(infer::Engine& bigger, infer::Engine& model,
                                                  std::vector<infer::TokenId> tokens,
                                                  const StopFlag& stop) {
  QualityChunk chunk{.tokens = std::move(tokens)};
  HeldRows held;
  Status compared;
  const auto hold = [&](std::size_t position, std::span<const float> row) {
    held.take(position, row);
  };
  const auto compare = [&](std::size_t position, std::span<const float> row) {
    if (!compared || position + 1 == chunk.tokens.size()) return;
    const auto both = compare_rows(held.row(position), row, chunk.tokens[position + 1]);
    if (both)
      chunk.add(*both);
    else
      compared = at(fmt::format("position {}", position), both.error());
  };
  LATHE_TRY(const auto first, bigger.score(chunk.tokens, hold, nullptr));
  LATHE_TRY(const auto second, model.score(chunk.tokens, compare, nullptr));
  for (bool done = false; !done;) {
    if (stop.raised()) return std::nullopt;
    held.values.clear();
    LATHE_TRY([[maybe_unused]] const bool bigger_done, first->step());
    LATHE_TRY(done, second->step());
    LATHE_TRY_STATUS(compared);
  }
  return chunk;
}

}  // namespace

Result<std::vector<QualityChunk>> compare_models(infer::Engine& bigger, infer::Engine& model,
                                                 const infer::Tokenizer& tokenizer,
                                                 const QualityPlan& plan, const StopFlag& stop,
                                                 const std::function<void(std::size_t)>& heard) {
  LATHE_CHECK(bigger.executor().options().step_outputs() ==
              model.executor().options().step_outputs());
  std::vector<QualityChunk> chunks;
  for (std::size_t done = 0; plan.tokens - done >= kFewestQualityTokens;) {
    const std::size_t size = std::min(plan.chunk, plan.tokens - done);
    const std::uint64_t seed = random_at(plan.seed, kTexts, chunks.size());
    auto chunk = compare_chunk(bigger, model, corpus_tokens(tokenizer, seed, size), stop);
    if (!chunk) return at(fmt::format("chunk {}", chunks.size()), chunk.error());
    if (!*chunk) break;
    chunks.push_back(std::move(**chunk));
    heard(done += size);
  }
  return chunks;
}

}  // namespace lathe::app
