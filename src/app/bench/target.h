// What is measured: something that takes requests and tells when what came of them. One thread asks
// and waits; a target's own threads are its business. In tests the clock is the target's, too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "work/work.h"

namespace lathe::app {

// Of one request: pieces of text and events without any, then the end.
struct TargetEvent {
  enum class Kind { kText, kEmpty, kEnd };
  std::uint64_t id = 0;
  std::int64_t at_us = 0;  // by now_us(), when it came, not when it was fetched
  Kind kind = Kind::kEnd;
  // With kEnd.
  std::string error = {};  // "": it was answered
  Usage usage = {};
  FinishReason finish = FinishReason::kStop;
  std::string text = {};  // all of it, thoughts first
};

class Target {
 public:
  virtual ~Target() = default;
  virtual std::string where() const = 0;    // "in this process", a URL
  virtual std::int64_t now_us() const = 0;  // since an arbitrary start; never goes back
  // Never blocks for long, and is never tried again: what fails has failed. `id` is new.
  virtual void ask(std::uint64_t id, const Request& request) = 0;
  // The next event; nullopt: there is none until now_us() is `until_us`.
  virtual std::optional<TargetEvent> next(std::int64_t until_us) = 0;
  // What is under way ends soon, with an error.
  virtual void cancel() = 0;
};

}  // namespace lathe::app
