// The JSON of OpenAI's chat completions ↔ Request and Reply. Pure.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/thoughts.h"
#include "work/work.h"

namespace lathe::serve {

// What a server understands beyond OpenAI's fields, and what it is of use to: a cloud may refuse
// top_k, and may bill a prediction that did not come true.
enum class PeerKind { kCloud, kLocal, kLathe };
// The body, streamed, of POST /chat/completions for a talk, of /completions for what is gone on
// with. Pictures and sounds go along as they are.
Json request_json(const Request& request, const std::string& model, PeerKind peer);

// The fields of `request` that an error body names as not known or not supported and that can be
// left out: what they ask for is a wish, or is checked by whoever reads the answer.
std::vector<std::string> refused_fields(const Json& request, std::string_view error_body);
// Leaves `fields` out of the request; max_tokens goes by its newer name instead.
void leave_out(Json& request, const std::set<std::string>& fields);

// "message" of an error body in any of the known forms, or the body's beginning.
std::string error_message_of(std::string_view body);

// `usage` of a completion.
Usage usage_of(const Json& usage);
// As servers name it, in any case; nullopt: an unknown one.
std::optional<FinishReason> finish_reason_of(std::string_view name);

// A reply, put together from the data of its events.
class AnswerStream {
 public:
  virtual ~AnswerStream() = default;
  virtual Status event(std::string_view data) = 0;
  virtual bool done() const = 0;     // nothing more comes
  virtual bool heard() const = 0;    // a delta went out: what follows must be its rest
  virtual bool refused() const = 0;  // another try would end no better
  // The whole reply, once. An Error unless the stream said how it ended: a cut reply is no reply.
  virtual Result<Reply> finish() = 0;
};

// That of a chat completion; a whole one is one event. Thinking that stands in the text is split
// off.
class ChatStream : public AnswerStream {
 public:
  // all_logprobs: of every token. Else those of thoughts are left out, which are not the answer's;
  // and with them those of tokens that are part of a character.
  explicit ChatStream(std::function<void(const Delta&)> on_delta, bool all_logprobs = false)
      : on_delta_(std::move(on_delta)), all_logprobs_(all_logprobs) {}

  Status event(std::string_view data) override;
  bool done() const override { return done_; }  // [DONE] came
  bool heard() const override { return heard_; }
  bool refused() const override { return refused_; }
  Result<Reply> finish() override;

 private:
  Status choice(const Json& choice);
  void text(SplitAnswer part, std::string reasoning, std::vector<LogprobEntry> logprobs = {});
  void calls(const Json& deltas);

  std::function<void(const Delta&)> on_delta_;
  bool all_logprobs_;
  Reply reply_;
  ThoughtSplitter splitter_;
  bool done_ = false;
  bool heard_ = false;
  bool refused_ = false;
  bool finished_ = false;
};

}  // namespace lathe::serve
