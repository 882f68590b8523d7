// The talks that people had on the server's page: each key's own, found by no other one. Whoever
// runs the server sees of others' how many there are.
#pragma once

#include <optional>

#include "app/cli/app.h"
#include "books/chats/chats.h"
#include "serve/runs/run_desk.h"

namespace lathe::app {

// One thread, the desk's: to forget one rewrites the file.
class ServedChats {
 public:
  explicit ServedChats(const App& app) : app_(app) {}

  serve::Handled list(const serve::RunCall& call);
  serve::Handled show(const serve::RunCall& call);
  serve::Handled add(const serve::RunCall& call);
  serve::Handled change(const serve::RunCall& call);
  serve::Handled forget(const serve::RunCall& call);

 private:
  // Opened when it is first asked for; what is too old (`keep_days`) is forgotten with each look.
  template <class Answer>
  serve::Handled with(const Answer& answer);

  const App& app_;
  std::optional<books::Chats> chats_;
};

}  // namespace lathe::app
