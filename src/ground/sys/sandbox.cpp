// The sandbox: bubblewrap's arguments, who the program is inside, and the watch over it.
#include "ground/sys/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "ground/base/text.h"
#include "ground/sys/process.h"
#include "ground/sys/seccomp_filter.h"
#include "ground/sys/sysfs.h"
#include "ground/sys/tree_watch.h"

namespace lathe {
namespace {

// The descriptors that bwrap gets, in the order of ProcessHooks::pass_fds.
constexpr int kFilterFd = 3;
constexpr int kInfoFd = 4;
constexpr int kStartedFd = 5;
constexpr int kPasswdFd = 6;
constexpr int kGroupFd = 7;
constexpr int kHostsFd = 8;

constexpr Milliseconds kWatchPeriod{10};
constexpr std::size_t kMostFixed =
    100;  // files: each is a mount, and bwrap reads all mounts for each
constexpr std::uint64_t kSharedMemoryBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kFloodBytes = std::uint64_t{1} << 30;

// Who the program is. The kernel holds nobody who is root outside to a number of processes, so root
// hands over to a user that no one else is; an ordinary user stays who they are, and so does the
// root of a user namespace that knows no other user.
struct Identity {
  bool as_root = false;
  std::uint32_t id = 1000;
};

// 61184…65519 is set aside for short-lived users, and is mapped in containers too.
constexpr std::uint32_t kFirstId = 61184;
constexpr std::uint32_t kIds = 4336;

// Lines of "first-inside first-outside count".
bool maps_ids(const fs::path& map) {
  const std::string text = sysfs_text(map).value_or("");
  for (const std::string_view line : split_lines(text)) {
    std::vector<std::uint64_t> numbers;
    for (const std::string& word : split(line, ' '))
      if (const auto number = to_unsigned(word)) numbers.push_back(*number);
    if (numbers.size() == 3 && numbers[0] <= kFirstId && numbers[0] + numbers[2] >= kFirstId + kIds)
      return true;
  }
  return false;
}

Identity identity() {
  if (::geteuid() != 0 || !maps_ids("/proc/self/uid_map") || !maps_ids("/proc/self/gid_map"))
    return {};
  std::uint32_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random)
    random = static_cast<std::uint32_t>(::getpid());
  return {true, kFirstId + random % kIds};
}

// Calls `visit(directory fd, name, info)` for everything below `name`, a directory before what is
// in it. Symbolic links are not followed; nothing may run in the tree meanwhile.
template <class Visit>
Status walk(int at, const char* name, int depth, const Visit& visit) {
  if (depth > kMaxTreeDepth)
    return invalid("sandbox: its tree has directories nested deeper than {}", kMaxTreeDepth);
  const UniqueFd directory(::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory)
    return fail(ErrorKind::kUnavailable, "sandbox: cannot open '{}': {}", name, errno_text(errno));
  std::vector<std::string> names;
  std::error_code error;
  const fs::path listed = fmt::format("/proc/self/fd/{}", directory.get());
  for (fs::directory_iterator it(listed, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  for (const std::string& each : names) {
    struct stat info {};
    if (::fstatat(directory.get(), each.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !visit(directory.get(), each.c_str(), info))
      return fail(ErrorKind::kUnavailable, "sandbox: cannot change the owner or mode of '{}': {}",
                  each, errno_text(errno));
    if (S_ISDIR(info.st_mode))
      LATHE_TRY_STATUS(walk(directory.get(), each.c_str(), depth + 1, visit));
  }
  return {};
}

// So that we can read and remove what a program left, however it set the modes; root can anyhow.
void open_up(const fs::path& tree) {
  const auto visit = [](int at, const char* name, const struct stat& info) {
    return !S_ISDIR(info.st_mode) || (info.st_mode & S_IRWXU) == S_IRWXU ||
           ::fchmodat(at, name, info.st_mode | S_IRWXU, 0) == 0;
  };
  (void)walk(AT_FDCWD, tree.c_str(), 0, visit);  // what stays closed is an error where it is read
}

Status hand_over(const fs::path& tree, const Identity& who) {
  struct stat info {};
  if (::lstat(tree.c_str(), &info) != 0)
    return fail(ErrorKind::kNotFound, "{}: the sandbox's tree: {}", tree.string(),
                errno_text(errno));
  if (!S_ISDIR(info.st_mode))
    return invalid("{}: the sandbox's tree is not a directory", tree.string());
  if (!who.as_root) return {};
  if (::lchown(tree.c_str(), who.id, who.id) != 0)
    return fail(ErrorKind::kUnavailable, "{}: cannot hand it over to the sandbox: {}",
                tree.string(), errno_text(errno));
  return walk(AT_FDCWD, tree.c_str(), 0, [&](int at, const char* name, const struct stat&) {
    return ::fchownat(at, name, who.id, who.id, AT_SYMLINK_NOFOLLOW) == 0;
  });
}

using Args = std::vector<std::string>;

void add(Args& args, std::initializer_list<std::string> more) {
  args.insert(args.end(), more);
}

// What Debian keeps of toolchains in /etc, with links to it from /usr: no secrets. A Java without
// its own does not start.
void add_settings_of_tools(Args& args) {
  std::error_code error;
  for (fs::directory_iterator it("/etc", error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == "maven" || name == "gradle" || name == "groovy" || name.starts_with("python3") ||
        name == "java" || (name.starts_with("java-") && name.ends_with("-openjdk")))
      add(args, {"--ro-bind-try", it->path().string(), it->path().string()});
  }
  add(args, {"--perms", "0755", "--dir", "/etc/ssl"});
  for (const char* path : {"/etc/ssl/certs", "/etc/ssl/openssl.cnf"})
    add(args, {"--ro-bind-try", path, path});
}

void add_file_system(Args& args, const Sandbox& sandbox) {
  add(args, {"--ro-bind", "/usr", "/usr"});
  for (const char* directory : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code error;
    if (const fs::path target = fs::read_symlink(directory, error); !error)
      add(args, {"--symlink", target.string(), directory});
    else if (fs::is_directory(directory, error))
      add(args, {"--ro-bind", directory, directory});
  }
  add(args, {"--perms", "0755", "--dir", "/etc"});
  for (const char* file : {"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf",
                           "/etc/ld.so.conf.d", "/etc/localtime"})
    add(args, {"--ro-bind-try", file, file});
  add_settings_of_tools(args);
  add(args, {"--perms", "0644", "--file", std::to_string(kPasswdFd), "/etc/passwd"});
  add(args, {"--perms", "0644", "--file", std::to_string(kGroupFd), "/etc/group"});
  add(args, {"--perms", "0644", "--file", std::to_string(kHostsFd), "/etc/hosts"});
  if (sandbox.network)
    for (const char* file : {"/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf"})
      add(args, {"--ro-bind-try", file, file});
  const auto size = std::to_string(sandbox.limits.disk_bytes);
  add(args, {"--proc", "/proc", "--dev", "/dev"});
  // Whose files are the machine's root's own: also in a user namespace that knows nobody else.
  for (const char* path : {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"})
    add(args, {"--ro-bind-try", path, path});
  add(args, {"--perms", "1777", "--size", size, "--tmpfs", "/tmp"});
  add(args, {"--perms", "1777", "--size",
             std::to_string(std::min(kSharedMemoryBytes, sandbox.limits.disk_bytes)), "--tmpfs",
             "/dev/shm"});
  for (const fs::path& path : sandbox.read_only) {
    // Whoever runs inside must come through the directories above it.
    fs::path above = "/";
    for (const fs::path& part : path.parent_path().relative_path())
      add(args, {"--perms", "0755", "--dir", (above /= part).string()});
    add(args, {"--ro-bind", path.string(), path.string()});
  }
  if (!sandbox.program.empty())
    add(args, {"--perms", "0755", "--dir", "/run", "--ro-bind", sandbox.program.string(),
               std::string(kSandboxProgram)});
  add(args, {"--bind", sandbox.tree.string(), "/work", "--chdir", "/"});
  for (std::size_t i = 0; i < std::min(sandbox.fixed.size(), kMostFixed); ++i)
    add(args,
        {"--ro-bind", (sandbox.tree / sandbox.fixed[i]).string(), "/work/" + sandbox.fixed[i]});
  // Both are file systems in memory without a size of their own.
  add(args, {"--remount-ro", "/dev", "--remount-ro", "/"});
}

// A limit of ours that is above the hard limit we have ourselves cannot be set, and need not be.
std::string limit(const char* name, __rlimit_resource resource, std::uint64_t value) {
  rlimit ours{};
  if (::getrlimit(resource, &ours) == 0 && ours.rlim_max != RLIM_INFINITY)
    value = std::min<std::uint64_t>(value, ours.rlim_max);
  return fmt::format("--{}={}:{}", name, value, value);
}

// Memory has no rlimit here: RLIMIT_AS counts addresses, of which sanitizers and virtual machines
// reserve terabytes, and holds one process, not their sum. The watch does it, and the kernel's own
// out-of-memory killer is asked to begin with this tree should the watch come late.
std::string start_script() {
  return fmt::format(
      "cd /work && echo 1000 >/proc/self/oom_score_adj && printf s >&{0} || exit 125\n"
      "\"$@\" {0}>&-\n"
      "code=$?\n"
      // Helpers end a little after their parent: a while is left to them.
      "for wait in 1 2 3 4 5 6 7 8 9 10; do\n"
      "  set -- /proc/[0-9]*\n"
      "  [ $# -gt 2 ] || exit $code\n"
      "  sleep 0.05\n"
      "done\n"
      "for each; do\n"
      "  case $each in /proc/1|/proc/$$) continue ;; esac\n"
      "  read -r name <$each/comm && printf '%s ' \"$name\" >&{0}\n"
      "done 2>/dev/null\n"
      "exit $code",
      kStartedFd);
}

Args arguments(const std::string& bwrap, const Sandbox& sandbox, const Command& command,
               const Identity& who) {
  Args args{
      bwrap,        "--unshare-pid", "--unshare-ipc",     "--unshare-uts", "--unshare-cgroup-try",
      "--hostname", "lathe",         "--die-with-parent", "--new-session", "--cap-drop",
      "ALL"};
  if (!sandbox.network) add(args, {"--unshare-net"});
  const std::string id = std::to_string(who.id);
  if (who.as_root)  // for setpriv, which gives them up
    add(args, {"--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"});
  else
    add(args, {"--unshare-user", "--uid", id, "--gid", id});
  add(args, {"--seccomp", std::to_string(kFilterFd), "--info-fd", std::to_string(kInfoFd)});
  std::map<std::string, std::string> env{{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                                         {"HOME", "/tmp"},
                                         {"TMPDIR", "/tmp"},
                                         {"LANG", "C.UTF-8"},
                                         {"USER", "lathe"}};
  for (const auto& [name, value] : command.env) env[name] = value;
  add(args, {"--clearenv"});
  for (const auto& [name, value] : env) add(args, {"--setenv", name, value});
  add_file_system(args, sandbox);
  if (who.as_root)
    add(args, {"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all",
               "--bounding-set=-all"});
  const SandboxLimits& limits = sandbox.limits;
  // Far more than the processes allowed: the watch has to see that there are too many to say so.
  add(args,
      {"prlimit", limit("nproc", RLIMIT_NPROC, static_cast<std::uint64_t>(limits.processes) * 8),
       limit("fsize", RLIMIT_FSIZE, limits.file_bytes),
       limit("nofile", RLIMIT_NOFILE, static_cast<std::uint64_t>(limits.open_files)), "--core=0:0",
       "sh", "-c", start_script(), "sh"});
  args.insert(args.end(), command.argv.begin(), command.argv.end());
  return args;
}

struct Channel {
  UniqueFd read, write;
};

Result<Channel> make_channel() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
    return fail(ErrorKind::kUnavailable, "sandbox: cannot make a pipe: {}", errno_text(errno));
  return Channel{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// One running sandbox, seen from outside.
class SandboxGuard {
 public:
  // `info`: the file that bwrap writes; `started`: the pipe that says that the program begins.
  SandboxGuard(const Sandbox& sandbox, const UniqueFd& info, const UniqueFd& started)
      : sandbox_(sandbox),
        info_(info),
        started_fd_(started),
        bytes_before_(tree_size(sandbox.tree).bytes) {}

  // Whatever is left of the namespace dies here, daemons included.
  ~SandboxGuard() { end(); }
  SandboxGuard(const SandboxGuard&) = delete;
  SandboxGuard& operator=(const SandboxGuard&) = delete;

  bool keep_running(std::uint64_t output_bytes) {
    look();
    if (output_bytes > kFloodBytes)
      broken = fmt::format("more than {} of output", format_bytes(kFloodBytes));
    else if (watch_)
      broken = watch_->broken_limit();
    if (!broken.empty()) kill_all();
    return broken.empty();
  }

  void end() {
    look();
    if (!init_) return;
    kill_all();
    // The init of a PID namespace ends only after all others in it.
    pollfd ended{init_.get(), POLLIN, 0};
    while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
    }
    init_.reset();
  }

  bool started() const { return started_; }

  // What start_script says at its end.
  std::string left() const {
    std::array<char, 1024> buffer;
    const ssize_t n = ::read(started_fd_.get(), buffer.data(), buffer.size());
    const std::string_view names(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return make_valid_utf8(trim(names));
  }

  std::string broken;

 private:
  // With the init of a PID namespace the kernel ends everyone in it.
  void kill_all() const { ::syscall(SYS_pidfd_send_signal, init_.get(), SIGKILL, nullptr, 0); }

  void look() {
    char byte = 0;
    started_ = started_ || ::read(started_fd_.get(), &byte, 1) == 1;
    if (!init_) find_init();
    // Before the program starts, the root of the new init is still the machine's own.
    if (started_ && init_ && !watch_)
      watch_.emplace(fmt::format("/proc/{}/root", init_pid_), sandbox_, bytes_before_);
  }

  void find_init() {
    std::array<char, 512> buffer;
    const ssize_t n = ::pread(info_.get(), buffer.data(), buffer.size(), 0);
    const std::string text(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    constexpr std::string_view kKey = "\"child-pid\": ";
    const auto found = text.find(kKey);
    if (found == text.npos || text.find('}') == text.npos) return;
    init_pid_ = std::atoi(text.c_str() + found + kKey.size());
    if (init_pid_ > 1) init_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, init_pid_, 0)));
  }

  const Sandbox& sandbox_;
  const UniqueFd &info_, &started_fd_;
  UniqueFd init_;
  std::uint64_t bytes_before_;
  pid_t init_pid_ = 0;
  bool started_ = false;
  std::optional<TreeWatch> watch_;
};

std::unexpected<Error> explain(const Exit& exit) {
  std::string remedy;
  if (sysfs_text("/proc/sys/kernel/unprivileged_userns_clone") == "0")
    remedy = "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1";
  else if (sysfs_text("/proc/sys/user/max_user_namespaces") == "0")
    remedy = "allow user namespaces: sysctl user.max_user_namespaces=10000";
  else if (sysfs_text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    remedy =
        "allow bubblewrap its user namespaces: sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap";
  else
    remedy = "inside a container, start that with the right to make namespaces";
  return fail(ErrorKind::kUnavailable,
              "sandbox: bubblewrap cannot isolate programs here ({}: {}); {}; or run without "
              "isolation at your own risk with --unsafe-no-sandbox",
              exit.describe(), clip_utf8(make_valid_utf8(trim(exit.err)), 400), remedy);
}

Result<SandboxedExit> run_unsafe(const Sandbox& sandbox, Command command, const StopFlag& stop) {
  command.cwd = sandbox.tree;
  std::map<std::string, std::string> env = plain_environment();
  for (const auto& [name, value] : command.env) env[name] = value;
  command.env = std::move(env);
  LATHE_TRY(Exit exit, run_command(command, stop));
  return SandboxedExit{std::move(exit), {}};
}

Result<fs::path> find_bwrap() {
  auto bwrap = find_program("bwrap");
  if (!bwrap)
    return fail(ErrorKind::kUnavailable,
                "sandbox: {}; or run without isolation at your own risk with --unsafe-no-sandbox",
                bwrap.error().message);
  return bwrap;
}

// Between two looks of the watchdog a tree can be nested deeper than any reader walks: such
// branches are not kept.
void drop_too_deep(const fs::path& tree) {
  if (!tree_size(tree).too_deep) return;
  std::error_code ignored;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(tree, ignored), end; !ignored && it != end; it.increment(ignored))
    entries.push_back(it->path());
  for (const fs::path& entry : entries)
    if (tree_size(entry).too_deep) static_cast<void>(remove_tree(entry));
}

// bwrap and sh say 128 + n for signal n.
void translate(SandboxedExit& result, const Command& command) {
  Exit& exit = result.exit;
  if (exit.code > 128 && exit.code <= 128 + SIGRTMAX) {
    exit.signal = exit.code - 128;
    exit.code = -1;
  }
  if (!result.contained.empty()) return;
  if (exit.timed_out)
    result.contained = fmt::format("ran longer than {}", format_duration(command.time_limit));
  else if (exit.signal == SIGXFSZ)
    result.contained = "a file over its size limit";
  else if (exit.signal == SIGSYS)
    result.contained = "a system call that is not allowed";
}

}  // namespace

Result<SandboxedExit> run_sandboxed(const Sandbox& sandbox, const Command& command,
                                    const StopFlag& stop) {
  if (command.argv.empty()) return invalid("sandbox: no program to run: the command is empty");
  if (sandbox.unsafe_none) return run_unsafe(sandbox, command, stop);
  LATHE_TRY(const fs::path bwrap, find_bwrap());
  LATHE_TRY(const std::string program, sandbox_filter());
  LATHE_TRY(const UniqueFd filter, file_of_bytes(program, "sandbox"));
  const Identity who = identity();
  const std::string id = std::to_string(who.id);
  LATHE_TRY(const UniqueFd passwd,
            file_of_bytes(fmt::format("lathe:x:{}:{}::/tmp:/bin/sh\n", id, id), "sandbox"));
  LATHE_TRY(const UniqueFd group, file_of_bytes(fmt::format("lathe:x:{}:\n", id), "sandbox"));
  // Tests of servers look for themselves at "localhost".
  LATHE_TRY(const UniqueFd hosts,
            file_of_bytes("127.0.0.1 localhost\n::1 localhost ip6-localhost\n", "sandbox"));
  // A file, no pipe: when we are killed before bwrap writes it, a broken pipe would end the first
  // of its two processes, and the second would wait for that one for good.
  LATHE_TRY(const UniqueFd info, file_of_bytes("", "sandbox"));
  LATHE_TRY(const Channel started, make_channel());
  LATHE_TRY_STATUS(hand_over(sandbox.tree, who));

  Command outer = command;
  outer.argv = arguments(bwrap.string(), sandbox, command, who);
  outer.env = {{"PATH", "/usr/bin:/bin"}};
  outer.cwd.clear();
  SandboxGuard guard(sandbox, info, started.read);
  ProcessHooks hooks;
  hooks.pass_fds = {filter.get(), info.get(),  started.write.get(),
                    passwd.get(), group.get(), hosts.get()};
  hooks.period = kWatchPeriod;
  hooks.keep_running = [&](std::uint64_t bytes) { return guard.keep_running(bytes); };
  LATHE_TRY(Exit exit, run_process(outer, hooks, stop));
  guard.end();
  drop_too_deep(sandbox.tree);
  if (!who.as_root) open_up(sandbox.tree);
  if (!guard.started() && !exit.timed_out && !exit.stopped) return explain(exit);
  SandboxedExit result{std::move(exit), std::move(guard.broken), guard.left()};
  translate(result, command);
  return result;
}

Status sandbox_works() {
  static const Status works = []() -> Status {
    LATHE_TRY(const TempDir scratch, TempDir::make("lathe-sandbox"));
    Sandbox sandbox;
    sandbox.tree = scratch.path();
    Command command;
    command.argv = {"sh", "-c", "echo works >proof"};
    const StopFlag never;
    LATHE_TRY(const SandboxedExit result, run_sandboxed(sandbox, command, never));
    const auto proof = read_file(scratch.path() / "proof", 100);
    if (!result.exit.ok() || !proof || *proof != "works\n")
      return fail(ErrorKind::kUnavailable, "sandbox: a program that should work ended with {}: {}",
                  result.exit.describe(), clip_utf8(result.exit.err, 400));
    return {};
  }();
  return works;
}

}  // namespace lathe
