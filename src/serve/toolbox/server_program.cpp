// Starts tool servers, confined.
#include "serve/toolbox/server_program.h"

#include <algorithm>

#include "ground/sys/dialogue.h"
#include "serve/rpc/message.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kLife{24LL * 3600 * 1000};

// The sandbox has these anyway.
bool is_system(const fs::path& path) {
  const std::string text = path.string();
  return std::ranges::any_of(std::initializer_list<std::string_view>{"/usr/", "/bin/", "/sbin/",
                                                                     "/lib/", "/lib32/", "/lib64/"},
                             [&](std::string_view each) { return text.starts_with(each); });
}

// A directory with much else in it: the home, what that is in, and where everybody's files are.
bool is_wide(const fs::path& directory) {
  const fs::path home = plain_environment()["HOME"];
  for (fs::path at = home; !home.empty(); at = at.parent_path()) {
    if (directory == at) return true;
    if (at == at.parent_path()) break;
  }
  return std::ranges::any_of(
      std::initializer_list<const char*>{"/", "/home", "/root", "/tmp", "/var/tmp", "/dev/shm",
                                         "/etc", "/var", "/opt", "/srv", "/mnt", "/media"},
      [&](const char* each) { return directory == each; });
}

void add_once(std::vector<fs::path>& paths, const fs::path& path) {
  if (!is_system(path) && std::ranges::find(paths, path) == paths.end()) paths.push_back(path);
}

void add_file(std::vector<fs::path>& paths, const fs::path& file) {
  if (is_system(file)) return;
  add_once(paths, is_wide(file.parent_path()) ? file : file.parent_path());
}

// Under its own name, and where a link leads.
void add_with_target(std::vector<fs::path>& paths, const fs::path& file) {
  add_file(paths, file);
  std::error_code error;
  if (const fs::path target = fs::canonical(file, error); !error && target != file)
    add_file(paths, target);
}

Result<fs::path> directory_of(const std::string& what, const std::string& path) {
  std::error_code error;
  fs::path found = fs::canonical(path, error);
  if (error || !fs::is_directory(found, error))
    return fail(ErrorKind::kNotFound, "{}: '{}' is no directory here", what, path);
  return found;
}

class ProgramWire final : public Wire {
 public:
  ProgramWire(TempDir scratch, std::unique_ptr<Dialogue> dialogue)
      : scratch_(std::move(scratch)), dialogue_(std::move(dialogue)) {}

  Status say(std::string_view line, Milliseconds limit, const StopFlag& stop) override {
    return dialogue_->say(line, limit, stop);
  }
  Result<std::optional<std::string>> hear(Milliseconds wait, const StopFlag& stop) override {
    return dialogue_->hear(wait, stop);
  }

 private:
  TempDir scratch_;
  std::unique_ptr<Dialogue> dialogue_;  // ends before its directory goes
};

}  // namespace

Result<std::vector<fs::path>> readable_by(const ToolServer& server) {
  std::vector<fs::path> paths;
  LATHE_TRY(const fs::path program, find_program(server.command[0]));
  std::error_code ignored;
  add_with_target(paths, fs::absolute(program, ignored).lexically_normal());
  for (std::size_t i = 1; i < server.command.size(); ++i) {
    const fs::path named = server.command[i];
    if (named.is_absolute() && fs::is_regular_file(named, ignored))
      add_with_target(paths, named.lexically_normal());
  }
  if (!server.root.empty()) {
    LATHE_TRY(const fs::path root, directory_of("root", server.root));
    add_once(paths, root);
  }
  for (const std::string& each : server.read_only) {
    LATHE_TRY(const fs::path directory, directory_of("read_only", each));
    add_once(paths, directory);
  }
  return paths;
}

Result<std::unique_ptr<Wire>> start_server(const ToolServer& server, bool unsafe_none) {
  Sandbox sandbox;
  LATHE_TRY(sandbox.read_only, readable_by(server));
  for (const fs::path& path : sandbox.read_only)
    if (!unsafe_none && (path == "/work" || path.string().starts_with("/work/")))
      return fail(
          ErrorKind::kUnavailable,
          "{} lies in /work, which in the sandbox is the program's own directory; use a copy "
          "elsewhere",
          path.string());
  LATHE_TRY(TempDir scratch, TempDir::make("lathe-tool"));
  sandbox.tree = scratch.path();
  sandbox.unsafe_none = unsafe_none;
  sandbox.network = server.privacy != Reach::kLocal;
  Command command;
  command.argv = server.command;
  std::error_code ignored;
  LATHE_TRY(const fs::path program, find_program(server.command[0]));
  command.argv[0] = fs::absolute(program, ignored).lexically_normal().string();
  if (!server.root.empty()) {
    LATHE_TRY(const fs::path root, directory_of("root", server.root));
    command.argv.insert(command.argv.begin(),
                        {"sh", "-c", "cd \"$0\" && exec \"$@\"", root.string()});
  }
  command.env = server.env;
  command.time_limit = kLife;
  command.max_output = 64 << 10;
  LATHE_TRY(auto dialogue, Dialogue::start(std::move(sandbox), std::move(command), kMaxRpcBytes));
  return std::unique_ptr<Wire>(
      std::make_unique<ProgramWire>(std::move(scratch), std::move(dialogue)));
}

}  // namespace lathe::serve
