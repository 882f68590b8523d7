// What calls have to say to the record of their run, while they wait. Who answers a call knows the
// run by the labels of its requests alone. Any thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "loop/record/event.h"

namespace lathe::loop {

class CallNotes {
 public:
  using Write = std::function<Status(Event event)>;  // durable when it returns

  // From now on, and until it is closed; no call of the run is under way then.
  void open(const std::string& run, Write write);
  void close(const std::string& run);
  // Nothing where the labels name no call of a run that is open.
  Status write(const std::map<std::string, std::string>& labels,
               const std::function<Event(const CallId& call)>& event);

 private:
  std::mutex mutex_;
  std::map<std::string, Write> runs_;
};

}  // namespace lathe::loop
