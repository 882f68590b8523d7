// Where runs and their records are kept. A store is this interface and keeps to the cases of
// tests/books/stores_test.cpp; what is said here holds for each. One object per thread; any number
// of them, in any number of processes, may stand before one place. Errors: kUnavailable, what may
// work later or elsewhere (a full disk, a place that can only be read); kInvalid, a place that
// holds something else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "books/journal/lease.h"
#include "books/ledger/chain.h"
#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe::books {

struct Record {
  std::int64_t seq = 0;
  std::int64_t t_ms =
      0;  // working time of the run so far: time between a stop and a resume does not count
  std::optional<double> joules;  // energy so far, where the machine can be read
  std::string kind;
  Json body;
};

struct RunHead {
  std::string id;
  std::string recipe;
  std::string title;            // the input, for people
  std::int64_t created_ms = 0;  // UTC
};

struct RunRow : RunHead {
  std::string state;         // "open" until the run ended
  std::int64_t records = 0;  // so many has it
  bool live = false;         // open, and some process holds it now; the Journal looks
};

// A run that waits for whoever works through the queue, on this machine or another: they take it by
// its lease.
struct QueuedRun {
  std::string run;
  std::int64_t added_ms = 0;  // UTC
  bool paused = false;

  bool operator==(const QueuedRun&) const = default;
};

// What a person says of a take: of a unit's candidate, which its blob names.
struct TakeLabel {
  std::string run, unit, blob;
  bool accept = false;
  std::string reason;         // "": none is given
  std::string by;             // whose key; "": whoever runs this machine
  std::int64_t t_ms = 0;      // UTC
  std::int64_t revision = 0;  // 1 for a take's first label; each one that replaces it has one more

  bool operator==(const TakeLabel&) const = default;
};

// Which records of a run are read.
struct RecordRange {
  std::int64_t from = 0;       // the first number
  std::string_view kind = "";  // empty: any
};

// A served call that is about to begin: the row that it comes to if its process ends before it.
struct LedgerIntent {
  std::string owner;  // a name that its process holds a lease of for as long as it lives
  LedgerRow row;      // lost
};

// What is done to the ledger at once.
struct LedgerChange {
  std::vector<LedgerIntent> begun = {};
  std::vector<std::string> ended = {};   // ids of calls whose intents go
  std::vector<LedgerRow> rows = {};      // put behind the last one, in this order
  std::vector<std::string> tables = {};  // of prices, that rows name by their hashes: their bytes

  bool empty() const { return begun.empty() && ended.empty() && rows.empty() && tables.empty(); }
};

// Which rows are read.
struct RowRange {
  std::string_view run = "";  // of one run; empty: of all, and those of served calls
  std::int64_t from_ms = INT64_MIN, to_ms = INT64_MAX;  // whose calls began in [from, to)
};
using OnRow = std::function<Status(const SealedRow& row)>;

class RecordStore {
 public:
  virtual ~RecordStore() = default;
  // What messages call the place.
  virtual std::string place() const = 0;

  // Takes the run for this object, and does not wait; nullptr: another holds it. A run need not be
  // there yet. A hold whose process dies is given back.
  virtual Result<std::unique_ptr<Hold>> take(const std::string& run) = 0;

  // All of `first` or nothing. Durable when it returns, as append() and remove_run() are. Errors:
  // a run of this name is there; what next_in_line() says.
  virtual Status create_run(const Lease& lease, const RunHead& head,
                            std::span<const Record> first) = 0;
  // `state`: what runs() shows from now on. `rows`: of the call that the record is of; they are in
  // the ledger when the record is in the run, or neither is. Errors: there is no such run; what
  // next_in_line() says.
  virtual Status append(const Lease& lease, const Record& record,
                        const std::optional<std::string>& state,
                        std::span<const LedgerRow> rows) = 0;
  // The run, its records, its labels, its row in the queue, and the lease's traces.
  virtual Status remove_run(const Lease& lease) = 0;
  // What was removed stands nowhere in what the store keeps, old copies of it included. To be
  // called while nobody else uses the place.
  virtual Status scrub() = 0;

  virtual Result<std::vector<Record>> records(const std::string& run,
                                              const RecordRange& range) const = 0;  // by number
  virtual Result<std::vector<RunRow>> runs()
      const = 0;  // newest first; of one moment: by id, last first
  // The queue: a row a run. Needs no lease: whoever works on a run looks again and again whether it
  // may. Putting a run that is there already replaces its row; the time that it was added stays.
  virtual Status put_queued(const QueuedRun& row) = 0;
  virtual Status remove_queued(const std::string& run) = 0;
  virtual Result<std::vector<QueuedRun>> queue() const = 0;  // by time, then by run

  // Labels need no lease: runs that have ended are labelled, and those that go on. `label.revision`
  // is the one that whoever writes it has seen (0: none), and what is returned the one that it has
  // now. nullopt: another label was written since, and this one was not. Durable when it returns.
  // Errors: there is no such run.
  virtual Result<std::optional<std::int64_t>> put_label(const TakeLabel& label) = 0;
  virtual Result<std::vector<TakeLabel>> labels(
      const std::string& run) const = 0;  // by unit, then by blob

  // A number that is another one once another object, of any process, has changed anything. What
  // this one changes need not show. Cheap: it may be asked many times a second.
  virtual Result<std::int64_t> version() const = 0;

  // The ledger: one chain of rows (books/ledger/chain.h), whoever puts them there. A run that is
  // removed leaves its rows. All of `change` or nothing, durable when it returns.
  virtual Status book(const LedgerChange& change) = 0;
  virtual Result<std::vector<LedgerIntent>> intents() const = 0;
  // By number. An error of `on_row` ends it, and is what it returns.
  virtual Status rows(const RowRange& range, const OnRow& on_row) const = 0;
  virtual Result<LedgerTip> ledger_tip() const = 0;
  // kNotFound where it is not there.
  virtual Result<std::string> price_table(std::string_view sha256) const = 0;
};

// Whether `records` go on where a run with `there` of them ends: a second writer is found out, not
// merged. For stores, within their transaction.
Status next_in_line(std::string_view run, std::int64_t there, std::span<const Record> records);

// What can be the id of a run: as this program makes them, so that it cannot be a path, an option
// or a control sequence.
bool is_run_id(std::string_view id);

}  // namespace lathe::books
