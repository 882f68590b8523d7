// The engine's tokens back into a Reply. An AnswerBuilder belongs to one request and one thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "infer/answers/answer_parser.h"
#include "serve/pool/model_front.h"

namespace lathe::serve {

// Puts the replies of one request together from the engine's events.
class AnswerBuilder {
 public:
  AnswerBuilder(const ModelFront& front, const Prepared& prepared);
  // What the event adds; an empty delta adds nothing to see.
  Delta add(const infer::TokenEvent& event);
  bool done() const { return finished_ == candidates_.size(); }
  // The logits behind the prompt's token at that position.
  void score(std::size_t position, std::span<const float> logits);
  // The end, where no answer is wanted.
  void end_without_answer();
  // So far, or of an answer that was broken off.
  Usage usage() const;
  // Once done: a reply a candidate, prompt tokens counted in the first; or why there is none.
  Result<std::vector<HostReply>> finish();

 private:
  struct Candidate {
    std::unique_ptr<infer::AnswerParser> parser;
    HostReply reply;
  };
  void append(Candidate& candidate, infer::AnswerDelta part, Delta& out);
  FunctionCall named(infer::ToolCall call, std::size_t index) const;
  void end(Candidate& candidate, const infer::TokenEvent& event, Delta& out);
  LogprobEntry entry_of(const infer::TokenEvent& event) const;

  const ModelFront* front_;
  bool scores_;
  std::vector<infer::TokenId> prompt_;  // where its logits are read
  int top_;
  std::size_t prompt_tokens_, added_;
  std::vector<LogprobEntry> prompt_logprobs_;
  std::shared_ptr<const infer::Grammar> grammar_;  // null: none
  std::vector<Candidate> candidates_;
  std::size_t finished_ = 0;
  std::optional<Error> error_;
};

}  // namespace lathe::serve
