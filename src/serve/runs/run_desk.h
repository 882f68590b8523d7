// Where the server's clients look at runs: one thread of its own reads the journal, answers what is
// asked of it in order, and tells those who watch. Nothing here keeps the server's other threads
// waiting.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "serve/runs/drawing.h"
#include "serve/runs/run_reader.h"
#include "serve/runs/starter.h"
#include "serve/runs/watches.h"
#include "serve/server/call.h"

namespace lathe::serve {

// A call, as far as what it asks for needs it.
struct RunCall {
  std::shared_ptr<HttpExchange> exchange;
  std::vector<std::string> names;  // what the braces of the path stand for
  Json body;
  bool owner = true;
  std::string key;  // its name; "": none, or the owner's

  const HttpRequest& request() const { return exchange->request(); }
};

class RunDesk {
 public:
  // `open`: as RunReader has it. The desk outlives the server that its streams are of.
  // `starter`: nothing where runs are only looked at. `draw`: empty where nothing is drawn.
  explicit RunDesk(std::function<Result<books::Journal>()> open,
                   std::optional<RunStarter> starter = {}, DrawArtifact draw = {});
  ~RunDesk();
  RunDesk(const RunDesk&) = delete;
  RunDesk& operator=(const RunDesk&) = delete;

  // Any thread: has it answered by the desk's. 503 where too much waits.
  using Answer = std::function<Handled(RunDesk& desk, RunCall& call)>;
  Handled ask(RunCall call, Answer answer);
  // Any thread: ends what watches, and refuses what comes.
  void close();

  // For answers, on the desk's thread.
  RunReader& reader() { return reader_; }
  const RunStarter* starter() const { return starter_ ? &*starter_ : nullptr; }
  const DrawArtifact& draw() const { return draw_; }
  void watch(const RunCall& call, std::string run, std::int64_t after);
  // Sends `bytes` behind a head that has begun, as fast as they are read.
  void send(const RunCall& call, std::shared_ptr<const std::string> bytes, std::size_t from,
            std::size_t to);

 private:
  struct Asked {
    RunCall call;
    Answer answer;
  };
  void run();
  void answer(Asked& asked);
  void wake();

  const std::optional<RunStarter> starter_;
  const DrawArtifact draw_;
  RunReader reader_;  // of the thread alone
  Watches watches_;   // as well

  std::mutex mutex_;  // guards what follows
  std::condition_variable woken_;
  std::deque<Asked> asked_;
  bool wake_ = false, closed_ = false, stop_ = false;
  std::thread thread_;
};

}  // namespace lathe::serve
