// Runs programs: spawned in a group of their own, read from, and ended in time.
#include "ground/sys/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ground/base/text.h"
#include "ground/sys/process.h"

namespace lathe {
namespace {

constexpr Milliseconds kGrace{1000};

// What posix_spawn needs, freed on every path.
class SpawnSetup {
 public:
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

// Out of the way of 0, 1 and 2, which the program's own streams replace: ours may be closed.
UniqueFd above_standard(UniqueFd fd) {
  if (!fd || fd.get() > 2) return fd;
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail(ErrorKind::kUnavailable, "{}: cannot make a pipe for its output: {}", program,
                errno_text(errno));
  Pipe pipe{above_standard(UniqueFd(ends[0])), above_standard(UniqueFd(ends[1]))};
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);  // our end only: the program's end still blocks
  return pipe;
}

// One stream of output: keeps the first `max` bytes, drops the rest.
class Stream {
 public:
  Stream(UniqueFd fd, std::uint64_t max) : fd_(std::move(fd)), max_(max) {}

  // Reads what is there now, a bounded amount so that a flood cannot starve the other stream.
  void read_some(const std::function<void(std::string_view)>& on_output) {
    std::array<char, 65536> buffer;
    for (int i = 0; i < 16 && fd_; ++i) {
      const ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {
        fd_.reset();
        return;
      }
      const auto got = static_cast<std::size_t>(n);
      if (on_output) on_output({buffer.data(), got});
      const auto keep = static_cast<std::size_t>(std::min<std::uint64_t>(got, max_ - text.size()));
      text.append(buffer.data(), keep);
      cut = cut || keep < got;
      total += got;
    }
  }

  int fd() const { return fd_.get(); }

  std::string text;
  bool cut = false;
  std::uint64_t total = 0;

 private:
  UniqueFd fd_;
  std::uint64_t max_;
};

Milliseconds now() {
  return system_clock().monotonic();
}

class Running {
 public:
  Running(pid_t pid, UniqueFd pidfd, UniqueFd out, UniqueFd err, std::uint64_t max_output)
      : pid_(pid),
        pidfd_(std::move(pidfd)),
        out_(std::move(out), max_output),
        err_(std::move(err), max_output) {}

  Exit wait(const Command& command, const ProcessHooks& hooks, const StopFlag& stop) {
    const Milliseconds start = now();
    const Milliseconds deadline = start + command.time_limit;
    Exit exit;
    std::optional<Milliseconds> kill_at;
    while (!ended_) {
      step(command, kill_at ? std::min(hooks.period, std::max(*kill_at - now(), Milliseconds(0)))
                            : std::min(hooks.period, std::max(deadline - now(), Milliseconds(0))));
      if (ended_) break;
      if (!kill_at && (stop.raised() || now() >= deadline)) {
        exit.stopped = stop.raised();
        exit.timed_out = !exit.stopped;
        ::kill(-pid_, SIGTERM);
        kill_at = now() + kGrace;
      }
      const bool keep =
          !hooks.keep_running || kill_at || hooks.keep_running(out_.total + err_.total);
      if (!keep || (kill_at && now() >= *kill_at)) {
        ::kill(-pid_, SIGKILL);
        if (!keep) kill_at = now();
      }
    }
    finish(command, exit);
    exit.wall = now() - start;
    return exit;
  }

 private:
  void step(const Command& command, Milliseconds timeout) {
    std::array<pollfd, 3> fds{pollfd{pidfd_.get(), POLLIN, 0}, pollfd{out_.fd(), POLLIN, 0},
                              pollfd{err_.fd(), POLLIN, 0}};
    ::poll(fds.data(), fds.size(), static_cast<int>(timeout.count()));
    if (fds[1].revents != 0) out_.read_some(command.on_output);
    if (fds[2].revents != 0) err_.read_some(command.on_output);
    ended_ = fds[0].revents != 0;
  }

  void finish(const Command& command, Exit& exit) {
    // The leader is a zombie and still holds its group's number, so this cannot hit a stranger.
    ::kill(-pid_, SIGKILL);
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {
    }
    // What the program wrote is in the pipes by now; a descendant that keeps them open is not
    // waited for.
    out_.read_some(command.on_output);
    err_.read_some(command.on_output);
    if (info.si_code == CLD_EXITED)
      exit.code = info.si_status;
    else
      exit.signal = info.si_status;
    exit.output_cut = out_.cut || err_.cut;
    exit.out = std::move(out_.text);
    exit.err = std::move(err_.text);
  }

  pid_t pid_;
  UniqueFd pidfd_;
  Stream out_, err_;
  bool ended_ = false;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& each : strings) result.push_back(const_cast<char*>(each.c_str()));
  result.push_back(nullptr);
  return result;
}

Status check_strings(const Command& command) {
  if (command.argv.empty() || command.argv[0].empty())
    return invalid("no program to run: the command is empty");
  const auto has_nul = [](const std::string& text) { return text.find('\0') != text.npos; };
  for (const std::string& argument : command.argv)
    if (has_nul(argument))
      return invalid("{}: an argument holds a NUL byte, which no program can be given",
                     command.argv[0]);
  for (const auto& [name, value] : command.env)
    if (name.empty() || name.find('=') != name.npos || has_nul(name) || has_nul(value))
      return invalid("{}: '{}' cannot be an environment variable", command.argv[0],
                     clip_utf8(name, 60));
  return {};
}

std::string search_path(const std::map<std::string, std::string>& env) {
  const auto own = env.find("PATH");
  if (own != env.end()) return own->second;
  const char* ours = std::getenv("PATH");
  return ours ? ours : "/usr/local/bin:/usr/bin:/bin";
}

std::string package_hint(std::string_view program) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 17> kPackages{
      {{"bwrap", "bubblewrap"},
       {"setpriv", "util-linux"},
       {"prlimit", "util-linux"},
       {"espeak-ng", "espeak-ng"},
       {"python3", "python3"},
       {"git", "git"},
       {"chromium-headless-shell", "chromium-headless-shell"},
       {"ctags", "universal-ctags"},
       {"ssh-keygen", "openssh-client"},
       {"ctest", "cmake"},
       {"cmake", "cmake"},
       {"g++", "g++"},
       {"pdftotext", "poppler-utils"},
       {"pdftoppm", "poppler-utils"},
       {"pandoc", "pandoc"},
       {"ffmpeg", "ffmpeg"},
       {"ffprobe", "ffmpeg"}}};
  for (const auto& [name, package] : kPackages)
    if (name == program) return fmt::format("; install the Debian package {}", package);
  return {};
}

Result<fs::path> find_in(std::string_view name, const std::string& path) {
  if (name.find('/') != name.npos) return fs::path(name);
  for (const std::string& directory : split(path, ':')) {
    const fs::path full = fs::path(directory.empty() ? "." : directory) / name;
    std::error_code error;
    if (fs::is_regular_file(full, error) && ::access(full.c_str(), X_OK) == 0) return full;
  }
  return fail(ErrorKind::kNotFound, "{}: no such program in PATH ({}){}", clip_utf8(name, 200),
              clip_utf8(path, 300), package_hint(name));
}

void prepare_attributes(SpawnSetup& setup) {
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  // Its own group, so that all of it can be ended; signals as a fresh program expects them.
  ::posix_spawnattr_setpgroup(&setup.attributes, 0);
  ::posix_spawnattr_setsigmask(&setup.attributes, &none);
  ::posix_spawnattr_setsigdefault(&setup.attributes, &all);
  ::posix_spawnattr_setflags(
      &setup.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

}  // namespace

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::string errno_text(int error) {
  std::array<char, 128> buffer{};
  return ::strerror_r(error, buffer.data(), buffer.size());  // strerror is not thread-safe
}

Result<UniqueFd> file_of_bytes(std::string_view bytes, std::string_view what) {
  UniqueFd file = above_standard(UniqueFd(::memfd_create("lathe", MFD_CLOEXEC)));
  if (!file)
    return fail(ErrorKind::kUnavailable, "{}: cannot make a file in memory: {}", what,
                errno_text(errno));
  while (!bytes.empty()) {
    const ssize_t n = ::write(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return fail(ErrorKind::kUnavailable, "{}: cannot write a file in memory: {}", what,
                  errno_text(errno));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

Result<Exit> run_process(const Command& command, const ProcessHooks& hooks, const StopFlag& stop) {
  LATHE_TRY_STATUS(check_strings(command));
  const std::string& name = command.argv[0];
  LATHE_TRY(const fs::path program, find_in(name, search_path(command.env)));
  // A file instead of a pipe: nothing to feed while the program runs, and no SIGPIPE.
  LATHE_TRY(const UniqueFd input, file_of_bytes(command.input, name));
  LATHE_TRY(Pipe out, make_pipe(name));
  LATHE_TRY(Pipe err, make_pipe(name));

  SpawnSetup setup;
  prepare_attributes(setup);
  const bool stream = command.stream >= 0;
  ::posix_spawn_file_actions_adddup2(&setup.actions, stream ? command.stream : input.get(), 0);
  ::posix_spawn_file_actions_adddup2(&setup.actions, stream ? command.stream : out.write.get(), 1);
  ::posix_spawn_file_actions_adddup2(&setup.actions, err.write.get(), 2);
  std::vector<UniqueFd> passed;
  const int first_free = 3 + static_cast<int>(hooks.pass_fds.size());
  for (const int fd : hooks.pass_fds) passed.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, first_free));
  for (std::size_t i = 0; i < passed.size(); ++i)
    ::posix_spawn_file_actions_adddup2(&setup.actions, passed[i].get(), 3 + static_cast<int>(i));
  // Not everyone who linked into this process marked their descriptors close-on-exec.
  ::posix_spawn_file_actions_addclosefrom_np(&setup.actions, first_free);
  if (!command.cwd.empty())
    ::posix_spawn_file_actions_addchdir_np(&setup.actions, command.cwd.c_str());

  std::vector<std::string> env;
  for (const auto& [key, value] : command.env) env.push_back(key + "=" + value);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, fs::absolute(program).c_str(), &setup.actions, &setup.attributes,
                    pointers(command.argv).data(), pointers(env).data());
  if (error != 0)
    return fail(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kUnavailable,
                "{}: cannot start it{}: {}", name,
                command.cwd.empty() ? "" : " in " + command.cwd.string(), errno_text(error));
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const int why = errno;
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(ErrorKind::kUnavailable, "{}: cannot watch it: {} (Linux 5.3 or newer is needed)",
                name, errno_text(why));
  }
  out.write.reset();
  err.write.reset();
  return Running(pid, std::move(pidfd), std::move(out.read), std::move(err.read),
                 command.max_output)
      .wait(command, hooks, stop);
}

Result<Exit> run_command(const Command& command, const StopFlag& stop) {
  return run_process(command, {}, stop);
}

std::string Exit::describe() const {
  if (stopped) return "stopped";
  if (timed_out) return fmt::format("timed out after {}", format_duration(wall));
  if (signal != 0) {
    const char* abbreviation = ::sigabbrev_np(signal);
    return abbreviation ? fmt::format("killed by SIG{}", abbreviation)
                        : fmt::format("killed by signal {}", signal);
  }
  return fmt::format("exit code {}", code);
}

std::map<std::string, std::string> plain_environment() {
  std::map<std::string, std::string> env{{"PATH", search_path({})}, {"LANG", "C.UTF-8"}};
  for (const char* name : {"HOME", "LANG"})
    if (const char* value = std::getenv(name)) env[name] = value;
  return env;
}

Result<fs::path> find_program(std::string_view name) {
  LATHE_TRY(fs::path path, find_in(name, search_path({})));
  if (::access(path.c_str(), X_OK) != 0)
    return fail(ErrorKind::kNotFound, "{}: not a program that can be run: {}", path.string(),
                errno_text(errno));
  return path;
}

}  // namespace lathe
