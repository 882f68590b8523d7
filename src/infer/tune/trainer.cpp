// The training loop: batches, steps, validation, checkpoints.
#include "infer/tune/trainer.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "infer/tune/checkpoint.h"

namespace lathe::infer {
namespace {

using SteadyClock = std::chrono::steady_clock;

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

std::uint64_t bits(double value) {
  return std::bit_cast<std::uint64_t>(value);
}

}  // namespace

Result<std::unique_ptr<Trainer>> Trainer::create(TuneModel& model, ThreadTeam& team,
                                                 const KernelTable& kernels,
                                                 std::vector<Example> examples,
                                                 std::vector<Example> validation,
                                                 TrainOptions options) {
  LATHE_CHECK(!examples.empty());
  std::unique_ptr<Trainer> trainer(new Trainer(model, team, kernels, std::move(options)));
  trainer->examples_ = std::move(examples);
  trainer->validation_ = std::move(validation);
  const TrainOptions& set = trainer->options_;
  std::vector<std::uint32_t> lengths;
  std::size_t longest = 0;
  for (const Example& example : trainer->examples_) {
    lengths.push_back(static_cast<std::uint32_t>(example.tokens.size()));
    longest = std::max(longest, example.tokens.size());
  }
  for (const Example& example : trainer->validation_)
    longest = std::max(longest, example.tokens.size());
  trainer->order_ = std::make_unique<ExampleOrder>(std::move(lengths), set.seed, set.epochs);
  const std::uint64_t steps = trainer->order_->steps(set.batch_tokens);
  trainer->schedule_ = {
      .shape = set.shape,
      .peak = set.rate,
      .warmup = static_cast<std::uint64_t>(std::ceil(set.warmup * static_cast<double>(steps))),
      .steps = steps};
  LATHE_TRY(trainer->network_, Network::create(model, team, kernels,
                                               {.max_tokens = std::max(longest, set.micro_tokens),
                                                .longest = longest,
                                                .checkpointing = set.gradient_checkpointing,
                                                .bf16 = set.bf16_activations}));
  if (!set.checkpoint.empty()) LATHE_TRY_STATUS(trainer->restore());
  return trainer;
}

Result<TrainReport> Trainer::run() {
  const auto start = SteadyClock::now();
  auto saved = start;
  // The pace of the last steps: what is left is told by it.
  double pace = 0;
  bool stopped = false, early = false;
  while (cursor_ < order_->size() && !early) {
    if (options_.stop != nullptr && options_.stop->raised()) {
      stopped = true;
      break;
    }
    const auto began = SteadyClock::now();
    const std::uint64_t before = tokens_;
    LATHE_TRY(CurvePoint point, step());
    if (evaluates_after(step_)) LATHE_TRY_STATUS(validate(point));
    curve_.push_back(point);
    early = options_.patience != 0 && without_better_ >= options_.patience;
    const double now = static_cast<double>(tokens_ - before) / seconds_since(began);
    pace = pace == 0 ? now : 0.95 * pace + 0.05 * now;
    if (options_.progress)
      options_.progress(
          {.point = point,
           .steps = schedule_.steps,
           .total_tokens = order_->total_tokens(),
           .tokens_per_second = pace,
           .seconds_left = static_cast<double>(order_->total_tokens() - tokens_) / pace});
    if (!options_.checkpoint.empty() && SteadyClock::now() - saved >= options_.checkpoint_every) {
      // A full disk is no reason to lose the training: the checkpoint before is still there.
      if (const Status status = save(); !status && options_.warn)
        options_.warn(status.error().message);
      saved = SteadyClock::now();
    }
  }
  if (stopped && !options_.checkpoint.empty()) LATHE_TRY_STATUS(save());
  TrainReport report{.curve = curve_,
                     .steps = step_,
                     .total_steps = schedule_.steps,
                     .tokens = tokens_,
                     .resumed_at = resumed_at_,
                     .stopped = stopped,
                     .early = early,
                     .best_validation = best_,
                     .best_step = best_step_,
                     .seconds = seconds_since(start)};
  if (!stopped && best_) std::ranges::copy(best_values_, model_.parameters().values().begin());
  return report;
}

Result<CurvePoint> Trainer::step() {
  const std::uint64_t end = order_->batch_end(cursor_, options_.batch_tokens);
  std::vector<const Example*> batch;
  std::size_t trained = 0;
  for (std::uint64_t at = cursor_; at < end; ++at) {
    batch.push_back(&examples_[order_->at(at)]);
    trained += trained_tokens(*batch.back());
    tokens_ += batch.back()->tokens.size();
  }
  Parameters& parameters = model_.parameters();
  parameters.clear_gradients(team_);
  const auto count = static_cast<double>(trained);
  const double loss = loss_of(batch, static_cast<float>(1 / count)) / count;
  CurvePoint point{.step = step_ + 1, .tokens = tokens_, .loss = loss, .rate = schedule_.at(step_)};
  point.norm = parameters.step(team_, kernels_.train,
                               {.step = step_ + 1,
                                .rate = point.rate,
                                .beta1 = options_.beta1,
                                .beta2 = options_.beta2,
                                .weight_decay = options_.weight_decay,
                                .clip = options_.clip});
  if (!std::isfinite(loss) || !std::isfinite(point.norm))
    return invalid(
        "step {}: the loss is {} and the gradient's norm {}; a lower --rate may help (the last "
        "checkpoint is kept)",
        point.step, loss, point.norm);
  cursor_ = end;
  ++step_;
  return point;
}

// Σ −log p over the examples, a few of them at a time.
double Trainer::loss_of(std::span<const Example* const> examples, float weight) {
  double loss = 0;
  for (std::size_t from = 0; from < examples.size();) {
    std::size_t end = from, tokens = 0;
    for (; end < examples.size(); ++end) {
      tokens += examples[end]->tokens.size();
      if (tokens > options_.micro_tokens && end != from) break;
    }
    loss += network_->run(examples.subspan(from, end - from), weight);
    from = end;
  }
  return loss;
}

bool Trainer::evaluates_after(std::uint64_t step) const {
  if (validation_.empty() || options_.evaluations == 0) return false;
  // The step in which the next of evenly spread marks is passed; the last step is one.
  const auto mark = [&](std::uint64_t s) { return s * options_.evaluations / schedule_.steps; };
  return mark(step) != mark(step - 1);
}

Status Trainer::validate(CurvePoint& point) {
  std::vector<const Example*> all;
  std::size_t trained = 0;
  for (const Example& example : validation_) {
    all.push_back(&example);
    trained += trained_tokens(example);
  }
  const double loss = loss_of(all, 0) / static_cast<double>(trained);
  point.validation = loss;
  if (best_ && loss >= *best_) {
    ++without_better_;
    return {};
  }
  best_ = loss;
  best_step_ = point.step;
  without_better_ = 0;
  const auto values = model_.parameters().values();
  best_values_.assign(values.begin(), values.end());
  return {};
}

Status Trainer::save() {
  CheckpointState state{.fingerprint = options_.fingerprint, .numbers = {}};
  state.numbers = {{"step", {step_}},           {"cursor", {cursor_}},
                   {"tokens", {tokens_}},       {"without_better", {without_better_}},
                   {"best_step", {best_step_}}, {"best", {}}};
  if (best_) state.numbers.back().second = {bits(*best_)};
  std::vector<std::uint64_t> curve;
  for (const CurvePoint& point : curve_)
    for (const std::uint64_t number :
         {point.step, point.tokens, bits(point.loss), bits(point.rate), bits(point.norm),
          std::uint64_t{point.validation.has_value()}, bits(point.validation.value_or(0))})
      curve.push_back(number);
  state.numbers.emplace_back("curve", std::move(curve));
  const Parameters& parameters = model_.parameters();
  const CheckpointArray arrays[] = {{"values", parameters.values()},
                                    {"first_moments", parameters.first_moments()},
                                    {"second_moments", parameters.second_moments()},
                                    {"best_values", best_values_}};
  return write_checkpoint(options_.checkpoint, state, arrays);
}

Status Trainer::restore() {
  const Parameters& parameters = model_.parameters();
  const CheckpointArray arrays[] = {{"values", parameters.values()},
                                    {"first_moments", parameters.first_moments()},
                                    {"second_moments", parameters.second_moments()}};
  LATHE_TRY(const auto state, read_checkpoint(options_.checkpoint, options_.fingerprint, arrays));
  if (!state) return {};
  step_ = resumed_at_ = state->number("step");
  cursor_ = state->number("cursor");
  tokens_ = state->number("tokens");
  without_better_ = state->number("without_better");
  best_step_ = state->number("best_step");
  if (!state->list("best").empty()) {
    best_ = std::bit_cast<double>(state->number("best"));
    best_values_.resize(parameters.count());
    const CheckpointArray best[] = {{"best_values", best_values_}};
    LATHE_TRY(const auto again, read_checkpoint(options_.checkpoint, options_.fingerprint, best));
  }
  const auto& curve = state->list("curve");
  constexpr std::size_t kNumbers = 7;
  if (cursor_ > order_->size() || curve.size() != step_ * kNumbers)
    return invalid("{}: its cursor and curve don't fit; --fresh starts again",
                   options_.checkpoint.string());
  for (std::size_t i = 0; i < curve.size(); i += kNumbers) {
    CurvePoint point{.step = curve[i],
                     .tokens = curve[i + 1],
                     .loss = std::bit_cast<double>(curve[i + 2]),
                     .rate = std::bit_cast<double>(curve[i + 3]),
                     .norm = std::bit_cast<double>(curve[i + 4])};
    if (curve[i + 5] != 0) point.validation = std::bit_cast<double>(curve[i + 6]);
    curve_.push_back(point);
  }
  return {};
}

}  // namespace lathe::infer
