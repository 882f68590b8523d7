// Where runs and their records are kept. A store is this interface and keeps to the cases of
// tests/books/stores_test.cpp; what is said here holds for each. One object per thread; any number
// of them, in any number of processes, may stand before one place. Errors: kUnavailable, what may
// work later or elsewhere (a full disk, a place that can only be read); kInvalid, a place that
// holds something else.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "books/journal/lease.h"
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

// Which records of a run are read.
struct RecordRange {
  std::int64_t from = 0;       // the first number
  std::string_view kind = "";  // empty: any
};

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
  // `state`: what runs() shows from now on. Errors: there is no such run; what next_in_line() says.
  virtual Status append(const Lease& lease, const Record& record,
                        const std::optional<std::string>& state) = 0;
  // The run, its records, and the lease's traces.
  virtual Status remove_run(const Lease& lease) = 0;
  // What was removed stands nowhere in what the store keeps, old copies of it included. To be
  // called while nobody else uses the place.
  virtual Status scrub() = 0;

  virtual Result<std::vector<Record>> records(const std::string& run,
                                              const RecordRange& range) const = 0;  // by number
  virtual Result<std::vector<RunRow>> runs()
      const = 0;  // newest first; of one moment: by id, last first
  // A number that is another one once another object, of any process, has changed anything. What
  // this one changes need not show. Cheap: it may be asked many times a second.
  virtual Result<std::int64_t> version() const = 0;
};

// Whether `records` go on where a run with `there` of them ends: a second writer is found out, not
// merged. For stores, within their transaction.
Status next_in_line(std::string_view run, std::int64_t there, std::span<const Record> records);

// What can be the id of a run: as this program makes them, so that it cannot be a path, an option
// or a control sequence.
bool is_run_id(std::string_view id);

}  // namespace lathe::books
