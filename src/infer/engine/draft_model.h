// What guesses an answer's next tokens where no text tells them: a small model that reads along, or
// the model's own layer that predicts (Blueprint::predicts), which also reads its hidden states. It
// goes on greedily for a few tokens; the engine checks every one, so no answer's bits depend on it.
// Its memory is its own and as large as it was made: a sequence that finds no room there has no
// guesses. The engine's thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "infer/executor/executor.h"

namespace lathe::infer {

// Tokens of one vocabulary in another one, by their text: kNoToken where there is none. Both empty:
// the vocabularies are one.
struct VocabularyMap {
  std::vector<TokenId> to_draft, from_draft;

  // Refuses vocabularies that have too little in common.
  static Result<VocabularyMap> make(const Tokenizer& model, const Tokenizer& draft);
};

// How many guessed tokens to make: what gives most tokens a second, if each is right with
// `confidence` when those before it are, one takes `draft_seconds` to make, and the model checks
// them all in one step of the `streams` answers there are (0: none).
std::size_t guesses_worth(double confidence, double draft_seconds, std::size_t streams,
                          std::span<const double> step_seconds);

class DraftModel {
 public:
  static constexpr std::size_t kMostGuesses = 8;

  // Refused: a layer that predicts whose executor keeps no hidden states.
  static Result<std::unique_ptr<DraftModel>> create(std::unique_ptr<Executor> executor,
                                                    std::uint64_t memory_bytes,
                                                    VocabularyMap map = {});

  // What it remembers of one sequence, and how well it has guessed there.
  class Trail {
   public:
    std::span<const TokenId> guess() const { return guess_; }  // of the model's vocabulary
    // How likely each of them is right, if those before it are.
    double confidence() const { return right_ / (right_ + wrong_); }
    // Of the last guess, `drafted` tokens were checked and the first `accepted` were right.
    void checked(std::size_t accepted, std::size_t drafted);
    // It was not asked: what it was good for once says less with time.
    void rest();

   private:
    friend class DraftModel;
    explicit Trail(MemoryStore& store) : memory_(store) {}
    void restart(std::size_t base);
    bool lost_ = false;  // for want of memory
    SequenceMemory memory_;
    // Position q here reads, of a small model, token q; of a layer that predicts, token base + q +
    // 1 and the hidden state of the token before it.
    std::size_t base_ = 0, computed_ = 0;
    std::vector<float> hidden_;  // from position `computed_` on
    std::vector<TokenId> guess_;
    double right_, wrong_;
  };
  Trail begin();

  // Whether observe() wants the hidden states of all that the model computes.
  bool reads_hidden() const { return executor_->blueprint().predicts; }
  // `hidden` (count, embedding): of the model's tokens from `position` on, which `tokens`, all of
  // the sequence, go beyond or end with.
  void observe(Trail& trail, std::span<const TokenId> tokens, std::size_t position,
               std::span<const float> hidden);

  struct Ask {
    Trail* trail;
    std::span<const TokenId> tokens;  // of the sequence, the last one not yet computed
    std::size_t most;                 // at least 1
  };
  // Each trail's guess; none where it lacks memory or hidden states.
  void propose(std::span<const Ask> asks);

  // What a step of one token takes, measured now.
  Result<double> measure();

  struct Bytes {
    DeviceBytes weights, scratch;
    std::uint64_t memory = 0;
  };
  Bytes bytes() const;

 private:
  DraftModel(std::unique_ptr<Executor> executor, std::uint64_t memory_bytes, VocabularyMap map);
  std::size_t readable(const Trail& trail, std::size_t tokens) const;
  std::vector<TokenId> tokens_at(const Trail& trail, std::span<const TokenId> tokens,
                                 std::size_t from, std::size_t to) const;
  bool read_until(Trail& trail, std::span<const TokenId> tokens, std::size_t end);
  struct Run;  // of one trail, ahead of what is known
  void guess_next(std::span<Run> runs);

  std::unique_ptr<Executor> executor_;
  KvBudget budget_;
  std::optional<MemoryStore> store_;
  VocabularyMap map_;
};

}  // namespace lathe::infer
