#include "infer/engine/engine.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "infer/engine/answer_text.h"

namespace lathe {
namespace {

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
  std::size_t cached = 0;
  bool running = false, cancelled = false, finished = false;

  bool decoding() const { return computed >= spec->prompt.size(); }
};

Engine::Engine(const Model& model, const Tokenizer& tokenizer, EngineOptions options,
               BlockPool pool)
    : model_(&model),
      tokenizer_(&tokenizer),
      options_(options),
      pool_(std::move(pool)),
      index_(pool_) {}

Engine::~Engine() = default;

Status check_context(const Blueprint& blueprint, KvType kv, std::size_t context) {
  if (context > blueprint.context) {
    return invalid("a context of {} tokens was asked for; {} was made for {}", context,
                   blueprint.name.empty() ? "this model" : blueprint.name, blueprint.context);
  }
  for (const LayerSpec& layer : blueprint.layers) {
    if (kv == KvType::kQ8_0 && layer.attention.head_dim % kActivationBlock != 0) {
      return invalid(
          "heads of {} dimensions do not fit a q8_0 cache, whose blocks have {}; use f16",
          layer.attention.head_dim, kActivationBlock);
    }
  }
  return {};
}

Result<std::unique_ptr<Engine>> Engine::create(const Model& model, const Tokenizer& tokenizer,
                                               ThreadTeam& team, const EngineOptions& options) {
  const Blueprint& blueprint = model.blueprint();
  EngineOptions checked = options;
  if (checked.context == 0) checked.context = blueprint.context;
  LATHE_TRY_STATUS(check_context(blueprint, checked.kv, checked.context));
  if (tokenizer.size() != blueprint.vocabulary) {
    return invalid("the vocabulary has {} tokens and the embedding {} rows; the file is damaged",
                   tokenizer.size(), blueprint.vocabulary);
  }
  const auto states = blueprint.states();
  LATHE_TRY(BlockPool pool,
            BlockPool::create(BlockLayout(states, model.kernels().kv_format(checked.kv)),
                              blocks_for(checked.kv_tokens)));
  std::unique_ptr<Engine> engine(new Engine(model, tokenizer, checked, std::move(pool)));
  LATHE_TRY(engine->forward_, Forward::create(model, team, engine->pool_.layout(),
                                              checked.step_tokens, checked.step_outputs()));
  return engine;
}

Engine::Bytes Engine::bytes() const {
  return {model_->weight_bytes(), pool_.capacity() * pool_.layout().bytes(), pool_.used_bytes(),
          forward_->scratch_bytes()};
}

Status Engine::check(const GenerationRequest& request) const {
  if (request.prompt.empty()) return invalid("the prompt is empty; it needs at least one token");
  for (const TokenId id : request.prompt) {
    if (id < 0 || static_cast<std::size_t>(id) >= model_->blueprint().vocabulary) {
      return invalid("the prompt names token {}; the vocabulary has {}", id,
                     model_->blueprint().vocabulary);
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
    limit = std::min(limit, pool_.capacity() * kChunk);
  std::unique_ptr<Sequence> sequence(new Sequence{.id = next_id_,
                                                  .request = next_id_,
                                                  .candidate = 0,
                                                  .spec = spec,
                                                  .tokens = spec->prompt,
                                                  .limit = limit,
                                                  .table = BlockTable(pool_),
                                                  .sampler = Sampler(spec->sampler, 0, *tokenizer_),
                                                  .constraint = nullptr,
                                                  .text = AnswerText(*tokenizer_, spec->stop)});
  if (limit <= prompt || blocks_left(*sequence) > pool_.capacity()) {
    return invalid(
        "{} prompt tokens and {} answers of up to {} need {} KV blocks; the pool has {} (of {} "
        "tokens each)",
        prompt, spec->candidates, limit - std::min(limit, prompt), blocks_left(*sequence),
        pool_.capacity(), kChunk);
  }
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
  std::size_t blocks = 0;
  for (auto& sequence : sequences_) blocks += sequence->running ? blocks_left(*sequence) : 0;
  return blocks;
}

StepPlan Engine::plan() const {
  std::vector<SequenceState> states;
  bool waiting = false;
  for (auto& sequence : sequences_) {
    states.push_back({.id = sequence->id,
                      .running = sequence->running,
                      .pending = sequence->tokens.size() - sequence->computed,
                      .decoding = sequence->decoding(),
                      .blocks_left = blocks_left(*sequence)});
    waiting = waiting || !sequence->running;
  }
  return plan_step(states,
                   {.step_tokens = options_.step_tokens,
                    .step_outputs = forward_->max_outputs(),
                    .sequences = options_.sequences,
                    .free_blocks = pool_.free_blocks() + (waiting ? index_.reclaimable() : 0)});
}

void Engine::admit(Sequence& sequence) {
  sequence.running = true;
  if (!options_.reuse_prefixes) return;
  // The last prompt token is always computed: its logits are wanted.
  sequence.computed = index_.take(sequence.tokens, sequence.tokens.size() - 1, sequence.table);
  sequence.cached = sequence.computed;
}

bool Engine::step(const Sink& sink) {
  if (sequences_.empty()) return false;
  for (auto& sequence : sequences_) {
    if (sequence->cancelled) finish(*sequence, StopReason::kCancelled, {}, sink);
  }
  std::erase_if(sequences_, [](auto& sequence) { return sequence->finished; });
  const StepPlan next = plan();
  for (const SequenceId id : next.admit) admit(*find(id));
  compute(next, sink);
  std::erase_if(sequences_, [](auto& sequence) { return sequence->finished; });
  return true;
}

void Engine::compute(const StepPlan& plan, const Sink& sink) {
  std::vector<Slice> slices;
  std::vector<Sequence*> parts;
  for (const StepPlan::Part& part : plan.parts) {
    Sequence& sequence = *find(part.id);
    // A prefix that was taken over leaves less to compute than was planned.
    const std::size_t count = std::min(part.tokens, sequence.tokens.size() - sequence.computed);
    const std::size_t needed =
        sequence.table.blocks_needed(sequence.computed, sequence.computed + count);
    index_.reclaim(needed);
    LATHE_CHECK(sequence.table.prepare(sequence.computed, sequence.computed + count).has_value());
    const std::span<const TokenId> all = sequence.tokens;
    const bool last = sequence.computed + count == all.size();
    slices.push_back({.tokens = all.subspan(sequence.computed, count),
                      .first_position = sequence.computed,
                      .table = &sequence.table,
                      .outputs = last ? 1u : 0u});
    parts.push_back(&sequence);
  }
  if (slices.empty()) return;
  forward_->run(slices);
  std::size_t row = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Sequence& sequence = *parts[i];
    const bool prompt = !sequence.decoding();
    sequence.computed += slices[i].tokens.size();
    if (slices[i].outputs == 0) continue;
    if (prompt) {
      prompt_done(sequence, row, sink);
    } else {
      take_token(sequence, row, sink);
    }
    ++row;
  }
}

// The prompt is computed: its whole blocks may serve others from now on, and the candidates part
// ways.
void Engine::prompt_done(Sequence& parent, std::size_t row, const Sink& sink) {
  const std::size_t prompt = parent.tokens.size();
  if (options_.reuse_prefixes) {
    index_.put(std::span<const TokenId>(parent.tokens).first(prompt / kChunk * kChunk),
               parent.table);
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
                     .cached = prompt,
                     .running = true}));
    candidates.push_back(sequences_.back().get());
  }
  for (Sequence* candidate : candidates) take_token(*candidate, row, sink);
}

void Engine::take_token(Sequence& sequence, std::size_t row, const Sink& sink) {
  const std::span<const float> logits = forward_->output(row);
  const GenerationRequest& spec = *sequence.spec;
  std::span<const std::uint32_t> mask;
  if (sequence.constraint || spec.ignore_end) {
    mask_.assign((logits.size() + 31) / 32, ~0u);
    if (sequence.constraint && !sequence.constraint->mask(mask_)) {
      return finish(sequence, StopReason::kGrammarDeadEnd, {}, sink);
    }
    if (spec.ignore_end) {
      for (const TokenId id : tokenizer_->end_tokens()) {
        mask_[static_cast<std::size_t>(id) / 32] &= ~(1u << (static_cast<std::size_t>(id) % 32));
      }
    }
    mask = mask_;
  }
  const std::optional<TokenId> token =
      sequence.sampler.sample(logits, mask, sequence.tokens.size());
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
  event.usage = {.prompt_tokens = sequence.spec->prompt.size(),
                 .cached_tokens = sequence.cached,
                 .output_tokens = sequence.tokens.size() - sequence.spec->prompt.size()};
  if (options_.reuse_prefixes && sequence.running) {
    index_.put(std::span<const TokenId>(sequence.tokens).first(sequence.computed), sequence.table);
  }
  sequence.table.truncate(0);
  sequence.finished = true;
  sink(std::move(event));
}

Status Engine::fill(std::span<const TokenId> tokens, OutputKind kind,
                    const std::function<void(std::span<const float>)>& row) {
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
  const std::size_t needed = blocks_for(tokens.size()), promised = promised_blocks();
  index_.reclaim(needed + promised);
  if (needed + promised > pool_.free_blocks()) {
    return fail(ErrorKind::kUnavailable, "{} tokens need {} KV blocks; {} of {} are free",
                tokens.size(), needed,
                pool_.free_blocks() - std::min(promised, pool_.free_blocks()), pool_.capacity());
  }
  BlockTable table(pool_);
  for (std::size_t from = 0; from < tokens.size();) {
    const std::size_t count = std::min(forward_->max_outputs(), tokens.size() - from);
    LATHE_TRY_STATUS(table.prepare(from, from + count));
    const Slice slice{.tokens = tokens.subspan(from, count),
                      .first_position = from,
                      .table = &table,
                      .outputs = count};
    forward_->run({&slice, 1}, kind);
    for (std::size_t i = 0; i < count; ++i) row(forward_->output(i));
    from += count;
  }
  return {};
}

Status Engine::logits(std::span<const TokenId> tokens,
                      const std::function<void(std::span<const float>)>& row) {
  return fill(tokens, OutputKind::kLogits, row);
}

Result<std::vector<float>> Engine::embed(std::span<const TokenId> tokens, Pooling pooling) {
  std::vector<double> sum(model_->blueprint().embedding);
  std::size_t index = 0;
  LATHE_TRY_STATUS(fill(tokens, OutputKind::kHidden, [&](std::span<const float> hidden) {
    const bool wanted = pooling == Pooling::kMean || (pooling == Pooling::kCls && index == 0) ||
                        (pooling == Pooling::kLast && index + 1 == tokens.size());
    ++index;
    if (!wanted) return;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(hidden[i]);
  }));
  const double norm = std::sqrt(std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0));
  std::vector<float> out(sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i)
    out[i] = static_cast<float>(norm > 0 ? sum[i] / norm : 0);
  return out;
}

}  // namespace lathe
