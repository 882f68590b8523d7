// This machine as a node of its own run, and the eye on all nodes.
#include "app/cli/fleet_watch.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kCompareEvery{10'000};

}  // namespace

Result<std::unique_ptr<FleetWatch>> FleetWatch::start(const App& app, const DriveSetup& setup,
                                                      const std::string& run, int slots) {
  std::unique_ptr<FleetWatch> watch(new FleetWatch(*setup.fleet()));
  // Before this process speaks for the machine: what its server says of it is read first.
  LATHE_TRY(const auto store, watch->access_.leases());
  LATHE_TRY_STATUS(watch->compare(*store));
  NodeHere::Options options{.bench = setup.bench()};
  options.workers = setup.workers();
  options.run = run;
  options.slots = slots;
  LATHE_TRY(watch->node_, NodeHere::start(app, watch->access_, std::move(options)));
  watch->thread_ = std::thread([self = watch.get()] { self->watch(); });
  return watch;
}

FleetWatch::~FleetWatch() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  ended_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status FleetWatch::compare(books::LeaseStore& store) {
  LATHE_TRY(const std::vector<OddNode> odd, quarantine_odd_ones(store, access_.node, seen_));
  for (const OddNode& each : odd)
    print_note(fmt::format(
        "node {} is in quarantine: its model {} computes other bits than the fleet's, so its file, "
        "memory or processor is broken; what it judged in the last hour is judged again. When it "
        "is mended: lathe fleet admit {}",
        each.node, each.model, each.node));
  return {};
}

// A store that cannot be reached is said by those who need it.
void FleetWatch::watch() {
  std::unique_ptr<books::LeaseStore> store;
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    if (!store) store = access_.leases().value_or(nullptr);
    if (store && !compare(*store)) store.reset();
    lock.lock();
    ended_.wait_for(lock, kCompareEvery, [this] { return ending_; });
  }
}

}  // namespace lathe::app
