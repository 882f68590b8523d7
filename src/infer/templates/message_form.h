// What a chat template wants of the messages that it is given. Templates do not say so: a few
// messages are rendered, and what becomes of their texts tells. Pure; any thread.
#pragma once

#include "infer/templates/chat_template.h"

namespace lathe::infer {

struct MessageForm {
  bool system = true;  // there is a place for a system message; else the first user has its text
  bool parts = false;  // contents are lists: [{"type": "text", "text": …}]
  bool arguments = false;  // the arguments of calls are JSON in a text; else they are objects
  std::string thinking = "reasoning_content";  // the name of what an assistant thought

  bool operator==(const MessageForm&) const = default;
};

MessageForm message_form_of(const ChatTemplate& chat);

// Messages as OpenAI's API has them (content a text, arguments an object, reasoning_content) in
// that form.
Json shaped(Json messages, const MessageForm& form);

// The variables that turn thinking on and off, under each name that templates have for it:
// enable_thinking and thinking follow each other and reasoning_effort, where they are not given.
void complete_thinking(Json& variables);

}  // namespace lathe::infer
