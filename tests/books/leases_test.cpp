// What every store of leases must do: random traces through each of them and through the state
// machine itself give the same grants, epochs and refusals. To add a store: a row in kLeaseStores.
#include <gtest/gtest.h>
#include <testing/postgres_server.h>

#include <random>

#include "books/leases/lease_store.h"
#include "books/postgres/connection.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"
#include "books/sqlite/open_leases.h"

namespace lathe::books {
namespace {

// The time of a trace.
class SetClock : public Clock {
 public:
  Milliseconds monotonic() const override { return Milliseconds(now_ms); }
  std::int64_t unix_ms() const override { return now_ms; }
  void advance(std::int64_t ms) {
    now_ms += ms;
    if (ms != 0 && on_change) on_change(now_ms);
  }
  std::int64_t now_ms = 1'000'000;
  std::function<void(std::int64_t)> on_change;
};

class Plain : public LeaseStore {
 public:
  explicit Plain(const SetClock& clock) : clock_(clock) {}
  std::string place() const override { return "the machine"; }
  Status put_node(const NodeRow& node) override { return rules_.put_node(node); }
  Status set_node_state(const std::string& node, NodeState state) override {
    return rules_.set_node_state(node, state);
  }
  Result<std::vector<NodeRow>> nodes() const override { return rules_.nodes(); }
  Status add_units(const std::string& run, std::span<const UnitSpec> units) override {
    return rules_.add_units(run, units);
  }
  Status remove_run(const std::string& run) override {
    rules_.remove_run(run);
    return {};
  }
  Result<std::vector<UnitRow>> units(const std::string& run) const override {
    return rules_.units(run);
  }
  Result<std::optional<Grant>> lease(const Wish& wish) override {
    return rules_.lease(wish, clock_.now_ms);
  }
  Result<std::vector<Grant>> heartbeat(const std::string& node, std::span<const Grant> leases,
                                       const Json& load) override {
    return rules_.heartbeat(node, leases, load, clock_.now_ms);
  }
  Result<LeaseAnswer> complete(const Grant& lease, const UnitResult& result) override {
    return rules_.complete(lease, result, clock_.now_ms);
  }
  Result<LeaseAnswer> fail(const Grant& lease) override { return rules_.fail(lease); }
  Result<LeaseAnswer> release(const Grant& lease) override { return rules_.release(lease); }
  Status wait(Milliseconds) override { return {}; }
  Result<bool> wait_for_end(Milliseconds) override { return false; }

 private:
  const SetClock& clock_;
  LeaseRules rules_;
};

// 10,000 traces are half a million commits: not one of them has to outlive the test.
void keep_in_memory() {
  if (fs::exists("/dev/shm")) ::setenv("TMPDIR", "/dev/shm", 0);
}

struct LeasePlace {
  SetClock clock;
  std::optional<TempDir> directory;
  std::unique_ptr<LeaseStore> store;
};

struct LeaseStoreKind {
  const char* name;
  int traces;
  void (*open)(LeasePlace& place);
};

// The database's clock is a function: here one that says what the trace says.
void open_in_postgres(LeasePlace& place) {
  keep_in_memory();
  static lathe::testing::PostgresServer server;
  const std::string address = server.address(server.clear_database("leases", ""));
  EXPECT_TRUE(init_postgres(address));
  const std::shared_ptr<PgConnection> desk = PgConnection::open(address).value();
  EXPECT_TRUE(desk->execute(
      "set its clock",
      "CREATE SEQUENCE lathe.set_clock START 1000000; CREATE OR REPLACE FUNCTION lathe.now_ms() "
      "RETURNS bigint LANGUAGE sql AS $$ SELECT last_value FROM lathe.set_clock $$; GRANT SELECT "
      "ON lathe.set_clock TO lathe_desk"));
  place.clock.on_change = [desk](std::int64_t now_ms) {
    EXPECT_TRUE(desk->run("set its clock", "SELECT setval('lathe.set_clock', $1)", {now_ms}));
  };
  place.store = open_postgres_leases(address).value();
}

const LeaseStoreKind kLeaseStores[] = {
    {"memory", 10'000, [](LeasePlace& place) { place.store = memory_leases(place.clock); }},
    {"sqlite", 10'000,
     [](LeasePlace& place) {
       keep_in_memory();
       place.directory = TempDir::make().value();
       place.store = open_leases(place.directory->path(), place.clock).value();
     }},
    {"postgres", 1'000, open_in_postgres},
};

std::string text_of(const Grant& lease) {
  return fmt::format("{}/{}@{}#{} {}-{}{}", lease.run, lease.unit, lease.node, lease.epoch,
                     lease.since_ms, lease.until_ms, lease.copy ? " copy" : "");
}

std::string text_of(const UnitRow& unit) {
  std::string text =
      fmt::format("{} {} waits {} epoch {} {} {} {} by {}#{} at {} took {}{}", unit.spec.id,
                  unit_state_name(unit.state), unit.waiting, unit.epoch, unit.result.passed,
                  unit.result.hash, unit.result.reason, unit.done_by, unit.done_epoch, unit.done_ms,
                  unit.took_ms, unit.alarm ? " ALARM" : "");
  for (const Grant& lease : unit.held) text += fmt::format(" [{}]", text_of(lease));
  for (const auto& [node, count] : unit.attempts) text += fmt::format(" {}:{}", node, count);
  for (const auto& [node, count] : unit.stale) text += fmt::format(" late {}:{}", node, count);
  return text + "\n";
}

// One trace: units, nodes and what happens to them, drawn from the seed and from what came back.
class Trace {
 public:
  Trace(LeasePlace& place, std::uint32_t seed) : place_(place), random_(seed) {}

  // All that was told, and how often what a trace is made for has happened.
  std::string run(std::map<std::string, int>& seen) {
    seen_ = &seen;
    set_up();
    for (int step = 0; step < 22; ++step) one_step();
    const std::vector<UnitRow> units = place_.store->units("r1").value();
    for (const UnitRow& row : units) {
      text_ += text_of(row);
      ++seen[row.result.reason.substr(0, row.result.reason.find(':'))];
    }
    const std::vector<NodeRow> nodes = place_.store->nodes().value();
    for (const NodeRow& node : nodes)
      text_ += fmt::format("{} {} {} {}\n", node.id, node_state_name(node.state),
                           dump_json(node.load), node.seen_ms);
    for (const char* run : {"r1", "r2"}) EXPECT_TRUE(place_.store->remove_run(run));
    return std::move(text_);
  }

 private:
  int pick(std::uint32_t n) { return static_cast<int>(random_() % n); }
  void tell(std::string_view what, std::string_view answer) {
    text_ += fmt::format("{}: {}\n", what, answer);
    ++(*seen_)[fmt::format("{}:{}", what, answer.substr(0, answer.find('@')))];
  }

  void set_up() {
    constexpr Reach kReaches[] = {Reach::kLocal, Reach::kLan, Reach::kAny};
    const std::vector<NodeRow> there = place_.store->nodes().value();
    for (const NodeRow& node : there) {
      if (node.state == NodeState::kActive) continue;
      EXPECT_TRUE(place_.store->set_node_state(node.id, NodeState::kActive));
    }
    for (int i = static_cast<int>(there.size()); i < 3; ++i) {
      NodeRow node;
      node.id = fmt::format("n{}", i);
      node.clearance = kReaches[i];
      node.caps = {"on:" + node.id, "on:box"};
      EXPECT_TRUE(place_.store->put_node(node));
    }
    std::vector<UnitSpec> units;
    const int count = 2 + pick(5);
    for (int i = 0; i < count; ++i) {
      UnitSpec& unit = units.emplace_back();
      unit.id = fmt::format("u{}", 9 - i);
      unit.kind = pick(4) ? "code" : "text";
      unit.privacy = kReaches[2 - pick(4) / 2];
      if (pick(3) == 0) unit.home = fmt::format("n{}", pick(3));
      if (pick(3) == 0) unit.needs = {"gpu"};
      if (pick(6) == 0) unit.needs.push_back(fmt::format("on:n{}", pick(3)));
      if (i > 0 && pick(3) == 0)
        unit.deps = {units[static_cast<std::size_t>(pick(2) * (i - 1))].id};
      unit.prio = pick(3);
    }
    for (const char* run : {"r2", "r1"}) EXPECT_TRUE(place_.store->add_units(run, units));
  }

  void one_step() {
    place_.clock.advance(pick(2) ? 0 : pick(4) ? pick(4'000) : pick(45'000));
    const int what = pick(12);
    if (what < 5 || leases_.empty()) return take();
    const Grant lease =
        leases_[static_cast<std::size_t>(pick(static_cast<std::uint32_t>(leases_.size())))];
    if (what < 9) {
      UnitResult result;
      result.passed = pick(12) != 0;
      result.hash = pick(6) ? "aa" : pick(2) ? "" : "bb";
      if (!result.passed) result.reason = "judged";
      tell("complete", lease_answer_name(place_.store->complete(lease, result).value()));
    } else if (what == 9) {
      tell("fail", lease_answer_name(place_.store->fail(lease).value()));
    } else if (what == 10) {
      if (pick(3) == 0)
        tell("release", lease_answer_name(place_.store->release(lease).value()));
      else
        beat();
    } else {
      change_node();
    }
  }

  void take() {
    Wish wish;
    wish.node = fmt::format("n{}", pick(pick(8) ? 3 : 4));
    if (pick(2)) wish.caps = {"cpu", "gpu"};
    // Whoever it is: some say that they are another.
    if (pick(2)) wish.caps.push_back(fmt::format("on:n{}", pick(4)));
    if (pick(4) == 0) wish.run = "r1";
    const auto lease = place_.store->lease(wish);
    if (!lease) return tell("lease", lease.error().message);
    if (!*lease) return tell("lease", "none");
    leases_.push_back(**lease);
    text_ += fmt::format("lease: {}\n", text_of(**lease));
    ++(*seen_)[(*lease)->copy ? "copy" : "lease"];
  }

  void beat() {
    const std::string node = fmt::format("n{}", pick(3));
    const auto still = place_.store->heartbeat(node, leases_, {{"step", leases_.size()}});
    if (!still) return tell("beat", still.error().message);
    std::string all;
    for (const Grant& lease : *still) all += text_of(lease);
    text_ += fmt::format("beat: {}\n", all);
  }

  void change_node() {
    constexpr NodeState kStates[] = {NodeState::kActive, NodeState::kActive, NodeState::kDraining,
                                     NodeState::kQuarantined, NodeState::kForgotten};
    const NodeState state = kStates[pick(5)];
    const auto done = place_.store->set_node_state(fmt::format("n{}", pick(3)), state);
    tell("node", done ? node_state_name(state) : std::string_view(done.error().message));
  }

  LeasePlace& place_;
  std::mt19937 random_;
  std::vector<Grant> leases_;
  std::string text_;
  std::map<std::string, int>* seen_ = nullptr;
};

class Leases : public ::testing::TestWithParam<LeaseStoreKind> {};

INSTANTIATE_TEST_SUITE_P(Each, Leases, ::testing::ValuesIn(kLeaseStores),
                         [](const auto& tested) { return std::string(tested.param.name); });
// As many as of the others, by `tools/check_more.py leases`: minutes.
INSTANTIATE_TEST_SUITE_P(DISABLED_Whole, Leases,
                         ::testing::Values(LeaseStoreKind{"postgres", 10'000, open_in_postgres}),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Leases, EachStoreDoesWhatTheMachineDoes) {
  LeasePlace plain, stored;
  plain.store = std::make_unique<Plain>(plain.clock);
  GetParam().open(stored);
  std::map<std::string, int> seen, ignored;
  for (int seed = 1; seed <= GetParam().traces; ++seed) {
    const std::string want = Trace(plain, static_cast<std::uint32_t>(seed)).run(seen);
    ASSERT_EQ(Trace(stored, static_cast<std::uint32_t>(seed)).run(ignored), want)
        << "seed " << seed;
  }
  // The traces come to what they are made for.
  for (const char* what :
       {"copy", "complete:counted", "complete:already", "complete:stale", "complete:alarm",
        "fail:stale", "release:counted", "node:forgotten", "node_failures", "dependency"})
    EXPECT_GT(seen[what], GetParam().traces / 100) << what;
}

}  // namespace
}  // namespace lathe::books
