// Who follows runs as they go on: a stream of events for each, from the record on that it has not
// seen. One thread, but for what is said of streams that their clients leave.
#pragma once

#include <atomic>
#include <list>
#include <memory>

#include "serve/net/http_server.h"
#include "serve/runs/run_reader.h"

namespace lathe::serve {

class Watches {
 public:
  // Streams at once. One more, and the one that was told something longest ago ends: its page comes
  // back with the number of what it has seen.
  static constexpr std::size_t kMost = 256;

  // Begins a stream behind record `after`. `wake` is called from other threads when there is more
  // to do here.
  void add(std::shared_ptr<HttpExchange> exchange, std::string run, std::int64_t after,
           std::function<void()> wake);
  // Sends what is new. True: there is more that can be sent as soon as clients have read.
  void tell(RunReader& reader);
  void end_all();
  bool empty() const { return watches_.empty(); }

 private:
  struct Line {  // to a client
    std::atomic<bool> gone{false};
    std::atomic<bool> clear{true};  // nothing waits for it to be read
  };
  struct Watch {
    std::shared_ptr<HttpExchange> exchange;
    std::string run;
    std::int64_t next = 0;   // the record that it has not seen
    std::uint64_t told = 0;  // when it was told something last
    std::function<void()> wake;
    std::shared_ptr<Line> line = std::make_shared<Line>();
  };
  bool tell(RunReader& reader, Watch& watch);

  std::list<Watch> watches_;
  std::uint64_t now_ = 0;  // counts what is told
};

}  // namespace lathe::serve
