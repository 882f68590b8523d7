// Programs as files name them, and tests/fakes/program.py run in each of its faults.
#include "serve/programs/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <future>
#include <map>

#include "ground/base/text.h"
#include "ground/sys/process_tree.h"
#include "ground/sys/subprocess.h"
#include "serve/programs/read_program.h"

namespace lathe::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<ProgramSpec> read(const std::string& text, const fs::path& file = "/etc/models.toml") {
  LATHE_TRY(const toml::table table, parse_toml(text, file.string()));
  return read_program(table, file);
}
std::string error_of(const std::string& text) {
  const auto read_spec = read(text);
  return read_spec ? "none" : read_spec.error().message;
}

TEST(ReadProgram, FillsInWhatIsNotSaid) {
  const auto spec = read("command = [\"a\", \"--at=127.0.0.1:{port}\"]\nmemory = \"2GiB\"");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->memory, std::uint64_t{2} << 30);
  EXPECT_EQ(spec->ready, "/health");
  EXPECT_EQ(spec->api, "/v1");
  EXPECT_EQ(spec->ready_timeout, std::chrono::minutes(5));
  EXPECT_EQ(spec->directory, "/etc");
  EXPECT_THAT(spec->command_at(8081), ElementsAre("a", "--at=127.0.0.1:8081"));
}

TEST(ReadProgram, NamesTheLineOfWhatIsWrong) {
  const std::string good = "command = [\"a\", \"{port}\"]\nmemory = \"1GiB\"\n";
  EXPECT_EQ(error_of(good), "none");
  EXPECT_THAT(error_of("command = \"a {port}\"\nmemory = \"1GiB\""), HasSubstr("no shell"));
  EXPECT_THAT(error_of("command = []\nmemory = \"1GiB\""), HasSubstr("list of strings"));
  EXPECT_THAT(error_of("command = [\"a\", 8080]\nmemory = \"1GiB\""), HasSubstr("models.toml:1"));
  EXPECT_THAT(error_of("command = [\"a\", \"{port}\"]"), HasSubstr("memory = \"24GiB\""));
  EXPECT_THAT(error_of("command = [\"a\", \"{port}\"]\nmemory = \"much\""),
              HasSubstr("models.toml:2: a program needs memory"));
  EXPECT_THAT(error_of("command = [\"a\"]\nmemory = \"1GiB\""), HasSubstr("put {port} where"));
  EXPECT_EQ(error_of("command = [\"a\"]\nmemory = \"1GiB\"\nport = 80"), "none");
  EXPECT_THAT(error_of(good + "port = 70000"), HasSubstr("[1, 65535]"));
  EXPECT_THAT(error_of(good + "ready = \"health\""), HasSubstr("models.toml:3: ready is"));
  EXPECT_THAT(error_of(good + "api = \"/v1\\r\\nX: y\""), HasSubstr("models.toml:3: api is"));
  EXPECT_THAT(error_of(good + "ready_timeout = \"soon\""), HasSubstr("a duration"));
  EXPECT_THAT(error_of(good + "ready_timeout = 5"), HasSubstr("must be a string"));
}

TEST(ReadProgram, TakesNoFileThatEverybodyMayWrite) {
  const auto directory = TempDir::make("lathe-test");
  ASSERT_TRUE(directory);
  const fs::path file = directory->path() / "models.toml";
  const std::string text = "command = [\"a\", \"{port}\"]\nmemory = \"1GiB\"\n";
  std::ofstream(file) << text;
  ::chmod(file.c_str(), 0644);
  EXPECT_TRUE(read(text, file));
  ::chmod(file.c_str(), 0666);
  const auto refused = read(text, file);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("chmod o-w"));
}

// One program and what it told.
class ProgramRun : public ::testing::Test {
 protected:
  void SetUp() override {
    spec.command = {"python3", LATHE_SOURCE_DIR "/tests/fakes/program.py",
                    "--port",  "{port}",
                    "--notes", (dir.path() / "notes").string()};
    spec.directory = dir.path();
    spec.memory = 1 << 20;
    places.guard = "/proc/self/exe";
    places.logs = dir.path() / "logs";
    for (const auto& [name, value] : plain_environment()) places.env.push_back(name + "=" + value);
  }

  Program& start() {
    program = std::make_unique<Program>(
        "npu/1", spec, places,
        ProgramEvents{.on_ready = [this](const ModelInfo& info) { tell("ready " + info.name); },
                      .on_gone =
                          [this](const std::optional<Error>& why) {
                            tell(why ? "failed: " + why->message : "gone");
                          },
                      .on_memory =
                          [this](std::uint64_t bytes) {
                            const std::scoped_lock lock(mutex);
                            most = std::max(most, bytes);
                          },
                      .log = {}});
    program->start();
    return *program;
  }
  void tell(const std::string& what) {
    const std::scoped_lock lock(mutex);
    told.push_back(what);
    changed.notify_all();
  }
  // The next thing that it tells.
  std::string next() {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, std::chrono::seconds(60), [&] { return told.size() > heard; }))
      return "nothing";
    return told[heard++];
  }
  // The processes that wrote a note, by name.
  std::multimap<std::string, pid_t> notes() const {
    std::multimap<std::string, pid_t> found;
    std::ifstream file(dir.path() / "notes");
    std::string name;
    for (pid_t pid = 0; file >> name >> pid;) found.emplace(name, pid);
    return found;
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
  ProgramSpec spec;
  ProgramPlaces places;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> told;
  std::size_t heard = 0;
  std::uint64_t most = 0;
  std::unique_ptr<Program> program;
};

TEST_F(ProgramRun, IsAskedOnceItIsReadyAndLeavesNothingBehind) {
  spec.command.push_back("--child");
  Program& running = start();
  EXPECT_EQ(next(), "ready inner");
  EXPECT_EQ(running.model(), "inner");
  auto host = running.host();
  ASSERT_TRUE(host);
  std::promise<Result<Embeddings>> done;
  host->embed("inner", {{.text = "a", .ids = {}}}, false, {},
              [&](Result<Embeddings> read) { done.set_value(std::move(read)); });
  const auto read = done.get_future().get();
  host.reset();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->vectors, ElementsAre(ElementsAre(1, 2)));
  const auto processes = notes();
  ASSERT_EQ(processes.size(), 2U);  // the child in a session of its own, too
  running.stop();
  EXPECT_EQ(next(), "gone");
  for (const auto& [name, pid] : processes) EXPECT_FALSE(is_there(pid)) << name;
  EXPECT_FALSE(running.host());
}

TEST_F(ProgramRun, MeasuresWhatItsProcessesHold) {
  spec.command.insert(spec.command.end(), {"--child", "--hold", "48"});
  start();
  EXPECT_EQ(next(), "ready inner");
  for (int i = 0; i < 600; ++i) {
    {
      const std::scoped_lock lock(mutex);
      if (most > std::uint64_t{48} << 20) break;
    }
    std::this_thread::sleep_for(Milliseconds(100));
  }
  EXPECT_GT(most, std::uint64_t{48} << 20);
  EXPECT_LT(most, std::uint64_t{480} << 20);
}

TEST_F(ProgramRun, AnEarlyEndIsSeenAtOnceAndShown) {
  spec.command.insert(spec.command.end(), {"--exit", "3"});
  Program& running = start();
  const std::string told_first = next();
  EXPECT_THAT(told_first,
              HasSubstr("'npu/1' does not run: it ended before it was ready: exit code 3"));
  EXPECT_THAT(told_first, HasSubstr("loading | cannot open the weights"));
  running.start();
  EXPECT_THAT(next(), HasSubstr("exit code 3"));
  running.start();
  EXPECT_THAT(next(), HasSubstr("3 times in a row"));
  running.start();
  EXPECT_THAT(next(), HasSubstr("started again in"));
  EXPECT_EQ(notes().size(), 3U);  // the fourth was not begun
  // What it printed is kept, the time before too.
  EXPECT_TRUE(fs::exists(places.logs / "npu_1.log"));
  EXPECT_TRUE(fs::exists(places.logs / "npu_1.log.1"));
}

TEST_F(ProgramRun, WhatIsNeverReadyEndsInTimeThoughItIgnoresSigterm) {
  spec.command.insert(spec.command.end(), {"--never-ready", "--deaf"});
  spec.ready_timeout = Milliseconds(2000);
  places.grace = Milliseconds(100);
  start();
  EXPECT_THAT(next(), HasSubstr("not ready within 2.0 s"));
  const auto processes = notes();
  ASSERT_EQ(processes.size(), 1U);
  EXPECT_FALSE(is_there(processes.begin()->second));
}

TEST_F(ProgramRun, AProgramThatIsNotThere) {
  spec.command = {"lathe-no-such-program", "{port}"};
  EXPECT_THAT(check_program(spec).error().message, HasSubstr("no such program in PATH"));
  start();
  EXPECT_THAT(next(), HasSubstr("lathe-no-such-program: cannot be started"));
}

// Another server has the port: before the program starts, …
TEST_F(ProgramRun, APortThatIsTaken) {
  spec.port = *free_port();
  start();
  EXPECT_EQ(next(), "ready inner");
  const std::unique_ptr<Program> stranger = std::move(program);
  start();
  EXPECT_THAT(next(),
              ::testing::AllOf(HasSubstr("is taken by python3"), HasSubstr("another port")));
}

// … and before it listens there itself.
TEST_F(ProgramRun, AnAnswerOfAStrangerIsNotItsOwn) {
  const std::vector<std::string> fake = spec.command;
  spec.port = *free_port();
  spec.command = {"sleep", "60"};
  start();
  const std::unique_ptr<Program> sleeper = std::move(program);
  while (!fs::exists(places.logs / "npu_1.log")) std::this_thread::sleep_for(Milliseconds(5));
  spec.command = fake;
  start();
  EXPECT_THAT((std::vector{next(), next()}),
              ::testing::UnorderedElementsAre("ready inner",
                                              ::testing::AllOf(HasSubstr("is answered by python3"),
                                                               HasSubstr("which is not of it"))));
}

TEST_F(ProgramRun, ACrashIsToldToWhatItWasAsked) {
  Program& running = start();
  EXPECT_EQ(next(), "ready inner");
  std::promise<Result<std::vector<HostReply>>> done;
  Request request;
  request.ask = Talk{.messages = {{.role = "user", .content = "die"}}};
  running.host()->submit(
      "inner", request, [](const Delta&) {},
      [&](Result<std::vector<HostReply>> replies) { done.set_value(std::move(replies)); });
  EXPECT_FALSE(done.get_future().get());
  const auto why = running.how_it_ended(std::chrono::seconds(10));
  ASSERT_TRUE(why);
  EXPECT_THAT(why->message, HasSubstr("it ended: killed by SIGSEGV"));
  EXPECT_THAT(why->message, HasSubstr("something is badly wrong"));
  EXPECT_THAT(next(), HasSubstr("killed by SIGSEGV"));
}

}  // namespace
}  // namespace lathe::serve
