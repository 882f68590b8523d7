// Tools of other programs in a run: each call is written down before it is made, and its answer
// when it is there. What was answered is not called again: within one candidate where a tool only
// reads, in the whole run where it may change something. Of such a call that was begun and not
// answered, nobody knows what it did, so it is not made again either.
#pragma once

#include <mutex>

#include "loop/conductor/state.h"

namespace lathe::loop {

// Any thread.
class ToolCalls {
 public:
  // Where it is written: durable when these return.
  struct Book {
    std::function<Status(Event event)> write;
    std::function<Result<std::string>(std::string_view bytes)> keep;  // a blob
    std::function<Result<std::string>(const std::string& blob)> read;
  };
  ToolCalls(Book book, std::map<std::string, ToolCallState> known)
      : book_(std::move(book)), known_(std::move(known)) {}

  Result<ToolAnswer> call(ForeignTools& tools, const CallId& within, const FunctionCall& call,
                          const StopFlag& stop);

 private:
  std::optional<ToolCallState> state_of(const std::string& key);
  void remember(const std::string& key, const ToolCallState& state);

  const Book book_;
  std::mutex once_;   // of those that may change something, one at a time
  std::mutex mutex_;  // guards known_
  std::map<std::string, ToolCallState> known_;
};

// They as one candidate's maker calls them.
class RecordedTools final : public ToolSet {
 public:
  RecordedTools(ForeignTools& tools, ToolCalls& calls, const CallId& within)
      : tools_(tools), calls_(calls), within_(within) {}

  std::vector<Tool> tools() const override { return tools_.tools(); }
  bool reads_only(const std::string& tool) const override { return tools_.reads_only(tool); }
  Result<ToolAnswer> call(const FunctionCall& call, const StopFlag& stop) override {
    return calls_.call(tools_, within_, call, stop);
  }

 private:
  ForeignTools& tools_;
  ToolCalls& calls_;
  const CallId within_;
};

}  // namespace lathe::loop
