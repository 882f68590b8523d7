// Documents of requests: read before the host gets them, once, at their places, and given up.
#include <gmock/gmock.h>
#include <testing/requests.h>
#include <testing/scripted_host.h>

#include <future>

#include "serve/reading/reading_host.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using testing::ScriptedHost;
using Replies = Result<std::vector<HostReply>>;
using Tokens = Result<std::vector<std::int32_t>>;

Document paper(const std::string& name, const std::string& text) {
  return *Document::of_file(name, "", text);
}

HostRequest about(Content content) {
  HostRequest request;
  request.ask = Talk{.messages = {{"user", std::move(content)}}};
  return request;
}

class ReadingTest : public ::testing::Test {
 protected:
  Result<Content> read(const Document& document, const StopFlag& stop) {
    ++reads;
    if (document.bytes->starts_with("broken")) return invalid("it has no pages");
    while (document.bytes->starts_with("endless")) {
      if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
      std::this_thread::sleep_for(Milliseconds(1));
    }
    if (document.bytes->starts_with("shown"))
      return Content("[0.5 s]").add(*Media::of_file("GIF89a, as small as can be"));
    return Content("<" + *document.bytes + ">");
  }

  std::future<Replies> ask(HostRequest request) {
    const auto promise = std::make_shared<std::promise<Replies>>();
    last = host.submit(
        "small", std::move(request), [](const Delta&) {},
        [promise](Replies replies) { promise->set_value(std::move(replies)); });
    return promise->get_future();
  }

  ScriptedHost scripted{testing::scripted_family(), {}};
  std::atomic<int> reads = 0;
  DocumentDesk desk{
      [this](const Document& document, const StopFlag& stop) { return read(document, stop); }};
  ReadingHost host{scripted, desk};
  ModelHost::Id last = 0;
};

TEST_F(ReadingTest, TextsStandWhereTheDocumentsStood) {
  Content content("before");
  content.add(paper("a", "A")).add("between").add(paper("b", "B")).add("behind");
  ASSERT_TRUE(ask(about(content)).get());
  EXPECT_EQ(talk_of(scripted.seen().back()).messages.at(0).content,
            Content("before\n<A>\nbetween\n<B>\nbehind"));
  // A talk brings them again; each was read once.
  ASSERT_TRUE(ask(about(content)).get());
  EXPECT_EQ(reads, 2);
  ASSERT_TRUE(ask(about("no document")).get());
  EXPECT_EQ(talk_of(scripted.seen().back()).messages.at(0).content, Content("no document"));
}

TEST_F(ReadingTest, PicturesStandWhereTheFilmStood) {
  Content content("before");
  content.add(paper("a", "shown")).add("behind");
  ASSERT_TRUE(ask(about(content)).get());
  const Content seen = talk_of(scripted.seen().back()).messages.at(0).content;
  ASSERT_EQ(seen.parts().size(), 3u);
  EXPECT_EQ(std::get<std::string>(seen.parts()[0]), "before\n[0.5 s]");
  EXPECT_EQ(std::get<Media>(seen.parts()[1]).media_type, "image/gif");
  EXPECT_EQ(std::get<std::string>(seen.parts()[2]), "behind");
}

TEST_F(ReadingTest, TokensAreCountedOfTheTexts) {
  const auto count = [&](Content content) {
    std::promise<Tokens> promise;
    host.prompt_of("small", about(std::move(content)),
                   [&](Tokens tokens) { promise.set_value(std::move(tokens)); });
    return promise.get_future().get()->size();
  };
  EXPECT_EQ(count(paper("a", "A")), count("<A>"));
}

TEST_F(ReadingTest, WhatCannotBeReadIsNamed) {
  const auto reply = ask(about(Content(paper("good", "A")).add(paper("bad.txt", "broken")))).get();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().message, "the document bad.txt: it has no pages");
  EXPECT_EQ(reply.error().code, "unsupported_messages");
  EXPECT_TRUE(scripted.seen().empty());
}

TEST_F(ReadingTest, ACancelledRequestIsNotReadOn) {
  auto reply = ask(about(paper("a", "endless")));
  auto behind = ask(about(paper("b", "B")));
  host.cancel(last - 2);  // the first one
  const auto ended = reply.get();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::kCancelled);
  EXPECT_TRUE(behind.get());
  EXPECT_EQ(scripted.seen().size(), 1u);
  host.cancel(last);  // ended already
}

TEST(DocumentDesk, RefusesWhatItHasNoRoomFor) {
  std::promise<void> go;
  const auto gone = std::make_shared<StopFlag>();
  std::vector<std::future<bool>> answers;
  {
    DocumentDesk desk([wait = go.get_future().share()](const Document&, const StopFlag&) {
      wait.wait();
      return Result<Content>("text");
    });
    const auto give = [&] {
      const auto promise = std::make_shared<std::promise<bool>>();
      answers.push_back(promise->get_future());
      desk.read({paper("a", "A")}, gone, [promise](auto texts) {
        promise->set_value(texts.has_value() || texts.error().code != "queue_full");
      });
    };
    for (int i = 0; i < 66; ++i) give();  // one is read, 64 wait, or the first of them waits too
    EXPECT_FALSE(answers.back().get());
    answers.pop_back();
    go.set_value();
  }
  int taken = 0;
  for (auto& answer : answers) taken += answer.get();
  EXPECT_GE(taken, 64);
}

}  // namespace
}  // namespace lathe::serve
