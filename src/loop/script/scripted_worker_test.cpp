// The scripted worker answers as its script says, and says what is wrong with one.
#include "loop/script/scripted_worker.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

class ScriptedWorkerTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<ScriptedWorker>> load(std::string_view toml) const {
    const fs::path file = directory_->path() / "worker.toml";
    EXPECT_TRUE(write_file_atomic(file, toml));
    return ScriptedWorker::load("fake", file);
  }
  std::string problem(std::string_view toml) const {
    const auto worker = load(toml);
    return worker ? "" : worker.error().message;
  }
  static std::string answer(ScriptedWorker& worker, const Request& request) {
    const auto reply = worker.complete(request, StopFlag(), nullptr);
    return reply ? reply->text : "error: " + reply.error().message;
  }

 private:
  Result<TempDir> directory_ = TempDir::make();
};

Request ask(std::string content, std::string purpose = "make", int lap = 1, int n = 0,
            int attempt = 0) {
  Request request;
  request.ask = Talk{{{"system", "be brief"}, {"user", std::move(content)}}};
  request.labels = labels_of({std::move(purpose), lap, n, attempt});
  return request;
}

TEST_F(ScriptedWorkerTest, TheFirstEntryWhoseConditionsAllHoldAnswers) {
  const auto worker = load(R"(
[[reply]]
when = "apple"
lap = 2
text = "A2"
[[reply]]
when = "apple"
n = 1
text = "A n1"
[[reply]]
purpose = "rubric"
text = "R"
[[reply]]
attempt = 1
text = "again"
[[reply]]
text = "else"
)");
  ASSERT_TRUE(worker) << worker.error().message;
  ScriptedWorker& fake = **worker;
  EXPECT_EQ(answer(fake, ask("an apple", "make", 2)), "A2");
  EXPECT_EQ(answer(fake, ask("an apple")), "else");
  EXPECT_EQ(answer(fake, ask("an apple", "make", 1, 1)), "A n1");
  EXPECT_EQ(answer(fake, ask("a pear", "rubric")), "R");
  EXPECT_EQ(answer(fake, ask("a pear", "make", 1, 0, 1)), "again");
  EXPECT_EQ(answer(fake, ask("a pear")), "else");
  EXPECT_EQ(answer(fake, ask("a pear")), "else") << "the same question, the same answer";
  EXPECT_EQ(fake.seen().size(), 7U);
}

TEST_F(ScriptedWorkerTest, EchoesWhatItIsToldToRepeat) {
  const auto worker = load("[[reply]]\necho = 'nonce='\ntext = '<{echo}> {echo}'\n");
  ASSERT_TRUE(worker);
  EXPECT_EQ(answer(**worker, ask("say nonce=ab12\nnow")), "<ab12> ab12");
  EXPECT_EQ(answer(**worker, ask("nothing here")), "<> ");
}

TEST_F(ScriptedWorkerTest, ScriptedErrorsHaveTheirKind) {
  const auto worker = load(
      "[[reply]]\nwhen='t'\nerror='slow'\nkind='timeout'\n[[reply]]\nwhen='d'\nerror='down'\n");
  ASSERT_TRUE(worker);
  const auto slow = (*worker)->complete(ask("t"), StopFlag(), nullptr);
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().kind, ErrorKind::kTimeout);
  const auto down = (*worker)->complete(ask("d"), StopFlag(), nullptr);
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(down.error().message, "down");
}

TEST_F(ScriptedWorkerTest, NoFittingEntryIsAnErrorThatSaysWhatWasAsked) {
  const auto worker = load("[[reply]]\nlap = 1\ntext = 'x'\n");
  ASSERT_TRUE(worker);
  EXPECT_THAT(answer(**worker, ask("q", "rubric", 7)), HasSubstr("purpose \"rubric\", lap 7"));
}

TEST_F(ScriptedWorkerTest, StreamsAndStops) {
  const auto worker = load("[[reply]]\ntext = 'hello'\n");
  ASSERT_TRUE(worker);
  std::string streamed;
  const auto reply = (*worker)->complete(ask("q"), StopFlag(),
                                         [&](const Delta& delta) { streamed += delta.text; });
  ASSERT_TRUE(reply);
  EXPECT_EQ(streamed, "hello");
  EXPECT_EQ(reply->usage.calls, 1);
  EXPECT_FALSE(reply->usage.counted);
  StopFlag stop;
  stop.raise();
  const auto stopped = (*worker)->complete(ask("q"), stop, nullptr);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ((*worker)->info().reach, Reach::kLocal);
}

TEST_F(ScriptedWorkerTest, CallsToolsTurnAfterTurn) {
  const auto worker = load(
      "[[reply]]\nturn = 0\ncall = 'look {\"at\": 1}'\n[[reply]]\nturn = 1\ncall = 'stop'\n"
      "[[reply]]\ntext = 'done'\n");
  ASSERT_TRUE(worker) << worker.error().message;
  Request request = ask("go");
  std::vector<Message>& talk = std::get<Talk>(request.ask).messages;
  const auto first = (*worker)->complete(request, StopFlag(), nullptr);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->finish, FinishReason::kToolCalls);
  ASSERT_EQ(first->calls.size(), 1U);
  EXPECT_EQ(first->calls[0], (FunctionCall{"call_1", "look", "{\"at\": 1}"}));
  talk.push_back({"tool", "seen", "", {}, "call_1", "look"});
  const auto second = (*worker)->complete(request, StopFlag(), nullptr);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->calls.at(0), (FunctionCall{"call_2", "stop", "{}"}));
  talk.push_back({"tool", "stopped", "", {}, "call_2", "stop"});
  EXPECT_EQ(answer(**worker, request), "done");
  EXPECT_THAT(problem("[[reply]]\ncall='x ['\n"), HasSubstr("worker.toml:2: 'call' must be"));
  EXPECT_THAT(problem("[[reply]]\ncall='x'\ntext='y'\n"), HasSubstr("either"));
}

TEST_F(ScriptedWorkerTest, BadScriptsAreErrorsWithALine) {
  EXPECT_THAT(problem("[[reply]]\ntext='x'\npurpos='y'\n"),
              HasSubstr("worker.toml:3: 'purpos' is not known here; did you mean 'purpose'?"));
  EXPECT_THAT(problem("[[repyl]]\ntext='x'\n"), HasSubstr("did you mean 'reply'"));
  EXPECT_THAT(problem("[[reply]]\nlap=1\n"), HasSubstr("worker.toml:1: a reply needs either"));
  EXPECT_THAT(problem("[[reply]]\ntext='x'\nerror='y'\n"), HasSubstr("either"));
  EXPECT_THAT(problem("[[reply]]\ntext='x'\nkind='timeout'\n"), HasSubstr("goes with 'error'"));
  EXPECT_THAT(problem("[[reply]]\nerror='x'\nkind='tiemout'\n"), HasSubstr("worker.toml:3"));
  EXPECT_THAT(problem("[[reply]]\ntext=1\n"), HasSubstr("'text' must be a string"));
  EXPECT_THAT(problem("[[reply]]\ntext='x'\nlap=-1\n"), HasSubstr("whole number"));
  EXPECT_THAT(problem("[[reply]]\ntext='x'\nlap=99999999999\n"), HasSubstr("whole number"));
  EXPECT_THAT(problem("[reply]\ntext='x'\n"), HasSubstr("[[reply]]"));
  EXPECT_THAT(problem("reply=[1]\n"), HasSubstr("[[reply]]"));
  EXPECT_THAT(problem(""), HasSubstr("no [[reply]]"));
  EXPECT_THAT(problem("[[reply]]\ntext='x\n"), HasSubstr("worker.toml:2"));
  EXPECT_FALSE(ScriptedWorker::load("fake", "/nonexistent/worker.toml"));
}

}  // namespace
}  // namespace lathe::loop
