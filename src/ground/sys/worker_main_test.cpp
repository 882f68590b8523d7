// The tests' own main: the worker processes that they start are this program again, with a role
// that behaves well or badly in one particular way.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "ground/sys/confine.h"
#include "ground/sys/guarded_process.h"
#include "ground/sys/worker_process.h"

namespace lathe {
namespace {

// Done behind the locked door: each of these must end the process.
std::string forbidden(std::string_view what) {
  if (what == "open") return ::open("/etc/passwd", O_RDONLY) >= 0 ? "opened" : "refused";
  if (what == "create")
    return ::open("/tmp/x", O_CREAT | O_WRONLY, 0600) >= 0 ? "opened" : "refused";
  if (what == "socket") return ::socket(AF_INET, SOCK_STREAM, 0) >= 0 ? "made" : "refused";
  if (what == "fork") return ::fork() >= 0 ? "forked" : "refused";
  if (what == "exec") {
    ::execl("/bin/true", "true", nullptr);
    return "refused";
  }
  if (what == "kill") return ::kill(::getppid(), 0) == 0 ? "killed" : "refused";
  if (what == "ptrace") return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? "traced" : "no";
  if (what == "memory") return std::malloc(std::size_t{1} << 40) ? "given" : "refused";
  return std::string(what);
}

int test_worker(const std::string& role) {
  if (role == "echo") serve_frames([](std::string_view in) { return std::string(in); });
  if (role == "pid") serve_frames([](std::string_view) { return std::to_string(::getpid()); });
  if (role == "files")  // which descriptors did we get?
    serve_frames([](std::string_view) {
      std::string open;
      for (int fd = 0; fd < 256; ++fd)
        if (::fcntl(fd, F_GETFD) >= 0) open += std::to_string(fd) + " ";
      return open;
    });
  if (role == "crash") serve_frames([](std::string_view) -> std::string { std::abort(); });
  if (role == "throw") serve_frames([](std::string_view) -> std::string { throw 1; });
  if (role == "exit") ::_exit(7);
  if (role == "hang") {
    watch_parent();
    serve_frames([](std::string_view what) -> std::string {
      if (what == "are you there") return "yes";
      for (std::uint64_t spin = 1;; spin = spin * 3 + 1) {
        asm volatile("" : : "r"(spin));
      }
    });
  }
  if (role == "deaf") {  // reads nothing, says nothing
    ::sleep(60);
    return 0;
  }
  if (role == "huge") {  // a frame that claims 4 GiB
    (void)!::write(0, "\xff\xff\xff\xff", 4);
    ::sleep(60);
  }
  if (role == "cut") {  // half a frame
    (void)!::write(0, "\x10\0\0\0abc", 7);
    return 0;
  }
  if (role == "confined") {
    watch_parent();
    if (!confine({})) return 9;
    serve_frames([](std::string_view what) { return forbidden(what); });
  }
  return 2;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "test-worker") return lathe::test_worker(argv[2]);
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == lathe::kGuardRole)
    return lathe::guard_main(std::span(args).subspan(1));
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
