// The thread that writes a server's ledger.
#include "serve/account/bookkeeper.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kRetry{1000};  // after a transaction that failed

// What a client is told whose call cannot be written down.
Status refusal(const Error& error) {
  return std::unexpected(
      Error{ErrorKind::kUnavailable,
            fmt::format("the call cannot be written in the ledger, so it is not begun: {}",
                        error.message),
            "ledger_unavailable"});
}

}  // namespace

Result<std::unique_ptr<Bookkeeper>> Bookkeeper::start(books::Journal journal) {
  LATHE_TRY(const std::int64_t lost, journal.book_lost_calls());
  static_cast<void>(lost);
  LATHE_TRY(books::Lease owner, journal.serving_lease());
  return std::unique_ptr<Bookkeeper>(new Bookkeeper(std::move(journal), std::move(owner)));
}

Bookkeeper::Bookkeeper(books::Journal journal, books::Lease owner)
    : journal_(std::move(journal)), owner_(std::move(owner)), thread_([this] { run(); }) {}

Bookkeeper::~Bookkeeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Bookkeeper::begin(books::LedgerRow row, Go go) {
  {
    const std::lock_guard lock(mutex_);
    begun_.push_back({std::move(row), std::move(go)});
  }
  wake_.notify_all();
}

void Bookkeeper::end(books::LedgerRow row) {
  {
    const std::lock_guard lock(mutex_);
    ended_.push_back(std::move(row));
    ++told_;
  }
  wake_.notify_all();
}

Status Bookkeeper::flush() {
  std::unique_lock lock(mutex_);
  const std::uint64_t told = told_;
  written_.wait(lock, [&] { return durable_ >= told || !last_; });
  return durable_ >= told ? Status() : last_;
}

void Bookkeeper::run() {
  std::vector<books::LedgerRow> ended;  // what could not be written yet comes first
  std::unique_lock lock(mutex_);
  // A call that may not begin any more at the end has a row, too.
  for (bool stop = false; !stop || !begun_.empty() || !ended_.empty();) {
    const auto something = [this] { return stop_ || !begun_.empty() || !ended_.empty(); };
    if (ended.empty())
      wake_.wait(lock, something);
    else
      wake_.wait_for(lock, kRetry, something);
    stop = stop_;
    std::vector<Begin> begun = std::exchange(begun_, {});
    std::ranges::move(ended_, std::back_inserter(ended));
    ended_.clear();
    lock.unlock();
    write(std::move(begun), ended);
    lock.lock();
  }
  lock.unlock();
  // A lease that stays behind is found free, and what it holds is lost then.
  if (ended.empty()) static_cast<void>(journal_.end_serving(std::move(owner_)));
}

void Bookkeeper::write(std::vector<Begin> begun, std::vector<books::LedgerRow>& ended) {
  books::LedgerChange change;
  for (const Begin& each : begun) {
    books::LedgerRow lost = each.row;
    lost.finish = books::kLost;
    change.begun.push_back({owner_.run(), std::move(lost)});
  }
  for (const books::LedgerRow& row : ended) change.ended.push_back(row.id);
  change.rows = ended;
  const Status written = journal_.book(change);
  {
    const std::lock_guard lock(mutex_);
    last_ = written;
    if (written) durable_ += ended.size();
  }
  written_.notify_all();
  if (written) ended.clear();
  for (const Begin& each : begun) each.go(written ? Status() : refusal(written.error()));
}

}  // namespace lathe::serve
