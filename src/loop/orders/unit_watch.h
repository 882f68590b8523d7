// One eye on the units of runs for all calls that wait for theirs: a thread that looks when there
// is news, and every few seconds all the same.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "books/leases/lease_store.h"
#include "ground/base/stop.h"

namespace lathe::loop {

class UnitWatch {
 public:
  using Open = std::function<Result<std::unique_ptr<books::LeaseStore>>()>;
  // `patience`: between two looks, at most. It opens two stores, whoever waits.
  UnitWatch(Open open, Milliseconds patience) : open_(std::move(open)), patience_(patience) {}
  ~UnitWatch();
  UnitWatch(const UnitWatch&) = delete;
  UnitWatch& operator=(const UnitWatch&) = delete;

  // The unit's row once it has ended; where it is not there it is added. Any thread. `progress` is
  // told what it waits for. Errors: the store's; kCancelled, `stop` was raised.
  Result<books::UnitRow> ended(const std::string& run, const books::UnitSpec& unit,
                               const StopFlag& stop,
                               const std::function<void(std::string_view)>& progress);
  // All rows of the run, as of the last look that there was of it.
  std::vector<books::UnitRow> rows(const std::string& run) const;
  // Nodes in quarantine, as of some seconds ago at most.
  std::set<std::string> broken();
  // The run is not looked at any more.
  void forget(const std::string& run);

 private:
  struct View {
    std::map<std::string, books::UnitRow> rows = {};
    std::int64_t look = 0;  // that they are of
  };
  Status add(const std::string& run, const books::UnitSpec& unit, bool anew);
  void watch();
  void look(std::unique_ptr<books::LeaseStore>& store);
  void rest(std::unique_ptr<books::LeaseStore>& store);

  const Open open_;
  const Milliseconds patience_;

  std::mutex adding_;  // guards these two; never taken after mutex_
  std::unique_ptr<books::LeaseStore> store_;
  std::map<std::string, std::set<std::string>> there_;  // units, by run

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable looked_, wake_;
  std::map<std::string, View> runs_;
  std::vector<books::NodeRow> nodes_;
  std::optional<Milliseconds> seen_;  // when these were
  std::int64_t begun_ = 0;            // looks
  std::optional<Error> trouble_;      // of the last one
  bool hurry_ = false, ending_ = false;
  std::thread thread_;
};

}  // namespace lathe::loop
