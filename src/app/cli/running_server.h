// The server that runs on this machine: `lathe serve` leaves a note, and run, ps and loops find it.
#pragma once

#include "app/cli/app.h"
#include "work/work.h"

namespace lathe::app {

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

// --server and --allow.
struct ServerFlags {
  std::string url;              // "": the one that runs here
  std::string allow = "local";  // how far a call may travel
};
void add_server_flags(CLI::App& command, ServerFlags& flags, const std::string& help);

struct ServerAddress {
  std::string base;  // without a path
  Reach allowed = Reach::kLocal;
  std::string allowed_by = {};
};
// The one that is asked for, else the running one; an error says how to start one.
Result<ServerAddress> find_server(const App& app, const ServerFlags& flags);
// LATHE_API_KEY, for servers that want one.
std::string server_key();
Result<Json> get_json(const App& app, const ServerAddress& server, const std::string& path);
// The names of the models that a server has.
Result<std::vector<std::string>> server_models(const App& app, const ServerAddress& server);

}  // namespace lathe::app
