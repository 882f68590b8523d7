// The server that runs on this machine: `lathe serve` leaves a note, and run, ps and loops find it.
#pragma once

#include "app/cli/app.h"

namespace lathe {

// Says where the server is, for as long as it exists.
class ServerNote {
 public:
  ServerNote(const App& app, const std::string& url);
  ServerNote(const ServerNote&) = delete;
  ServerNote& operator=(const ServerNote&) = delete;
  ~ServerNote();

 private:
  fs::path path_;
};

// The URL of the server that runs here, without a path; nullopt: none does.
std::optional<std::string> running_server(const App& app);
// `asked` when it is not empty, else the running one; an error says how to start one.
Result<std::string> find_server(const App& app, const std::string& asked);
// LATHE_API_KEY, for servers that want one.
std::string server_key();
Result<Json> get_json(const App& app, const std::string& url);
// The names of the models that a server has.
Result<std::vector<std::string>> server_models(const App& app, const std::string& base);

}  // namespace lathe
