// Finds the run that a request is made for, and hands it what is to be written down.
#include "loop/conductor/call_notes.h"

namespace lathe::loop {

void CallNotes::open(const std::string& run, Write write) {
  const std::lock_guard lock(mutex_);
  runs_[run] = std::move(write);
}

void CallNotes::close(const std::string& run) {
  const std::lock_guard lock(mutex_);
  runs_.erase(run);
}

Status CallNotes::write(const std::map<std::string, std::string>& labels,
                        const std::function<Event(const CallId& call)>& event) {
  const auto run = labels.find("run"), call = labels.find("call");
  if (run == labels.end() || call == labels.end()) return {};
  const auto id = parse_call(call->second);
  if (!id) return {};
  Write write;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = runs_.find(run->second); found != runs_.end()) write = found->second;
  }
  return write ? write(event(*id)) : Status();
}

}  // namespace lathe::loop
