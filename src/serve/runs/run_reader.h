// The runs of a journal, read for many who look at them: each is folded once, and what is new of it
// is put behind what is known. One thread.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "books/journal/journal.h"
#include "loop/conductor/state.h"
#include "loop/record/event.h"

namespace lathe::serve {

struct FoldedRun {
  std::string id;
  std::string by;  // the key that began it; "": whoever runs this machine
  std::vector<loop::Entry> entries;
  loop::RunState state;
  // What each record says, by its number: an event of a stream, ready to be sent.
  std::vector<std::string> events;
};

// A run of the list. `state` is one of show::listed_state(), or "queued".
struct ListedRun : books::RunRow {
  std::string shown_state;
  std::string by;
  std::optional<std::size_t> units, units_passed;  // nullopt: stopped before its end
};

class RunReader {
 public:
  // `open` is called when something is first asked for, and again after a failure. What it opens
  // must let others clean up in the same place.
  explicit RunReader(std::function<Result<books::Journal>()> open) : open_(std::move(open)) {}

  // kUnavailable, whatever is wrong with it: nobody who asks can mend it.
  Result<books::Journal*> journal();

  // Newest first. Without their states and who began them, which cost more: shown() adds those.
  Result<std::vector<books::RunRow>> rows();
  Result<ListedRun> shown(const books::RunRow& row, std::span<const books::QueuedRun> queue);
  // "": whoever runs this machine began it.
  Result<std::string> begun_by(const std::string& run);

  // As it is now; cheap where nothing was written since. Stands until the next call. kNotFound:
  // there is no such run (any more).
  Result<const FoldedRun*> run(const std::string& id);

  // Whether a record of the run names the blob, or the snapshot of its tree does. `known`: as far
  // as it was read before; what a run once named it names for good.
  Result<bool> names_blob(const books::RunRow& run, const std::string& sha256, bool known);

 private:
  struct Kept {
    FoldedRun run;
    std::int64_t version = -1;  // of the journal, as it was read
    std::uint64_t used = 0;
  };
  template <class T>
  Result<T> or_reopen(Result<T> result);
  Status catch_up(FoldedRun& run);
  Status count_units(ListedRun& listed);
  void let_go();

  const std::function<Result<books::Journal>()> open_;
  std::optional<books::Journal> journal_;
  std::uint64_t uses_ = 0;
  std::map<std::string, Kept> runs_;
  // Of runs that have ended and have so many records: they are asked for again and again.
  std::map<std::string, ListedRun> ended_;
  std::map<std::string, std::string> begun_by_;
  std::map<std::string, std::pair<std::int64_t, std::set<std::string>>> blobs_;
};

}  // namespace lathe::serve
