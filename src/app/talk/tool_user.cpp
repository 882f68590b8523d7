// Asks, answers calls, and asks again.
#include "app/talk/tool_user.h"

#include "ground/base/text.h"
#include "work/tool_turn.h"

namespace lathe::app {

Result<Reply> ToolUser::complete(const Request& request, const StopFlag& stop,
                                 const std::function<void(const Delta&)>& on_delta) {
  Request asked = request;
  Talk& talk = std::get<Talk>(asked.ask);
  talk.tools = tools_.tools();
  calls_.clear();
  ToolTurn turn(tools_);
  Reply whole;
  for (;;) {
    LATHE_TRY(Reply reply, thinker_.complete(asked, stop, on_delta));
    reply.usage += whole.usage;
    reply.text.insert(0, whole.text);
    if (reply.calls.empty()) return reply;
    // The sentence before a call is whole, however it ends.
    if (on_delta) on_delta({"\n", ""});
    reply.text += "\n";
    std::vector<Message> told{
        {.role = "assistant", .content = std::string(), .calls = reply.calls}};
    for (const FunctionCall& call : reply.calls) {
      const Milliseconds begun = system_clock().monotonic();
      LATHE_TRY(const ToolAnswer answer, turn.answer(call, stop));
      LATHE_TRY_STATUS(on_call_(call, answer, system_clock().monotonic() - begun));
      told.push_back({.role = "tool",
                      .content = answer_for_prompt(answer),
                      .call_id = call.id,
                      .name = call.name});
    }
    talk.messages.insert(talk.messages.end(), told.begin(), told.end());
    calls_.insert(calls_.end(), told.begin(), told.end());
    whole = std::move(reply);
  }
}

}  // namespace lathe::app
