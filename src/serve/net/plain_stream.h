// What the streams of APIs share that say of each event what it is: a reply that grows, within a
// bound, and is handed on as it does.
#pragma once

#include "serve/net/chat_stream.h"

namespace lathe::serve {

class PlainStream : public AnswerStream {
 public:
  explicit PlainStream(std::function<void(const Delta&)> on_delta)
      : on_delta_(std::move(on_delta)) {}

  Status event(std::string_view data) override;
  bool done() const override { return done_; }
  bool heard() const override { return heard_; }
  bool refused() const override { return refused_; }
  Result<Reply> finish() override;

 protected:
  virtual Status take(const Json& event) = 0;

  Status say(std::string text, std::string reasoning);
  Status grow(std::size_t bytes);  // of what is no text
  void end(FinishReason finish);
  Error broken_off(std::string_view why) const;
  // A number of tokens: never below 0, and small enough to be added to.
  static std::int64_t count_in(const Json& usage, std::string_view key);

  Reply reply_;
  bool done_ = false, refused_ = false;

 private:
  std::function<void(const Delta&)> on_delta_;
  std::size_t bytes_ = 0;
  bool heard_ = false, ended_ = false;
};

}  // namespace lathe::serve
