// What was said in a talk, and what the hook decided: a file of JSON lines for its owner alone,
// JOURNAL/talks/ID.jsonl. A line is durable when append() returns. Any thread.
#pragma once

#include <mutex>
#include <string>

#include "app/cli/app.h"

namespace lathe::app {

class TalkLog {
 public:
  static Result<std::unique_ptr<TalkLog>> begin(const App& app);
  ~TalkLog();

  const fs::path& file() const { return file_; }
  // Adds when it happened.
  Status append(Json event);

 private:
  TalkLog(fs::path file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}

  const fs::path file_;
  const int descriptor_;
  std::mutex mutex_;
};

}  // namespace lathe::app
