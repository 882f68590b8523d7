// Puts replies together, token by token.
#include "serve/pool/answer_builder.h"

#include <algorithm>
#include <limits>

#include "ground/base/hash.h"

namespace lathe::serve {

AnswerBuilder::AnswerBuilder(const ModelFront& front, const Prepared& prepared)
    : front_(&front),
      scores_(prepared.score),
      top_(std::max(0, prepared.generation.top_logprobs)),
      prompt_tokens_(prepared.generation.prompt.size()),
      added_(prepared.added),
      grammar_(prepared.generation.grammar),
      candidates_(prepared.generation.candidates) {
  if (scores_) prompt_ = prepared.generation.prompt.ids();
  for (Candidate& candidate : candidates_) {
    candidate.parser = infer::AnswerParser::make(prepared.answer);
    candidate.reply.model = front.catalog().name;
    candidate.reply.seed = static_cast<std::int64_t>(prepared.generation.sampler.seed);
  }
}

LogprobEntry AnswerBuilder::entry_of(const infer::TokenEvent& event) const {
  const auto piece = [&](infer::TokenId id) { return front_->tokenizer().piece(id, true); };
  LogprobEntry entry{piece(event.token), static_cast<double>(event.logprob->logprob), {}};
  for (const infer::TokenLogprob& top : event.top)
    entry.top.emplace_back(piece(top.id), static_cast<double>(top.logprob));
  return entry;
}

// Some templates take nothing but nine letters and digits. The same talk gives the same ids.
FunctionCall AnswerBuilder::named(infer::ToolCall call, std::size_t index) const {
  if (call.id.empty()) {
    call.id =
        sha256_hex(fmt::format("{} {} {} {}", prompt_tokens_, index, call.name, call.arguments))
            .substr(0, 9);
  }
  return {std::move(call.id), std::move(call.name), std::move(call.arguments)};
}

void AnswerBuilder::append(Candidate& candidate, infer::AnswerDelta part, Delta& out) {
  for (infer::ToolCall& call : part.calls) {
    candidate.reply.calls.push_back(named(std::move(call), candidate.reply.calls.size()));
    out.calls.push_back(candidate.reply.calls.back());
  }
  candidate.reply.text += part.text;
  candidate.reply.reasoning += part.thinking;
  out.text += part.text;
  out.reasoning += part.thinking;
}

Delta AnswerBuilder::add(const infer::TokenEvent& event) {
  Candidate& candidate = candidates_.at(event.candidate);
  Delta out;
  out.candidate = static_cast<int>(event.candidate);
  out.prompt_tokens = static_cast<std::int64_t>(prompt_tokens_);
  // Whoever sums up log probabilities counts the end too.
  if (event.logprob && event.token != infer::kNoToken &&
      (scores_ || !front_->tokenizer().is_end(event.token))) {
    candidate.reply.logprobs.push_back(entry_of(event));
    out.logprobs.push_back(candidate.reply.logprobs.back());
  }
  infer::AnswerDelta part = candidate.parser->push(event.text);
  if (!part.thinking.empty()) ++candidate.reply.usage.reasoning_tokens;
  append(candidate, std::move(part), out);
  if (event.finished) end(candidate, event, out);
  return out;
}

void AnswerBuilder::end(Candidate& candidate, const infer::TokenEvent& event, Delta& out) {
  append(candidate, candidate.parser->finish(), out);
  Reply& reply = candidate.reply;
  switch (*event.finished) {
    case infer::StopReason::kEndToken:
    case infer::StopReason::kStopString:
      reply.finish = FinishReason::kStop;
      reply.stopped_by = event.stopped_by;
      break;
    case infer::StopReason::kLength:
      reply.finish = FinishReason::kLength;
      break;
    case infer::StopReason::kGrammarDeadEnd:
      error_ = Error{ErrorKind::kInvalid,
                     grammar_ == nullptr || grammar_->problem().empty()
                         ? "no token is left to choose from: logit_bias and the schema or grammar "
                           "rule everything out"
                         : grammar_->problem(),
                     "unsupported_value"};
      break;
    case infer::StopReason::kCancelled:
      error_ = Error{ErrorKind::kCancelled, "the request was cancelled"};
      break;
  }
  if (!reply.calls.empty()) reply.finish = FinishReason::kToolCalls;
  Usage& usage = reply.usage;
  usage.counted = true;
  usage.completion_tokens = static_cast<std::int64_t>(event.usage.output_tokens);
  usage.accepted_tokens = static_cast<std::int64_t>(event.usage.accepted_drafts);
  usage.rejected_tokens = static_cast<std::int64_t>(event.usage.rejected_drafts);
  if (event.candidate == 0) {
    usage.calls = 1;
    usage.prompt_tokens = static_cast<std::int64_t>(event.usage.prompt_tokens);
    usage.cached_tokens = static_cast<std::int64_t>(event.usage.cached_tokens);
  }
  ++finished_;
}

void AnswerBuilder::score(std::size_t position, std::span<const float> logits) {
  const auto piece = [&](infer::TokenId id) { return front_->tokenizer().piece(id, true); };
  if (position == 0)
    prompt_logprobs_.push_back({piece(prompt_[0]), std::numeric_limits<double>::quiet_NaN(), {}});
  if (position + 1 == prompt_.size()) return;
  const infer::TokenId next = prompt_[position + 1];
  LogprobEntry entry{piece(next), static_cast<double>(infer::logprob_of(logits, next).logprob), {}};
  for (const infer::TokenLogprob& top : infer::top_logprobs(logits, static_cast<std::size_t>(top_)))
    entry.top.emplace_back(piece(top.id), static_cast<double>(top.logprob));
  prompt_logprobs_.push_back(std::move(entry));
}

void AnswerBuilder::end_without_answer() {
  for (Candidate& candidate : candidates_) {
    candidate.reply.finish = FinishReason::kLength;
    candidate.reply.usage.counted = true;
  }
  candidates_[0].reply.usage.calls = 1;
  candidates_[0].reply.usage.prompt_tokens = static_cast<std::int64_t>(prompt_tokens_);
  finished_ = candidates_.size();
}

Usage AnswerBuilder::usage() const {
  Usage usage;
  for (const Candidate& candidate : candidates_) usage += candidate.reply.usage;
  return usage;
}

Result<std::vector<HostReply>> AnswerBuilder::finish() {
  if (error_) return std::unexpected(*error_);
  std::vector<HostReply> replies;
  for (Candidate& candidate : candidates_) replies.push_back(std::move(candidate.reply));
  prompt_logprobs_.erase(prompt_logprobs_.begin(),
                         prompt_logprobs_.begin() + static_cast<std::ptrdiff_t>(
                                                        std::min(added_, prompt_logprobs_.size())));
  if (!prompt_logprobs_.empty())
    prompt_logprobs_[0].logprob = std::numeric_limits<double>::quiet_NaN();
  replies[0].prompt_logprobs = std::move(prompt_logprobs_);
  return replies;
}

}  // namespace lathe::serve
