// The journal: what happened, as records of runs, and the bytes that those name. It is made of a
// store of records and a store of blobs, whatever these are (record_store.h, blob_store.h), and
// holds to what no store need know: names of runs, hashes, leases that are waited for, clean-up.
//
// A run is its records, numbered from 0 without gaps and never changed. A blob is durable before a
// record names it; wherever a record names one, the member is called "blob": that is what gc() goes
// by. Every append is durable when it returns. One Journal object per thread; any number of
// processes may use one place at once.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "books/journal/blob_store.h"
#include "books/journal/lease.h"
#include "books/journal/record_store.h"

namespace lathe::books {

struct GcReport : Sweep {
  std::int64_t missing = 0;  // snapshots that records name and that are not there
};

class Journal {
 public:
  Journal(std::unique_ptr<RecordStore> records, std::unique_ptr<BlobStore> blobs)
      : records_(std::move(records)), blobs_(std::move(blobs)) {}

  // Safe from any thread.
  Result<std::string> put_blob(std::string_view bytes) const;  // → sha256
  Result<std::string> blob(std::string_view sha256) const;  // the bytes, checked against their name

  // All of `first` or nothing: the run exists once this has returned.
  Result<Lease> create_run(const RunHead& head, std::span<const Record> first);
  // kUnavailable when another process holds it, and still does when patience is at its end.
  Result<Lease> lease(const std::string& run, Milliseconds patience = Milliseconds(1000)) const;
  // record.seq must be the next number. `state`: what runs() shows from now on.
  // `rows`: what the record's call took; with it or not at all.
  Status append(const Lease& lease, const Record& record,
                const std::optional<std::string>& state = {}, std::span<const LedgerRow> rows = {});

  Result<std::vector<RunRow>> runs() const;  // newest first
  // The run whose id is `name`, or the only one whose id starts with it; "last" is the newest.
  Result<std::string> find_run(std::string_view name) const;
  // From number `from` on; a gap is an error. Who watches a run asks for what it has not seen.
  Result<std::vector<Record>> records(const std::string& run, std::int64_t from = 0) const;
  Result<std::vector<Record>> records(const std::string& run, std::string_view kind) const;
  // The blobs that its records name, and those that the snapshot of its tree does.
  Result<std::set<std::string>> blobs_of(const std::string& run) const;
  // How many bytes a blob has; kNotFound where it is not there.
  Result<std::uint64_t> blob_size(std::string_view sha256) const;
  // Another number once another process has written anything: then a watcher reads again.
  Result<std::int64_t> version() const { return records_->version(); }

  // The ledger: what calls took (books/ledger/row.h).
  Status book(const LedgerChange& change) { return records_->book(change); }
  // Rows that are no rows end it with an error.
  Status rows(const RowRange& range, const std::function<void(const LedgerRow&)>& on_row) const;
  // The table of prices that rows name so.
  Result<std::string> price_table(std::string_view sha256) const {
    return records_->price_table(sha256);
  }
  // How many rows there are; the error names the first place where the chain is broken.
  Result<std::int64_t> verify_ledger() const;
  // Calls whose process ended before they did become rows that say so. How many there were.
  Result<std::int64_t> book_lost_calls();
  // A name for calls that this process serves, held for as long as the lease is.
  Result<Lease> serving_lease() const;
  // Gives it back; nothing of it is left.
  Status end_serving(Lease lease) { return records_->remove_run(lease); }

  // The run waits in the queue, or rests there. Errors: there is no such run.
  Status enqueue(const std::string& run, std::int64_t now_ms, bool paused = false);
  Status dequeue(const std::string& run) { return records_->remove_queued(run); }
  Result<std::vector<QueuedRun>> queue() const { return records_->queue(); }  // oldest first

  // What people say of a run's takes. As RecordStore has them; the error names what is no blob.
  Result<std::optional<std::int64_t>> put_label(const TakeLabel& label);
  Result<std::vector<TakeLabel>> labels(const std::string& run) const {
    return records_->labels(run);
  }

  // The text of a blob must be forgotten: it goes, whatever records name it.
  Status forget_blob(std::string_view sha256);
  Status remove_run(const std::string& run);  // its blobs go with the next gc()
  // Removes the runs and the blobs that only they name, so that no byte of them is left in what the
  // stores keep. All of it or, while another process has this journal open, nothing; a run that is
  // worked on is refused.
  Result<GcReport> erase(std::span<const std::string> runs);
  // Removes the blobs that no record names. Refused while another process has this journal open.
  Result<GcReport> gc();

 private:
  // `missing`: grows with each snapshot that is lost.
  Result<std::set<std::string>> blobs_of(const std::string& run, std::int64_t& missing) const;
  Result<std::set<std::string>> named_blobs(std::int64_t& missing) const;

  std::unique_ptr<RecordStore> records_;
  std::unique_ptr<BlobStore> blobs_;
};

}  // namespace lathe::books
