// Requests written out: every word that is said, and by whom.
#include "loop/terms/prompt_text.h"

#include <gtest/gtest.h>

#include "loop/terms/labelled_worker.h"

namespace lathe::loop {
namespace {

Request talk(std::vector<Message> messages) {
  Request request;
  request.ask = Talk{std::move(messages)};
  return request;
}

TEST(PromptTextTest, SaysEachMessageAndWhoseItIs) {
  Request request = talk({{"system", "Be brief.\n"}, {"user", "Say it."}});
  EXPECT_EQ(prompt_text(request), "[system]\nBe brief.\n\n[user]\nSay it.\n\n");
  Talk& asked = std::get<Talk>(request.ask);
  asked.tools.push_back({.name = "list_files"});
  asked.tools.push_back({.name = "read_file"});
  Message answer{"assistant", ""};
  answer.calls.push_back({"1", "read_file", "{\"path\":\"a\"}"});
  Message result{"tool", "one\ntwo"};
  result.name = "read_file";
  asked.messages = {answer, result};
  EXPECT_EQ(prompt_text(request),
            "[tools] list_files, read_file\n\n[assistant]\n\n[calls read_file] {\"path\":\"a\"}\n\n"
            "[tool read_file]\none\ntwo\n\n");
}

TEST(PromptTextTest, NamesWhatIsNoTextAndMendsWhatIsNoUtf8) {
  Content content("Look:");
  content.add(Content(*Media::of_file("\x89PNG\r\n\x1a\n....")));
  EXPECT_EQ(prompt_text(talk({{"user", content}})), "[user]\nLook:\n[a picture (image/png)]\n\n");
  EXPECT_EQ(prompt_text(talk({{"user", "a\xff"}})), "[user]\na\xEF\xBF\xBD\n\n");
  Request plain;
  plain.ask = TextPrompt{"def f():", "return x"};
  EXPECT_EQ(prompt_text(plain), "def f():\n[up to]\nreturn x");
  plain.ask = TokenPrompt{{1, 2, 3}};
  EXPECT_EQ(prompt_text(plain), "[3 tokens]");
}

// Answers nothing.
class Deaf : public Worker {
 public:
  WorkerInfo info() const override { return {.name = "deaf", .model = "", .where = ""}; }
  Result<Reply> complete(const Request&, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    return Reply();
  }
};

TEST(PromptTextTest, AWorkerOfACallKnowsWhatItWasAskedLast) {
  Deaf deaf;
  LabelledWorker worker(deaf, {{"run", "r"}});
  EXPECT_EQ(worker.sent(), std::nullopt);
  const StopFlag stop;
  ASSERT_TRUE(worker.complete(talk({{"user", "first"}}), stop, {}));
  ASSERT_TRUE(worker.complete(talk({{"user", "second"}}), stop, {}));
  EXPECT_EQ(worker.sent(), "[user]\nsecond\n\n");
}

}  // namespace
}  // namespace lathe::loop
