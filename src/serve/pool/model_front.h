// What a model's file says without its weights: blueprint, vocabulary, chat template. Turns a
// Request into what the engine takes, and the engine's tokens back into a Reply. Immutable once
// open; any thread. (An AnswerBuilder belongs to one request and one thread.)
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "infer/answers/answer_parser.h"
#include "infer/engine/footprint.h"
#include "infer/templates/message_form.h"
#include "serve/pool/answer_check.h"
#include "serve/pool/catalog.h"
#include "serve/pool/draft_source.h"
#include "work/model_host.h"

namespace lathe::serve {

// The error of a file by its name alone: where it lies is nobody's business but this machine's.
Error without_place(const fs::path& file, const std::string& name, Error error);

// A request as the engine takes it, and what its answer must be read by.
struct Prepared {
  infer::GenerationRequest generation;
  infer::AnswerOptions answer;
  bool score = false;      // the logits of the prompt are read first
  bool no_answer = false;  // … and nothing else
  std::size_t added = 0;   // tokens at the prompt's start that stand for none of its text
  AnswerCheck check = {};  // of what no grammar keeps
};

class ModelFront {
 public:
  // Errors name the file.
  static Result<std::unique_ptr<ModelFront>> open(const CatalogModel& model,
                                                  const std::vector<CatalogAdapter>& adapters = {});

  // What a ModelInfo says of a file, from its header alone; also of one that cannot be run here.
  static Result<ModelInfo> facts(const CatalogModel& model);

  const CatalogModel& catalog() const { return catalog_; }
  const infer::Gguf& file() const { return *file_; }
  const infer::Blueprint& blueprint() const { return blueprint_; }
  const infer::Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::string& template_source() const { return template_source_; }
  std::size_t context() const { return context_; }
  infer::KvType kv() const { return kv_; }
  const DraftSource* draft() const { return draft_.get(); }  // nullptr: nothing guesses
  // Name, sizes, template: what does not change.
  const ModelInfo& info() const { return info_; }
  // Those of the catalog's adapters that fit stay in memory with the front; asking for another says
  // why it does not.
  Result<std::shared_ptr<const infer::Adapter>> adapter(const std::string& name) const;
  std::uint64_t adapter_bytes() const { return adapter_bytes_; }
  // Changes whenever the file does: size, time and samples of its bytes.
  const std::string& identity() const { return identity_; }

  struct Prompt {
    std::vector<infer::TokenId> tokens;
    infer::AnswerLead lead = {};  // what comes before an answer that a grammar holds
    std::size_t added = 0;
  };
  // What is raised ends the rendering, with kCancelled.
  Result<Prompt> prompt_of(const Request& request, const StopFlag& stop) const;
  // Of a text that is to fit the context: more can never be few enough tokens.
  std::size_t text_limit() const { return text_limit_; }
  Result<std::vector<infer::TokenId>> tokens_of(std::string_view text, bool add_special,
                                                bool parse_special) const;
  // A query and a document as this reranker reads them; one that does not fit is refused, named by
  // its index.
  Result<std::vector<infer::TokenId>> pair_of(std::string_view query, std::string_view document,
                                              std::size_t index) const;
  // `answer_limit`: of a request without a limit of its own. What the context has no room for is
  // cut off that limit, never off the prompt: a prompt that does not fit is refused with both
  // numbers.
  Result<Prepared> prepare(const HostRequest& request, std::size_t answer_limit,
                           const StopFlag& stop) const;

 private:
  ModelFront() = default;
  void load_adapters(const std::vector<CatalogAdapter>& adapters);
  Status constrain(const Request& request, const infer::AnswerLead& lead, Prepared& prepared) const;
  Status constrain_calls(const Talk& talk, const MustCall& must, const infer::AnswerLead& lead,
                         Prepared& prepared) const;
  Status constrain_free_calls(const Talk& talk, const infer::AnswerLead& lead,
                              Prepared& prepared) const;
  Status check_content(const std::vector<Message>& messages) const;
  Result<Prompt> prompt_of(const TextPrompt& asked) const;
  Result<Prompt> prompt_of(const TokenPrompt& asked) const;
  // `constrained`: the answer has no room for thinking.
  Result<std::vector<infer::PromptPart>> render(const Talk& talk, bool constrained,
                                                const StopFlag& stop) const;
  std::unexpected<Error> too_long(std::string_view size) const;

  CatalogModel catalog_;
  std::unique_ptr<infer::Gguf> file_;
  infer::Blueprint blueprint_;
  std::unique_ptr<infer::Tokenizer> tokenizer_;
  std::string template_source_, rerank_template_;
  std::optional<infer::ChatTemplate> template_;
  infer::AnswerFormat format_ = infer::AnswerFormat::kPlain;
  infer::MessageForm message_form_;
  std::size_t context_ = 0, longest_token_ = 0, text_limit_ = 0;
  infer::KvType kv_ = infer::KvType::kF16;
  std::unique_ptr<DraftSource> draft_;
  ModelInfo info_;
  std::string identity_;
  std::map<std::string, Result<std::shared_ptr<const infer::Adapter>>> adapters_;
  std::uint64_t adapter_bytes_ = 0;
};

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
