// A talk in the terminal: lines in, answers out as they come, and the commands of the chat. One
// thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "app/cli/chat.h"
#include "app/cli/document_reader.h"

namespace lathe::app {

// Who answers: a model of this process, or one of a server.
struct Partner {
  std::string name;
  std::string greeting = {};
  std::size_t vocabulary = 0;              // of token ids that a setting may name
  std::unique_ptr<LocalModel> local = {};  // one of the two is there
  std::unique_ptr<Worker> worker = {};
  std::unique_ptr<ToolSet> tools = {};  // that it may call; null: none
  std::optional<Conversation> conversation = {};
};
// The partner of that name, with a conversation that is empty. What is checked without loading a
// model comes first, so that `leave`, called before any weights are read, can give up another
// one's.
using OpenPartner =
    std::function<Result<Partner>(const std::string& name, const std::function<void()>& leave)>;

// One answer, on standard output; a line of figures on standard error.
Result<Answer> answer_once(const App& app, Conversation& conversation, const std::string& prompt);
// Until the person leaves. `documents` reads what /file names. `history`: where the questions are
// kept.
Status chat(const App& app, Partner partner, const OpenPartner& open,
            const PeoplesReader& documents, const fs::path& history);

}  // namespace lathe::app
