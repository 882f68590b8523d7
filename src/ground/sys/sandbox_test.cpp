// The sandbox itself, and the hostile programs of tests/cases/sandbox in it.
#include "ground/sys/sandbox.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "ground/base/text.h"
#include "ground/sys/sysfs.h"

namespace lathe {
namespace {

const StopFlag kUnstopped;

std::string unwrap_text(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const fs::path& path, std::string_view text) {
  std::ofstream(path) << text;
}

Command shell(std::string script) {
  Command command;
  command.argv = {"sh", "-c", std::move(script)};
  command.time_limit = Milliseconds(20'000);
  return command;
}

struct Scratch {
  TempDir directory = TempDir::make("lathe-sandbox-test").value();
  Sandbox sandbox() const {
    Sandbox result;
    result.tree = directory.path();
    return result;
  }
};

SandboxedExit run(const Sandbox& sandbox, const Command& command) {
  auto result = run_sandboxed(sandbox, command, kUnstopped);
  EXPECT_TRUE(result) << result.error().message;
  return result.value_or(SandboxedExit{});
}

TEST(Sandbox, Works) {
  const Status works = sandbox_works();
  EXPECT_TRUE(works) << works.error().message;
}

TEST(Sandbox, RunsInTheTreeAndLeavesItsFiles) {
  const Scratch scratch;
  put(scratch.directory.path() / "in", "given\n");
  fs::create_directory(scratch.directory.path() / "sub");
  put(scratch.directory.path() / "sub/old", "old\n");
  Command command = shell("pwd; cat in; cat; echo new >sub/old; echo made >out; echo $X $HOME");
  command.input = "typed\n";
  command.env = {{"X", "a b"}};
  const SandboxedExit result = run(scratch.sandbox(), command);
  EXPECT_TRUE(result.exit.ok()) << result.exit.err;
  EXPECT_EQ(result.exit.out, "/work\ngiven\ntyped\na b /tmp\n");
  EXPECT_EQ(result.contained, "");
  EXPECT_EQ(unwrap_text(scratch.directory.path() / "out"), "made\n");
  EXPECT_EQ(unwrap_text(scratch.directory.path() / "sub/old"), "new\n");
}

TEST(Sandbox, OrdinaryToolsWork) {
  const Scratch scratch;
  put(scratch.directory.path() / "a.cpp",
      "#include <thread>\n#include <cstdio>\nint main() { std::thread([] { puts(\"hi\"); "
      "}).join(); }");
  const SandboxedExit result = run(
      scratch.sandbox(),
      shell("set -e; g++ -O0 -pthread a.cpp -o a && ./a; id -un; "
            "/usr/bin/python3 -c 'import socket as s, subprocess, tempfile\n"
            "l = s.create_server((\"127.0.0.1\", 0)); c = s.create_connection(l.getsockname())\n"
            "print(subprocess.run([\"echo\", \"child\"], capture_output=True).stdout)'"));
  EXPECT_TRUE(result.exit.ok()) << result.exit.err;
  EXPECT_EQ(result.exit.out, "hi\nlathe\nb'child\\n'\n");
}

TEST(Sandbox, ReadOnlyPathsAreSeenAtTheSamePlace) {
  const Scratch scratch, shared;
  fs::permissions(shared.directory.path(), fs::perms(0755));
  put(shared.directory.path() / "data", "shared\n");
  Sandbox sandbox = scratch.sandbox();
  sandbox.read_only = {shared.directory.path()};
  const std::string file = (shared.directory.path() / "data").string();
  EXPECT_EQ(run(sandbox, shell("cat " + file)).exit.out, "shared\n");
}

TEST(Sandbox, SignalsAndCodesComeThrough) {
  const Scratch scratch;
  EXPECT_EQ(run(scratch.sandbox(), shell("exit 3")).exit.code, 3);
  EXPECT_EQ(run(scratch.sandbox(), shell("kill -SEGV $$")).exit.signal, SIGSEGV);
  Command missing;
  missing.argv = {"no-such-program"};
  const SandboxedExit result = run(scratch.sandbox(), missing);
  EXPECT_EQ(result.exit.code, 127);
  EXPECT_NE(result.exit.err.find("no-such-program"), std::string::npos);
}

TEST(Sandbox, FixedFilesAreReadOnlyInside) {
  const Scratch scratch;
  fs::create_directory(scratch.directory.path() / "tests");
  put(scratch.directory.path() / "tests/a", "as it was\n");
  Sandbox sandbox = scratch.sandbox();
  sandbox.fixed = {"tests/a"};
  for (const char* attack : {"echo x >tests/a", "rm -f tests/a", "mv tests/a b",
                             "ln -f out tests/a", "cp out b; mv b tests/a", "chmod 777 tests/a"}) {
    put(scratch.directory.path() / "out", "x\n");
    EXPECT_FALSE(run(sandbox, shell(attack)).exit.ok()) << attack;
    EXPECT_EQ(unwrap_text(scratch.directory.path() / "tests/a"), "as it was\n") << attack;
  }
  EXPECT_TRUE(run(sandbox, shell("cat tests/a && echo y >tests/b")).exit.ok());
}

TEST(Sandbox, SaysWhatStillRunsAtItsEnd) {
  const Scratch scratch;
  EXPECT_EQ(run(scratch.sandbox(), shell("true")).left, "");
  EXPECT_EQ(run(scratch.sandbox(), shell("sleep 0.2 & exit 3")).left, "");
  EXPECT_EQ(run(scratch.sandbox(), shell("sleep 60 & exit 3")).left, "sleep");
  const SandboxedExit daemon = run(scratch.sandbox(), shell("setsid sh -c 'sleep 60; :' & exit 3"));
  EXPECT_EQ(daemon.exit.code, 3);
  EXPECT_NE(daemon.left.find("sleep"), std::string::npos) << daemon.left;
}

// What honest programs do with shared memory, pipes and sockets stays within a modest limit.
TEST(Sandbox, OrdinarySharedMemoryIsNoBreach) {
  const Scratch scratch;
  Sandbox sandbox = scratch.sandbox();
  sandbox.limits.memory_bytes = std::uint64_t{300} << 20;
  const SandboxedExit result =
      run(sandbox, shell("/usr/bin/python3 -c 'import mmap, multiprocessing as m, socket, time\n"
                         "def f(n): return n * n\n"
                         "with m.Pool(4) as p: print(sum(p.map(f, range(100))))\n"
                         "a = m.Array(\"d\", 100000); q = m.Queue(); q.put(1); print(q.get())\n"
                         "s = [socket.socketpair() for i in range(40)]\n"
                         "s[0][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)\n"
                         "x = mmap.mmap(-1, 64 << 20); x[:] = b\"z\" * (64 << 20)\n"
                         "time.sleep(0.5)'"));
  EXPECT_TRUE(result.exit.ok()) << result.exit.err;
  EXPECT_EQ(result.exit.out, "328350\n1\n");
  EXPECT_EQ(result.contained, "");
}

TEST(Sandbox, StopFlagEndsIt) {
  const Scratch scratch;
  StopFlag stop;
  stop.raise();
  const auto result = run_sandboxed(scratch.sandbox(), shell("sleep 600"), stop);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->exit.stopped);
}

TEST(Sandbox, ManyAtOnceDoNotShareLimits) {
  std::vector<std::thread> threads;
  std::vector<SandboxedExit> results(6);
  for (SandboxedExit& result : results)
    threads.emplace_back([&result] {
      const Scratch scratch;
      Sandbox sandbox = scratch.sandbox();
      sandbox.limits.processes = 16;
      result =
          run(sandbox, shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.3 & done; wait"));
    });
  for (std::thread& thread : threads) thread.join();
  for (const SandboxedExit& result : results)
    EXPECT_TRUE(result.exit.ok()) << result.exit.err << result.contained;
}

TEST(Sandbox, LimitsHoldAtTheirBorder) {
  const Scratch scratch;
  Sandbox sandbox = scratch.sandbox();
  sandbox.limits.file_bytes = 100'000;
  EXPECT_TRUE(run(sandbox, shell("head -c 100000 /dev/zero >f")).exit.ok());
  EXPECT_EQ(run(sandbox, shell("head -c 100001 /dev/zero >f")).exit.ok(), false);
  sandbox.limits.open_files = 20;
  EXPECT_EQ(trim(run(sandbox, shell("ulimit -n")).exit.out), "20");
}

TEST(Sandbox, UnsafeNoneRunsInTheTreeWithoutIsolation) {
  const Scratch scratch;
  Sandbox sandbox = scratch.sandbox();
  sandbox.unsafe_none = true;
  const SandboxedExit result = run(sandbox, shell("pwd"));
  EXPECT_EQ(result.exit.out, scratch.directory.path().string() + "\n");
}

// What /usr links to, and nothing that tells of the machine or its users.
TEST(Sandbox, OfEtcOnlyTheSettingsOfTools) {
  Scratch scratch;
  const SandboxedExit result = run(scratch.sandbox(), shell("ls -A /etc /etc/ssl 2>/dev/null"));
  for (const std::string_view line : split_lines(result.exit.out)) {
    static const std::set<std::string_view> kKnown{
        "",      "/etc:",       "/etc/ssl:",  "alternatives", "group",
        "java",  "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
        "maven", "gradle",      "groovy",     "hosts",        "passwd",
        "ssl",   "certs",       "openssl.cnf"};
    EXPECT_TRUE(kKnown.contains(line) || line.starts_with("python3") ||
                (line.starts_with("java-") && line.ends_with("-openjdk")))
        << line;
  }
}

TEST(Sandbox, LocalhostIsItself) {
  Scratch scratch;
  const SandboxedExit result =
      run(scratch.sandbox(),
          shell("python3 -c 'import socket; s = socket.create_server((\"localhost\", 0)); "
                "socket.create_connection((\"localhost\", s.getsockname()[1])); print(\"met\")'"));
  EXPECT_EQ(result.exit.out, "met\n") << result.exit.err;
}

TEST(Sandbox, ErrorsNameTheTree) {
  Sandbox sandbox;
  sandbox.tree = "/no/such/tree";
  const auto result = run_sandboxed(sandbox, shell("true"), kUnstopped);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("/no/such/tree"), std::string::npos);
  sandbox.tree = "/etc/passwd";
  EXPECT_FALSE(run_sandboxed(sandbox, shell("true"), kUnstopped));
}

// ---- hostile programs: tests/cases/sandbox ----

struct Hostile {
  std::string name;
  fs::path file;
  std::string contained, reason;
  Milliseconds time_limit{20'000};
};

std::vector<Hostile> hostile_programs() {
  std::vector<Hostile> programs;
  for (const auto& entry : fs::directory_iterator(LATHE_SOURCE_DIR "/tests/cases/sandbox")) {
    if (entry.path().extension() == ".md") continue;
    Hostile program{entry.path().stem().string(), entry.path(), {}, {}};
    const std::string text = unwrap_text(entry.path());
    for (const std::string_view line : split_lines(text)) {
      const auto colon = line.find(": ");
      const auto equals = line.find(" = ");
      if (!(line.starts_with("#: ") || line.starts_with("//: ")) || equals == line.npos) break;
      const std::string_view key = line.substr(colon + 2, equals - colon - 2);
      const std::string value(line.substr(equals + 3));
      if (key == "contained") program.contained = value;
      if (key == "reason") program.reason = value;
      if (key == "time_ms") program.time_limit = Milliseconds(std::stol(value));
    }
    programs.push_back(std::move(program));
  }
  std::ranges::sort(programs, {}, &Hostile::name);
  return programs;
}

// What the programs attack, and how it is told that they did.
class Host {
 public:
  Host() {
    fs::permissions(home.directory.path(), fs::perms(0755));
    fs::permissions(visible.directory.path(), fs::perms(0755));
    put(file(), "precious\n");
    put(read_only(), "reference\n");
    fs::permissions(file(), fs::perms(0666));
    fs::permissions(read_only(), fs::perms(0666));
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener_, 5), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port = ntohs(address.sin_port);
    abstract = fmt::format("lathe-test-{}", ::getpid());
    unix_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    abstract.copy(name.sun_path + 1, sizeof name.sun_path - 1);
    const auto size = static_cast<socklen_t>(sizeof(sa_family_t) + 1 + abstract.size());
    EXPECT_EQ(::bind(unix_, reinterpret_cast<sockaddr*>(&name), size), 0);
    EXPECT_EQ(::listen(unix_, 5), 0);
  }
  ~Host() {
    ::close(listener_);
    ::close(unix_);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  fs::path file() const { return home.directory.path() / "file"; }
  fs::path read_only() const { return visible.directory.path() / "read_only"; }
  bool reached() const {
    return ::accept(listener_, nullptr, nullptr) >= 0 || ::accept(unix_, nullptr, nullptr) >= 0;
  }

  Scratch home, visible;
  int port = 0;
  std::string abstract;

 private:
  int listener_ = -1, unix_ = -1;
};

// Programs that carry the mark of a run in their environment: daemons cannot shake it off.
std::vector<std::string> survivors(const std::string& mark) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename().string();
    if (!std::isdigit(static_cast<unsigned char>(pid[0]))) continue;
    if (unwrap_text(entry.path() / "environ").find(mark) != std::string::npos) found.push_back(pid);
  }
  return found;
}

Command command_for(const Hostile& program, const fs::path& tree) {
  Command command;
  const std::string name = program.file.filename().string();
  if (program.file.extension() == ".c") {
    Command compile;
    compile.argv = {"gcc", "-w", "-O0", program.file.string(), "-o", (tree / "program").string()};
    compile.env = plain_environment();
    const auto compiled = run_command(compile, kUnstopped);
    EXPECT_TRUE(compiled && compiled->ok());
    command.argv = {"./program"};
  } else {
    fs::copy_file(program.file, tree / name);
    command.argv = {program.file.extension() == ".py" ? "/usr/bin/python3" : "sh", name};
  }
  command.time_limit = program.time_limit;
  command.max_output = 100'000;
  return command;
}

class HostileProgram : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileProgram, IsContained) {
  const Hostile& program = GetParam();
  const Host host;
  const Scratch scratch;
  Sandbox sandbox = scratch.sandbox();
  sandbox.read_only = {host.read_only()};
  sandbox.limits = {.memory_bytes = 256 << 20,
                    .processes = 64,
                    .file_bytes = 32 << 20,
                    .disk_bytes = 64 << 20,
                    .open_files = 256};
  const std::string mark = fmt::format("LATHE_MARK={}-{}", program.name, ::getpid());
  Command command = command_for(program, sandbox.tree);
  command.env = {{"HOST_FILE", host.file().string()},
                 {"HOST_READ_ONLY", host.read_only().string()},
                 {"HOST_HOME", host.home.directory.path().string()},
                 {"HOST_PORT", std::to_string(host.port)},
                 {"HOST_ABSTRACT", host.abstract},
                 {"HOST_PID", std::to_string(::getpid())},
                 {"HOST_PROGRAM", LATHE_SOURCE_DIR "/tools/install-packages.sh"},
                 {"LATHE_MARK", mark.substr(mark.find('=') + 1)}};
  ::setenv("HOST_ENV_SECRET", "1", 1);

  const SandboxedExit result = run(sandbox, command);
  const std::string seen = result.exit.describe() + "; " + result.contained + "; " +
                           result.exit.err.substr(0, 500) + result.exit.out.substr(0, 500);
  RecordProperty("seen", seen);
  EXPECT_EQ(result.exit.out.find("ESCAPED"), std::string::npos) << seen;
  if (program.reason != "any") {
    EXPECT_FALSE(result.exit.ok() && result.contained.empty()) << seen;
  }
  if (program.reason.empty()) {
    EXPECT_FALSE(result.contained.empty() && trim(result.exit.err).empty() &&
                 result.exit.signal == 0)
        << seen;
  }
  EXPECT_NE(result.contained.find(program.contained), std::string::npos) << seen;

  EXPECT_EQ(survivors(mark), std::vector<std::string>{});
  EXPECT_EQ(unwrap_text(host.file()), "precious\n");
  EXPECT_EQ(unwrap_text(host.read_only()), "reference\n");
  EXPECT_FALSE(host.reached());
  EXPECT_FALSE(fs::exists("/usr/bin/lathe-was-here"));
  EXPECT_TRUE(list_files(sandbox.tree)) << "what it left must not hold up the reader";
  const Status removed = remove_tree(sandbox.tree);
  EXPECT_TRUE(removed) << "what it left must not outlive its directory: "
                       << removed.error().message;
}

void PrintTo(const Hostile& program, std::ostream* out) {
  *out << program.name;
}

INSTANTIATE_TEST_SUITE_P(Sandbox, HostileProgram, ::testing::ValuesIn(hostile_programs()),
                         [](const auto& test) { return test.param.name; });

TEST(Sandbox, DaemonReallyRanBeforeItWasKilled) {
  const Scratch scratch;
  const SandboxedExit result =
      run(scratch.sandbox(),
          shell("setsid sh -c 'touch ran; sleep 600' & while ! [ -e ran ]; do :; done"));
  EXPECT_TRUE(result.exit.ok());
  EXPECT_TRUE(fs::exists(scratch.directory.path() / "ran"));
}

// Processes whose command line names the path: bubblewrap's own two among them.
std::vector<pid_t> processes_naming(const fs::path& path) {
  std::vector<pid_t> found;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error))
    if (sysfs_text(it->path() / "cmdline").value_or("").contains(path.native()))
      if (const auto pid = to_unsigned(it->path().filename().string()))
        found.push_back(static_cast<pid_t>(*pid));
  return found;
}

// We die at any moment of a sandbox's start: whatever bubblewrap has begun by then ends too. Of the
// few microseconds in which bubblewrap's first process dies with us and its second already waits
// for it, one kill in some hundreds hits; it was one in three when it wrote to a pipe of ours.
TEST(Sandbox, NothingIsLeftWhenWeAreKilled) {
  const Scratch scratch;
  std::size_t kills = 0, running = 0;
  // As long as a start takes here, in microseconds.
  const auto start = run(scratch.sandbox(), shell("true")).exit.wall;
  const int longest = std::max(8000, static_cast<int>(start.count()) * 1000);
  for (int delay = 0; delay < longest; delay += longest / 400, ++kills) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      (void)run_sandboxed(scratch.sandbox(), shell("sleep 600"), kUnstopped);
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(delay));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    running += !processes_naming(scratch.directory.path()).empty();
  }
  EXPECT_GT(running, kills / 4);  // else nothing was killed in the middle
  std::size_t left = 1;
  for (int i = 0; i < 300 && left > 0; ++i, ::usleep(10'000))
    left = processes_naming(scratch.directory.path()).size();
  EXPECT_LE(left, kills / 40);
  for (const pid_t pid : processes_naming(scratch.directory.path())) ::kill(pid, SIGKILL);
}

}  // namespace
}  // namespace lathe
