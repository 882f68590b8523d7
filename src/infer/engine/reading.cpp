// Texts that are read instead of answered: their hidden states and logits; and what steps take.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "ground/base/units.h"
#include "infer/engine/engine.h"

namespace lathe::infer {
namespace {

// Once measuring steps has taken so long, each width is measured once more at most.
constexpr double kMeasureSeconds = 0.25;

}  // namespace

Status Engine::check_text(std::span<const TokenId> tokens) const {
  if (tokens.empty()) return invalid("the text is empty; it needs at least one token");
  if (tokens.size() > options_.context) {
    return invalid("the text has {} tokens; the context holds {}", tokens.size(), options_.context);
  }
  for (const TokenId id : tokens) {
    if (id < 0 || static_cast<std::size_t>(id) >= executor_->blueprint().vocabulary) {
      return invalid("the text names token {}; the vocabulary has {}", id,
                     executor_->blueprint().vocabulary);
    }
  }
  return {};
}

// One run: as many tokens as there are rows of output.
Status Engine::fill(SequenceMemory& memory, std::size_t from, std::span<const TokenId> tokens,
                    OutputKind kind, const std::function<void(std::span<const float>)>& row,
                    const Adapter* adapter) {
  const std::size_t end = from + tokens.size();
  const BlockCounts blocks = memory.blocks_needed(from, end);
  std::uint64_t needed = 0;
  for (std::size_t g = 0; g < blocks.size(); ++g)
    needed += blocks[g] * cache_->store().pool(g).block_bytes();
  const std::uint64_t promised = promised_bytes(), most = cache_->admissible();
  if (needed + promised > most) {
    return fail(ErrorKind::kUnavailable, "{} tokens need {} of KV more; {} of {} are free", end,
                format_bytes(needed), format_bytes(most - std::min(promised, most)),
                format_bytes(cache_->capacity()));
  }
  cache_->make_room(blocks);
  LATHE_TRY_STATUS(memory.prepare(from, end));
  const Slice slice{.tokens = tokens,
                    .first_position = from,
                    .memory = &memory,
                    .outputs = tokens.size(),
                    .adapter = adapter};
  executor_->run({&slice, 1}, kind);
  memory.settle(end);
  for (std::size_t i = 0; i < tokens.size(); ++i) row(executor_->output(i));
  return {};
}

Status Engine::logits(std::span<const TokenId> tokens,
                      const std::function<void(std::span<const float>)>& row,
                      const Adapter* adapter) {
  LATHE_TRY_STATUS(check_text(tokens));
  SequenceMemory memory(cache_->store());
  for (std::size_t from = 0; from < tokens.size(); from += executor_->options().step_outputs()) {
    const std::size_t count = std::min(executor_->options().step_outputs(), tokens.size() - from);
    LATHE_TRY_STATUS(
        fill(memory, from, tokens.subspan(from, count), OutputKind::kLogits, row, adapter));
  }
  return {};
}

Result<std::vector<double>> Engine::measure_steps() {
  std::vector<std::pair<std::size_t, double>> measured;  // width → seconds
  const std::size_t most = std::min(executor_->options().step_outputs(), options_.context);
  double spent = 0;
  for (std::size_t width = 1; width <= most; width *= 2) {
    const std::vector<TokenId> tokens(width, 0);
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < (spent < kMeasureSeconds ? 2 : 1); ++i) {
      SequenceMemory memory(cache_->store());
      const auto start = std::chrono::steady_clock::now();
      LATHE_TRY_STATUS(fill(memory, 0, tokens, OutputKind::kLogits, [](std::span<const float>) {}));
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      best = std::min(best, took.count());
      spent += took.count();
    }
    measured.emplace_back(width, best);
  }
  // Between two measured widths, a line.
  std::vector<double> seconds;
  for (std::size_t i = 0; i + 1 < measured.size(); ++i) {
    const auto& [from, low] = measured[i];
    const auto& [to, high] = measured[i + 1];
    for (std::size_t width = from; width < to; ++width) {
      seconds.push_back(low + (high - low) * static_cast<double>(width - from) /
                                  static_cast<double>(to - from));
    }
  }
  seconds.push_back(measured.back().second);
  return seconds;
}

Engine::Reading::Reading(Engine& engine, std::vector<TokenId> tokens, Pooling pooling,
                         OnLogits on_logits, std::shared_ptr<const Adapter> adapter)
    : engine_(&engine),
      tokens_(std::move(tokens)),
      pooling_(pooling),
      on_logits_(std::move(on_logits)),
      adapter_(std::move(adapter)),
      memory_(engine.cache_->store()),
      sum_(engine.executor_->blueprint().embedding) {
  promise(memory_.bytes_left(0, claim_of(tokens_.size(), engine.executor_->options())));
}

Engine::Reading::~Reading() {
  promise(0);
}

void Engine::Reading::promise(std::uint64_t bytes) {
  engine_->reading_bytes_ += bytes - promised_;
  promised_ = bytes;
}

Status Engine::check_reading(std::span<const TokenId> tokens) const {
  LATHE_TRY_STATUS(check_text(tokens));
  const std::uint64_t needed =
      worst_case(cache_->store().layout(), claim_of(tokens.size(), executor_->options())).total();
  if (needed > cache_->capacity()) {
    return invalid("the text has {} tokens and needs {} of KV; there are {}", tokens.size(),
                   format_bytes(needed), format_bytes(cache_->capacity()));
  }
  if (needed + promised_bytes() > cache_->admissible()) {
    return fail(ErrorKind::kUnavailable, "{} tokens need {} of KV; too little is free now",
                tokens.size(), format_bytes(needed));
  }
  return {};
}

Result<std::unique_ptr<Engine::Reading>> Engine::read(std::vector<TokenId> tokens,
                                                      Pooling pooling) {
  LATHE_TRY_STATUS(check_reading(tokens));
  return std::unique_ptr<Reading>(new Reading(*this, std::move(tokens), pooling, {}, nullptr));
}

Result<std::unique_ptr<Engine::Reading>> Engine::score(std::vector<TokenId> tokens,
                                                       OnLogits on_logits,
                                                       std::shared_ptr<const Adapter> adapter) {
  LATHE_TRY_STATUS(check_reading(tokens));
  return std::unique_ptr<Reading>(new Reading(*this, std::move(tokens), Pooling::kNone,
                                              std::move(on_logits), std::move(adapter)));
}

void Engine::Reading::pool(std::span<const float> hidden) {
  const bool wanted = pooling_ == Pooling::kMean || (pooling_ == Pooling::kCls && at_ == 0) ||
                      (pooling_ == Pooling::kLast && at_ + 1 == tokens_.size());
  if (!wanted) return;
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += static_cast<double>(hidden[i]);
}

Result<bool> Engine::Reading::step() {
  const std::size_t count =
      std::min(engine_->executor_->options().step_outputs(), tokens_.size() - at_);
  promise(0);  // what this step takes is no longer to come
  const auto row = [&](std::span<const float> values) {
    if (on_logits_)
      on_logits_(at_, values);
    else
      pool(values);
    ++at_;
  };
  const Status status =
      engine_->fill(memory_, at_, std::span(tokens_).subspan(at_, count),
                    on_logits_ ? OutputKind::kLogits : OutputKind::kHidden, row, adapter_.get());
  promise(memory_.bytes_left(at_, claim_of(tokens_.size(), engine_->executor_->options())));
  LATHE_TRY_STATUS(status);
  return at_ == tokens_.size();
}

std::vector<float> Engine::Reading::vector() const {
  const double norm = std::sqrt(std::inner_product(sum_.begin(), sum_.end(), sum_.begin(), 0.0));
  std::vector<float> out(sum_.size());
  for (std::size_t i = 0; i < sum_.size(); ++i)
    out[i] = static_cast<float>(norm > 0 ? sum_[i] / norm : 0);
  return out;
}

Result<std::vector<float>> Engine::embed(std::span<const TokenId> tokens, Pooling pooling) {
  LATHE_TRY(const auto reading, read({tokens.begin(), tokens.end()}, pooling));
  for (bool done = false; !done;) {
    LATHE_TRY(done, reading->step());
  }
  return reading->vector();
}

}  // namespace lathe::infer
