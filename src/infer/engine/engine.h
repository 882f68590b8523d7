// The engine of one model: sequences in, tokens out. Many sequences share each step (continuous
// batching of prompt chunks and single tokens), prefixes are taken over from earlier sequences,
// candidates of one request fork its KV. What a sequence gets does not depend on any of that: the
// same request gives the same bits. Nor does it depend on drafts: a request may bring a text that
// its answer will probably repeat; several of its tokens are then checked in one step.
//
// One thread calls everything (the engine's loop); step() does the work, everything else only
// books. KV memory is promised when a sequence is admitted: a running sequence cannot run out of
// it.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/cache/kv_cache.h"
#include "infer/constraints/constraint.h"
#include "infer/engine/draft_model.h"
#include "infer/engine/drafter.h"
#include "infer/engine/sampler.h"
#include "infer/engine/scheduler.h"
#include "infer/executor/executor.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

struct EngineOptions {
  std::size_t context = 0;       // of one sequence; 0: as long as the model was trained for
  std::size_t kv_tokens = 4096;  // of all sequences and cached prefixes together
  std::size_t sequences = 32;
  bool reuse_prefixes = true;
};

// A context that the model was not made for is refused with both numbers.
Status check_context(const Blueprint& blueprint, std::size_t context);

// An encoder is refused: it has no logits.
Status check_generates(const Blueprint& blueprint);

// How relevant a document is to a query, in [0, 1], by what the head made of the two: the share of
// the first label, or of one alone the sigmoid.
double relevance_of(const Blueprint& blueprint, std::span<const float> scores);

struct GenerationRequest {
  Prompt prompt;               // at least one position
  std::size_t max_tokens = 0;  // 0: until the context is full
  std::size_t candidates = 1;  // that many answers from one prompt
  SamplerParams sampler;
  std::shared_ptr<const Grammar> grammar;
  std::vector<std::string> stop;  // the answer ends before one of these
  int top_logprobs = -1;          // -1: no logprobs; 0: only the chosen token's
  bool ignore_end = false;        // end tokens are banned, so that a measurement has its length
  // What the answer will probably repeat (the previous draft), and what else may recur in it.
  std::vector<TokenId> draft;
  // The answer, whatever the logits say: a measurement of real text on weights that know none.
  std::vector<TokenId> replay;
  Milliseconds keep_prefix{0};             // the prompt's KV stays that long beside other traffic
  std::shared_ptr<const Adapter> adapter;  // none: the model as it is
  std::uint64_t prefix_owner = 0;          // PrefixSpace::owner
};

// What it may come to want of the memory, with answers up to `limit` positions. `guesses`: a draft
// model may guess at it.
Claim claim_of(const GenerationRequest& request, std::size_t limit, const ExecutorOptions& options,
               bool guesses = false);
// The same for a text that is read (Engine::Reading).
Claim claim_of(std::size_t tokens, const ExecutorOptions& options);

enum class StopReason { kEndToken, kStopString, kLength, kGrammarDeadEnd, kCancelled };
// "end" "stop" "length" "grammar" "cancelled"
std::string_view stop_reason_name(StopReason reason);

// Tokens of one step that reads several texts.
inline constexpr std::size_t kReadTogether = 512;

struct SequenceUsage {
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;  // of the prompt, taken over from earlier work
  std::size_t output_tokens = 0;
  std::size_t accepted_drafts = 0, rejected_drafts = 0;  // drafted tokens that were checked
};

// What a step gave one sequence.
struct TokenEvent {
  SequenceId request = 0;
  std::size_t candidate = 0;
  TokenId token = kNoToken;  // kNoToken in a finishing event without one
  std::string text;  // complete UTF-8; text that may still become a stop string is held back
  std::optional<TokenLogprob> logprob;
  std::vector<TokenLogprob> top;
  std::optional<StopReason> finished;
  std::string stopped_by;  // with kStopString: which one
  SequenceUsage usage;     // with `finished`
};

class Engine {
 public:
  using Sink = std::function<void(TokenEvent)>;

  // References must outlive the engine. `budget` is shared with other engines of the same loop;
  // without one the engine has options.kv_tokens for itself.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<Executor> executor,
                                                const Tokenizer& tokenizer,
                                                const EngineOptions& options,
                                                KvBudget* budget = nullptr);
  ~Engine();

  // Refused with both numbers when it can never fit: the prompt and max_tokens against the model's
  // context and the pool.
  Result<SequenceId> add(GenerationRequest request);
  void cancel(SequenceId request);
  // While it rests it is in no step, nor is it admitted; what it holds it keeps.
  void rest(SequenceId request, bool rests);
  // It gives back all it holds, and waits to be admitted again: what others did not need of that
  // meanwhile it finds in the prefix index, the rest is computed again, to the same bits. Its
  // usage does not change.
  void give_way(SequenceId request);
  // One step over everything that is waiting; false when there was nothing to do. At most
  // `prompt_tokens` of prompts, so that the step takes no longer than its caller wants.
  bool step(const Sink& sink, std::size_t prompt_tokens = SIZE_MAX);
  // What the last step computed; what is computed again counts as of a prompt.
  struct StepSizes {
    std::size_t answer_tokens = 0, drafted_tokens = 0, prompt_tokens = 0;
    // The same of each sequence: rows of its answer (drafted ones too), tokens that are new, and
    // tokens that it had computed before it gave way.
    struct Part {
      SequenceId request = 0;
      std::size_t answer = 0, prompt = 0, again = 0;
    };
    std::vector<Part> parts = {};
  };
  const StepSizes& last_step() const { return last_step_; }
  bool idle() const { return sequences_.empty(); }
  std::size_t running() const;  // sequences that have been admitted
  std::size_t waiting() const;
  std::size_t admissible() const;  // of those that wait: what does not rest
  // Of prompts of what has been admitted and does not rest, not computed yet.
  std::size_t prompt_tokens_left() const;
  bool is_running(SequenceId request) const;  // admitted; false also for one that has ended

  // What steps of 1, 2, 3 … tokens take, measured: about a dozen steps. Not while anything runs.
  Result<std::vector<double>> measure_steps();
  // By these seconds it is decided how many drafted tokens a step checks. None: drafts are not
  // used.
  void use_step_seconds(std::vector<double> seconds) { step_seconds_ = std::move(seconds); }
  std::span<const double> step_seconds() const { return step_seconds_; }
  // Guesses at answers from now on, where that pays by the seconds of steps; before the first
  // request. `seconds`: of a step of it. One that reads hidden states needs an executor that keeps
  // them.
  void use_draft_model(std::unique_ptr<DraftModel> model, double seconds);

  // Behind the token at that position.
  using OnLogits = std::function<void(std::size_t position, std::span<const float> logits)>;

  // The hidden state of a text, pooled as the model says (or as told). It is read piece by piece,
  // so that others need not wait for all of it, but by an encoder, which reads it in one.
  class Reading {
   public:
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    Result<bool> step();  // true: done
    bool done() const { return at_ == text_.size(); }
    std::size_t left() const { return text_.size() - at_; }  // positions
    // What the model's head makes of the pooled text: a reranker's scores, or an embedding …
    std::vector<float> values() const;
    std::vector<float> vector() const;  // … of length 1

   private:
    friend class Engine;
    Reading(Engine& engine, Prompt text, Pooling pooling, OnLogits on_logits,
            std::shared_ptr<const Adapter> adapter);
    struct Piece;
    // What of it a step takes that has room for so many tokens, and rows of them; nothing: none.
    std::optional<Piece> next(std::size_t tokens, std::size_t rows) const;
    void take(std::span<const float> values);
    void pool(std::span<const float> hidden);
    std::size_t pooled() const { return pooling_ == Pooling::kMean ? text_.size() : 1; }
    void promise(std::uint64_t bytes);
    Engine* engine_;
    Prompt text_;
    Pooling pooling_;
    OnLogits on_logits_;  // none: the hidden state is wanted
    std::shared_ptr<const Adapter> adapter_;
    SequenceMemory memory_;
    std::uint64_t promised_ = 0;  // that it may still take
    std::size_t at_ = 0;
    std::vector<double> sum_;
  };
  // Must not outlive the engine. kUnavailable: its memory cannot be promised now.
  Result<std::unique_ptr<Reading>> read(Prompt text, Pooling pooling);
  // The same for the logits of every position.
  Result<std::unique_ptr<Reading>> score(Prompt text, OnLogits on_logits,
                                         std::shared_ptr<const Adapter> adapter);
  // The next piece of each, in one step, as far as it goes: of the first in any case, of those
  // behind it up to kReadTogether tokens in all. Their bits are those of each alone. kUnavailable:
  // there is no memory for the first one's; the others wait for theirs.
  Status step(std::span<Reading* const> readings);
  Result<std::vector<float>> embed(const Prompt& text, Pooling pooling);
  // What the head makes of each token, row by row (Blueprint::text_width()).
  Status hidden(const Prompt& text, const std::function<void(std::span<const float>)>& row);
  // The logits of every position, row by row.
  Status logits(const Prompt& text, const std::function<void(std::span<const float>)>& row,
                const Adapter* adapter = nullptr);

  struct Bytes {
    DeviceBytes weights, scratch;
    std::uint64_t kv_pool = 0, kv_used = 0;  // of the host; kv_pool: the most that it may take
  };
  Bytes bytes() const;
  KvCache& cache() { return *cache_; }
  const KvCache& cache() const { return *cache_; }
  const EngineOptions& options() const { return options_; }
  const Executor& executor() const { return *executor_; }

 private:
  struct Sequence;
  Engine(std::unique_ptr<Executor> executor, const Tokenizer& tokenizer, EngineOptions options);
  Status check(const GenerationRequest& request) const;
  Status check_text(const Prompt& text) const;
  Status check_prompt(const Prompt& prompt, std::size_t together, std::string_view what) const;
  Sequence* find(SequenceId id);
  std::uint64_t bytes_left(const Sequence& sequence) const;
  std::uint64_t promised_bytes() const;
  StepPlan plan(std::size_t prompt_tokens);
  void guess();
  void observe(Sequence& sequence, std::size_t row, std::size_t position, std::size_t count);
  void admit(Sequence& sequence);
  void compute(const StepPlan& plan, const Sink& sink);
  void prepare(Sequence& sequence, std::size_t end, bool undo);
  std::size_t cut(const Sequence& sequence, std::size_t known) const;
  void checkpoint(Sequence& sequence);
  void remember(Sequence& sequence, std::size_t positions);
  void keep_prompt(const Sequence& sequence);
  void prompt_done(Sequence& parent, std::size_t row, const Sink& sink);
  void check_drafts(Sequence& sequence, std::span<const TokenId> drafted, std::size_t row,
                    const Sink& sink);
  void take_token(Sequence& sequence, std::size_t row, const Sink& sink);
  std::optional<TokenId> next_token(Sequence& sequence, std::span<const float> logits);
  void finish(Sequence& sequence, StopReason reason, TokenEvent event, const Sink& sink);
  Status check_reading(const Prompt& text) const;
  // A run of tokens whose rows somebody takes.
  struct Read {
    Slice slice;
    SequenceMemory* memory;
    std::function<void(std::span<const float>)> row;
  };
  bool has_room(std::span<const Read> reads, BlockCounts& blocks, std::uint64_t& needed) const;
  Status fill(std::span<Read> reads, OutputKind kind);

  std::unique_ptr<Executor> executor_;
  const Tokenizer* tokenizer_;
  EngineOptions options_;
  std::unique_ptr<KvBudget> own_budget_;  // null: shared
  std::unique_ptr<KvCache> cache_;
  std::vector<std::unique_ptr<Sequence>> sequences_;  // in order of arrival
  std::uint64_t reading_bytes_ = 0;                   // promised to readings
  std::vector<double> step_seconds_;
  std::unique_ptr<DraftModel> draft_model_;  // null: none
  double draft_seconds_ = 0;
  std::vector<std::uint32_t> mask_;
  StepSizes last_step_;
  SequenceId next_id_ = 1;
};

}  // namespace lathe::infer
