// Leases in memory: the state machine behind a mutex.
#include <condition_variable>
#include <mutex>

#include "books/leases/lease_store.h"

namespace lathe::books {
namespace {

class MemoryLeases : public LeaseStore {
  // What another may wait for.
  auto change(const auto& what) {
    const std::lock_guard guard(mutex_);
    ++changes_;
    changed_.notify_all();
    return what();
  }

 public:
  explicit MemoryLeases(const Clock& clock) : clock_(clock) {}

  std::string place() const override { return "memory"; }

  Status put_node(const NodeRow& node) override {
    return change([&] { return rules_.put_node(node); });
  }
  Status set_node_state(const std::string& node, NodeState state) override {
    return change([&] { return rules_.set_node_state(node, state); });
  }
  Result<std::vector<NodeRow>> nodes() const override {
    const std::lock_guard guard(mutex_);
    return rules_.nodes();
  }
  Status add_units(const std::string& run, std::span<const UnitSpec> units) override {
    return change([&] { return rules_.add_units(run, units); });
  }
  Status remove_run(const std::string& run) override {
    return change([&]() -> Status {
      rules_.remove_run(run);
      return {};
    });
  }
  Result<std::vector<UnitRow>> units(const std::string& run) const override {
    const std::lock_guard guard(mutex_);
    return rules_.units(run);
  }
  Result<std::optional<Grant>> lease(const Wish& wish) override {
    const std::lock_guard guard(mutex_);
    return rules_.lease(wish, clock_.unix_ms());
  }
  Result<std::vector<Grant>> heartbeat(const std::string& node, std::span<const Grant> leases,
                                       const Json& load) override {
    const std::lock_guard guard(mutex_);
    return rules_.heartbeat(node, leases, load, clock_.unix_ms());
  }
  Result<LeaseAnswer> complete(const Grant& lease, const UnitResult& result) override {
    return change([&] { return rules_.complete(lease, result, clock_.unix_ms()); });
  }
  Result<LeaseAnswer> fail(const Grant& lease) override {
    return change([&] { return rules_.fail(lease); });
  }
  Result<LeaseAnswer> release(const Grant& lease) override {
    return change([&] { return rules_.release(lease); });
  }

  Status wait(Milliseconds patience) override {
    LATHE_TRY_STATUS(wait_for_end(patience));
    return {};
  }
  Result<bool> wait_for_end(Milliseconds patience) override {
    std::unique_lock lock(mutex_);
    const std::int64_t seen = changes_;
    return changed_.wait_for(lock, patience, [&] { return changes_ != seen; });
  }

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t changes_ = 0;
  LeaseRules rules_;
};

}  // namespace

std::unique_ptr<LeaseStore> memory_leases(const Clock& clock) {
  return std::make_unique<MemoryLeases>(clock);
}

}  // namespace lathe::books
