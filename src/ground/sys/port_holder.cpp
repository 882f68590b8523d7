// Which process listens on a port.
#include "ground/sys/port_holder.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "ground/base/text.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kListening = "0A";

// The links in /proc/PID/fd that belong to listening sockets of the port: "socket:[12345]".
std::set<std::string> listening_sockets(std::uint16_t port) {
  std::set<std::string> links;
  const std::string suffix = fmt::format(":{:04X}", port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string slot, local, remote, state, queues, timer, retries, user, timeout, inode;
      words >> slot >> local >> remote >> state >> queues >> timer >> retries >> user >> timeout >>
          inode;
      if (state == kListening && local.ends_with(suffix)) links.insert("socket:[" + inode + "]");
    }
  }
  return links;
}

}  // namespace

std::optional<PortHolder> find_port_holder(std::uint16_t port) {
  const std::set<std::string> links = listening_sockets(port);
  if (links.empty()) return std::nullopt;
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    const std::string pid = process.path().filename();
    if (pid.find_first_not_of("0123456789") != pid.npos) continue;
    for (auto fd = fs::directory_iterator(process.path() / "fd", ignored);
         fd != fs::directory_iterator(); fd.increment(ignored)) {
      if (!links.contains(fs::read_symlink(fd->path(), ignored).string())) continue;
      std::string name;
      std::getline(std::ifstream(process.path() / "comm"), name);
      return PortHolder{static_cast<pid_t>(std::stol(pid)), make_valid_utf8(name)};
    }
  }
  return std::nullopt;
}

std::string port_holder(std::uint16_t port) {
  const auto holder = find_port_holder(port);
  return holder ? fmt::format("{} (process {})", holder->program, holder->process) : "";
}

}  // namespace lathe
