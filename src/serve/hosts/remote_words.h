// What a server says and is asked, in JSON ↔ what a host says and is asked. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/net/chat_stream.h"
#include "work/model_host.h"

namespace lathe::serve {

// The models of GET /v1/models. A lathe says much of each; of others only the name is known, and
// they count as ready.
std::vector<ModelInfo> models_of(const Json& list);
// Whether a lathe wrote that list.
bool is_lathe(const Json& list);

// The error that an answer of another status than 200 comes to. A `code` is kept, with the part of
// the request that it is about; a refused key is the server's trouble, not its client's.
Error remote_error(std::string_view place, int status, std::string_view body);

// Puts the reply to a text together, as ChatStream does that of a talk.
class TextStream {
 public:
  explicit TextStream(ModelHost::OnDelta on_delta) : on_delta_(std::move(on_delta)) {}

  Status event(std::string_view data);
  bool done() const { return done_; }
  Result<Reply> finish() &&;  // an Error unless the stream said how it ended

 private:
  void choice(const Json& choice);

  ModelHost::OnDelta on_delta_;
  Reply reply_;
  bool done_ = false;
  bool finished_ = false;
};

// Hands on the samples of a text that is spoken, as they come, and says what came of it.
class SpeechStream {
 public:
  explicit SpeechStream(ModelHost::OnSamples on_samples) : on_samples_(std::move(on_samples)) {}

  Status event(std::string_view data);
  bool done() const { return done_; }
  Result<Speech> finish() &&;  // an Error unless the stream said that this was all

 private:
  ModelHost::OnSamples on_samples_;
  std::string bytes_;  // of a sample that is not whole yet
  std::size_t samples_ = 0;
  Usage usage_;
  bool done_ = false;
};

}  // namespace lathe::serve
