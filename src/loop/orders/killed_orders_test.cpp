// Who drives a run, its nodes and its store are killed, and nodes are found broken: it comes to the
// same.
#include "loop/orders/orders_test.h"

namespace lathe::loop {
namespace {

// A journal's records until so many are there: then its process is gone.
class MortalRecords final : public testing::MemoryRecords {
 public:
  MortalRecords(std::shared_ptr<testing::MemoryShelf> shelf, std::int64_t last,
                MortalLeases::Life& life)
      : MemoryRecords(std::move(shelf)), last_(last), life_(life) {}
  Status append(const books::Lease& lease, const books::Record& record,
                const std::optional<std::string>& state,
                std::span<const books::LedgerRow> rows) override {
    life_.dead = life_.dead || record.seq >= last_;
    if (life_.dead) return lathe::fail(ErrorKind::kUnavailable, "killed");
    return MemoryRecords::append(lease, record, state, rows);
  }

 private:
  std::int64_t last_;
  MortalLeases::Life& life_;
};

// Leases run out in 30 ms.
class FastClock final : public Clock {
 public:
  Milliseconds monotonic() const override { return 1000 * system_clock().monotonic(); }
  std::int64_t unix_ms() const override { return monotonic().count(); }
};

// What a broken machine let pass is judged again, by another.
TEST_F(Orders, ANodeThatWasFoundBrokenIsNotBelieved) {
  const auto shelf = std::make_shared<testing::MemoryShelf>();
  books::Journal journal = testing::memory_journal(shelf);
  ScriptedWorker there = writer();
  std::atomic<bool> lied = false;
  join_fleet("desk", caps());
  const auto bench_there = std::make_shared<OrderBench>(node_bench(&there));
  node("broken", caps(), [&, bench_there](const books::Grant& lease) {
    if (lied) {
      std::ignore = leases_->release(lease);
      std::ignore = leases_->wait(Milliseconds(20));
      return;
    }
    auto result = carry_out(lease.unit, blobs_, *bench_there);
    ASSERT_TRUE(result) << result.error().message;
    if (lease.unit.starts_with("judge")) {
      Json answer = parse_json(blobs_.get(result->body["answer"]).value()).value();
      answer["judgement"].update({{"outcome", "pass"}, {"score", 1}, {"critiques", Json::array()}});
      result->body["answer"] = blobs_.put(dump_json(answer)).value();
      lied = true;
    }
    ASSERT_TRUE(leases_->complete(lease, *result));
  });
  const auto calls = elsewhere();
  const Bench fleet = bench(nullptr, calls.get());
  auto run = start(journal, recipe(), fleet);
  ASSERT_TRUE(run) << run.error().message;
  std::thread driving([&] { EXPECT_TRUE(run->drive()); });
  const books::Journal look = testing::memory_journal(shelf);
  const auto kinds = [&] {
    std::multiset<std::string> all;
    for (const books::Record& record : records_of(look, run->id())) all.insert(record.kind);
    return all;
  };
  while (!kinds().contains("verdict")) std::this_thread::sleep_for(Milliseconds(5));
  EXPECT_TRUE(leases_->set_node_state("broken", books::NodeState::kQuarantined));
  node("desk", caps(), carries_out(there));
  driving.join();
  EXPECT_EQ(run->state().end_state, RunResult::kPassed) << run->state().end_why;
  EXPECT_EQ(kinds().count("doubt"), 1U);
  // As if it had been judged by the other alone: each unit is too short in its first lap.
  for (const Track& track : run->state().tracks) {
    ASSERT_EQ(track.laps.size(), 2U);
    EXPECT_FALSE(track.laps.front().rank.passed);
    EXPECT_TRUE(track.laps.back().rank.passed);
  }
  EXPECT_TRUE(replay(from_records(journal.records(run->id()).value()).value()));
}

// Found broken while the run was stopped: it is asked about before the run goes on.
TEST_F(Orders, ANodeThatBrokeWhileTheRunWasStoppedIsNotBelieved) {
  const auto shelf = std::make_shared<testing::MemoryShelf>();
  ScriptedWorker there = writer();
  node("box", caps(), carries_out(there));
  std::string id;
  std::int64_t last = 0;
  {  // as far as the end of its last unit, and no farther
    books::Journal journal = testing::memory_journal(shelf);
    const auto calls = elsewhere();
    const Bench fleet = bench(nullptr, calls.get());
    auto run = start(journal, recipe(), fleet);
    ASSERT_TRUE(run && run->drive());
    const auto records = records_of(journal, run->id());
    while (last < std::ssize(records) &&
           !(records[static_cast<std::size_t>(last)].kind == "verdict" &&
             records[static_cast<std::size_t>(last)].body["call"].dump().contains("whole")))
      ++last;
    ASSERT_LT(last, std::ssize(records));
  }
  const auto second = std::make_shared<testing::MemoryShelf>();
  MortalLeases::Life life;
  {
    books::Journal journal(std::make_unique<MortalRecords>(second, last - 1, life),
                           std::make_unique<testing::MemoryBlobs>(second));
    const auto calls = elsewhere(true, Reach::kLan, &life);
    const Bench fleet = bench(nullptr, calls.get());
    auto run = start(journal, recipe(), fleet);
    ASSERT_TRUE(run);
    id = run->id();
    EXPECT_FALSE(run->drive());
  }
  ASSERT_TRUE(leases_->set_node_state("box", books::NodeState::kQuarantined));
  node("desk", caps(), carries_out(there));
  books::Journal journal = testing::memory_journal(second);
  const auto calls = elsewhere();
  const Bench fleet = bench(nullptr, calls.get());
  auto run = loop::Run::resume(journal, id, fleet);
  ASSERT_TRUE(run);
  ASSERT_TRUE(run->drive());
  EXPECT_EQ(run->state().end_state, RunResult::kPassed) << run->state().end_why;
  const auto entries = from_records(journal.records(id).value()).value();
  EXPECT_TRUE(replay(entries)) << replay(entries).error().message;
  // Every verdict that counts is the other one's.
  for (const Track& track : run->state().tracks)
    for (const JudgedBy* verdict : counted_verdicts(*best_candidate(track)))
      EXPECT_EQ(verdict->node, "desk");
  for (const JudgedBy& verdict : run->state().whole) EXPECT_EQ(verdict.node, "desk");
}

// What a run came to: how it ended, the candidates that stand, and that nothing was answered twice.
struct CameTo {
  RunResult result = RunResult::kNotJudged;
  std::vector<std::string> blobs;
  bool operator==(const CameTo&) const = default;
};
CameTo came_to(const books::Journal& journal, const loop::Run& run) {
  CameTo all{run.state().end_state, {}};
  for (const Track& track : run.state().tracks)
    all.blobs.push_back(best_candidate(track) ? best_candidate(track)->blob : "");
  const auto entries = from_records(journal.records(run.id()).value()).value();
  EXPECT_TRUE(replay(entries));
  std::set<std::string> answered;
  for (const Entry& entry : entries)
    if (kind_of(entry.event) == "made" || kind_of(entry.event) == "verdict") {
      EXPECT_TRUE(answered.insert(call_of(entry.event)->text()).second);
    }
  return all;
}

// Killed at every border between two records, the run comes to the same, and nobody is asked again.
TEST_F(Orders, WhoDrivesIsKilledAtEveryRecord) {
  ScriptedWorker there = writer();
  node("desk", caps(), carries_out(there));  // alone: a second one might copy what is slow
  const auto undisturbed_shelf = std::make_shared<testing::MemoryShelf>();
  books::Journal undisturbed = testing::memory_journal(undisturbed_shelf);
  const auto calls = elsewhere();
  const Bench fleet = bench(nullptr, calls.get());
  auto whole = start(undisturbed, recipe(), fleet);
  ASSERT_TRUE(whole) << whole.error().message;
  ASSERT_TRUE(whole->drive());
  const CameTo wanted = came_to(undisturbed, *whole);
  ASSERT_EQ(wanted.result, RunResult::kPassed);
  const std::size_t asked = there.seen().size();
  const auto records = std::ssize(records_of(undisturbed, whole->id()));
  ASSERT_GT(records, 20);
  for (std::int64_t border = 2; border < records; ++border) {
    const std::size_t before = there.seen().size();
    const auto shelf = std::make_shared<testing::MemoryShelf>();
    MortalLeases::Life life;
    std::string id;
    {
      books::Journal journal(std::make_unique<MortalRecords>(shelf, border, life),
                             std::make_unique<testing::MemoryBlobs>(shelf));
      const auto mortal = elsewhere(true, Reach::kLan, &life);
      const Bench bench_there = bench(nullptr, mortal.get());
      auto run = start(journal, recipe(), bench_there);
      ASSERT_TRUE(run) << run.error().message;
      id = run->id();
      EXPECT_FALSE(run->drive()) << border;
      EXPECT_EQ(std::ssize(records_of(journal, id)), border);
    }
    books::Journal journal = testing::memory_journal(shelf);
    auto run = loop::Run::resume(journal, id, fleet);
    ASSERT_TRUE(run) << border << ": " << run.error().message;
    ASSERT_TRUE(run->drive()) << border;
    EXPECT_EQ(came_to(journal, *run), wanted) << border;
    EXPECT_EQ(there.seen().size() - before, asked) << border;
    EXPECT_TRUE(leases_->units(id).value().empty()) << border;
  }
}

// A node is gone with the lease that it has; the database is away at some look.
TEST_F(Orders, NodesAndTheDatabaseAreKilled) {
  const FastClock fast;
  leases_ = books::memory_leases(fast);
  ScriptedWorker there = writer();
  std::atomic<int> taken = 0;
  int dies_at = -1;
  const auto dies = [&](const Does& works) {
    return [&, works](const books::Grant& lease) {
      if (taken++ != dies_at) works(lease);
    };
  };
  node("desk", caps(), dies(carries_out(there)));
  node("station", caps(), dies(carries_out(there)));
  const auto run_once = [&](MortalLeases::Life& life) {
    books::Journal journal = testing::memory_journal(std::make_shared<testing::MemoryShelf>());
    const auto calls = elsewhere(true, Reach::kLan, &life);
    const Bench fleet = bench(nullptr, calls.get());
    auto run = start(journal, recipe(), fleet);
    EXPECT_TRUE(run && run->drive());
    return came_to(journal, *run);
  };
  MortalLeases::Life undisturbed;
  const CameTo wanted = run_once(undisturbed);
  ASSERT_EQ(wanted.result, RunResult::kPassed);
  const int leases = taken;
  ASSERT_GE(leases, 9);
  for (int at = 0; at < leases; ++at) {
    taken = 0;
    dies_at = at;
    MortalLeases::Life life;
    EXPECT_EQ(run_once(life), wanted) << "lease " << at;
  }
  dies_at = -1;
  for (const int at : {0, 1, 5, 9}) {
    MortalLeases::Life life;
    life.dies_at = at;
    EXPECT_EQ(run_once(life), wanted) << "look " << at;
    EXPECT_GT(life.looks, at);
  }
}

}  // namespace
}  // namespace lathe::loop
