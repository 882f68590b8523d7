// Other programs: what they get, what comes back, and how they end.
#include "ground/sys/subprocess.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "ground/base/text.h"

namespace lathe {
namespace {

Command sh(const std::string& script, Milliseconds limit = Milliseconds(20'000)) {
  Command command;
  command.argv = {"sh", "-c", script};
  command.env = plain_environment();
  command.time_limit = limit;
  return command;
}

Exit ran(const Command& command) {
  const StopFlag stop;
  auto exit = run_command(command, stop);
  EXPECT_TRUE(exit) << exit.error().message;
  return exit.value_or(Exit{});
}

int open_descriptors() {
  int count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory)) ++count;
  ::closedir(directory);
  return count;
}

bool alive(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

// A killed process that is not our child vanishes when its new parent reaps it.
bool gone_soon(pid_t pid) {
  for (int i = 0; i < 500 && alive(pid); ++i) ::usleep(10'000);
  return !alive(pid);
}

TEST(Subprocess, KeepsStreamsAndCodeApart) {
  const Exit exit = ran(sh("echo out; echo err >&2; exit 3"));
  EXPECT_EQ(exit.code, 3);
  EXPECT_EQ(exit.out, "out\n");
  EXPECT_EQ(exit.err, "err\n");
  EXPECT_FALSE(exit.ok());
  EXPECT_EQ(exit.describe(), "exit code 3");
}

TEST(Subprocess, ArgumentsReachTheProgramUnchanged) {
  Command command;
  command.argv = {"printf", "%s|", "a b", "$HOME", "", "\"'`\n"};
  EXPECT_EQ(ran(command).out, "a b|$HOME||\"'`\n|");
}

TEST(Subprocess, EnvironmentIsExactlyWhatIsGiven) {
  Command command;
  command.argv = {"env"};
  command.env = {{"ONE", "1"}, {"PATH", "/usr/bin:/bin"}};
  EXPECT_EQ(ran(command).out, "ONE=1\nPATH=/usr/bin:/bin\n");
}

TEST(Subprocess, InputLargerThanAPipe) {
  Command command = sh("wc -c");
  command.input = std::string(3'000'000, 'x');
  EXPECT_EQ(trim(ran(command).out), "3000000");
  command = sh("true");  // reads none of it: no SIGPIPE for us
  command.input = std::string(3'000'000, 'x');
  EXPECT_TRUE(ran(command).ok());
}

TEST(Subprocess, OutputIsBoundedAndTheRestDropped) {
  Command command = sh("head -c 5000000 /dev/zero; echo end >&2");
  command.max_output = 1000;
  const Exit exit = ran(command);
  EXPECT_EQ(exit.out.size(), 1000U);
  EXPECT_EQ(exit.err, "end\n");
  EXPECT_TRUE(exit.output_cut);
  EXPECT_TRUE(exit.ok());
  command = sh("head -c 1000 /dev/zero");
  command.max_output = 1000;
  EXPECT_FALSE(ran(command).output_cut);
}

TEST(Subprocess, SignalIsNamed) {
  const Exit exit = ran(sh("kill -SEGV $$"));
  EXPECT_EQ(exit.signal, SIGSEGV);
  EXPECT_EQ(exit.code, -1);
  EXPECT_EQ(exit.describe(), "killed by SIGSEGV");
}

TEST(Subprocess, TimeLimitEndsEvenWhatIgnoresSigterm) {
  const Exit exit = ran(sh("trap '' TERM; echo on; while :; do sleep 1; done", Milliseconds(1000)));
  EXPECT_TRUE(exit.timed_out);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_FALSE(exit.ok());
}

TEST(Subprocess, SigtermGivesAChanceToTidyUp) {
  const Exit exit =
      ran(sh("trap 'echo tidy; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
             Milliseconds(500)));
  EXPECT_TRUE(exit.timed_out);
  EXPECT_EQ(exit.out, "ready\ntidy\n");
  EXPECT_FALSE(exit.ok());  // it said 0, but it did not come to its end
}

TEST(Subprocess, StopFlagEndsIt) {
  StopFlag stop;
  stop.raise();
  auto exit = run_command(sh("sleep 600"), stop);
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->stopped);
  EXPECT_FALSE(exit->timed_out);
}

TEST(Subprocess, BackgroundChildrenDieWithTheGroup) {
  const Exit exit = ran(sh("sleep 600 & echo $!"));
  EXPECT_TRUE(exit.ok());
  EXPECT_TRUE(gone_soon(static_cast<pid_t>(std::stol(exit.out))));
}

TEST(Subprocess, GrandchildThatHoldsThePipeIsNotWaitedFor) {
  const Exit exit = ran(sh("setsid sh -c 'echo $$; exec sleep 600' & sleep 0.2"));
  EXPECT_TRUE(exit.ok());
  const auto pid = static_cast<pid_t>(std::stol(exit.out));
  EXPECT_TRUE(alive(pid));  // it left the group: only the sandbox can hold such a one
  ::kill(pid, SIGKILL);
}

TEST(Subprocess, LeavesNoDescriptorAndNoZombie) {
  ran(sh("true"));
  const int before = open_descriptors();
  for (int i = 0; i < 20; ++i) ran(sh("echo x"));
  Command missing;
  missing.argv = {"/no/such/program"};
  const StopFlag stop;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(run_command(missing, stop));
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(Subprocess, ProgramsSeeNoDescriptorOfOurs) {
  // ls itself opens one: the directory.
  EXPECT_EQ(ran(sh("ls /proc/self/fd | wc -l")).out, "4\n");
}

TEST(Subprocess, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::string> outputs(8);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    threads.emplace_back([&outputs, i] {
      for (int k = 0; k < 10; ++k) outputs[i] += ran(sh(fmt::format("echo {}", i))).out;
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < outputs.size(); ++i)
    EXPECT_EQ(outputs[i], replace_all("xxxxxxxxxx", "x", fmt::format("{}\n", i)));
}

TEST(Subprocess, ErrorsNameTheProgramAndTheRemedy) {
  const StopFlag stop;
  Command command;
  EXPECT_FALSE(run_command(command, stop));
  command.argv = {"no-such-program-here"};
  auto exit = run_command(command, stop);
  ASSERT_FALSE(exit);
  EXPECT_EQ(exit.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(exit.error().message.find("no-such-program-here"), std::string::npos);
  command = sh("true");
  command.cwd = "/no/such/place";
  exit = run_command(command, stop);
  ASSERT_FALSE(exit);
  EXPECT_NE(exit.error().message.find("/no/such/place"), std::string::npos);
  command = sh(std::string("a\0b", 3));
  EXPECT_FALSE(run_command(command, stop));
}

TEST(Subprocess, WorkingDirectory) {
  Command command = sh("pwd");
  command.cwd = "/usr";
  EXPECT_EQ(ran(command).out, "/usr\n");
}

TEST(Subprocess, FindProgram) {
  EXPECT_TRUE(find_program("sh"));
  EXPECT_FALSE(find_program("/etc/passwd"));
  EXPECT_FALSE(find_program("no-such-program-here"));
}

}  // namespace
}  // namespace lathe
