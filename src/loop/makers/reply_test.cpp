// The maker of measurements: the prompt as it is, the answer as it is, the unit's own seed, and
// choices that are weighed.
#include <gmock/gmock.h>

#include "loop/makers/maker.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

// Every text is as unlikely as it has bytes.
class Weigher : public Worker {
 public:
  WorkerInfo info() const override { return {"w", "m", "here", Reach::kLocal}; }
  Result<Reply> complete(const Request&, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    return fail(ErrorKind::kInvalid, "the prompt has 9000 tokens, the context 512");
  }
  Result<Likelihood> likelihood(const Continuation& asked, const StopFlag&) override {
    seen.push_back(asked.context + "|" + asked.text);
    return Likelihood{.log_likelihood = -static_cast<double>(asked.text.size()), .tokens = 2};
  }
  std::vector<std::string> seen;
};

ScriptedWorker::Line says(const char* text) {
  ScriptedWorker::Line line;
  line.text = text;
  return line;
}

class ReplyMaker : public ::testing::Test {
 protected:
  Result<Made> make(Worker& worker, const Json& data, Json options = Json::object()) {
    const MakerKind* kind = find_maker("reply");
    checked_ = check_options(options, kind->options).value();
    units_ = {{"u", "What is 2 + 2?", data}};
    MakeTask task{.options = checked_, .units = units_};
    return kind->make(task, {.place = place_, .worker = &worker, .stop = stop_, .usage = &usage_});
  }
  Json checked_;
  std::vector<Unit> units_;
  const Place place_;
  StopFlag stop_;
  Usage usage_;
};

TEST_F(ReplyMaker, AsksTheTextAndTakesTheAnswerAsTheyAre) {
  ScriptedWorker worker("w", {says(" 4.\n")});
  const auto made = make(worker, {{"seed", 7}}, {{"system", "Be short."}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->bytes, " 4.\n");
  ASSERT_EQ(worker.seen().size(), 1) << "no second chance";
  const Request request = worker.seen()[0];
  EXPECT_EQ(request.sampling.seed, 7);
  EXPECT_EQ(request.sampling.temperature, 0);
  ASSERT_NE(request.talk(), nullptr);
  EXPECT_EQ(request.talk()->messages[0].content.text(), "Be short.");
  EXPECT_EQ(request.talk()->messages[1].content.text(), "What is 2 + 2?");
}

TEST_F(ReplyMaker, AnEmptyAnswerAndThoughtsAloneAreAnswers) {
  for (const char* text : {"", "<think>still at it</think>"}) {
    ScriptedWorker worker("w", {says(text)});
    const auto made = make(worker, Json::object());
    ASSERT_TRUE(made) << text;
    EXPECT_EQ(made->bytes, "") << text;
  }
}

TEST_F(ReplyMaker, WithoutAnAnswerNothingIsSaidOfTheModel) {
  Weigher worker;
  const auto made = make(worker, Json::object());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().kind, ErrorKind::kInvalid) << "that would be an answer that is no good";
}

TEST_F(ReplyMaker, WeighsChoices) {
  Weigher worker;
  const auto made = make(worker, {{"choices", {"four", "5"}}, {"answer", 0}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(worker.seen, (std::vector<std::string>{"What is 2 + 2?| four", "What is 2 + 2?| 5"}));
  const Json json = *parse_json(made->bytes);
  EXPECT_EQ(json["choices"][0]["log_likelihood"], -5);
  EXPECT_EQ(json["choices"][1]["choice"], "5");
  ASSERT_TRUE(make(worker, {{"choices", {"四", "五"}}, {"answer", 0}, {"delimiter", ""}}));
  EXPECT_EQ(worker.seen.back(), "What is 2 + 2?|五");
  ScriptedWorker script("small", {says("x")});
  const auto refused = make(script, {{"choices", {"a", "b"}}, {"answer", 0}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("give small=FILE.gguf"));
}

}  // namespace
}  // namespace lathe::loop
