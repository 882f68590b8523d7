// Server-sent events whatever the cuts, and within bounds.
#include "serve/net/sse.h"

#include <gmock/gmock.h>

namespace lathe::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> read(std::string_view bytes, std::size_t step) {
  std::vector<std::string> events;
  SseReader reader([&](std::string_view data) {
    events.emplace_back(data);
    return Status();
  });
  for (std::size_t i = 0; i < bytes.size(); i += step)
    EXPECT_TRUE(reader.feed(bytes.substr(i, step)));
  return events;
}

TEST(Sse, EventsWhateverTheCuts) {
  const std::string_view stream =
      "\xEF\xBB\xBF"
      "data: one\n\n: comment\r\ndata:two\r\ndata:  lines\r\n\r\nevent: x\nid: 3\nretry: "
      "5\ndata\n\n"
      "data: a\rdata: b\r\rdatax: no\n\n\n\ndata: héé\n\ndata: lost";
  for (std::size_t step = 1; step <= stream.size(); ++step)
    EXPECT_THAT(read(stream, step), ElementsAre("one", "two\n lines", "", "a\nb", "héé")) << step;
  EXPECT_THAT(read("", 1), IsEmpty());
  EXPECT_THAT(read("data: unfinished\n", 1), IsEmpty());
}

TEST(Sse, EventsAreBounded) {
  const auto feed = [](std::string_view bytes) {
    SseReader reader([](std::string_view) { return Status(); }, 100);
    for (int i = 0; i < 60; ++i)
      if (Status status = reader.feed(bytes); !status) return status;
    return Status();
  };
  EXPECT_TRUE(feed("data: x\n\n"));
  EXPECT_FALSE(feed("xx")) << "a line without an end";
  EXPECT_FALSE(feed("data: x\n")) << "an event without an end";
  EXPECT_TRUE(feed(": comment\n"));
}

TEST(Sse, AnErrorOfTheReceiverEndsTheReading) {
  SseReader reader([](std::string_view) -> Status { return invalid("enough"); });
  const Status status = reader.feed("data: a\n\ndata: b\n\n");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "enough");
}

}  // namespace
}  // namespace lathe::serve
