// Streams of what happens in runs.
#include "serve/runs/watches.h"

#include <algorithm>

#include "serve/server/answer.h"

namespace lathe::serve {
namespace {

// So much is under way to a client before it has read it.
constexpr std::size_t kAtOnce = 256 << 10;

}  // namespace

void Watches::add(std::shared_ptr<HttpExchange> exchange, std::string run, std::int64_t after,
                  std::function<void()> wake) {
  if (watches_.size() >= kMost) {
    const auto idle = std::ranges::min_element(watches_, {}, &Watch::told);
    idle->exchange->end();
    watches_.erase(idle);
  }
  Watch& watch = watches_.emplace_back();
  watch.exchange = std::move(exchange);
  watch.run = std::move(run);
  watch.next = after + 1;
  watch.told = ++now_;
  watch.wake = std::move(wake);
  HttpStreamHead head = event_stream();
  head.closes = true;
  watch.exchange->begin(std::move(head));
  // So that it is known at once that somebody is there.
  watch.exchange->send(": watching\n\n");
  watch.exchange->on_gone([line = watch.line, wake = watch.wake](HttpGone) {
    line->gone = true;
    wake();
  });
}

// False: it is over.
bool Watches::tell(RunReader& reader, Watch& watch) {
  if (watch.line->gone) return false;
  if (!watch.line->clear) return true;
  const auto run = reader.run(watch.run);
  if (!run && run.error().kind == ErrorKind::kNotFound) {
    watch.exchange->send("event: gone\ndata: {}\n\n");
    watch.exchange->end();
    return false;
  }
  if (!run) return true;  // it may be readable later
  const auto& events = (*run)->events;
  const std::int64_t all = std::ssize(events);
  std::string news;
  while (watch.next < all && news.size() < kAtOnce)
    news += events[static_cast<std::size_t>(watch.next++)];
  const bool over = watch.next >= all && (*run)->state.ended;
  if (over) news += fmt::format("event: end\ndata: {{\"seq\":{}}}\n\n", all - 1);
  if (news.empty()) return true;
  watch.told = ++now_;
  watch.exchange->send(std::move(news));
  if (over) {
    watch.exchange->end();
    return false;
  }
  watch.line->clear = false;
  watch.exchange->when_sent([line = watch.line, wake = watch.wake] {
    line->clear = true;
    wake();
  });
  return true;
}

void Watches::tell(RunReader& reader) {
  std::erase_if(watches_, [&](Watch& watch) { return !tell(reader, watch); });
}

void Watches::end_all() {
  for (Watch& watch : watches_) watch.exchange->end();
  watches_.clear();
}

}  // namespace lathe::serve
