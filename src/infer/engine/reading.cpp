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

// The next `most` positions, or what is left, without a cut through rows that see each other; each
// gives a row.
Slice piece_of(const Prompt& text, std::size_t from, std::size_t most, const Adapter* adapter) {
  const std::size_t count = uncut(text.rows(), from, std::min(most, text.size() - from));
  return {.tokens = std::span(text.ids()).subspan(from, count),
          .first_position = from,
          .rows = text.rows(),
          .outputs = count,
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

// What all of them take together; false: more than is free.
bool Engine::has_room(std::span<const Read> reads, BlockCounts& blocks,
                      std::uint64_t& needed) const {
  blocks.clear();
  needed = 0;
  for (const Read& read : reads) {
    const std::size_t from = read.slice.first_position;
    const BlockCounts more = read.memory->blocks_needed(from, from + read.slice.tokens.size());
    blocks.resize(more.size());
    for (std::size_t g = 0; g < more.size(); ++g) {
      blocks[g] += more[g];
      needed += more[g] * cache_->store().pool(g).block_bytes();
    }
  }
  return needed + promised_bytes() <= cache_->admissible();
}

// One run.
Status Engine::fill(std::span<Read> reads, OutputKind kind) {
  BlockCounts blocks;
  std::uint64_t needed = 0;
  if (!has_room(reads, blocks, needed)) {
    const std::uint64_t promised = promised_bytes(), most = cache_->admissible();
    return fail(ErrorKind::kUnavailable, "{} tokens need {} of KV more; {} of {} are free",
                reads[0].slice.first_position + reads[0].slice.tokens.size(), format_bytes(needed),
                format_bytes(most - std::min(promised, most)), format_bytes(cache_->capacity()));
  }
  cache_->make_room(blocks);
  std::vector<Slice> slices;
  for (Read& read : reads) {
    const std::size_t from = read.slice.first_position;
    LATHE_TRY_STATUS(read.memory->prepare(from, from + read.slice.tokens.size()));
    read.slice.memory = read.memory;
    slices.push_back(read.slice);
  }
  LATHE_TRY_STATUS(executor_->lost());
  executor_->run(slices, kind);
  LATHE_TRY_STATUS(executor_->lost());
  std::size_t row = 0;
  for (const Read& read : reads) {
    read.memory->settle(read.slice.first_position + read.slice.tokens.size());
    for (std::size_t i = 0; i < read.slice.outputs; ++i) read.row(executor_->output(row++));
  }
  return {};
}

Status Engine::logits(const Prompt& text, const std::function<void(std::span<const float>)>& row,
                      const Adapter* adapter) {
  LATHE_TRY_STATUS(check_generates(executor_->blueprint()));
  LATHE_TRY_STATUS(check_text(text));
  SequenceMemory memory(cache_->store());
  const std::size_t most = executor_->options().step_outputs();
  for (std::size_t from = 0; from < text.size();) {
    Read piece{piece_of(text, from, most, adapter), &memory, row};
    LATHE_TRY_STATUS(fill({&piece, 1}, OutputKind::kLogits));
    from += piece.slice.tokens.size();
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
    Read piece{piece_of(text, from, most, nullptr), &memory, headed};
    LATHE_TRY_STATUS(fill({&piece, 1}, OutputKind::kHidden));
    from += piece.slice.tokens.size();
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
      Read piece{piece_of(text, 0, width, nullptr), &memory, [](std::span<const float>) {}};
      LATHE_TRY_STATUS(fill({&piece, 1}, OutputKind::kLogits));
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

// How much of the text one step takes, and how many of its last tokens give a row.
struct Engine::Reading::Piece {
  Slice slice;
  std::size_t skipped;  // tokens before those that give one
};

std::optional<Engine::Reading::Piece> Engine::Reading::next(std::size_t tokens,
                                                            std::size_t rows) const {
  const bool first = pooling_ == Pooling::kCls && at_ == 0;
  const bool all = on_logits_ || pooling_ == Pooling::kMean || first;
  Slice slice = piece_of(text_, at_, all ? std::min(tokens, rows) : tokens, adapter_.get());
  const std::size_t count = slice.tokens.size();
  const bool whole = at_ + count == text_.size();
  if (!all) slice.outputs = pooling_ == Pooling::kLast && whole ? 1 : 0;
  // An encoder's text is read in one, or not yet.
  if (count == 0 || slice.outputs > rows || (!whole && !engine_->executor_->blueprint().generates))
    return std::nullopt;
  return Piece{slice, count - slice.outputs};
}

void Engine::Reading::take(std::span<const float> values) {
  if (on_logits_)
    on_logits_(at_, values);
  else
    pool(values);
  ++at_;
}

Status Engine::step(std::span<Reading* const> readings) {
  const ExecutorOptions& options = executor_->options();
  std::size_t tokens = options.step_tokens, rows = options.step_outputs();
  std::vector<Read> reads;
  std::vector<Reading*> taking;
  BlockCounts blocks;
  std::uint64_t needed = 0;
  for (Reading* reading : readings) {
    LATHE_CHECK(reading->engine_ == this && !reading->done());
    const bool alone = reads.empty();
    if (!alone &&
        static_cast<bool>(reading->on_logits_) != static_cast<bool>(taking.front()->on_logits_))
      break;
    const auto piece = reading->next(tokens, rows);
    if (!piece) {
      if (alone) return invalid("a part of the text that is read at once is too long for a step");
      break;
    }
    const std::uint64_t promised = reading->promised_;
    reading->promise(0);  // what this step takes is no longer to come
    const std::size_t behind = reading->at_ + piece->skipped;
    reads.push_back(
        {piece->slice, &reading->memory_, [reading, behind](std::span<const float> values) {
           reading->at_ = std::max(reading->at_, behind);
           reading->take(values);
         }});
    if (!alone && !has_room(reads, blocks, needed)) {
      reads.pop_back();
      reading->promise(promised);
      break;
    }
    taking.push_back(reading);
    tokens =
        std::min(alone ? std::max(kReadTogether, piece->slice.tokens.size()) : tokens, tokens) -
        piece->slice.tokens.size();
    rows -= piece->slice.outputs;
    if (tokens == 0) break;
  }
  const Status status =
      fill(reads, taking.front()->on_logits_ ? OutputKind::kLogits : OutputKind::kHidden);
  for (std::size_t i = 0; i < taking.size(); ++i) {
    Reading& reading = *taking[i];
    const Slice& slice = reads[i].slice;
    if (status) reading.at_ = slice.first_position + slice.tokens.size();
    reading.promise(
        reading.memory_.bytes_left(reading.at_, claim_of(reading.text_.size(), options)));
  }
  return status;
}

Result<bool> Engine::Reading::step() {
  Reading* self = this;
  LATHE_TRY_STATUS(engine_->step({&self, 1}));
  return done();
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
