// What a very small model is shown in each lap, and how its answers are taken.
#include <gmock/gmock.h>

#include "ground/base/random.h"
#include "loop/makers/maker.h"
#include "loop/mini/task.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A worker that keeps what it is asked.
class Listener final : public Worker {
 public:
  explicit Listener(std::string answer) : answer_(std::move(answer)) {}
  WorkerInfo info() const override { return {"listener", "m", "here", Reach::kLocal}; }
  Result<Reply> complete(const Request& request, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    asked.push_back(request);
    Reply reply;
    reply.text = answer_;
    reply.usage.completion_tokens = 7;
    return reply;
  }
  std::vector<Request> asked;

 private:
  std::string answer_;
};

std::string prompt_of(const Request& request) {
  return std::get<TextPrompt>(request.ask).text;
}

const MakerKind& kind() {
  return *find_maker("mini");
}

Json options() {
  return *check_options(Json::object(), kind().options);
}

Unit unit(std::string_view body) {
  MiniTask task;
  task.id = "T1";
  task.text = "sum of numbers";
  task.parameters = {"xs"};
  task.tests = {{"[2,3]", "5"}};
  task.hidden = {{"[98765]", "98765"}};
  task.body = body;
  return {"T1", task.text, to_json(task)};
}

struct Making {
  Place place;
  StopFlag stop;
  Usage usage;
  Json given = options();
  std::vector<Unit> units;
  explicit Making(std::string_view body) : units{unit(body)} {}

  Result<Made> make(Worker& worker, Move move, int lap, std::optional<std::string> best = {}) {
    MakeTask task{given, units, move, lap};
    task.setting = {{"temperature", 0.5}};
    task.best = std::move(best);
    return kind().make(task, {.place = place, .worker = &worker, .stop = stop, .usage = &usage});
  }
};

TEST(MiniMaker, FirstLapShowsTheTaskAsItIs) {
  Making making("");
  Listener worker(" return sum(xs)\n");
  const auto made = making.make(worker, Move::kSample, 1);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->bytes, "def f(xs):\n return sum(xs)\n");
  EXPECT_EQ(prompt_of(worker.asked[0]), "# sum of numbers\nf([2,3])==5\ndef f(xs):\n");
  EXPECT_EQ(making.usage.completion_tokens, 7);
}

TEST(MiniMaker, ARepairShowsTheBestSoFarAndAFreshStartTheTasksOwnCode) {
  Making making(" return xs\n");
  Listener worker("1 return sum(xs)\n");
  const auto repaired = making.make(worker, Move::kRepair, 2, "def f(xs):\n return len(xs)\n");
  ASSERT_TRUE(repaired) << repaired.error().message;
  EXPECT_EQ(prompt_of(worker.asked[0]),
            "# sum of numbers\nf([2,3])==5 got 2\ndef f(xs):\n1 return len(xs)\n#\n");
  ASSERT_TRUE(making.make(worker, Move::kResample, 3, "def f(xs):\n return len(xs)\n"));
  EXPECT_EQ(prompt_of(worker.asked[1]),
            "# sum of numbers\nf([2,3])==5 got [2,3]\ndef f(xs):\n1 return xs\n#\n");
}

TEST(MiniMaker, HiddenTestsNeverReachTheWorker) {
  Making making(" return xs\n");
  Listener worker("1 return sum(xs)\n");
  ASSERT_TRUE(making.make(worker, Move::kRepair, 2, "def f(xs):\n return len(xs)\n"));
  ASSERT_TRUE(making.make(worker, Move::kResample, 3));
  for (const Request& request : worker.asked)
    EXPECT_THAT(prompt_of(request), Not(HasSubstr("98765")));
}

TEST(MiniMaker, SamplesHaveSeedsOfTheirOwnThatComeAgain) {
  Making making("");
  Listener worker(" return 1\n");
  ASSERT_TRUE(making.make(worker, Move::kSample, 1));
  ASSERT_TRUE(making.make(worker, Move::kSample, 2));
  ASSERT_TRUE(making.make(worker, Move::kSample, 1));
  making.given["seed"] = 1;
  ASSERT_TRUE(making.make(worker, Move::kSample, 1));
  const auto seed = [&](std::size_t i) { return worker.asked[i].sampling.seed; };
  EXPECT_NE(seed(0), seed(1));
  EXPECT_EQ(seed(0), seed(2));
  EXPECT_NE(seed(0), seed(3));
}

TEST(MiniMaker, AnAnswerThatIsNoneIsRefused) {
  Making making("");
  Listener worker("I am sorry");
  const auto made = making.make(worker, Move::kSample, 1);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(made.error().message, HasSubstr("the answer cannot be used"));
  EXPECT_EQ(making.usage.completion_tokens, 21);  // three tries, paid all the same
  const auto seed = [&](std::size_t i) { return worker.asked[i].sampling.seed; };
  EXPECT_NE(seed(0), seed(1));
  EXPECT_NE(seed(1), seed(2));
}

TEST(MiniMaker, ARepairThatChangesNothingIsNone) {
  Making making(" return xs\n");
  Listener worker("1 return len(xs)\n");
  const auto made = making.make(worker, Move::kRepair, 2, "def f(xs):\n return len(xs)\n");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("changes nothing"));
}

// Whatever bodies a model can write: the answer between them makes the one of the other.
TEST(MiniMaker, AnswersAreTheInverseOfMaking) {
  const std::vector<std::string> lines{" a=1\n", "  if x%2==0:\n", "\n",
                                       "12 x\n", "return 1\n",     " s='\u00fc\u4f60'\n",
                                       "-3\n",   "+1 y\n",         " return a\n"};
  const auto body_at = [&](std::uint64_t seed, std::uint64_t stream) {
    std::string body;
    const auto count = random_at(seed, stream, 0) % 9;
    for (std::uint64_t i = 1; i <= count; ++i)
      body += lines[random_at(seed, stream, i) % lines.size()];
    return body;
  };
  std::size_t edits = 0, bodies = 0;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    std::string before = body_at(1, i);
    const std::string after = " x=0\n" + body_at(2, i);
    if (i % 5 == 0 && !before.empty()) before.pop_back();  // the task's own may end so
    Making making(i % 2 == 0 ? before : " pass\n");
    MakeTask task{making.given, making.units, i % 2 == 0 ? Move::kSample : Move::kRepair};
    if (i % 2 == 1) task.best = "def f(xs):\n" + before;
    const auto answer = kind().answer(task, making.place, "def f(xs):\n" + after);
    ASSERT_TRUE(answer) << before << "->\n" << after << answer.error().message;
    EXPECT_LE(answer->size(), after.size());
    Listener worker(*answer);
    const auto made = kind().make(
        task, {.place = making.place, .worker = &worker, .stop = making.stop, .usage = nullptr});
    ASSERT_TRUE(made) << *answer << made.error().message;
    EXPECT_EQ(made->bytes, "def f(xs):\n" + after) << before << *answer;
    ++(answer->starts_with(' ') ? bodies : edits);
  }
  EXPECT_GT(edits, 200U);
  EXPECT_GT(bodies, 200U);
  // No answer makes these: its lines end with a line feed, and are not so many.
  Making making(" return xs\n");
  const MakeTask task{making.given, making.units};
  std::string many;
  for (int i = 0; i < 100; ++i) many += " a=1\n";
  for (const std::string& body : {std::string(" return 1"), std::string(" a=1\r\n"), many})
    EXPECT_FALSE(kind().answer(task, making.place, "def f(xs):\n" + body)) << body;
}

TEST(MiniMaker, RepairsAndFreshStartsTakeTurns) {
  const Json given = options();
  std::vector<Attempt> attempts;
  const auto next = [&] { return kind().propose({given, {}, {}, attempts})->move; };
  const auto lap = [&](Move move, bool gained) {
    Attempt attempt;
    attempt.move = move;
    attempt.made = true;
    attempt.gained = gained;
    attempts.push_back(attempt);
  };
  EXPECT_EQ(next(), Move::kSample);
  lap(Move::kSample, true);
  EXPECT_EQ(next(), Move::kRepair);
  lap(Move::kRepair, true);  // it helped: another one
  EXPECT_EQ(next(), Move::kRepair);
  lap(Move::kRepair, false);
  EXPECT_EQ(next(), Move::kResample);
  lap(Move::kResample, false);
  EXPECT_EQ(next(), Move::kRepair);
  const auto proposal = kind().propose({given, {}, {}, attempts, 4});
  EXPECT_EQ(proposal->n, 4);  // several candidates a lap, where the recipe says so
  attempts.assign(1, {});     // nothing could be used
  EXPECT_EQ(next(), Move::kResample);
}

}  // namespace
}  // namespace lathe::loop
