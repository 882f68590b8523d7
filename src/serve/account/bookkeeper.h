// Keeps the ledger of a server: one thread that writes what calls begin and end, several of them in
// one transaction where several come at once. A call begins only when it is written down that it
// does: what cannot be accounted for is not answered. Any thread may call anything.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "books/journal/journal.h"
#include "ground/base/result.h"

namespace lathe::serve {

class Bookkeeper {
 public:
  // From the keeper's thread, soon. An error: nothing is written down, and the call must not begin.
  using Go = std::function<void(const Status& written)>;

  // Takes the journal, which must be one that can be written: the error says so. Calls of processes
  // that ended before these did become rows that are lost.
  static Result<std::unique_ptr<Bookkeeper>> start(books::Journal journal);
  // Writes what has ended. What cannot be written then becomes lost with the next opening.
  ~Bookkeeper();

  // `row`: what is known of the call now. Its id is another one each time.
  void begin(books::LedgerRow row, Go go);
  // The same call, whole. Calls that were begun and are not ended are lost.
  void end(books::LedgerRow row);
  // Waits until all that was ended before is durable; the error: it is not, and why.
  Status flush();

 private:
  struct Begin {
    books::LedgerRow row;
    Go go;
  };
  Bookkeeper(books::Journal journal, books::Lease owner);
  void run();
  // One transaction; what has ended stays in `ended` where it cannot be written.
  void write(std::vector<Begin> begun, std::vector<books::LedgerRow>& ended);

  books::Journal journal_;  // of the thread alone
  books::Lease owner_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, written_;
  std::vector<Begin> begun_;
  std::vector<books::LedgerRow> ended_;
  std::uint64_t told_ = 0, durable_ = 0;  // ends
  Status last_;                           // of the last transaction
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lathe::serve
