// A node over the store in memory: what it takes, hands in, gives back, and when it leaves.
#include "app/node/node.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>

namespace lathe::app {
namespace {

using books::Grant;
using books::LeaseStore;
using books::NodeState;
using books::UnitResult;
using books::UnitRow;
using books::UnitState;
using ::testing::HasSubstr;

// One store before which several stand, as before one file.
class SharedStore final : public LeaseStore {
 public:
  SharedStore(LeaseStore& store, const std::atomic<bool>& away) : store_(store), away_(away) {}
  std::string place() const override { return store_.place(); }
  Status put_node(const books::NodeRow& node) override { return store_.put_node(node); }
  Status set_node_state(const std::string& node, NodeState state) override {
    return store_.set_node_state(node, state);
  }
  Result<std::vector<books::NodeRow>> nodes() const override { return store_.nodes(); }
  Status add_units(const std::string& run, std::span<const books::UnitSpec> units) override {
    return store_.add_units(run, units);
  }
  Status remove_run(const std::string& run) override { return store_.remove_run(run); }
  Result<std::vector<UnitRow>> units(const std::string& run) const override {
    return store_.units(run);
  }
  Result<std::optional<Grant>> lease(const books::Wish& wish) override {
    if (away_) return fail_away();
    return store_.lease(wish);
  }
  Result<std::vector<Grant>> heartbeat(const std::string& node, std::span<const Grant> leases,
                                       const Json& load) override {
    if (away_) return fail_away();
    return store_.heartbeat(node, leases, load);
  }
  Result<books::LeaseAnswer> complete(const Grant& lease, const UnitResult& result) override {
    if (away_) return fail_away();
    return store_.complete(lease, result);
  }
  Result<books::LeaseAnswer> fail(const Grant& lease) override { return store_.fail(lease); }
  Result<books::LeaseAnswer> release(const Grant& lease) override { return store_.release(lease); }
  Status wait(Milliseconds patience) override { return store_.wait(patience); }
  Result<bool> wait_for_end(Milliseconds patience) override {
    return store_.wait_for_end(patience);
  }

 private:
  static std::unexpected<Error> fail_away() {
    return lathe::fail(ErrorKind::kUnavailable, "the database is away");
  }
  LeaseStore& store_;
  const std::atomic<bool>& away_;
};

struct Fleet {
  std::unique_ptr<LeaseStore> store = books::memory_leases();
  std::atomic<bool> away{false};
  std::mutex mutex;
  std::vector<std::string> said;

  Fleet() {
    for (const char* id : {"a", "b"}) {
      books::NodeRow row;
      row.id = id;
      row.clearance = Reach::kLan;
      row.caps = {fmt::format("on:{}", id)};
      EXPECT_TRUE(store->put_node(row));
    }
  }
  void add(const std::string& id, std::vector<std::string> needs = {}) const {
    books::UnitSpec spec;
    spec.id = id;
    spec.privacy = Reach::kLan;
    spec.needs = std::move(needs);
    ASSERT_TRUE(store->add_units("run", std::span(&spec, 1)));
  }
  UnitRow unit(const std::string& id) const {
    const auto units = store->units("run").value();
    return *std::ranges::find(units, id, [](const UnitRow& row) { return row.spec.id; });
  }
  NodeOptions options() {
    NodeOptions options;
    options.id = "a";
    options.open = [this]() -> Result<std::unique_ptr<LeaseStore>> {
      return std::make_unique<SharedStore>(*store, away);
    };
    options.caps = [] { return std::vector<std::string>{"on:a"}; };
    options.busy = [] { return std::string(); };
    options.load = [] { return Json{{"name", "a"}}; };
    options.carry_out = [](const Grant& lease, const StopFlag&) -> Result<UnitResult> {
      UnitResult result;
      result.body = "made of " + lease.unit;
      return result;
    };
    options.log = [this](const std::string& line) {
      const std::scoped_lock lock(mutex);
      said.push_back(line);
    };
    options.beat = Milliseconds(20);
    options.poll = Milliseconds(20);
    return options;
  }
  int times_said(const std::string& part) {
    const std::scoped_lock lock(mutex);
    return static_cast<int>(std::ranges::count_if(
        said, [&](const std::string& line) { return line.find(part) != line.npos; }));
  }
};

void until(const std::function<bool()>& there) {
  for (int i = 0; i < 60'000 && !there(); ++i) std::this_thread::sleep_for(Milliseconds(2));
  EXPECT_TRUE(there());
}

// As a unit that lasts until somebody stops it.
Result<UnitResult> until_stopped(const Grant&, const StopFlag& stop) {
  while (!stop.raised()) std::this_thread::sleep_for(Milliseconds(2));
  return UnitResult();
}

TEST(Node, DoesWhatItCanAndNothingElse) {
  Fleet fleet;
  fleet.add("one", {"on:a"});
  fleet.add("other", {"on:b"});
  const Node node(fleet.options());
  until([&] { return fleet.unit("one").state == UnitState::kPassed; });
  EXPECT_EQ(fleet.unit("one").result.body, "made of one");
  EXPECT_EQ(fleet.unit("one").done_by, "a");
  EXPECT_EQ(fleet.unit("other").epoch, 0);
  // The heartbeat is a thread of its own: it may come after the unit.
  until([&] { return fleet.store->nodes().value()[0].load == Json({{"name", "a"}}); });
}

TEST(Node, AnErrorIsAnAttemptWithoutAResult) {
  Fleet fleet;
  fleet.add("bad");
  NodeOptions options = fleet.options();
  options.carry_out = [](const Grant&, const StopFlag&) -> Result<UnitResult> {
    return fail(ErrorKind::kNotFound, "the order is gone");
  };
  const Node node(std::move(options));
  until([&] { return fleet.unit("bad").state == UnitState::kGaveUp; });
  EXPECT_EQ(fleet.unit("bad").result.reason, books::kNodeFailures);
  until([&] { return fleet.times_said("the order is gone") == books::kPoisonAttemptsAlone; });
}

TEST(Node, TakesNothingWhileSomethingIsInTheWay) {
  Fleet fleet;
  fleet.add("one");
  std::atomic<int> looked{0};
  std::atomic<bool> busy{true};
  NodeOptions options = fleet.options();
  options.busy = [&] {
    ++looked;
    return std::string(busy ? "a person" : "");
  };
  const Node node(std::move(options));
  until([&] { return looked > 1; });
  EXPECT_EQ(fleet.unit("one").epoch, 0);
  busy = false;
  until([&] { return fleet.unit("one").state == UnitState::kPassed; });
}

TEST(Node, GivesBackWhatItHoldsWhenItEnds) {
  Fleet fleet;
  fleet.add("long");
  NodeOptions options = fleet.options();
  options.carry_out = until_stopped;
  {
    const Node node(std::move(options));
    until([&] { return node.working() == 1; });
  }
  EXPECT_EQ(fleet.unit("long").state, UnitState::kReady);
  EXPECT_TRUE(fleet.unit("long").attempts.empty());
}

TEST(Node, ALeaseThatIsNotItsOwnAnyMoreStopsItsWork) {
  Fleet fleet;
  fleet.add("long");
  NodeOptions options = fleet.options();
  options.carry_out = until_stopped;
  const Node node(std::move(options));
  until([&] { return node.working() == 1; });
  ASSERT_TRUE(fleet.store->set_node_state("a", NodeState::kQuarantined));
  until([&] { return node.working() == 0; });
  EXPECT_EQ(fleet.unit("long").state, UnitState::kReady);
  EXPECT_EQ(node.left(), "");  // it may be admitted again
}

TEST(Node, ThatWasForgottenLeaves) {
  Fleet fleet;
  fleet.add("long");
  NodeOptions options = fleet.options();
  options.carry_out = until_stopped;
  const Node node(std::move(options));
  until([&] { return node.working() == 1; });
  ASSERT_TRUE(fleet.store->set_node_state("a", NodeState::kForgotten));
  until([&] { return !node.left().empty(); });
  until([&] { return node.working() == 0; });
  EXPECT_THAT(node.left(), HasSubstr("a"));
  EXPECT_EQ(fleet.times_said("takes no part in the fleet any more"), 1);
  EXPECT_EQ(fleet.unit("long").state, UnitState::kReady);
}

TEST(Node, KeepsWhatWasMadeUntilTheStoreAnswersAgain) {
  Fleet fleet;
  fleet.add("one");
  NodeOptions options = fleet.options();
  std::atomic<int> made{0};
  options.carry_out = [&](const Grant&, const StopFlag&) -> Result<UnitResult> {
    fleet.away = true;
    ++made;
    return UnitResult();
  };
  const Node node(std::move(options));
  until([&] { return fleet.times_said("the database is away") >= 1; });
  EXPECT_EQ(fleet.unit("one").state, UnitState::kLeased);
  fleet.away = false;
  until([&] { return fleet.unit("one").state == UnitState::kPassed; });
  EXPECT_EQ(made, 1);
  until([&] { return fleet.times_said("answers again") >= 1; });
}

TEST(Node, SeveralSlotsShareTheUnits) {
  Fleet fleet;
  constexpr int kUnits = 40;
  for (int i = 0; i < kUnits; ++i) fleet.add(fmt::format("u{:02}", i));
  std::mutex mutex;
  std::map<std::string, int> done;
  NodeOptions options = fleet.options();
  options.slots = 4;
  options.carry_out = [&](const Grant& lease, const StopFlag&) -> Result<UnitResult> {
    const std::scoped_lock lock(mutex);
    ++done[lease.unit];
    return UnitResult();
  };
  const Node node(std::move(options));
  until([&] {
    const auto units = fleet.store->units("run").value();
    return std::ranges::all_of(units,
                               [](const UnitRow& row) { return row.state == UnitState::kPassed; });
  });
  EXPECT_EQ(done.size(), kUnits);
  for (const auto& [unit, times] : done) EXPECT_EQ(times, 1) << unit;
}

}  // namespace
}  // namespace lathe::app
