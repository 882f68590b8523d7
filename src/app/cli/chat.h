// A conversation with a model, of this process or of a server: messages in, an answer out piece by
// piece. Keeps the messages; the engine's prefix index keeps what was computed, so that a turn pays
// only for its new tokens. One thread.
#pragma once

#include "app/cli/local_model.h"
#include "infer/answers/answer_parser.h"
#include "infer/templates/message_form.h"
#include "work/tool_set.h"

namespace lathe::app {

struct Answer {
  std::string text, thinking;
  std::vector<infer::ToolCall> calls;
  infer::StopReason reason = infer::StopReason::kLength;
  infer::SequenceUsage usage;
  std::vector<std::vector<infer::TokenLogprob>> logprobs;  // of a local model
  double prompt_seconds = 0;                               // until the first token
  double answer_seconds = 0;                               // from there to the last one

  double prompt_speed() const;  // computed prompt tokens a second
  double answer_speed() const;  // tokens a second after the first
};
Json answer_json(const Answer& answer);
// "42 tokens, 18.2 tok/s · prompt 120 (96 cached), 240 tok/s"
std::string answer_line(const Answer& answer);

class Conversation {
 public:
  // What holds an answer before which that comes.
  using Constraint =
      std::function<Result<std::shared_ptr<const infer::Grammar>>(const infer::AnswerLead& lead)>;
  // `request` carries everything but the prompt and the constraint. Without a template, or with
  // `raw`, a message is the prompt as it is.
  static Result<Conversation> create(LocalModel& local, infer::GenerationRequest request, bool raw,
                                     Json template_variables, Constraint constraint = {});

  // With what a server has: `base` carries everything but the talk and sampling. `worker` must
  // outlive the conversation.
  static Conversation with(Worker& worker, Request base, infer::SamplerParams sampler,
                           Json template_variables);

  // Of a worker: what the model calls before it answers. They must outlive the conversation.
  void set_tools(ToolSet& tools) { tools_ = &tools; }

  infer::GenerationRequest& request() { return request_; }
  const Json& messages() const { return messages_; }
  // An array of {"role", "content"} of system, user, assistant and tool, as messages() has it.
  Status set_messages(Json messages);
  void set_system(std::string_view text);
  void clear();  // but the system message
  // Drops the last answer; its question, or nothing when there is none. What the question showed
  // goes with the next one.
  std::optional<std::string> take_back();
  // What the next question shows before its words: pictures, sounds. Of a worker.
  Status show(Content content);

  using OnDelta = std::function<void(const infer::AnswerDelta&)>;
  // A raised `stop` ends the answer where it is; it is kept like that.
  Result<Answer> ask(std::string_view text, const StopFlag& stop, const OnDelta& on_delta);

 private:
  Conversation() = default;
  struct Prompt {
    std::vector<infer::TokenId> tokens;
    bool starts_thinking = false;
    infer::AnswerLead lead = {};  // of an answer that is held
  };
  Result<Prompt> prompt() const;
  Result<Answer> ask_engine(const StopFlag& stop, const OnDelta& on_delta);
  Result<Answer> ask_worker(const StopFlag& stop, const OnDelta& on_delta);
  // One reply of the worker: an answer, or calls of tools.
  Result<Answer> reply_of_worker(const StopFlag& stop, const OnDelta& on_delta);

  LocalModel* local_ = nullptr;  // one of the two is there
  Worker* worker_ = nullptr;
  ToolSet* tools_ = nullptr;  // of a worker; null: none
  Request base_;
  infer::GenerationRequest request_;
  Constraint constraint_;
  std::optional<infer::ChatTemplate> template_;
  infer::AnswerFormat format_ = infer::AnswerFormat::kPlain;
  infer::MessageForm message_form_;
  Json variables_;
  Json messages_ = Json::array();
  std::optional<Content> shown_;  // with the next question
};

}  // namespace lathe::app
