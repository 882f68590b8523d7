// The engine of one model: sequences in, tokens out. Many sequences share each step (continuous
// batching of prompt chunks and single tokens), prefixes are taken over from earlier sequences,
// candidates of one request fork its KV. What a sequence gets does not depend on any of that: the
// same request gives the same bits.
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

#include "infer/cache/prefix_index.h"
#include "infer/engine/sampler.h"
#include "infer/engine/scheduler.h"
#include "infer/models/forward.h"
#include "infer/text/constraint.h"
#include "infer/text/tokenizer.h"

namespace lathe {

struct EngineOptions {
  KvType kv = KvType::kF16;
  std::size_t context = 0;        // of one sequence; 0: as long as the model was trained for
  std::size_t kv_tokens = 4096;   // of the pool: all sequences and cached prefixes together
  std::size_t step_tokens = 512;  // of one step: the longest a neighbour waits
  std::size_t sequences = 32;
  bool reuse_prefixes = true;

  // Rows of logits that one step can give.
  std::size_t step_outputs() const { return std::min<std::size_t>(step_tokens, 64); }
};

// A context that the model was not made for is refused with both numbers, and so is a KV type that
// its heads do not fit.
Status check_context(const Blueprint& blueprint, KvType kv, std::size_t context);

struct GenerationRequest {
  std::vector<TokenId> prompt;  // at least one token
  std::size_t max_tokens = 0;   // 0: until the context is full
  std::size_t candidates = 1;   // that many answers from one prompt
  SamplerParams sampler;
  std::shared_ptr<const Grammar> grammar;
  std::vector<std::string> stop;  // the answer ends before one of these
  int top_logprobs = -1;          // -1: no logprobs; 0: only the chosen token's
  bool ignore_end = false;        // end tokens are banned, so that a measurement has its length
};

enum class StopReason { kEndToken, kStopString, kLength, kGrammarDeadEnd, kCancelled };
// "end" "stop" "length" "grammar" "cancelled"
std::string_view stop_reason_name(StopReason reason);

struct SequenceUsage {
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;  // of the prompt, taken over from earlier work
  std::size_t output_tokens = 0;
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
  SequenceUsage usage;  // with `finished`
};

class Engine {
 public:
  using Sink = std::function<void(TokenEvent)>;

  // References must outlive the engine.
  static Result<std::unique_ptr<Engine>> create(const Model& model, const Tokenizer& tokenizer,
                                                ThreadTeam& team, const EngineOptions& options);
  ~Engine();

  // Refused with both numbers when it can never fit: the prompt and max_tokens against the model's
  // context and the pool.
  Result<SequenceId> add(GenerationRequest request);
  void cancel(SequenceId request);
  // One step over everything that is waiting; false when there was nothing to do.
  bool step(const Sink& sink);
  bool idle() const { return sequences_.empty(); }

  // The hidden state of a text, pooled as the model says (or as told), normalised to length 1.
  Result<std::vector<float>> embed(std::span<const TokenId> tokens, Pooling pooling);
  // The logits of every position, row by row.
  Status logits(std::span<const TokenId> tokens,
                const std::function<void(std::span<const float>)>& row);

  struct Bytes {
    std::uint64_t weights, kv_pool, kv_used, scratch;
  };
  Bytes bytes() const;
  const EngineOptions& options() const { return options_; }

 private:
  struct Sequence;
  Engine(const Model& model, const Tokenizer& tokenizer, EngineOptions options, BlockPool pool);
  Status check(const GenerationRequest& request) const;
  Sequence* find(SequenceId id);
  std::size_t blocks_left(const Sequence& sequence) const;
  std::size_t promised_blocks() const;
  StepPlan plan() const;
  void admit(Sequence& sequence);
  void compute(const StepPlan& plan, const Sink& sink);
  void prompt_done(Sequence& parent, std::size_t row, const Sink& sink);
  void take_token(Sequence& sequence, std::size_t row, const Sink& sink);
  void finish(Sequence& sequence, StopReason reason, TokenEvent event, const Sink& sink);
  Status fill(std::span<const TokenId> tokens, OutputKind kind,
              const std::function<void(std::span<const float>)>& row);

  const Model* model_;
  const Tokenizer* tokenizer_;
  EngineOptions options_;
  BlockPool pool_;
  PrefixIndex index_;
  std::optional<Forward> forward_;
  std::vector<std::unique_ptr<Sequence>> sequences_;  // in order of arrival
  std::vector<std::uint32_t> mask_;
  SequenceId next_id_ = 1;
};

}  // namespace lathe
