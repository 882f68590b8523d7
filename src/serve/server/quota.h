// What each key used today, against what it may: tokens and joules a day (UTC), requests at once.
// Shared with what is under way. Any thread.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "ground/base/clock.h"
#include "serve/server/api_error.h"
#include "serve/server/keys.h"
#include "work/work.h"

namespace lathe::serve {

class QuotaMeter : public std::enable_shared_from_this<QuotaMeter> {
 public:
  explicit QuotaMeter(const Clock& clock = system_clock()) : clock_(&clock) {}

  // One request of a key, for as long as it is under way.
  class Ticket {
   public:
    ~Ticket();
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    void count(const Usage& usage);

   private:
    friend class QuotaMeter;
    Ticket(std::shared_ptr<QuotaMeter> meter, std::string key)
        : meter_(std::move(meter)), key_(std::move(key)) {}
    const std::shared_ptr<QuotaMeter> meter_;
    const std::string key_;
  };

  // Lets a request in, or says when to come again: 429. What a request takes is known at its end:
  // a quota is exceeded by at most what was under way when it was reached.
  ApiResult<std::shared_ptr<Ticket>> admit(const Key& key);
  // What was used on a day (since 1970, UTC) before this meter was made.
  void seed(const std::string& key, std::int64_t day, std::int64_t tokens,
            std::int64_t millijoules);

 private:
  struct Used {
    std::int64_t day = 0;  // the latest that was seen: a clock that goes back gives nothing back
    std::int64_t tokens = 0, millijoules = 0, under_way = 0;
  };
  Used& today(const std::string& key);
  std::int64_t seconds_to_reset(const Used& used) const;

  const Clock* clock_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, Used, std::less<>> used_;
};

}  // namespace lathe::serve
