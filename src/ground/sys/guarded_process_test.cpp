// Programs with a guard: how they end, and that nothing of them outlives it. Trees of processes.
#include "ground/sys/guarded_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "ground/sys/process_tree.h"
#include "ground/sys/subprocess.h"

namespace lathe {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr Milliseconds kGuardLimit{30'000};

class Guarded : public ::testing::Test {
 protected:
  Result<std::unique_ptr<GuardedProcess>> start(std::vector<std::string> argv) {
    GuardedCommand command{.guard = "/proc/self/exe",
                           .argv = std::move(argv),
                           .env = {"PATH=/usr/bin:/bin", "WORD=hello"},
                           .cwd = dir.path(),
                           .log = dir.path() / "log"};
    return GuardedProcess::start(command);
  }
  std::string log() const { return read_file(dir.path() / "log").value_or(""); }
  // Waits until the program has written this many numbers of processes.
  std::vector<pid_t> logged(std::size_t count) const {
    for (;;) {
      std::ifstream file(dir.path() / "log");
      std::vector<pid_t> pids;
      for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
      if (pids.size() == count) return pids;
      ::usleep(1000);
    }
  }
  // Not one that has ended and waits for whoever adopted it.
  static bool is_there(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string stat;
    std::getline(file, stat);
    const auto name_end = stat.rfind(')');
    return name_end != stat.npos && stat.substr(name_end, 3) != ") Z";
  }

  TempDir dir = *TempDir::make("lathe-test");
};

TEST_F(Guarded, RunsWhereAndWithWhatItIsTold) {
  const auto process = start({"sh", "-c", "pwd; echo $WORD; cat; echo out >&2; exit 7"});
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ((*process)->ended(kGuardLimit), "exit code 7");
  EXPECT_EQ(log(), dir.path().string() + "\nhello\nout\n");
  EXPECT_EQ((fs::status(dir.path() / "log").permissions() & fs::perms::all), fs::perms(0600));
}

TEST_F(Guarded, SaysWhatCannotBeStarted) {
  const auto missing = start({"lathe-no-such-program"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  std::ofstream(dir.path() / "plain") << "no program";
  EXPECT_THAT(start({"./plain"}).error().message, ::testing::HasSubstr("Permission denied"));
  EXPECT_FALSE(start({}));
}

TEST_F(Guarded, WhatAProgramLeavesBehindEndsWithIt) {
  // A child in a session of its own whose parent is gone, deaf to what may be ignored.
  const auto process =
      start({"sh", "-c",
             "setsid sh -c 'trap : TERM; trap \"\" HUP; echo $$; exec sleep 600' & "
             "echo $$; sleep 0.2; kill -9 $$"});
  ASSERT_TRUE(process);
  const std::vector<pid_t> pids = logged(2);
  EXPECT_EQ((*process)->ended(kGuardLimit), "killed by SIGKILL");
  for (const pid_t pid : pids) EXPECT_FALSE(is_there(pid));
  EXPECT_THAT((*process)->processes(), IsEmpty());
}

TEST_F(Guarded, TerminatesThenKills) {
  const auto process =
      start({"sh", "-c", "trap 'echo heard' TERM; echo $$; while :; do sleep 0.01; done"});
  ASSERT_TRUE(process);
  const pid_t pid = logged(1).front();
  EXPECT_THAT((*process)->processes(), ::testing::Contains(pid));
  EXPECT_EQ((*process)->ended(Milliseconds(0)), std::nullopt);
  (*process)->terminate();
  while (log().find("heard") == std::string::npos) ::usleep(1000);  // … and goes on
  (*process)->kill();
  EXPECT_EQ((*process)->ended(kGuardLimit), "killed by SIGKILL");
  EXPECT_FALSE(is_there(pid));
}

TEST_F(Guarded, EndsWithItsOwnerAndWithItsGuard) {
  {
    const auto process = start({"sh", "-c", "echo $$; exec sleep 600"});
    ASSERT_TRUE(process);
    logged(1);
  }
  EXPECT_FALSE(is_there(logged(1).front()));
  const auto process = start({"sh", "-c", "echo $$; exec sleep 600"});
  ASSERT_TRUE(process);
  const pid_t pid = logged(2).back();
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  pid_t guard = 0;
  stat >> word >> word >> word >> guard;
  ::kill(guard, SIGKILL);
  EXPECT_EQ((*process)->ended(kGuardLimit), "its guard was killed by SIGKILL");
  while (is_there(pid)) ::usleep(1000);
}

TEST(ProcessTree, ReadsDescendantsAndTheirShares) {
  const TempDir dir = *TempDir::make("lathe-test");
  const auto add = [&](pid_t pid, const std::string& stat, const std::string& rollup,
                       const std::string& statm) {
    const fs::path place = dir.path() / "proc" / std::to_string(pid);
    fs::create_directories(place);
    std::ofstream(place / "stat") << stat;
    if (!rollup.empty()) std::ofstream(place / "smaps_rollup") << rollup;
    if (!statm.empty()) std::ofstream(place / "statm") << statm;
  };
  const std::string head = "00400000-7fff00000000 ---p 00000000 00:00 0  [rollup]\n";
  add(1, "1 (init) S 0 1 1", "", "");
  add(10, "10 (server) S 1 10 10", head + "Rss: 900 kB\nPss:     100 kB\nPss_Dirty: 7 kB\n", "");
  add(11, "11 (a) b) R 10 10 10",
      head + "Pss:   50 kB\nShared_Hugetlb:  2048 kB\nPrivate_Hugetlb: 4096 kB\n", "");
  add(12, "12 (c) S 11 12 12", "", "900 3 1 0 0 0 0");  // shows its resident pages alone
  add(13, "13 (d) S 1 13 13", head + "Pss: 7000 kB\n", "");
  fs::create_directories(dir.path() / "proc" / "self");
  EXPECT_THAT(descendants_of(10, dir.path()), UnorderedElementsAre(11, 12));
  const std::vector<pid_t> tree{10, 11, 12};
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_EQ(memory_of_processes(tree, dir.path()),
            (100 + 50 + 2048 + 4096) * std::uint64_t{1024} + 3 * page);
  const std::vector<pid_t> gone{99};
  EXPECT_EQ(memory_of_processes(gone, dir.path()), std::nullopt);
}

}  // namespace
}  // namespace lathe
