// Confined workers that answer, hang, crash or lie about sizes.
#include "ground/sys/worker_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

namespace lathe {
namespace {

using ::testing::HasSubstr;

WorkerProcess worker(const std::string& role) {
  return WorkerProcess({"/proc/self/exe", {"test-worker", role}});
}

Result<std::string> call(WorkerProcess& process, std::string_view request,
                         Milliseconds limit = Milliseconds(20'000)) {
  const StopFlag stop;
  return process.call(request, limit, stop);
}

TEST(WorkerProcess, AnswersFramesOfAllSizesInOneProcess) {
  auto process = worker("echo");
  const pid_t none = process.pid();
  pid_t first = none;
  for (const std::size_t size : {0UL, 1UL, 4095UL, 65536UL, 3'000'001UL}) {
    const std::string request(size, 'x');
    const auto reply = call(process, request);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(*reply, request);
    if (first == none) first = process.pid();
    EXPECT_EQ(process.pid(), first);
  }
}

TEST(WorkerProcess, RefusesARequestOverTheLimit) {
  auto process = worker("echo");
  const auto reply = call(process, std::string(kMaxFrameBytes + 1, 'x'));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kInvalid);
}

TEST(WorkerProcess, SaysHowAWorkerEnded) {
  const std::pair<const char*, const char*> ends[] = {
      {"crash", "SIGABRT"},    {"throw", "SIGABRT"},
      {"exit", "exit code 7"}, {"no such role", "exit code 2"},
      {"cut", "ended early"},  {"huge", "claims 4.0 GiB"}};
  for (const auto& [role, message] : ends) {
    auto process = worker(role);
    const auto reply = call(process, "hello");
    ASSERT_FALSE(reply) << role;
    EXPECT_EQ(reply.error().kind, ErrorKind::kUnavailable) << role;
    EXPECT_THAT(reply.error().message, HasSubstr(message));
    EXPECT_FALSE(process.running());
    EXPECT_EQ(process.last_signal(), std::string_view(message) == "SIGABRT" ? SIGABRT : 0);
  }
}

TEST(WorkerProcess, KillsAWorkerThatHangsOrReadsNothing) {
  for (const char* role : {"hang", "deaf"}) {
    auto process = worker(role);
    const auto reply = call(process, std::string(8'000'000, 'x'), Milliseconds(200));
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, ErrorKind::kTimeout) << reply.error().message;
    EXPECT_FALSE(process.running());
  }
}

TEST(WorkerProcess, EndsWhenStopped) {
  auto process = worker("hang");
  StopFlag stop;
  std::thread later([&] {
    std::this_thread::sleep_for(Milliseconds(100));
    stop.raise();
  });
  const auto reply = process.call("x", Milliseconds(60'000), stop);
  later.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kCancelled);
}

TEST(WorkerProcess, StartsAFreshOneAfterAFailure) {
  auto process = worker("pid");
  const auto first = call(process, "");
  ASSERT_TRUE(first);
  ::kill(process.pid(), SIGKILL);
  const auto lost = call(process, "");
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().message, HasSubstr("SIGKILL"));
  const auto second = call(process, "");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_NE(*first, *second);
}

TEST(WorkerProcess, GivesTheChildNothingButItsSocket) {
  const int leak = ::dup(STDOUT_FILENO);  // not close-on-exec, as a library might leave it
  auto process = worker("files");
  const auto open = call(process, "");
  ::close(leak);
  ASSERT_TRUE(open);
  EXPECT_EQ(*open, "0 1 2 ");
}

TEST(WorkerProcess, NamesAProgramThatIsNotThere) {
  WorkerProcess process({"/no/such/program", {}});
  const auto reply = call(process, "");
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message, HasSubstr("/no/such/program"));
}

// The parent of the worker is killed outright: the worker, in the middle of a request that would
// never end, must go as well.
TEST(WorkerProcess, EndsWithItsParent) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    auto process = worker("hang");
    if (!call(process, "are you there")) ::_exit(1);
    const pid_t child = process.pid();
    std::thread busy([&] { call(process, "spin", Milliseconds(60'000)); });
    std::this_thread::sleep_for(Milliseconds(100));
    (void)!::write(ends[1], &child, sizeof child);
    ::pause();
  }
  ::close(ends[1]);
  pid_t child = 0;
  ASSERT_EQ(::read(ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ASSERT_GT(child, 0);
  EXPECT_EQ(::kill(child, 0), 0);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  const auto gone = [&] {
    // A zombie that nobody reaps is dead as well.
    const std::string stat = "/proc/" + std::to_string(child) + "/stat";
    const auto text = read_file(stat);
    return !text || text->find(") Z ") != text->npos || text->find(") X ") != text->npos;
  };
  for (int i = 0; i < 1000 && !gone(); ++i) std::this_thread::sleep_for(Milliseconds(10));
  EXPECT_TRUE(gone());
  ::close(ends[0]);
}

TEST(Confine, LetsAWorkerComputeAndAnswer) {
  auto process = worker("confined");
  const auto reply = call(process, "hello");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(*reply, "hello");
}

TEST(Confine, EndsAWorkerThatReachesOutside) {
  for (const char* what : {"open", "create", "socket", "fork", "exec", "kill", "ptrace"}) {
    auto process = worker("confined");
    const auto reply = call(process, what);
    ASSERT_FALSE(reply) << what << ": " << *reply;
    EXPECT_THAT(reply.error().message, HasSubstr("SIGSYS")) << what;
  }
}

TEST(Confine, GivesNoMoreMemoryThanItsLimit) {
  auto process = worker("confined");
  const auto reply = call(process, "memory");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(*reply, "refused");
}

}  // namespace
}  // namespace lathe
