// The loop: admits, plans a step, computes it, samples, gives back.
#include "infer/engine/engine.h"

#include <algorithm>

#include "ground/base/units.h"
#include "infer/engine/answer_text.h"

namespace lathe::infer {

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

Claim claim_of(const GenerationRequest& request, std::size_t limit, const ExecutorOptions& options,
               bool guesses) {
  const std::size_t prompt = request.prompt.size();
  return {.prompt = prompt,
          .positions = limit,
          .candidates = request.candidates,
          .prompt_step = std::min(prompt, options.step_tokens),
          .answer_step = request.draft.empty() && !guesses ? 1 : options.step_outputs()};
}

Claim claim_of(std::size_t tokens, const ExecutorOptions& options) {
  return {
      .prompt = tokens, .positions = tokens, .prompt_step = std::min(tokens, options.step_tokens)};
}

struct Engine::Sequence {
  SequenceId id;
  SequenceId request;
  std::size_t candidate;
  std::shared_ptr<const GenerationRequest> spec;
  std::vector<TokenId> tokens;    // the prompt and what was sampled; kNoToken: a row
  std::vector<PositionKey> keys;  // by which the prefix index knows them
  std::size_t computed = 0;       // positions whose KV is there
  std::size_t limit;              // tokens it may come to
  SequenceMemory memory;
  Sampler sampler;
  std::unique_ptr<Constraint> constraint;
  AnswerText text;
  std::optional<Drafter> drafter;
  std::optional<DraftModel::Trail> trail;  // where a draft model guesses
  bool guessed = false;                    // by it, this time
  std::size_t checkpoint = 0;              // positions that the prefix index had last
  std::size_t cached = 0;
  std::size_t accepted_drafts = 0, rejected_drafts = 0;
  std::size_t reached = 0;  // positions that it had computed when it last gave way
  bool running = false, cancelled = false, finished = false, resting = false;

  bool answers() const { return tokens.size() > spec->prompt.size(); }
  // It gave way in the middle of its answer, which is read like a prompt now.
  bool reads_again() const { return answers() && computed < reached; }
  bool decoding() const { return computed >= spec->prompt.size() && !reads_again(); }
  // What so many tokens from `computed` on are to a step.
  StepSizes::Part count(std::size_t known, std::size_t drafted) const {
    if (decoding()) return {.request = request, .answer = known + drafted};
    const std::size_t again = std::min(known, reached - std::min(reached, computed));
    return {.request = request, .prompt = known - again, .again = again};
  }
  PrefixSpace space() const {
    return {.weights = spec->adapter ? spec->adapter->id() : 0, .owner = spec->prefix_owner};
  }
};

Engine::Engine(std::unique_ptr<Executor> executor, const Tokenizer& tokenizer,
               EngineOptions options)
    : executor_(std::move(executor)), tokenizer_(&tokenizer), options_(options) {}

Engine::~Engine() {
  executor_->leave_store();
}

Status check_context(const Blueprint& blueprint, std::size_t context) {
  if (context > blueprint.context) {
    return invalid("a context of {} tokens was asked for; {} was made for {}", context,
                   blueprint.name.empty() ? "this model" : blueprint.name, blueprint.context);
  }
  return {};
}

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<Executor> executor,
                                               const Tokenizer& tokenizer,
                                               const EngineOptions& options, KvBudget* budget) {
  const Blueprint& blueprint = executor->blueprint();
  EngineOptions checked = options;
  if (blueprint.codes != 0) return std::unexpected(check_generates(blueprint).error());
  if (checked.context == 0) checked.context = blueprint.context;
  LATHE_TRY_STATUS(check_context(blueprint, checked.context));
  if (!blueprint.generates)
    checked.context = std::min(checked.context, executor->options().step_outputs());
  if (tokenizer.size() != blueprint.vocabulary) {
    return invalid("the vocabulary has {} tokens and the embedding {} rows; the file is damaged",
                   tokenizer.size(), blueprint.vocabulary);
  }
  const MemoryLayout& layout = executor->layout();
  const std::size_t blocks = blocks_for(checked.kv_tokens);
  // A sequence's state, one more while it checks drafts, and what the prefix index keeps of it;
  // those of others are room like that of blocks.
  constexpr std::size_t kCarried = 2 + kStateCheckpoints;
  std::unique_ptr<Engine> engine(new Engine(std::move(executor), tokenizer, checked));
  if (budget == nullptr) {
    engine->own_budget_ =
        std::make_unique<KvBudget>(static_cast<std::uint64_t>(std::min<unsigned __int128>(
            static_cast<unsigned __int128>(blocks) * layout.block_bytes() +
                static_cast<unsigned __int128>(kCarried) * layout.state_bytes(),
            UINT64_MAX)));
    budget = engine->own_budget_.get();
  }
  LATHE_TRY(engine->cache_, KvCache::create(layout, blocks, *budget, kCarried));
  engine->executor_->set_store(engine->cache_->store());
  return engine;
}

Engine::Bytes Engine::bytes() const {
  const MemoryStore& store = cache_->store();
  Bytes bytes{.weights = executor_->weight_bytes(),
              .scratch = executor_->scratch_bytes(),
              .kv_pool = store.capacity_bytes(),
              .kv_used = store.used_bytes()};
  if (!draft_model_) return bytes;
  const DraftModel::Bytes draft = draft_model_->bytes();
  bytes.weights += draft.weights;
  bytes.scratch += draft.scratch;
  bytes.scratch.add(kHostDevice, draft.memory);
  return bytes;
}

// `together`: rows that can be computed in one step.
Status Engine::check_prompt(const Prompt& prompt, std::size_t together,
                            std::string_view what) const {
  const Blueprint& blueprint = executor_->blueprint();
  for (const PlacedRows& run : prompt.rows()) {
    if (run.block->width() != blueprint.row_width())
      return invalid("the {} has rows of {} numbers; the model reads such of {}", what,
                     run.block->width(), blueprint.row_width());
    if (run.block->shape().mutual && run.block->rows() > together)
      return invalid("the {} has {} rows that see each other; at most {} fit into a step", what,
                     run.block->rows(), together);
    if (run.block->shape().mutual && blueprint.chooses())
      return invalid("the {} has rows that see each other; {} chooses what a token sees", what,
                     blueprint.architecture);
  }
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    const TokenId id = prompt.ids()[i];
    if ((id < 0 || static_cast<std::size_t>(id) >= blueprint.vocabulary) &&
        row_at(prompt.rows(), i) == nullptr)
      return invalid("the {} names token {}; the vocabulary has {}", what, id,
                     blueprint.vocabulary);
  }
  return {};
}

Status check_generates(const Blueprint& blueprint) {
  if (blueprint.codes != 0)
    return invalid("{} speaks: what it makes are codes of sound (lathe speak --model), no text",
                   blueprint.architecture);
  if (blueprint.generates) return {};
  return invalid("{} is an encoder: it makes {} of texts and writes none", blueprint.architecture,
                 blueprint.ranks ? "scores" : "embeddings");
}

Status Engine::check(const GenerationRequest& request) const {
  LATHE_TRY_STATUS(check_generates(executor_->blueprint()));
  if (request.prompt.empty()) return invalid("the prompt is empty; it needs at least one token");
  LATHE_TRY_STATUS(check_prompt(request.prompt, executor_->options().step_tokens, "prompt"));
  for (const auto& ids : {std::span(request.draft), std::span(request.replay)}) {
    for (const TokenId id : ids) {
      if (id < 0 || static_cast<std::size_t>(id) >= executor_->blueprint().vocabulary) {
        return invalid("the prompt names token {}; the vocabulary has {}", id,
                       executor_->blueprint().vocabulary);
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
  return check_sampler(request.sampler, executor_->blueprint().vocabulary);
}

Result<SequenceId> Engine::add(GenerationRequest request) {
  LATHE_TRY_STATUS(check(request));
  auto spec = std::make_shared<const GenerationRequest>(std::move(request));
  // Without a limit of its own a sequence may fill the context, or all of the pool if that is
  // smaller.
  const std::size_t prompt = spec->prompt.size();
  std::size_t limit = spec->max_tokens != 0 ? prompt + spec->max_tokens : options_.context;
  if (spec->max_tokens == 0 && spec->candidates == 1)
    limit = std::min(limit, positions_within(cache_->store().layout(),
                                             claim_of(*spec, limit, executor_->options(),
                                                      draft_model_ != nullptr),
                                             cache_->capacity()));
  std::unique_ptr<Sequence> sequence(new Sequence{.id = next_id_,
                                                  .request = next_id_,
                                                  .candidate = 0,
                                                  .spec = spec,
                                                  .tokens = spec->prompt.ids(),
                                                  .keys = spec->prompt.keys(),
                                                  .limit = limit,
                                                  .memory = SequenceMemory(cache_->store()),
                                                  .sampler = Sampler(spec->sampler, 0, *tokenizer_),
                                                  .constraint = nullptr,
                                                  .text = AnswerText(*tokenizer_, spec->stop),
                                                  .drafter = std::nullopt,
                                                  .trail = std::nullopt});
  if (limit <= prompt || bytes_left(*sequence) > cache_->capacity()) {
    return invalid("{} prompt tokens and {} answers of up to {} need {} of KV; there are {}",
                   prompt, spec->candidates, limit - std::min(limit, prompt),
                   format_bytes(bytes_left(*sequence)), format_bytes(cache_->capacity()));
  }
  const std::vector<TokenId> words = spec->prompt.tokens();
  if (!spec->draft.empty()) sequence->drafter.emplace(spec->draft, words);
  // What an adapter changes, it does not know; and several answers share a step as they are.
  if (draft_model_ && spec->candidates == 1 && !spec->adapter)
    sequence->trail.emplace(draft_model_->begin());
  if (spec->grammar) sequence->constraint = Constraint::start(spec->grammar);
  for (const TokenId token : words) sequence->sampler.accept(token);
  sequences_.push_back(std::move(sequence));
  return next_id_++;
}

void Engine::cancel(SequenceId request) {
  for (auto& sequence : sequences_) sequence->cancelled |= sequence->request == request;
}

void Engine::rest(SequenceId request, bool rests) {
  for (auto& sequence : sequences_)
    if (sequence->request == request) sequence->resting = rests;
}

void Engine::give_way(SequenceId request) {
  for (auto& sequence : sequences_) {
    if (sequence->request != request || !sequence->running) continue;
    if (options_.reuse_prefixes) remember(*sequence, sequence->computed);
    sequence->memory.clear();
    sequence->reached = std::max(sequence->reached, sequence->computed);
    sequence->computed = sequence->checkpoint = 0;
    sequence->running = false;
  }
  cache_->promise(promised_bytes());
}

Engine::Sequence* Engine::find(SequenceId id) {
  for (auto& sequence : sequences_) {
    if (sequence->id == id) return sequence.get();
  }
  return nullptr;
}

// What it may still take: its own blocks up to its limit, and those of the candidates that will
// fork from it.
std::uint64_t Engine::bytes_left(const Sequence& sequence) const {
  Claim claim =
      claim_of(*sequence.spec, sequence.limit, executor_->options(), draft_model_ != nullptr);
  if (sequence.answers()) claim.candidates = 1;
  if (sequence.decoding()) claim.prompt_step = 1;
  return sequence.memory.bytes_left(sequence.computed, claim);
}

std::uint64_t Engine::promised_bytes() const {
  std::uint64_t bytes = reading_bytes_;
  for (auto& sequence : sequences_) bytes += sequence->running ? bytes_left(*sequence) : 0;
  return bytes;
}

void Engine::use_draft_model(std::unique_ptr<DraftModel> model, double seconds) {
  LATHE_CHECK(!model->reads_hidden() || executor_->options().keep_hidden);
  draft_model_ = std::move(model);
  draft_seconds_ = seconds;
}

// Where no text tells what comes next, the draft model does, as far ahead as pays.
void Engine::guess() {
  std::vector<DraftModel::Ask> asks;
  std::size_t streams = 0;
  const auto decodes = [](const Sequence& sequence) {
    return sequence.running && !sequence.resting && sequence.decoding();
  };
  for (auto& sequence : sequences_) streams += decodes(*sequence) ? 1 : 0;
  for (auto& sequence : sequences_) {
    sequence->guessed = false;
    if (!sequence->trail || !decodes(*sequence)) continue;
    DraftModel::Trail& trail = *sequence->trail;
    const bool text_tells = sequence->drafter && !sequence->drafter->propose(1).empty() &&
                            sequence->drafter->confidence() > trail.confidence();
    const std::size_t most =
        text_tells
            ? 0
            : std::min(sequence->limit - sequence->tokens.size() - 1,
                       guesses_worth(trail.confidence(), draft_seconds_, streams, step_seconds_));
    if (most == 0) {
      trail.rest();
      continue;
    }
    sequence->guessed = true;
    asks.push_back({&trail, sequence->tokens, most});
  }
  if (!asks.empty()) draft_model_->propose(asks);
}

StepPlan Engine::plan(std::size_t prompt_tokens) {
  if (draft_model_ && !step_seconds_.empty()) guess();
  std::vector<SequenceState> states;
  bool waiting = false;
  for (auto& sequence : sequences_) {
    if (sequence->resting && !sequence->running) continue;
    SequenceState state{.id = sequence->id,
                        .running = sequence->running,
                        .pending = sequence->tokens.size() - sequence->computed,
                        .computed = sequence->computed,
                        .rows = sequence->spec->prompt.rows(),
                        .decoding = sequence->decoding(),
                        .rewinds = sequence->memory.has_state(),
                        .bytes_left = bytes_left(*sequence)};
    if (sequence->resting) {
      state.pending = 0;
    } else if (sequence->guessed) {
      state.drafted = sequence->trail->guess().size();
      state.confidence = sequence->trail->confidence();
    } else if (state.decoding && sequence->drafter && !step_seconds_.empty()) {
      // The last token of an answer need not be drafted.
      const std::size_t most = sequence->limit - sequence->tokens.size() - 1;
      state.drafted = sequence->drafter->propose(std::min(most, step_seconds_.size())).size();
      state.confidence = sequence->drafter->confidence();
    }
    states.push_back(state);
    waiting = waiting || !sequence->running;
  }
  return plan_step(states, {.step_tokens = executor_->options().step_tokens,
                            .step_outputs = executor_->options().step_outputs(),
                            .sequences = options_.sequences,
                            .free_bytes = waiting ? cache_->admissible() : 0,
                            .prompt_tokens = prompt_tokens,
                            .step_seconds = step_seconds_});
}

void Engine::admit(Sequence& sequence) {
  sequence.running = true;
  if (!options_.reuse_prefixes) return;
  cache_->make_room_for_state();
  LATHE_CHECK(sequence.memory.prepare(0, 0).has_value());
  // The last prompt token is always computed: its logits are wanted.
  sequence.computed = cache_->index().take(sequence.keys, sequence.keys.size() - 1, sequence.memory,
                                           sequence.space());
  sequence.checkpoint = sequence.computed;
  if (sequence.reached == 0) sequence.cached = sequence.computed;
}

bool Engine::step(const Sink& sink, std::size_t prompt_tokens) {
  if (sequences_.empty()) return false;
  for (auto& sequence : sequences_) {
    if (sequence->cancelled) finish(*sequence, StopReason::kCancelled, {}, sink);
  }
  std::erase_if(sequences_, [](auto& sequence) { return sequence->finished; });
  if (!executor_->lost()) return !sequences_.empty();
  const StepPlan next = plan(prompt_tokens);
  for (const SequenceId id : next.admit) admit(*find(id));
  cache_->promise(promised_bytes());
  compute(next, sink);
  std::erase_if(sequences_, [](auto& sequence) { return sequence->finished; });
  cache_->promise(promised_bytes());
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
    const std::size_t known =
        cut(sequence, std::min(part.tokens, sequence.tokens.size() - sequence.computed));
    if (known == 0) continue;  // rows behind that prefix need more room
    std::span<const TokenId> tokens =
        std::span<const TokenId>(sequence.tokens).subspan(sequence.computed, known);
    const bool last = sequence.computed + known == sequence.tokens.size();
    parts.push_back({&sequence, part.drafted, {}});
    last_step_.parts.push_back(sequence.count(known, part.drafted));
    (sequence.decoding() ? last_step_.answer_tokens : last_step_.prompt_tokens) += known;
    last_step_.drafted_tokens += part.drafted;
    if (part.drafted > 0) {
      std::vector<TokenId>& all = parts.back().tokens;
      const auto drafted = sequence.guessed ? sequence.trail->guess().first(part.drafted)
                                            : sequence.drafter->propose(part.drafted);
      all.assign(tokens.begin(), tokens.end());
      all.insert(all.end(), drafted.begin(), drafted.end());
      tokens = all;
    }
    const std::size_t end = sequence.computed + tokens.size();
    prepare(sequence, end, part.drafted > 0);
    slices.push_back({.tokens = tokens,
                      .first_position = sequence.computed,
                      .rows = sequence.spec->prompt.rows(),
                      .memory = &sequence.memory,
                      .outputs = last ? 1 + part.drafted : 0,
                      .adapter = sequence.spec->adapter.get()});
  }
  if (slices.empty()) return;
  executor_->run(slices, OutputKind::kLogits);
  if (!executor_->lost()) return;
  std::size_t row = 0, token = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Sequence& sequence = *parts[i].sequence;
    const bool prompt = !sequence.decoding();
    const std::size_t from = sequence.computed;
    sequence.computed += slices[i].tokens.size() - parts[i].drafted;
    if (slices[i].outputs == 0) {
      checkpoint(sequence);
    } else if (prompt && !sequence.answers()) {
      prompt_done(sequence, row, sink);
    } else {
      take_token(sequence, row, sink);
      if (parts[i].drafted > 0)
        check_drafts(sequence, std::span(parts[i].tokens).last(parts[i].drafted), row + 1, sink);
    }
    row += slices[i].outputs;
    sequence.computed = sequence.memory.settle(sequence.computed);
    observe(sequence, token, from, sequence.computed - from);
    token += slices[i].tokens.size();
  }
}

// Its hidden states at so many positions, rows of the last step, to the draft model.
void Engine::observe(Sequence& sequence, std::size_t row, std::size_t position, std::size_t count) {
  if (!draft_model_ || !draft_model_->reads_hidden() || !sequence.trail || sequence.finished ||
      count == 0)
    return;
  const std::span<const float> first = executor_->hidden(row);
  draft_model_->observe(*sequence.trail, sequence.tokens, position,
                        {first.data(), count * first.size()});
}

// Its memory up to `end`, which was promised to it: where no room is left for a copy of what it
// shares with the prefix index, that gives it up.
void Engine::prepare(Sequence& sequence, std::size_t end, bool undo) {
  const auto needed = [&] { return sequence.memory.blocks_needed(sequence.computed, end, undo); };
  cache_->make_room(needed());
  if (!cache_->store().can_take(needed())) {
    cache_->index().forget(std::span(sequence.keys).first(sequence.computed), sequence.space());
    cache_->make_room(needed());
  }
  LATHE_CHECK(sequence.memory.prepare(sequence.computed, end, undo).has_value());
}

// How many of the next `known` tokens of a prompt to compute in one step: a state can only be
// remembered where a step ends, and there by whole blocks. So that the same prompt, whose last
// token is always computed, can go on from near its end, a long one has its last few to itself.
// Rows that see each other are in one step, whatever that prefix has left of them: what stands
// there was computed with all of them.
std::size_t Engine::cut(const Sequence& sequence, std::size_t known) const {
  // What was promised to it, was so for steps of its prompt's length.
  if (sequence.reads_again())
    known = std::min({known, sequence.spec->prompt.size(), executor_->options().step_tokens});
  if (sequence.decoding()) return known;
  const auto uncut_of = [&](std::size_t count) {
    return uncut(sequence.spec->prompt.rows(), sequence.computed, count);
  };
  known = uncut_of(known);
  if (!options_.reuse_prefixes || !sequence.memory.has_state()) return known;
  const std::size_t end = sequence.computed + known, prompt = sequence.tokens.size();
  const std::size_t whole = (end == prompt ? end - 1 : end) / kChunk * kChunk;
  if (end == prompt && whole < sequence.checkpoint + kCheckpoint / 2) return known;
  const std::size_t shorter = whole > sequence.computed ? uncut_of(whole - sequence.computed) : 0;
  return shorter != 0 ? shorter : known;
}

// Where windows let go of what they have passed, and states of all of it, a prompt that shares only
// the beginning of this one could not go on: now and then the index gets what it would need.
void Engine::checkpoint(Sequence& sequence) {
  const MemoryLayout& layout = cache_->store().layout();
  const bool near_end =
      layout.state_group() && sequence.tokens.size() - sequence.computed <= kChunk;
  if (!options_.reuse_prefixes || layout.keeps_all() ||
      (sequence.computed - sequence.checkpoint <
           checkpoint_distance(layout, sequence.tokens.size()) &&
       !near_end))
    return;
  sequence.checkpoint = sequence.computed;
  sequence.memory.settle(sequence.computed);
  remember(sequence, sequence.computed / kChunk * kChunk);
}

// Gives the first so many positions to the prefix index.
void Engine::remember(Sequence& sequence, std::size_t positions) {
  cache_->make_room_for_state();
  cache_->index().put(std::span(sequence.keys).first(positions), sequence.memory, sequence.space());
}

// Row k holds the logits behind the k-th drafted token: they count as long as each draft was what
// the rows before it gave. The KV of the others is written over later; a state goes back to where
// it stood before the step, and the tokens that counted are computed again with the next one.
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
    if (sequence.guessed)
      sequence.trail->checked(accepted, drafted.size());
    else
      sequence.drafter->checked(accepted, drafted.size());
  }
}

// The whole blocks of its prompt stay for a while. Kept prefixes never take more than half of what
// there is; and what of windows and states is kept with them is promised to nobody else.
void Engine::keep_prompt(const Sequence& sequence) {
  const std::size_t blocks = sequence.spec->prompt.size() / kChunk;
  const auto whole = std::span(sequence.keys).first(blocks * kChunk);
  const MemoryLayout& layout = cache_->store().layout();
  PrefixIndex& index = cache_->index();
  const std::uint64_t all = index.bytes_of(whole, sequence.space());
  const std::uint64_t parts = all - worst_case(layout, {.positions = whole.size()}).kv;
  if (index.kept_bytes() + all > cache_->capacity() / 2) return;
  if (parts != 0 && parts + promised_bytes() > cache_->admissible()) return;
  index.keep(whole, system_clock().monotonic() + sequence.spec->keep_prefix, sequence.space());
}

// The prompt is computed: its whole blocks may serve others from now on, and the candidates part
// ways.
void Engine::prompt_done(Sequence& parent, std::size_t row, const Sink& sink) {
  const std::size_t prompt = parent.tokens.size();
  parent.memory.settle(prompt);
  if (options_.reuse_prefixes) {
    remember(parent, prompt / kChunk * kChunk);
    if (parent.spec->keep_prefix.count() > 0) keep_prompt(parent);
  }
  std::vector<Sequence*> candidates{&parent};
  for (std::size_t c = 1; c < parent.spec->candidates; ++c) {
    sequences_.push_back(std::unique_ptr<Sequence>(
        new Sequence{.id = next_id_++,
                     .request = parent.request,
                     .candidate = c,
                     .spec = parent.spec,
                     .tokens = parent.tokens,
                     .keys = parent.keys,
                     .computed = parent.computed,
                     .limit = parent.limit,
                     .memory = parent.memory.fork(prompt),
                     .sampler = parent.sampler.fork(c),
                     .constraint = parent.constraint ? parent.constraint->fork() : nullptr,
                     .text = AnswerText(*tokenizer_, parent.spec->stop),
                     .drafter = parent.drafter,
                     .trail = std::nullopt,
                     .checkpoint = prompt,
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
  const std::span<const float> logits = executor_->output(row);
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
  sequence.keys.push_back(static_cast<PositionKey>(*token));
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
  if (options_.reuse_prefixes && sequence.running) remember(sequence, sequence.computed);
  sequence.memory.clear();
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

std::size_t Engine::admissible() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      sequences_, [](auto& sequence) { return !sequence->running && !sequence->resting; }));
}

std::size_t Engine::prompt_tokens_left() const {
  std::size_t tokens = 0;
  for (auto& sequence : sequences_)
    if (sequence->running && !sequence->resting && !sequence->decoding())
      tokens += sequence->tokens.size() - sequence->computed;
  return tokens;
}

}  // namespace lathe::infer
