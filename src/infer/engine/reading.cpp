// Texts that are read instead of answered: their hidden states and logits; and what steps take.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "ground/base/units.h"
#include "infer/engine/engine.h"

namespace lathe::infer {
namespace {

// Once measuring steps has taken so long, each width is measured once more at most.
constexpr double kMeasureSeconds = 0.25;

// The next `most` positions, or what is left, without a cut through rows that see each other.
Slice piece_of(const Prompt& text, std::size_t from, std::size_t most, const Adapter* adapter) {
  const std::size_t count = uncut(text.rows(), from, std::min(most, text.size() - from));
  return {.tokens = std::span(text.ids()).subspan(from, count),
          .first_position = from,
          .rows = text.rows(),
          .adapter = adapter};
}

template <class T>
std::vector<float> of_length_one(std::span<const T> x) {
  double square = 0;
  for (const T value : x) square += static_cast<double>(value) * static_cast<double>(value);
  const double norm = std::sqrt(square);
  std::vector<float> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    out[i] = static_cast<float>(norm > 0 ? static_cast<double>(x[i]) / norm : 0);
  return out;
}

}  // namespace

Status Engine::check_text(const Prompt& text) const {
  if (text.empty()) return invalid("the text is empty; it needs at least one token");
  if (text.size() > options_.context) {
    return invalid("the text has {} tokens; the context holds {}", text.size(), options_.context);
  }
  return check_prompt(text, executor_->options().step_outputs(), "text");
}

// One run: as many tokens as there are rows of output.
Status Engine::fill(SequenceMemory& memory, Slice slice, OutputKind kind,
                    const std::function<void(std::span<const float>)>& row) {
  slice.memory = &memory;
  slice.outputs = slice.tokens.size();
  const std::size_t from = slice.first_position, end = from + slice.tokens.size();
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
  LATHE_TRY_STATUS(executor_->lost());
  executor_->run({&slice, 1}, kind);
  LATHE_TRY_STATUS(executor_->lost());
  memory.settle(end);
  for (std::size_t i = 0; i < slice.outputs; ++i) row(executor_->output(i));
  return {};
}

Status Engine::logits(const Prompt& text, const std::function<void(std::span<const float>)>& row,
                      const Adapter* adapter) {
  LATHE_TRY_STATUS(check_generates(executor_->blueprint()));
  LATHE_TRY_STATUS(check_text(text));
  SequenceMemory memory(cache_->store());
  const std::size_t most = executor_->options().step_outputs();
  for (std::size_t from = 0; from < text.size();) {
    const Slice piece = piece_of(text, from, most, adapter);
    LATHE_TRY_STATUS(fill(memory, piece, OutputKind::kLogits, row));
    from += piece.tokens.size();
  }
  return {};
}

double relevance_of(const Blueprint& blueprint, std::span<const float> scores) {
  const double first = scores.empty() ? 0 : double{scores[0]};
  return blueprint.scores_softmax ? first : 1 / (1 + std::exp(-first));
}

Status Engine::hidden(const Prompt& text, const std::function<void(std::span<const float>)>& row) {
  LATHE_TRY_STATUS(check_text(text));
  SequenceMemory memory(cache_->store());
  const std::size_t most = executor_->options().step_outputs();
  const auto headed = [&](std::span<const float> values) { row(executor_->head(values)); };
  for (std::size_t from = 0; from < text.size();) {
    const Slice piece = piece_of(text, from, most, nullptr);
    LATHE_TRY_STATUS(fill(memory, piece, OutputKind::kHidden, headed));
    from += piece.tokens.size();
  }
  return {};
}

Result<std::vector<double>> Engine::measure_steps() {
  LATHE_TRY_STATUS(check_generates(executor_->blueprint()));
  std::vector<std::pair<std::size_t, double>> measured;  // width → seconds
  const std::size_t most = std::min(executor_->options().step_outputs(), options_.context);
  double spent = 0;
  for (std::size_t width = 1; width <= most; width *= 2) {
    const Prompt text(std::vector<TokenId>(width, 0));
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < (spent < kMeasureSeconds ? 2 : 1); ++i) {
      SequenceMemory memory(cache_->store());
      const auto start = std::chrono::steady_clock::now();
      LATHE_TRY_STATUS(fill(memory, piece_of(text, 0, width, nullptr), OutputKind::kLogits,
                            [](std::span<const float>) {}));
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

Engine::Reading::Reading(Engine& engine, Prompt text, Pooling pooling, OnLogits on_logits,
                         std::shared_ptr<const Adapter> adapter)
    : engine_(&engine),
      text_(std::move(text)),
      pooling_(pooling),
      on_logits_(std::move(on_logits)),
      adapter_(std::move(adapter)),
      memory_(engine.cache_->store()),
      sum_(engine.executor_->blueprint().embedding) {
  promise(memory_.bytes_left(0, claim_of(text_.size(), engine.executor_->options())));
}

Engine::Reading::~Reading() {
  promise(0);
}

void Engine::Reading::promise(std::uint64_t bytes) {
  engine_->reading_bytes_ += bytes - promised_;
  promised_ = bytes;
}

Status Engine::check_reading(const Prompt& text) const {
  LATHE_TRY_STATUS(check_text(text));
  const std::uint64_t needed =
      worst_case(cache_->store().layout(), claim_of(text.size(), executor_->options())).total();
  if (needed > cache_->capacity()) {
    return invalid("the text has {} tokens and needs {} of KV; there are {}", text.size(),
                   format_bytes(needed), format_bytes(cache_->capacity()));
  }
  if (needed + promised_bytes() > cache_->admissible()) {
    return fail(ErrorKind::kUnavailable, "{} tokens need {} of KV; too little is free now",
                text.size(), format_bytes(needed));
  }
  return {};
}

Result<std::unique_ptr<Engine::Reading>> Engine::read(Prompt text, Pooling pooling) {
  LATHE_TRY_STATUS(check_reading(text));
  return std::unique_ptr<Reading>(new Reading(*this, std::move(text), pooling, {}, nullptr));
}

Result<std::unique_ptr<Engine::Reading>> Engine::score(Prompt text, OnLogits on_logits,
                                                       std::shared_ptr<const Adapter> adapter) {
  LATHE_TRY_STATUS(check_generates(executor_->blueprint()));
  LATHE_TRY_STATUS(check_reading(text));
  return std::unique_ptr<Reading>(new Reading(*this, std::move(text), Pooling::kNone,
                                              std::move(on_logits), std::move(adapter)));
}

void Engine::Reading::pool(std::span<const float> hidden) {
  const bool wanted = pooling_ == Pooling::kMean || (pooling_ == Pooling::kCls && at_ == 0) ||
                      (pooling_ == Pooling::kLast && at_ + 1 == text_.size());
  if (!wanted) return;
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += static_cast<double>(hidden[i]);
}

Result<bool> Engine::Reading::step() {
  const ExecutorOptions& options = engine_->executor_->options();
  const Slice piece = piece_of(text_, at_, options.step_outputs(), adapter_.get());
  promise(0);  // what this step takes is no longer to come
  const auto row = [&](std::span<const float> values) {
    if (on_logits_)
      on_logits_(at_, values);
    else
      pool(values);
    ++at_;
  };
  const Status status =
      engine_->fill(memory_, piece, on_logits_ ? OutputKind::kLogits : OutputKind::kHidden, row);
  promise(memory_.bytes_left(at_, claim_of(text_.size(), options)));
  LATHE_TRY_STATUS(status);
  return at_ == text_.size();
}

std::vector<float> Engine::Reading::values() const {
  std::vector<float> mean(sum_.size());
  for (std::size_t i = 0; i < sum_.size(); ++i)
    mean[i] = static_cast<float>(sum_[i] / static_cast<double>(pooled()));
  return engine_->executor_->head(mean);
}

std::vector<float> Engine::Reading::vector() const {
  if (engine_->executor_->blueprint().head.empty()) return of_length_one<double>(sum_);
  const std::vector<float> values = this->values();
  return of_length_one<float>(values);
}

Result<std::vector<float>> Engine::embed(const Prompt& text, Pooling pooling) {
  LATHE_TRY(const auto reading, read(text, pooling));
  for (bool done = false; !done;) {
    LATHE_TRY(done, reading->step());
  }
  return reading->vector();
}

}  // namespace lathe::infer
