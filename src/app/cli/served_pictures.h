// Artifacts as pictures for those who look at runs: a page or a drawing is drawn as its judge sees
// it, in confined processes without a network. One at a time, by a thread of its own; the last ones
// are kept. Any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "app/cli/app.h"
#include "loop/senses/media_pool.h"
#include "serve/runs/drawing.h"

namespace lathe::app {

class ServedPictures {
 public:
  explicit ServedPictures(const App& app);
  // Refuses what waits.
  ~ServedPictures();
  ServedPictures(const ServedPictures&) = delete;
  ServedPictures& operator=(const ServedPictures&) = delete;

  // This outlives what holds it.
  serve::DrawArtifact drawer();

 private:
  using Png = std::shared_ptr<const std::string>;
  struct Wanted {
    std::string sha256;
    std::shared_ptr<const std::string> bytes;
    std::function<void(Result<Png>)> done;
  };

  void run();  // the thread
  Result<Png> picture_of(const Wanted& wanted);
  Result<Png> draw(const std::string& bytes);

  const App& app_;
  loop::MediaPool media_;
  std::deque<std::pair<std::string, Png>> kept_;  // of the thread; the newest last
  StopFlag stop_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable woken_;
  std::deque<Wanted> wanted_;
  std::thread thread_;
};

}  // namespace lathe::app
