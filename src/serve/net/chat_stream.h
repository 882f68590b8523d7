// The JSON of OpenAI's chat completions ↔ Request and Reply. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "work/work.h"

namespace lathe {

// `extras`: what servers of one's own understand beyond OpenAI's fields (a cloud may refuse them).
std::string chat_request_body(const Request& request, const std::string& model, bool extras);

// "message" of an error body in any of the known forms, or the body's beginning.
std::string error_message_of(std::string_view body);

// Puts a streamed reply together from the data of its events.
class ChatStream {
 public:
  explicit ChatStream(std::function<void(const Delta&)> on_delta)
      : on_delta_(std::move(on_delta)) {}

  Status event(std::string_view data);
  bool done() const { return done_; }  // [DONE] came
  bool begun() const { return begun_; }
  // The whole reply. An Error unless the stream said how it ended: a cut reply is no reply.
  Result<Reply> finish() &&;

 private:
  Status choice(const Json& choice);
  void calls(const Json& deltas);

  std::function<void(const Delta&)> on_delta_;
  Reply reply_;
  bool done_ = false;
  bool begun_ = false;
  bool finished_ = false;
};

}  // namespace lathe
