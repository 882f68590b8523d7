// What commands show, as JSON: one function computes it, and both the command's --json and the
// server's route print it. Any thread.
#pragma once

#include "app/cli/app.h"

namespace lathe::app {

struct FitQuestion {
  std::vector<std::string> models;  // FILE[:context[:streams]]
  std::string memory;               // "": what the machine has left
  std::string kv = "f16";
  std::size_t boxes = 1;   // machines with that memory each
  std::string bandwidth;   // bytes that one reads a second; "": nobody says
  double exchange_us = 0;  // of one small exchange between two
  double link_bytes = 0;   // that go from one to another a second; 0: nobody has measured
};
// As `lathe fit --json`: whether models fit into memory together.
Result<Json> fit_shown(const FitQuestion& question, const App& app);

// {"what", "grade", "found", "remedy"} for each finding of `lathe doctor`.
Json doctor_shown(const App& app);

// {"directory", "models"} of `lathe models --json`. `directory`: "" is the configuration's.
Json models_shown(const App& app, const std::string& directory = "");

// The shipped recipes: {"name", "description", "path", "input", "options", "workers"}, or "error"
// where one cannot be used here.
Result<Json> recipes_shown(const App& app);

}  // namespace lathe::app
