// What begins runs and works on them, beside the server and not in it: how that is done, whoever
// starts the server knows.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "serve/server/api_error.h"

namespace lathe::serve {

struct WantedRun {
  std::string recipe;      // a shipped one's name; the owner may give a path
  std::string input_text;  // what is worked on, or
  std::string input_path;  // where that is; neither: the recipe's own
  std::vector<std::pair<std::string, Json>> set = {};             // values of the recipe
  std::vector<std::pair<std::string, std::string>> workers = {};  // by their names
  bool apply = true;   // changes that passed go into the source tree
  std::string by;      // who begins it: a key's name
  std::string secret;  // that key itself, for what the run asks of this server; "": the owner's
};

// Any thread may call these.
struct RunStarter {
  // `done` gets the run's id, or why there is none, from another thread.
  std::function<void(WantedRun wanted, std::function<void(Result<std::string>)> done)> begin;
  // Has a run worked on that waits in the queue, soon and for as long as it waits there. `secret`:
  // as WantedRun has it.
  std::function<void(const std::string& run, const std::string& secret)> work;
  // Why it is not worked on although it waits; "": nothing is known.
  std::function<std::string(const std::string& run)> problem;
};

// The body of POST /runs. What is wrong with it is named.
ApiResult<WantedRun> read_wanted_run(const Json& body);

}  // namespace lathe::serve
