// The thread that reads runs for the server.
#include "serve/runs/run_desk.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostAsked = 1024;
constexpr std::size_t kPiece = 256 << 10;
constexpr auto kLookEvery = std::chrono::milliseconds(100);

// One piece after the other, each when the one before has been read: a client that is slow keeps
// one piece here, however much it asked for. Runs on the server's I/O thread; the last one ends it.
struct Sending {
  std::shared_ptr<HttpExchange> exchange;
  std::shared_ptr<const std::string> bytes;
  std::size_t at = 0, to = 0;

  void next() {
    const std::size_t piece = std::min(kPiece, to - at);
    if (piece == 0) return exchange->end();
    exchange->send(bytes->substr(at, piece));
    at += piece;
    auto* waits = exchange.get();
    waits->when_sent([sending = std::move(*this)]() mutable { sending.next(); });
  }
};

}  // namespace

RunDesk::RunDesk(std::function<Result<books::Journal>()> open, std::optional<RunStarter> starter,
                 DrawArtifact draw)
    : starter_(std::move(starter)),
      draw_(std::move(draw)),
      reader_(std::move(open)),
      thread_([this] { run(); }) {}

RunDesk::~RunDesk() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  woken_.notify_all();
  thread_.join();
}

Handled RunDesk::ask(RunCall call, Answer answer) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_)
      return std::unexpected(ApiError{503, "the server is shutting down", {}, "shutting_down", 1});
    if (asked_.size() >= kMostAsked)
      return std::unexpected(
          ApiError{503, "too many ask for runs at once; try again", {}, "queue_full", 1});
    asked_.push_back({std::move(call), std::move(answer)});
  }
  woken_.notify_all();
  return std::nullopt;
}

void RunDesk::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  woken_.notify_all();
}

void RunDesk::wake() {
  {
    const std::lock_guard lock(mutex_);
    wake_ = true;
  }
  woken_.notify_all();
}

void RunDesk::watch(const RunCall& call, std::string run, std::int64_t after) {
  watches_.add(call.exchange, std::move(run), after, [this] { wake(); });
}

void RunDesk::send(const RunCall& call, std::shared_ptr<const std::string> bytes, std::size_t from,
                   std::size_t to) {
  Sending{call.exchange, std::move(bytes), from, to}.next();
}

void RunDesk::answer(Asked& asked) {
  Handled handled;
  try {
    handled = asked.answer(*this, asked.call);
  } catch (const std::exception& problem) {
    handled = std::unexpected(ApiError{500, fmt::format("inside the server: {}", problem.what())});
  }
  if (handled && !*handled) return;
  asked.call.exchange->finish(
      handled ? std::move(**handled) : error_reply(Dialect::kOpenAi, handled.error()), "");
}

void RunDesk::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const auto something = [&] { return stop_ || wake_ || closed_ || !asked_.empty(); };
    if (watches_.empty())
      woken_.wait(lock, [&] { return stop_ || !asked_.empty(); });
    else
      woken_.wait_for(lock, kLookEvery, something);
    wake_ = false;
    const bool closed = closed_;
    std::deque<Asked> asked = std::exchange(asked_, {});
    lock.unlock();
    for (Asked& each : asked) answer(each);
    asked.clear();
    if (closed)
      watches_.end_all();
    else
      watches_.tell(reader_);
    lock.lock();
  }
  lock.unlock();
  watches_.end_all();
}

}  // namespace lathe::serve
