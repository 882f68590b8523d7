// What no grammar keeps is checked on the whole answer, and said: an answer is never silently other
// than asked for. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "work/model_host.h"

namespace lathe::serve {

struct AnswerCheck {
  std::optional<Json> schema = {};             // of the text
  std::map<std::string, Json> arguments = {};  // of calls, by the tool's name
  bool empty() const { return !schema && arguments.empty(); }
};

// The reply's warnings: what it breaks, or why that is not known. One that was cut off says so by
// its finish reason alone.
void check_answer(const AnswerCheck& check, HostReply& reply);

}  // namespace lathe::serve
