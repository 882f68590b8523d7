// Reads the documents of requests, one after the other, on a thread of its own: the programs that
// do it take seconds. What was read last is kept, since a talk brings its documents with every
// question. Any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "work/content.h"

namespace lathe::serve {

// A document as its model reads it: its text, with its name and a line before each page; a film as
// pictures. May take long.
using ReadDocument = std::function<Result<Content>(const Document&, const StopFlag&)>;

class DocumentDesk {
 public:
  using OnRead = std::function<void(Result<std::vector<Content>>)>;

  explicit DocumentDesk(ReadDocument read);
  // Refuses what waits, and ends what is being read.
  ~DocumentDesk();
  DocumentDesk(const DocumentDesk&) = delete;
  DocumentDesk& operator=(const DocumentDesk&) = delete;

  // `done` comes once, from the desk's thread or, where the desk is full, at once: what was
  // read of each, or the error that names the document. `stop`: nobody wants them any more.
  void read(std::vector<Document> documents, std::shared_ptr<const StopFlag> stop, OnRead done);

 private:
  struct Job {
    std::vector<Document> documents;
    std::shared_ptr<const StopFlag> stop;
    OnRead done;
  };
  struct Kept {
    std::string key;
    Content content;
  };

  void run();  // the thread
  Result<std::vector<Content>> contents_of(const Job& job);
  Result<Content> content_of(const Document& document, const StopFlag& stop);

  const ReadDocument read_;
  std::deque<Kept> kept_;  // of the thread; the newest last

  std::mutex mutex_;  // guards what follows
  std::condition_variable woken_;
  std::deque<Job> jobs_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace lathe::serve
