// Opens addresses with xdg-open, where there is a desktop.
#include "app/cli/desktop.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>

#include "ground/sys/subprocess.h"

namespace lathe::app {
namespace {

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

bool open_on_desktop(const std::string& url) {
  if (!is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY")) return false;
  const auto opener = find_program("xdg-open");
  if (!opener) return false;
  // In a session of its own, with all that this program knows of the desktop: the browser may be
  // its child, and stays when this program ends.
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_init(&files);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&files, stream, "/dev/null", O_RDWR, 0);
  std::string program = opener->string(), address = url;
  char* const argv[] = {program.data(), address.data(), nullptr};
  pid_t child = 0;
  const bool started =
      posix_spawn(&child, program.c_str(), &files, &attributes, argv, environ) == 0;
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return started;
}

}  // namespace lathe::app
