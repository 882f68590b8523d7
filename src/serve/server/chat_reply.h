// Pieces of OpenAI's answers that several endpoints share.
#pragma once

#include <span>
#include <vector>

#include "work/model_host.h"

namespace lathe::serve {

using Replies = std::vector<std::vector<HostReply>>;

Usage usage_of(const Replies& replies);
// Adds `warnings` to an answer, where there are any: what the host says of its replies.
void add_warnings(Json& answer, const Replies& replies);
Json chat_usage_json(const Usage& usage);  // of chat completions and completions
Json tool_call_json(const FunctionCall& call);
// {"content": […], "refusal": null}
Json chat_logprobs_json(std::span<const LogprobEntry> entries);
Json logprob_json(const LogprobEntry& entry);
std::string_view chat_finish_reason(const Reply& reply);
// Every call has a name of its own, whatever the model gave it.
FunctionCall with_id(FunctionCall call);

}  // namespace lathe::serve
