// What a model's file says without its weights: blueprint, vocabulary, chat template. Turns a
// Request into what the engine takes. Immutable once open; any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "infer/answers/answer_parser.h"
#include "infer/engine/footprint.h"
#include "infer/link/cut.h"
#include "infer/templates/message_form.h"
#include "serve/pool/answer_check.h"
#include "serve/pool/catalog.h"
#include "serve/pool/draft_source.h"
#include "serve/pool/media_marks.h"
#include "serve/pool/senses.h"
#include "work/model_host.h"

namespace lathe::serve {

// The error of a file by its name alone: where it lies is nobody's business but this machine's.
Error without_place(const fs::path& file, const std::string& name, Error error);

// The type that most of its bytes are of.
std::string quantization_of(const infer::Gguf& file);

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
  // How it stands on two machines, if it is linked(); what is here of it then.
  const infer::LinkPlan& link() const { return link_; }
  infer::ModelPart part() const { return linked() ? link_.first() : infer::ModelPart(); }
  bool linked() const { return !catalog_.link.empty(); }
  const DraftSource* draft() const { return draft_.get(); }  // nullptr: nothing guesses
  // The file of its encoders; nullptr: it reads texts alone.
  const SensesFile* senses() const { return senses_.get(); }
  // Name, sizes, template: what does not change.
  const ModelInfo& info() const { return info_; }
  // Those of the catalog's adapters that fit stay in memory with the front; asking for another says
  // why it does not.
  Result<std::shared_ptr<const infer::Adapter>> adapter(const std::string& name) const;
  std::uint64_t adapter_bytes() const { return adapter_bytes_; }
  // Changes whenever the file does: size, time and samples of its bytes.
  const std::string& identity() const { return identity_; }

  struct Prompt {
    infer::Prompt ids;
    infer::AnswerLead lead = {};  // what comes before an answer that a grammar holds
    std::size_t added = 0;
  };
  // `percepts`: what the talk's pictures and sounds became, in order (Senses). What is raised ends
  // the rendering, with kCancelled.
  Result<Prompt> prompt_of(const Request& request, const Percepts& percepts,
                           const StopFlag& stop) const;
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
  Result<Prepared> prepare(const HostRequest& request, const Percepts& percepts,
                           std::size_t answer_limit, const StopFlag& stop) const;
  // Refuses what the model cannot read, and texts of more bytes than the context could ever hold.
  Status check_content(const std::vector<Message>& messages) const;
  // Refuses so many tokens and rows of a prompt, if the context holds no more.
  Status check_size(std::size_t size, bool no_answer) const;

 private:
  ModelFront() = default;
  void load_adapters(const std::vector<CatalogAdapter>& adapters);
  Status constrain(const Request& request, const infer::AnswerLead& lead, Prepared& prepared) const;
  Status constrain_calls(const Talk& talk, const MustCall& must, const infer::AnswerLead& lead,
                         Prepared& prepared) const;
  Status constrain_free_calls(const Talk& talk, const infer::AnswerLead& lead,
                              Prepared& prepared) const;
  Result<Prompt> prompt_of(const TextPrompt& asked) const;
  Result<Prompt> prompt_of(const TokenPrompt& asked) const;
  // `constrained`: the answer has no room for thinking.
  Result<std::vector<infer::PromptPart>> render(const Talk& talk, bool constrained,
                                                MediaMarks& marks, const StopFlag& stop) const;
  infer::Prompt assembled(const std::vector<MediaMarks::Stretch>& stretches,
                          const Percepts& percepts) const;
  std::unexpected<Error> too_long(std::string_view size) const;

  CatalogModel catalog_;
  std::unique_ptr<infer::Gguf> file_;
  infer::Blueprint blueprint_;
  std::unique_ptr<infer::Tokenizer> tokenizer_;
  std::string template_source_, rerank_template_;
  std::optional<infer::ChatTemplate> template_;
  infer::AnswerFormat format_ = infer::AnswerFormat::kPlain;
  infer::MessageForm message_form_;
  infer::LinkPlan link_;
  std::size_t context_ = 0, longest_token_ = 0, text_limit_ = 0;
  infer::KvType kv_ = infer::KvType::kF16;
  std::unique_ptr<DraftSource> draft_;
  std::unique_ptr<SensesFile> senses_;
  std::string senses_problem_;  // why the encoder that it was to have cannot be used; "": it can
  ModelInfo info_;
  std::string identity_;
  std::map<std::string, Result<std::shared_ptr<const infer::Adapter>>> adapters_;
  std::uint64_t adapter_bytes_ = 0;
};

}  // namespace lathe::serve
