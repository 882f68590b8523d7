// A thinker that uses tools: what it calls is answered until it has nothing to say but words. What
// it says before a call is said at once, as a sentence of its own.
#pragma once

#include "work/tool_set.h"

namespace lathe::app {

class ToolUser : public Worker {
 public:
  // Is told of each call and what came of it, before the model is; an error ends the answer.
  using OnCall =
      std::function<Status(const FunctionCall& call, const ToolAnswer& answer, Milliseconds took)>;
  // All of them outlive this.
  ToolUser(Worker& thinker, ToolSet& tools, OnCall on_call)
      : thinker_(thinker), tools_(tools), on_call_(std::move(on_call)) {}

  WorkerInfo info() const override { return thinker_.info(); }
  Status ready(const StopFlag& stop) override { return thinker_.ready(stop); }
  Result<bool> sees() const override { return thinker_.sees(); }
  std::int64_t context() const override { return thinker_.context(); }
  // One answer at a time.
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override;

  // The calls of the last answer and what they were told, as a talk goes on with them: without the
  // words beside them, of which only the listener knows what was heard. Empty from then on.
  std::vector<Message> take_calls() { return std::exchange(calls_, {}); }

 private:
  Worker& thinker_;
  ToolSet& tools_;
  const OnCall on_call_;
  std::vector<Message> calls_;
};

}  // namespace lathe::app
