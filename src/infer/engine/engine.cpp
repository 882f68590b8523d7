// The loop: admits, plans a step, computes it, samples, gives back.
#include "infer/engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "infer/engine/answer_text.h"

namespace lathe::infer {
namespace {

// Once measuring steps has taken so long, each width is measured once more at most.
constexpr double kMeasureSeconds = 0.25;

std::size_t blocks_for(std::size_t positions) {
  return (positions + kChunk - 1) / kChunk;
}

}  // namespace

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndToken:
      return "end";
    case StopReason::kStopString:
      return "stop";
    case StopReason::kLength:
      return "length";
    case StopReason::kGrammarDeadEnd:
      return "grammar";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "";
}

struct Engine::Sequence {
  SequenceId id;
  SequenceId request;
  std::size_t candidate;
  std::shared_ptr<const GenerationRequest> spec;
  std::vector<TokenId> tokens;  // the prompt and what was sampled
  std::size_t computed = 0;     // positions whose KV is there
  std::size_t limit;            // tokens it may come to
  BlockTable table;
  Sampler sampler;
  std::unique_ptr<Constraint> constraint;
  AnswerText text;
  std::optional<Drafter> drafter;
  std::size_t cached = 0;
  std::size_t accepted_drafts = 0, rejected_drafts = 0;
  bool running = false, cancelled = false, finished = false;

  bool decoding() const { return computed >= spec->prompt.size(); }
  std::uint64_t weights() const { return spec->adapter ? spec->adapter->id() : 0; }
};

Engine::Engine(const Model& model, const Tokenizer& tokenizer, EngineOptions options)
    : model_(&model), tokenizer_(&tokenizer), options_(options) {}

Engine::~Engine() = default;

Status check_context(const Blueprint& blueprint, KvType kv, std::size_t context) {
  if (context > blueprint.context) {
    return invalid("a context of {} tokens was asked for; {} was made for {}", context,
                   blueprint.name.empty() ? "this model" : blueprint.name, blueprint.context);
  }
  for (const LayerSpec& layer : blueprint.layers) {
    const AttentionSpec* attention = layer.attention();
    if (kv == KvType::kQ8_0 && attention != nullptr &&
        attention->head_dim % kActivationBlock != 0) {
      return invalid(
          "heads of {} dimensions do not fit a q8_0 cache, whose blocks have {}; use f16",
          attention->head_dim, kActivationBlock);
    }
  }
  return {};
}

Result<std::unique_ptr<Engine>> Engine::create(const Model& model, const Tokenizer& tokenizer,
                                               ThreadTeam& team, const EngineOptions& options,
                                               KvBudget* budget) {
  const Blueprint& blueprint = model.blueprint();
  EngineOptions checked = options;
  if (checked.context == 0) checked.context = blueprint.context;
  LATHE_TRY_STATUS(check_context(blueprint, checked.kv, checked.context));
  if (tokenizer.size() != blueprint.vocabulary) {
    return invalid("the vocabulary has {} tokens and the embedding {} rows; the file is damaged",
                   tokenizer.size(), blueprint.vocabulary);
  }
  const auto states = blueprint.states();
  BlockLayout layout(states, model.kernels().kv_format(checked.kv));
  const std::size_t blocks = blocks_for(checked.kv_tokens);
  std::unique_ptr<Engine> engine(new Engine(model, tokenizer, checked));
  if (budget == nullptr) {
    engine->own_budget_ =
        std::make_unique<KvBudget>(static_cast<std::uint64_t>(std::min<unsigned __int128>(
            static_cast<unsigned __int128>(blocks) * layout.bytes(), UINT64_MAX)));
    budget = engine->own_budget_.get();
  }
  LATHE_TRY(engine->cache_, KvCache::create(std::move(layout), blocks, *budget));
  LATHE_TRY(engine->forward_, Forward::create(model, team, engine->cache_->pool().layout(),
                                              checked.step_tokens, checked.step_outputs()));
  return engine;
}

Engine::Bytes Engine::bytes() const {
  const BlockPool& pool = cache_->pool();
  return {model_->weight_bytes(), pool.capacity() * pool.layout().bytes(), pool.used_bytes(),
          forward_->scratch_bytes()};
}

Status Engine::check(const GenerationRequest& request) const {
  if (request.prompt.empty()) return invalid("the prompt is empty; it needs at least one token");
  for (const auto& ids :
       {std::span(request.prompt), std::span(request.draft), std::span(request.replay)}) {
    for (const TokenId id : ids) {
      if (id < 0 || static_cast<std::size_t>(id) >= model_->blueprint().vocabulary) {
        return invalid("the prompt names token {}; the vocabulary has {}", id,
                       model_->blueprint().vocabulary);
      }
    }
  }
  const std::size_t total = request.prompt.size() + std::max<std::size_t>(1, request.max_tokens);
  if (total > options_.context) {
    return invalid("the prompt has {} tokens and up to {} may follow; the context holds {}",
                   request.prompt.size(), std::max<std::size_t>(1, request.max_tokens),
                   options_.context);
  }
  if (request.candidates == 0 || request.candidates > options_.sequences) {
    return invalid("{} candidates were asked for; 1 to {} are possible", request.candidates,
                   options_.sequences);
  }
  for (const std::string& stop : request.stop) {
    if (stop.empty()) return invalid("an empty stop string would end every answer at once");
  }
  return check_sampler(request.sampler, model_->blueprint().vocabulary);
}

Result<SequenceId> Engine::add(GenerationRequest request) {
  LATHE_TRY_STATUS(check(request));
  auto spec = std::make_shared<const GenerationRequest>(std::move(request));
  // Without a limit of its own a sequence may fill the context, or all of the pool if that is
  // smaller.
  const std::size_t prompt = spec->prompt.size();
  std::size_t limit = spec->max_tokens != 0 ? prompt + spec->max_tokens : options_.context;
  if (spec->max_tokens == 0 && spec->candidates == 1)
    limit = std::min(limit, cache_->capacity() * kChunk);
  std::unique_ptr<Sequence> sequence(new Sequence{.id = next_id_,
                                                  .request = next_id_,
                                                  .candidate = 0,
                                                  .spec = spec,
                                                  .tokens = spec->prompt,
                                                  .limit = limit,
                                                  .table = BlockTable(cache_->pool()),
                                                  .sampler = Sampler(spec->sampler, 0, *tokenizer_),
                                                  .constraint = nullptr,
                                                  .text = AnswerText(*tokenizer_, spec->stop),
                                                  .drafter = std::nullopt});
  if (limit <= prompt || blocks_left(*sequence) > cache_->capacity()) {
    return invalid(
        "{} prompt tokens and {} answers of up to {} need {} KV blocks; the pool has {} (of {} "
        "tokens each)",
        prompt, spec->candidates, limit - std::min(limit, prompt), blocks_left(*sequence),
        cache_->capacity(), kChunk);
  }
  if (!spec->draft.empty()) sequence->drafter.emplace(spec->draft, spec->prompt);
  if (spec->grammar) sequence->constraint = Constraint::start(spec->grammar);
  for (const TokenId token : spec->prompt) sequence->sampler.accept(token);
  sequences_.push_back(std::move(sequence));
  return next_id_++;
}

void Engine::cancel(SequenceId request) {
  for (auto& sequence : sequences_) sequence->cancelled |= sequence->request == request;
}

Engine::Sequence* Engine::find(SequenceId id) {
  for (auto& sequence : sequences_) {
    if (sequence->id == id) return sequence.get();
  }
  return nullptr;
}

// What it may still take: its own blocks up to its limit, and those of the candidates that will
// fork from it.
std::size_t Engine::blocks_left(const Sequence& sequence) const {
  std::size_t blocks = sequence.table.blocks_needed(sequence.computed, sequence.limit);
  if (!sequence.decoding()) {
    const std::size_t shared = sequence.spec->prompt.size() / kChunk;
    blocks += (sequence.spec->candidates - 1) * (blocks_for(sequence.limit) - shared);
    if (sequence.spec->candidates > 1)
      ++blocks;  // the parent's own half-filled block, once it is shared
  }
  return blocks;
}

std::size_t Engine::promised_blocks() const {
  std::size_t blocks = reading_blocks_;
  for (auto& sequence : sequences_) blocks += sequence->running ? blocks_left(*sequence) : 0;
  return blocks;
}

StepPlan Engine::plan(std::size_t prompt_tokens) {
  std::vector<SequenceState> states;
  bool waiting = false;
  for (auto& sequence : sequences_) {
    SequenceState state{.id = sequence->id,
                        .running = sequence->running,
                        .pending = sequence->tokens.size() - sequence->computed,
                        .decoding = sequence->decoding(),
                        .blocks_left = blocks_left(*sequence)};
    if (state.decoding && sequence->drafter && !step_seconds_.empty()) {
      // The last token of an answer need not be drafted.
      const std::size_t most = sequence->limit - sequence->tokens.size() - 1;
      state.drafted = sequence->drafter->propose(std::min(most, step_seconds_.size())).size();
      state.confidence = sequence->drafter->confidence();
    }
    states.push_back(state);
    waiting = waiting || !sequence->running;
  }
  return plan_step(states, {.step_tokens = options_.step_tokens,
                            .step_outputs = forward_->max_outputs(),
                            .sequences = options_.sequences,
                            .free_blocks = waiting ? cache_->admissible() : 0,
                            .prompt_tokens = prompt_tokens,
                            .step_seconds = step_seconds_});
}

void Engine::admit(Sequence& sequence) {
  sequence.running = true;
  if (!options_.reuse_prefixes) return;
  // The last prompt token is always computed: its logits are wanted.
  sequence.computed = cache_->index().take(sequence.tokens, sequence.tokens.size() - 1,
                                           sequence.table, sequence.weights());
  sequence.cached = sequence.computed;
}

bool Engine::step(const Sink& sink, std::size_t prompt_tokens) {
  if (sequences_.empty()) return false;
  for (auto& sequence : sequences_) {
    if (sequence->cancelled) finish(*sequence, StopReason::kCancelled, {}, sink);
  }
  std::erase_if(sequences_, [](auto& sequence) { return sequence->finished; });
  const StepPlan next = plan(prompt_tokens);
  for (const SequenceId id : next.admit) admit(*find(id));
  cache_->promise(promised_blocks());
  compute(next, sink);
  std::erase_if(sequences_, [](auto& sequence) { return sequence->finished; });
  cache_->promise(promised_blocks());
  return true;
}

void Engine::compute(const StepPlan& plan, const Sink& sink) {
  struct Part {
    Sequence* sequence;
    std::size_t drafted;
    std::vector<TokenId> tokens;  // the pending one and the drafted ones
  };
  last_step_ = {};
  std::vector<Slice> slices;
  std::vector<Part> parts;
  parts.reserve(plan.parts.size());  // slices point into it
  for (const StepPlan::Part& part : plan.parts) {
    Sequence& sequence = *find(part.id);
    // A prefix that was taken over leaves less to compute than was planned.
    const std::size_t known = std::min(part.tokens, sequence.tokens.size() - sequence.computed);
    std::span<const TokenId> tokens =
        std::span<const TokenId>(sequence.tokens).subspan(sequence.computed, known);
    const bool last = sequence.computed + known == sequence.tokens.size();
    parts.push_back({&sequence, part.drafted, {}});
    (sequence.decoding() ? last_step_.answer_tokens : last_step_.prompt_tokens) += known;
    last_step_.drafted_tokens += part.drafted;
    if (part.drafted > 0) {
      std::vector<TokenId>& all = parts.back().tokens;
      const auto drafted = sequence.drafter->propose(part.drafted);
      all.assign(tokens.begin(), tokens.end());
      all.insert(all.end(), drafted.begin(), drafted.end());
      tokens = all;
    }
    const std::size_t end = sequence.computed + tokens.size();
    cache_->make_room(sequence.table.blocks_needed(sequence.computed, end));
    LATHE_CHECK(sequence.table.prepare(sequence.computed, end).has_value());
    slices.push_back({.tokens = tokens,
                      .first_position = sequence.computed,
                      .table = &sequence.table,
                      .outputs = last ? 1 + part.drafted : 0,
                      .adapter = sequence.spec->adapter.get()});
  }
  if (slices.empty()) return;
  forward_->run(slices);
  std::size_t row = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Sequence& sequence = *parts[i].sequence;
    const bool prompt = !sequence.decoding();
    sequence.computed += slices[i].tokens.size() - parts[i].drafted;
    if (slices[i].outputs == 0) continue;
    if (prompt) {
      prompt_done(sequence, row, sink);
    } else {
      take_token(sequence, row, sink);
      if (parts[i].drafted > 0)
        check_drafts(sequence, std::span(parts[i].tokens).last(parts[i].drafted), row + 1, sink);
    }
    row += slices[i].outputs;
  }
}

// Row k holds the logits behind the k-th drafted token: they count as long as each draft was what
// the rows before it gave. The KV of the others is written over later.
void Engine::check_drafts(Sequence& sequence, std::span<const TokenId> drafted, std::size_t row,
                          const Sink& sink) {
  std::size_t accepted = 0;
  while (!sequence.finished && accepted < drafted.size() &&
         sequence.tokens.back() == drafted[accepted]) {
    ++sequence.computed;
    ++sequence.accepted_drafts;
    take_token(sequence, row + accepted, sink);
    ++accepted;
  }
  if (!sequence.finished) {
    sequence.rejected_drafts += drafted.size() - accepted;
    sequence.drafter->checked(accepted, drafted.size());
  }
}

// The prompt is computed: its whole blocks may serve others from now on, and the candidates part
// ways.
void Engine::prompt_done(Sequence& parent, std::size_t row, const Sink& sink) {
  const std::size_t prompt = parent.tokens.size();
  if (options_.reuse_prefixes) {
    const auto whole = std::span<const TokenId>(parent.tokens).first(prompt / kChunk * kChunk);
    PrefixIndex& index = cache_->index();
    index.put(whole, parent.table, parent.weights());
    // Kept prefixes never take more than half of what there is.
    if (parent.spec->keep_prefix.count() > 0 &&
        index.kept() + whole.size() / kChunk <= cache_->capacity() / 2) {
      index.keep(whole, system_clock().monotonic() + parent.spec->keep_prefix, parent.weights());
    }
  }
  std::vector<Sequence*> candidates{&parent};
  for (std::size_t c = 1; c < parent.spec->candidates; ++c) {
    sequences_.push_back(std::unique_ptr<Sequence>(
        new Sequence{.id = next_id_++,
                     .request = parent.request,
                     .candidate = c,
                     .spec = parent.spec,
                     .tokens = parent.tokens,
                     .computed = parent.computed,
                     .limit = parent.limit,
                     .table = parent.table.fork(prompt),
                     .sampler = parent.sampler.fork(c),
                     .constraint = parent.constraint ? parent.constraint->fork() : nullptr,
                     .text = AnswerText(*tokenizer_, parent.spec->stop),
                     .drafter = parent.drafter,
                     .cached = prompt,
                     .running = true}));
    candidates.push_back(sequences_.back().get());
  }
  for (Sequence* candidate : candidates) take_token(*candidate, row, sink);
}

// By the sampler, among what the grammar allows; nullopt: that is nothing.
std::optional<TokenId> Engine::next_token(Sequence& sequence, std::span<const float> logits) {
  const GenerationRequest& spec = *sequence.spec;
  if (!spec.replay.empty()) {
    const std::size_t place = sequence.tokens.size() - spec.prompt.size();
    if (place < spec.replay.size()) return spec.replay[place];
  }
  std::span<const std::uint32_t> mask;
  if (sequence.constraint || spec.ignore_end) {
    mask_.assign((logits.size() + 31) / 32, ~0u);
    if (sequence.constraint && !sequence.constraint->mask(mask_)) return std::nullopt;
    if (spec.ignore_end) {
      for (const TokenId id : tokenizer_->end_tokens()) {
        mask_[static_cast<std::size_t>(id) / 32] &= ~(1u << (static_cast<std::size_t>(id) % 32));
      }
    }
    mask = mask_;
  }
  return sequence.sampler.sample(logits, mask, sequence.tokens.size());
}

void Engine::take_token(Sequence& sequence, std::size_t row, const Sink& sink) {
  const std::span<const float> logits = forward_->output(row);
  const GenerationRequest& spec = *sequence.spec;
  const std::optional<TokenId> token = next_token(sequence, logits);
  if (!token) return finish(sequence, StopReason::kGrammarDeadEnd, {}, sink);
  TokenEvent event;
  event.request = sequence.request;
  event.candidate = sequence.candidate;
  event.token = *token;
  if (spec.top_logprobs >= 0) {
    event.logprob = logprob_of(logits, *token);
    event.top = top_logprobs(logits, static_cast<std::size_t>(spec.top_logprobs));
  }
  sequence.tokens.push_back(*token);
  if (sequence.drafter) sequence.drafter->accept(*token);
  if (tokenizer_->is_end(*token))
    return finish(sequence, StopReason::kEndToken, std::move(event), sink);
  sequence.sampler.accept(*token);
  if (sequence.constraint) LATHE_CHECK(sequence.constraint->accept(*token).has_value());
  event.text = sequence.text.push(*token);
  if (sequence.text.stopped())
    return finish(sequence, StopReason::kStopString, std::move(event), sink);
  if (sequence.tokens.size() == sequence.limit) {
    return finish(sequence, StopReason::kLength, std::move(event), sink);
  }
  sink(std::move(event));
}

void Engine::finish(Sequence& sequence, StopReason reason, TokenEvent event, const Sink& sink) {
  event.request = sequence.request;
  event.candidate = sequence.candidate;
  if (reason != StopReason::kStopString) event.text += sequence.text.finish();
  event.finished = reason;
  event.stopped_by = sequence.text.stopped_by();
  event.usage = {.prompt_tokens = sequence.spec->prompt.size(),
                 .cached_tokens = sequence.cached,
                 .output_tokens = sequence.tokens.size() - sequence.spec->prompt.size(),
                 .accepted_drafts = sequence.accepted_drafts,
                 .rejected_drafts = sequence.rejected_drafts};
  if (options_.reuse_prefixes && sequence.running) {
    cache_->index().put(std::span<const TokenId>(sequence.tokens).first(sequence.computed),
                        sequence.table, sequence.weights());
  }
  sequence.table.truncate(0);
  sequence.finished = true;
  sink(std::move(event));
}

std::size_t Engine::running() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(sequences_, [](auto& sequence) { return sequence->running; }));
}

bool Engine::is_running(SequenceId request) const {
  return std::ranges::any_of(sequences_, [&](auto& sequence) {
    return sequence->request == request && sequence->running;
  });
}

std::size_t Engine::waiting() const {
  return sequences_.size() - running();
}

Status Engine::check_text(std::span<const TokenId> tokens) const {
  if (tokens.empty()) return invalid("the text is empty; it needs at least one token");
  if (tokens.size() > options_.context) {
    return invalid("the text has {} tokens; the context holds {}", tokens.size(), options_.context);
  }
  for (const TokenId id : tokens) {
    if (id < 0 || static_cast<std::size_t>(id) >= model_->blueprint().vocabulary) {
      return invalid("the text names token {}; the vocabulary has {}", id,
                     model_->blueprint().vocabulary);
    }
  }
  return {};
}

// One run: as many tokens as there are rows of output.
Status Engine::fill(BlockTable& table, std::size_t from, std::span<const TokenId> tokens,
                    OutputKind kind, const std::function<void(std::span<const float>)>& row,
                    const Adapter* adapter) {
  const std::size_t end = from + tokens.size(), needed = table.blocks_needed(from, end);
  const std::size_t promised = promised_blocks(), most = cache_->admissible();
  if (needed + promised > most) {
    return fail(ErrorKind::kUnavailable, "{} tokens need {} KV blocks more; {} of {} are free", end,
                needed, most - std::min(promised, most), cache_->capacity());
  }
  cache_->make_room(needed);
  LATHE_TRY_STATUS(table.prepare(from, end));
  const Slice slice{.tokens = tokens,
                    .first_position = from,
                    .table = &table,
                    .outputs = tokens.size(),
                    .adapter = adapter};
  forward_->run({&slice, 1}, kind);
  for (std::size_t i = 0; i < tokens.size(); ++i) row(forward_->output(i));
  return {};
}

Status Engine::logits(std::span<const TokenId> tokens,
                      const std::function<void(std::span<const float>)>& row,
                      const Adapter* adapter) {
  LATHE_TRY_STATUS(check_text(tokens));
  BlockTable table(cache_->pool());
  for (std::size_t from = 0; from < tokens.size(); from += forward_->max_outputs()) {
    const std::size_t count = std::min(forward_->max_outputs(), tokens.size() - from);
    LATHE_TRY_STATUS(
        fill(table, from, tokens.subspan(from, count), OutputKind::kLogits, row, adapter));
  }
  return {};
}

Result<std::vector<double>> Engine::measure_steps() {
  std::vector<std::pair<std::size_t, double>> measured;  // width → seconds
  const std::size_t most = std::min(forward_->max_outputs(), options_.context);
  double spent = 0;
  for (std::size_t width = 1; width <= most; width *= 2) {
    const std::vector<TokenId> tokens(width, 0);
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < (spent < kMeasureSeconds ? 2 : 1); ++i) {
      BlockTable table(cache_->pool());
      const auto start = std::chrono::steady_clock::now();
      LATHE_TRY_STATUS(fill(table, 0, tokens, OutputKind::kLogits, [](std::span<const float>) {}));
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
      table_(engine.cache_->pool()),
      promised_(blocks_for(tokens_.size())),
      sum_(engine.model_->blueprint().embedding) {
  engine.reading_blocks_ += promised_;
}

Engine::Reading::~Reading() {
  engine_->reading_blocks_ -= promised_;
}

Status Engine::check_reading(std::span<const TokenId> tokens) const {
  LATHE_TRY_STATUS(check_text(tokens));
  const std::size_t needed = blocks_for(tokens.size()), promised = promised_blocks();
  if (needed > cache_->capacity()) {
    return invalid(
        "the text has {} tokens and needs {} KV blocks; the pool has {} (of {} tokens each)",
        tokens.size(), needed, cache_->capacity(), kChunk);
  }
  if (needed + promised > cache_->admissible()) {
    return fail(ErrorKind::kUnavailable, "{} tokens need {} KV blocks; too few are free now",
                tokens.size(), needed);
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
  const std::size_t count = std::min(engine_->forward_->max_outputs(), tokens_.size() - at_);
  const std::size_t taken = table_.blocks_needed(at_, at_ + count);
  promised_ -= taken;
  engine_->reading_blocks_ -= taken;
  const auto row = [&](std::span<const float> values) {
    if (on_logits_)
      on_logits_(at_, values);
    else
      pool(values);
    ++at_;
  };
  LATHE_TRY_STATUS(engine_->fill(table_, at_, std::span(tokens_).subspan(at_, count),
                                 on_logits_ ? OutputKind::kLogits : OutputKind::kHidden, row,
                                 adapter_.get()));
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
