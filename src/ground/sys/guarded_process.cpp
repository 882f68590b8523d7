// Programs in the hands of a guard: both sides of the socket between it and us.
#include "ground/sys/guarded_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ground/base/clock.h"
#include "ground/sys/process.h"
#include "ground/sys/process_tree.h"

namespace lathe {
namespace {

constexpr int kSocket = STDIN_FILENO;  // of the guard
constexpr Milliseconds kStartLimit{10'000};
// How long the guard tries to kill what does not die: a process may hang in the kernel.
constexpr Milliseconds kKillLimit{10'000};
// To the guard.
constexpr char kTerminate = 'T', kKill = 'K';
// From it: a word and a number.
constexpr char kStarted = 'S', kNotStarted = 'E', kEnded = 'X';
struct Note {
  char word;
  int number;
};

std::string pack(Note note) {
  std::string bytes(1 + sizeof(int), note.word);
  std::memcpy(bytes.data() + 1, &note.number, sizeof(int));
  return bytes;
}
std::optional<Note> unpack(std::string_view bytes) {
  if (bytes.size() != 1 + sizeof(int)) return std::nullopt;
  Note note{bytes[0], 0};
  std::memcpy(&note.number, bytes.data() + 1, sizeof(int));
  return note;
}

// One packet, or "" when the other side is gone; nullopt: none came in time.
std::optional<std::string> receive(int socket, Milliseconds wait) {
  pollfd readable{socket, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&readable, 1, static_cast<int>(wait.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return std::nullopt;
  std::array<char, 64> packet{};
  const ssize_t got = ::recv(socket, packet.data(), packet.size(), 0);
  return got > 0 ? std::string(packet.data(), static_cast<std::size_t>(got)) : std::string();
}

std::vector<char*> argument_pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& each : strings) result.push_back(const_cast<char*>(each.c_str()));
  result.push_back(nullptr);
  return result;
}

std::string signal_text(int status) {
  if (WIFEXITED(status)) return fmt::format("exit code {}", WEXITSTATUS(status));
  const char* name = ::sigabbrev_np(WTERMSIG(status));
  return name ? fmt::format("killed by SIG{}", name)
              : fmt::format("killed by signal {}", WTERMSIG(status));
}

// Starts the program; its number, or how it could not be started as an errno below nothing.
pid_t start_program(const std::string& directory, const std::vector<std::string>& argv) {
  std::array<int, 2> failure{};
  if (::pipe2(failure.data(), O_CLOEXEC) != 0) return -errno;
  const pid_t guard = ::getpid();
  const pid_t program = ::fork();
  if (program == 0) {
    ::setpgid(0, 0);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Should the guard itself be killed. It has one thread, so its end is the process's.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    if (nothing > 2) ::close(nothing);
    if (::getppid() == guard && (directory.empty() || ::chdir(directory.c_str()) == 0))
      ::execvp(argv[0].c_str(), argument_pointers(argv).data());
    const int why = errno;
    (void)!::write(failure[1], &why, sizeof why);
    ::_exit(127);
  }
  const int fork_error = errno;
  ::close(failure[1]);
  int why = 0;
  const bool failed = program > 0 && ::read(failure[0], &why, sizeof why) == sizeof why;
  ::close(failure[0]);
  if (program < 0) return -fork_error;
  if (!failed) return program;
  ::waitpid(program, nullptr, 0);
  return -why;
}

// What the guard holds: the program, and as a subreaper whatever it leaves behind.
class Guard {
 public:
  explicit Guard(pid_t program) : program_(program) {}

  // Takes in who has ended. True: the program itself.
  bool reap() {
    int status = 0;
    for (pid_t child = 0; (child = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (child == program_) {
        status_ = status;
        ended_ = true;
      }
    }
    return ended_;
  }

  void terminate() const { ::kill(-program_, SIGTERM); }

  // What forks while it is killed is killed in the next round.
  void kill_all() {
    const Milliseconds limit = system_clock().monotonic() + kKillLimit;
    for (;;) {
      const std::vector<pid_t> left = descendants_of(::getpid());
      for (const pid_t process : left) ::kill(process, SIGKILL);
      reap();
      if (left.empty() || system_clock().monotonic() > limit) return;
      ::poll(nullptr, 0, 2);
    }
  }

  int status() const { return status_; }

 private:
  pid_t program_;
  bool ended_ = false;
  int status_ = SIGKILL;  // as waitpid() has it
};

Status check_command(const GuardedCommand& command) {
  if (command.argv.empty() || command.argv[0].empty())
    return invalid("no program to run: the command is empty");
  for (const std::string& argument : command.argv)
    if (argument.find('\0') != argument.npos)
      return invalid("{}: an argument holds a NUL byte, which no program can be given",
                     command.argv[0]);
  return {};
}

}  // namespace

int guard_main(std::span<const std::string> args) {
  if (args.size() < 2) return 2;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  const int signals = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  ::fcntl(kSocket, F_SETFD, FD_CLOEXEC);
  const auto tell = [](Note note) {
    const std::string bytes = pack(note);
    (void)!::send(kSocket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  };

  const pid_t program = start_program(args[0], {args.begin() + 1, args.end()});
  if (program < 0) {
    tell({kNotStarted, -program});
    return 1;
  }
  tell({kStarted, program});
  Guard guard(program);
  for (bool over = false; !over;) {
    std::array<pollfd, 2> fds{pollfd{kSocket, POLLIN, 0}, pollfd{signals, POLLIN, 0}};
    ::poll(fds.data(), fds.size(), -1);
    if (fds[0].revents != 0) {
      char word = kKill;
      const bool told = ::recv(kSocket, &word, 1, 0) == 1;  // else whoever started us is gone
      if (told && word == kTerminate)
        guard.terminate();
      else
        over = true;
    }
    if (fds[1].revents != 0) {
      signalfd_siginfo info;
      while (::read(signals, &info, sizeof info) > 0) {
      }
    }
    over = guard.reap() || over;
  }
  guard.kill_all();
  tell({kEnded, guard.status()});
  return 0;
}

Result<std::unique_ptr<GuardedProcess>> GuardedProcess::start(const GuardedCommand& command) {
  LATHE_TRY_STATUS(check_command(command));
  const std::string& name = command.argv[0];
  const UniqueFd log(::open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log)
    return fail(ErrorKind::kUnavailable, "{}: its log {} cannot be written: {}", name,
                command.log.string(), errno_text(errno));
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail(ErrorKind::kUnavailable, "{}: no socket for its guard: {}", name,
                errno_text(errno));
  UniqueFd theirs(ends[1]);

  std::vector<std::string> argv{command.guard.string(), std::string(kGuardRole),
                                command.cwd.string()};
  argv.insert(argv.end(), command.argv.begin(), command.argv.end());
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  // Its own process group: what is typed at the terminal is for us to handle.
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  sigset_t all, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), kSocket);
  ::posix_spawn_file_actions_adddup2(&actions, log.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, log.get(), STDERR_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  pid_t guard = -1;
  const int error =
      ::posix_spawn(&guard, command.guard.c_str(), &actions, &attributes,
                    argument_pointers(argv).data(), argument_pointers(command.env).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  theirs.reset();  // so that their end is seen
  if (error != 0) {
    ::close(ends[0]);
    return fail(ErrorKind::kUnavailable, "{}: its guard {} cannot be started: {}", name,
                command.guard.string(), errno_text(error));
  }
  std::unique_ptr<GuardedProcess> process(new GuardedProcess(guard, ends[0]));
  const auto first = receive(ends[0], kStartLimit);
  const auto note = first ? unpack(*first) : std::nullopt;
  if (note && note->word == kStarted) {
    process->program_ = note->number;
    return process;
  }
  if (note && note->word == kNotStarted)
    return fail(note->number == ENOENT ? ErrorKind::kNotFound : ErrorKind::kUnavailable,
                "{}: cannot be started in {}: {}", name,
                command.cwd.empty() ? "this directory" : command.cwd.string(),
                errno_text(note->number));
  return fail(ErrorKind::kUnavailable, "{}: its guard does not answer", name);
}

GuardedProcess::~GuardedProcess() {
  if (!end_) kill();
  if (!end_) ended(kKillLimit + kStartLimit);
  ::close(socket_);  // the sign for a guard that is still there
}

void GuardedProcess::say(char word) {
  if (!end_) (void)!::send(socket_, &word, 1, MSG_NOSIGNAL);
}

void GuardedProcess::terminate() {
  say(kTerminate);
}

void GuardedProcess::kill() {
  say(kKill);
}

std::string GuardedProcess::end_of(std::string_view message) {
  int status = 0;
  const auto note = unpack(message);
  // A guard that went without a word left the program to the kernel; its group is ours to end.
  if (!note && program_ > 0) ::kill(-program_, SIGKILL);
  while (::waitpid(guard_, &status, 0) < 0 && errno == EINTR) {
  }
  return note && note->word == kEnded ? signal_text(note->number)
                                      : "its guard was " + signal_text(status);
}

std::optional<std::string> GuardedProcess::ended(Milliseconds wait) {
  if (end_) return end_;
  const auto message = receive(socket_, wait);
  if (message) end_ = end_of(*message);
  return end_;
}

std::vector<pid_t> GuardedProcess::processes() const {
  return end_ ? std::vector<pid_t>{} : descendants_of(guard_);
}

Result<std::uint16_t> free_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  if (!socket || ::bind(socket.get(), plain, size) != 0 ||
      ::getsockname(socket.get(), plain, &size) != 0)
    return fail(ErrorKind::kUnavailable, "no port of 127.0.0.1 is free: {}", errno_text(errno));
  return ::ntohs(address.sin_port);
}

}  // namespace lathe
