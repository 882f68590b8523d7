// A program in the sandbox that is spoken with, line by line, on its standard input and output. All
// of it ends with this object: its input first, then, half a second later, whatever still runs.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "ground/sys/process.h"
#include "ground/sys/sandbox.h"

namespace lathe {

// One thread at a time.
class Dialogue {
 public:
  // `command`: input and stream are ours, time_limit is of its whole life. A line that comes has at
  // most `max_line` bytes. The sandbox's tree is this program's alone while it lives.
  static Result<std::unique_ptr<Dialogue>> start(Sandbox sandbox, Command command,
                                                 std::size_t max_line);
  ~Dialogue();
  Dialogue(const Dialogue&) = delete;
  Dialogue& operator=(const Dialogue&) = delete;

  // A line, without its end. Errors: it does not read, stopped. That it has ended is for hear().
  Status say(std::string_view line, Milliseconds limit, const StopFlag& stop);
  // The next line, without its end; nullopt: none came in that time. Errors: it has ended, and how;
  // a line that is too long; stopped.
  Result<std::optional<std::string>> hear(Milliseconds wait, const StopFlag& stop);

 private:
  Dialogue(UniqueFd ours, std::size_t max_line) : ours_(std::move(ours)), max_line_(max_line) {}
  std::optional<std::string> next_line();
  bool has_ended();
  Error ended();

  UniqueFd ours_;
  const std::size_t max_line_;
  std::string bytes_;       // that came, and are no line yet
  std::size_t looked_ = 0;  // of them, without a line's end
  StopFlag stop_;
  std::mutex mutex_;  // guards end_
  std::optional<Result<SandboxedExit>> end_;
  std::thread thread_;
};

}  // namespace lathe
