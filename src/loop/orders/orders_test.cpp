// Calls that nodes carry out: a run whose calls are all made elsewhere beside the same run at home,
// nodes that fail, that lie and that come late, and orders that nobody should believe.
#include <gmock/gmock.h>
#include <testing/memory_journal.h>

#include <atomic>
#include <random>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/version.h"
#include "loop/conductor/conductor.h"
#include "loop/orders/answer.h"
#include "loop/orders/carry_out.h"
#include "loop/orders/leased_calls.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kRecipe = R"(recipe = "notes"
version = 1
privacy = "lan"
[unit]
from = "in.txt"
[make]
kind = "text"
task = "Write it out."
ladder = ["w"]
[[judge]]
kind = "text"
name = "words"
stage = "gate"
min_words = 3
[[judge]]
kind = "secrets"
scope = "whole"
[stop]
laps = 3
)";

class MemoryBlobs final : public OrderBlobs {
 public:
  Result<std::string> put(std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    return blobs_.insert_or_assign(sha256_hex(bytes), std::string(bytes)).first->first;
  }
  Result<std::string> get(const std::string& sha256) override {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(sha256);
    if (found == blobs_.end()) return fail(ErrorKind::kNotFound, "there is no blob {}", sha256);
    return found->second;
  }
  void replace(const std::string& sha256, std::string bytes) {
    const std::lock_guard lock(mutex_);
    blobs_[sha256] = std::move(bytes);
  }
  void remove(const std::string& sha256) {
    const std::lock_guard lock(mutex_);
    blobs_.erase(sha256);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> blobs_;
};

// Another object before the place in memory.
class SharedLeases : public books::LeaseStore {
 public:
  explicit SharedLeases(books::LeaseStore& store) : store_(store) {}
  std::string place() const override { return store_.place(); }
  Status put_node(const books::NodeRow& node) override { return store_.put_node(node); }
  Status set_node_state(const std::string& node, books::NodeState state) override {
    return store_.set_node_state(node, state);
  }
  Result<std::vector<books::NodeRow>> nodes() const override { return store_.nodes(); }
  Status add_units(const std::string& run, std::span<const books::UnitSpec> units) override {
    return store_.add_units(run, units);
  }
  Status remove_run(const std::string& run) override { return store_.remove_run(run); }
  Result<std::vector<books::UnitRow>> units(const std::string& run) const override {
    return store_.units(run);
  }
  Result<std::optional<books::Grant>> lease(const books::Wish& wish) override {
    return store_.lease(wish);
  }
  Result<std::vector<books::Grant>> heartbeat(const std::string& node,
                                              std::span<const books::Grant> leases,
                                              const Json& load) override {
    return store_.heartbeat(node, leases, load);
  }
  Result<books::LeaseAnswer> complete(const books::Grant& lease,
                                      const books::UnitResult& result) override {
    return store_.complete(lease, result);
  }
  Result<books::LeaseAnswer> fail(const books::Grant& lease) override { return store_.fail(lease); }
  Result<books::LeaseAnswer> release(const books::Grant& lease) override {
    return store_.release(lease);
  }
  Status wait(Milliseconds patience) override { return store_.wait(patience); }

 private:
  books::LeaseStore& store_;
};

// As long as whoever holds it lives.
class MortalLeases final : public SharedLeases {
 public:
  // At `dies_at` of its looks it is away, that once.
  struct Life {
    std::atomic<bool> dead{false};
    std::atomic<int> looks{0};
    int dies_at = -1;
  };
  MortalLeases(books::LeaseStore& store, Life& life) : SharedLeases(store), life_(life) {}
  Status remove_run(const std::string& run) override {
    LATHE_TRY_STATUS(alive());
    return SharedLeases::remove_run(run);
  }
  Result<std::vector<books::UnitRow>> units(const std::string& run) const override {
    LATHE_TRY_STATUS(alive());
    return SharedLeases::units(run);
  }

 private:
  Status alive() const {
    if (life_.dead || life_.looks++ == life_.dies_at)
      return lathe::fail(ErrorKind::kUnavailable, "the database is away");
    return {};
  }
  Life& life_;
};

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

ScriptedWorker::Line in_lap(int lap, std::string text) {
  ScriptedWorker::Line line;
  line.lap = lap;
  line.text = std::move(text);
  return line;
}

// Too short first, then long enough.
ScriptedWorker writer() {
  return ScriptedWorker("w", {in_lap(1, "Short."), in_lap(2, "Long enough by now.")});
}

// What a record says whoever carried its calls out, and however long that took.
void leave_out_who(Json& json) {
  if (json.is_object())
    for (const char* key : {"node", "ms", "key", "wall"}) json.erase(key);
  if (json.is_structured())
    for (Json& each : json) leave_out_who(each);
}

class Orders : public ::testing::Test {
 protected:
  using Does = std::function<void(const books::Grant& lease)>;

  Orders() {
    EXPECT_TRUE(write_file_atomic(dir_.path() / "in.txt", "The first line\nThe second line\n"));
  }
  ~Orders() override { stop_nodes(); }

  static Recipe recipe(std::string_view text = kRecipe, std::vector<std::string> set = {}) {
    auto read = parse_recipe(text, "notes.toml", set);
    EXPECT_TRUE(read) << read.error().message;
    return *std::move(read);
  }

  Bench bench(Worker* worker, Elsewhere* elsewhere = nullptr) const {
    return {.program = "/proc/self/exe",
            .build = "test",
            .media = nullptr,
            .worker = [worker](const std::string& name) { return name == "w" ? worker : nullptr; },
            .joules = {},
            .energy = {},
            .clock = system_clock(),
            .stop = stop_,
            .elsewhere = elsewhere};
  }

  std::unique_ptr<Elsewhere> elsewhere(bool all = true, Reach reach = Reach::kLan,
                                       MortalLeases::Life* life = nullptr) {
    return leased_calls({.open = [this, life]() -> Result<std::unique_ptr<books::LeaseStore>> {
                           if (life) return std::make_unique<MortalLeases>(*leases_, *life);
                           return std::make_unique<SharedLeases>(*leases_);
                         },
                         .blobs = blobs_,
                         .home = "home",
                         .all = all,
                         .reach = reach,
                         .patience = Milliseconds(50)});
  }

  Result<loop::Run> start(books::Journal& journal, const Recipe& recipe, const Bench& bench) {
    return loop::Run::start(
        journal, {.recipe = recipe, .recipe_dir = dir_.path(), .input = {}, .extra = {}}, bench);
  }

  OrderBench node_bench(Worker* worker) const {
    return {.program = "/proc/self/exe",
            .build = "test",
            .media = nullptr,
            .worker = [worker](const std::string& name) { return name == "w" ? worker : nullptr; },
            .stop = node_stop_};
  }

  static std::vector<std::string> caps(std::initializer_list<const char*> more = {}) {
    std::vector<std::string> all = program_caps();
    all.insert(all.end(), {"worker:w"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  void join_fleet(const std::string& id, std::vector<std::string> caps) {
    books::NodeRow node;
    node.id = id;
    node.clearance = Reach::kLan;
    node.caps = std::move(caps);
    ASSERT_TRUE(leases_->put_node(node));
  }

  // A node that does so with each lease that it gets, until the test ends.
  void node(const std::string& id, std::vector<std::string> caps, Does does) {
    join_fleet(id, caps);
    nodes_.emplace_back([this, id, caps = std::move(caps), does = std::move(does)] {
      while (!node_stop_.raised()) {
        const auto lease = leases_->lease({.node = id, .caps = caps});
        if (lease && *lease)
          does(**lease);
        else
          std::ignore = leases_->wait(Milliseconds(20));
      }
    });
  }

  Does carries_out(Worker& worker) {
    return [this,
            bench = std::make_shared<OrderBench>(node_bench(&worker))](const books::Grant& lease) {
      auto result = carry_out(lease.unit, blobs_, *bench);
      if (result)
        std::ignore = leases_->complete(lease, *result);
      else
        std::ignore = leases_->fail(lease);
    };
  }

  void stop_nodes() {
    node_stop_.raise();
    for (std::thread& each : nodes_) each.join();
    nodes_.clear();
    node_stop_.clear();
  }

  static std::vector<books::Record> records_of(const books::Journal& journal,
                                               const std::string& run) {
    return journal.records(run).value();
  }

  static std::vector<std::string> story(const books::Journal& journal, const std::string& run) {
    std::vector<std::string> story;
    for (const books::Record& record : records_of(journal, run)) {
      if (record.seq == 0) continue;  // where and when it began
      Json body = record.body;
      leave_out_who(body);
      story.push_back(record.kind + " " + canonical_json(body));
    }
    return story;
  }

  static std::set<std::string> nodes_named(const books::Journal& journal, const std::string& run) {
    std::set<std::string> names;
    for (const books::Record& record : records_of(journal, run))
      if (record.body.contains("node")) names.insert(record.body["node"].get<std::string>());
    return names;
  }

  TempDir dir_ = *TempDir::make("lathe-orders-test");
  MemoryBlobs blobs_;
  std::unique_ptr<books::LeaseStore> leases_ = books::memory_leases();
  StopFlag stop_, node_stop_;
  std::vector<std::thread> nodes_;
};

TEST_F(Orders, ARunElsewhereIsTheRunAtHome) {
  const auto shelf = std::make_shared<testing::MemoryShelf>();
  books::Journal journal = testing::memory_journal(shelf);
  ScriptedWorker at_home = writer(), there = writer();
  const Bench home = bench(&at_home);
  auto here = start(journal, recipe(), home);
  ASSERT_TRUE(here) << here.error().message;
  ASSERT_TRUE(here->drive());
  ASSERT_EQ(here->state().end_state, RunResult::kPassed) << here->state().end_why;

  node("desk", caps(), carries_out(there));
  const auto calls = elsewhere();
  const Bench fleet = bench(nullptr, calls.get());  // nobody here to ask
  auto away = start(journal, recipe(), fleet);
  ASSERT_TRUE(away) << away.error().message;
  ASSERT_TRUE(away->drive());
  EXPECT_EQ(away->state().end_state, RunResult::kPassed) << away->state().end_why;

  EXPECT_EQ(story(journal, away->id()), story(journal, here->id()));
  EXPECT_THAT(nodes_named(journal, here->id()), ElementsAre());
  EXPECT_THAT(nodes_named(journal, away->id()), ElementsAre("desk"));
  EXPECT_EQ(there.seen().size(), at_home.seen().size());
  EXPECT_EQ(there.seen().front().labels.at("run"), away->id());
  EXPECT_TRUE(replay(from_records(journal.records(away->id()).value()).value()));
  EXPECT_TRUE(leases_->units(away->id()).value().empty()) << "an ended run leaves nothing";
  bool row = false;
  ASSERT_TRUE(journal.rows({.run = away->id()}, [&](const books::LedgerRow& each) {
    row |= each.worker == "w" && each.where.ends_with(" on desk") && each.route == "lan";
    EXPECT_FALSE(each.energy.millijoules);
  }));
  EXPECT_TRUE(row);
}

TEST_F(Orders, WhatOneNodeDropsAnotherDoes) {
  books::Journal journal = testing::memory_journal(std::make_shared<testing::MemoryShelf>());
  ScriptedWorker there = writer();
  std::atomic<int> dropped = 0;
  const Does works = carries_out(there);
  node("lame", caps(), [&](const books::Grant& lease) {
    if (dropped++ == 0)
      std::ignore = leases_->fail(lease);
    else
      std::ignore = leases_->release(lease);
    std::ignore = leases_->wait(Milliseconds(20));
  });
  while (leases_->nodes().value().empty()) std::this_thread::yield();
  const auto calls = elsewhere();
  const Bench fleet = bench(nullptr, calls.get());
  auto run = start(journal, recipe(), fleet);
  ASSERT_TRUE(run) << run.error().message;
  std::thread driving([&] { EXPECT_TRUE(run->drive()); });
  while (dropped == 0) std::this_thread::sleep_for(Milliseconds(5));
  node("desk", caps(), works);
  driving.join();
  EXPECT_EQ(run->state().end_state, RunResult::kPassed) << run->state().end_why;
  EXPECT_THAT(nodes_named(journal, run->id()), ElementsAre("desk"));
}

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

TEST_F(Orders, AStoppedRunTakesItsUnitsBackAndGoesOnWithoutRepeating) {
  books::Journal journal = testing::memory_journal(std::make_shared<testing::MemoryShelf>());
  ScriptedWorker there = writer();
  std::atomic<int> done = 0;
  const Does works = carries_out(there);
  node("desk", caps(), [&](const books::Grant& lease) {
    if (done >= 3) {  // it hangs
      std::ignore = leases_->wait(Milliseconds(20));
      return;
    }
    works(lease);
    ++done;
  });
  std::string id;
  {
    const auto calls = elsewhere();
    const Bench fleet = bench(nullptr, calls.get());
    auto run = start(journal, recipe(), fleet);
    ASSERT_TRUE(run) << run.error().message;
    id = run->id();
    std::thread driving([&] { EXPECT_TRUE(run->drive()); });
    while (done < 3) std::this_thread::sleep_for(Milliseconds(5));
    stop_.raise();
    driving.join();
    EXPECT_FALSE(run->state().ended);
    EXPECT_TRUE(leases_->units(id).value().empty()) << "nobody works on for nothing";
  }
  stop_.clear();
  stop_nodes();
  node("station", caps(), works);
  const auto calls = elsewhere();
  const Bench fleet = bench(nullptr, calls.get());
  auto run = loop::Run::resume(journal, id, fleet);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_TRUE(run->drive());
  EXPECT_EQ(run->state().end_state, RunResult::kPassed) << run->state().end_why;
  EXPECT_EQ(there.seen().size(), 4U) << "two units, two laps each, and none twice";
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

// A coordinator that was killed asks the same again: the same order is the same unit.
TEST_F(Orders, AnAnswerThatWasGivenIsFound) {
  ScriptedWorker there = writer();
  const Recipe recipe = this->recipe();
  const RunBegun header;
  const std::string run = "r", build = "test";
  const std::vector<Unit> units{{"L01", "The first line", Json::object()}};
  MakeTask task{recipe.make_options, units};
  task.rung = "w";
  const auto ask = [&] {
    return elsewhere()->make({.run = run,
                              .call = CallId::make(0, 1, 0),
                              .recipe = recipe,
                              .header = header,
                              .build = build,
                              .blob = {},
                              .stop = stop_,
                              .progress = [](std::string_view) {}},
                             task);
  };
  node("desk", caps(), carries_out(there));
  const auto first = ask(), second = ask();
  ASSERT_TRUE(first && second) << (first ? second : first).error().message;
  EXPECT_EQ(first->made->bytes, "Short.");
  EXPECT_EQ(second->made->bytes, "Short.");
  EXPECT_EQ(second->node, "desk");
  EXPECT_EQ(there.seen().size(), 1U);
}

// What a node may say of a candidate that is too short, instead of the truth.
TEST_F(Orders, NoLieOfANodeIsAPass) {
  const std::string another(64, 'b');
  const auto pass = [&](const std::string& candidate, Json score, Json bar) {
    return Json{{"candidate", candidate},     {"outcome", "pass"},
                {"score", std::move(score)},  {"bar", std::move(bar)},
                {"evidence", Json::object()}, {"critiques", Json::array()},
                {"units", Json::array()},     {"usage", Json::object()}};
  };
  const auto answering = [](const std::string& order, Json judgement) {
    OrderAnswer answer;
    answer.order = order;
    answer.judgement = Judgement{};
    Json json = parse_json(answer_text(answer)).value();
    json["judgement"] = std::move(judgement);
    return dump_json(json);
  };
  using Lie = std::function<Json(const std::string& order, const std::string& candidate)>;
  const auto put = [&](const std::string& text) {
    return Json{{"answer", blobs_.put(text).value()}};
  };
  const std::vector<std::pair<const char*, Lie>> lies{
      {"prose", [&](auto&, auto&) { return Json("It looks good to me."); }},
      {"prose in a blob", [&](auto&, auto&) { return put("It looks good to me."); }},
      {"no blob",
       [&](auto&, auto&) {
         return Json{{"answer", another}};
       }},
      {"another's bytes",
       [&](auto& order, auto& candidate) {
         const std::string text = answering(order, pass(candidate, 1, 1));
         blobs_.replace(another, text);
         return Json{{"answer", another}};
       }},
      {"another order",
       [&](auto&, auto& candidate) { return put(answering(another, pass(candidate, 1, 1))); }},
      {"another candidate",
       [&](auto& order, auto&) { return put(answering(order, pass(another, 1, 1))); }},
      {"no number",
       [&](auto& order, auto& candidate) {
         return put(answering(order, pass(candidate, std::nan(""), 1)));
       }},
      {"below its bar",
       [&](auto& order, auto& candidate) {
         return put(answering(order, pass(candidate, 0.5, 1)));
       }},
      {"above one",
       [&](auto& order, auto& candidate) { return put(answering(order, pass(candidate, 2, 1))); }},
      {"a unit that was not asked",
       [&](auto& order, auto& candidate) {
         Json said = pass(candidate, 1, 1);
         said["units"] = {{{"unit", "L99"}, {"outcome", "pass"}}};
         return put(answering(order, std::move(said)));
       }},
      {"a pass that was not judged",
       [&](auto& order, auto& candidate) {
         Json said = pass(candidate, 1, 1);
         said["evidence"] = {{"not_judged", "it was late"}};
         return put(answering(order, std::move(said)));
       }},
      {"something made",
       [&](auto& order, auto& candidate) {
         OrderAnswer answer;
         answer.order = order;
         MadeThere made;
         made.blob = candidate;
         answer.made = std::move(made);
         return put(answer_text(answer));
       }},
  };
  for (const auto& [name, lie] : lies) {
    SCOPED_TRACE(name);
    books::Journal journal = testing::memory_journal(std::make_shared<testing::MemoryShelf>());
    node("liar", caps({"on:liar"}), [&, &tells = lie](const books::Grant& lease) {
      const std::string order = parse_unit_id(lease.unit)->order;
      const Order asked = read_order(blobs_.get(order).value()).value();
      books::UnitResult result;
      result.body = tells(order, std::get<JudgeOrder>(asked.what).candidate);
      std::ignore = leases_->complete(lease, result);
    });
    ScriptedWorker worker = writer();
    const auto calls = elsewhere(false);
    const Bench fleet = bench(&worker, calls.get());
    auto run = start(journal, recipe(kRecipe, {"judge.words.on=liar"}), fleet);
    ASSERT_TRUE(run) << run.error().message;
    ASSERT_TRUE(run->drive());
    EXPECT_NE(run->state().end_state, RunResult::kPassed);
    int verdicts = 0;
    for (const books::Record& record : records_of(journal, run->id())) {
      if (record.kind != "verdict" || record.body["judge_name"] != "words") continue;
      ++verdicts;
      EXPECT_EQ(record.body["judgement"]["outcome"], "error") << dump_json(record.body);
    }
    EXPECT_GT(verdicts, 0);
    stop_nodes();
    blobs_.remove(another);
  }
}

TEST_F(Orders, WhatANodeMadeIsLookedAt) {
  const std::string order(64, 'a'), blob(64, 'c');
  OrderAnswer answer;
  answer.order = order;
  MadeThere made;
  made.blob = blob;
  made.media_type = "text/plain";
  made.extension = "txt";
  made.facts = {{"proposed", "all of it"}, {"voice", "kal"}};
  answer.made = made;
  answer.usage.millijoules = 12;
  const Json good = parse_json(answer_text(answer)).value();
  const auto read = read_answer(dump_json(good), order);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->made->facts, Json({{"voice", "kal"}}));
  EXPECT_FALSE(read->usage.millijoules);
  const auto refused = [&](std::string_view pointer, const Json& value) {
    Json bad = good;
    bad[Json::json_pointer(std::string(pointer))] = value;
    const auto read_bad = read_answer(dump_json(bad), order);
    return read_bad ? "" : read_bad.error().message;
  };
  EXPECT_THAT(refused("/made/extension", "../sh"), HasSubstr("cannot end a file name"));
  EXPECT_THAT(refused("/made/extension", ".."), HasSubstr("cannot end a file name"));
  EXPECT_THAT(refused("/made/facts", "prose"), HasSubstr("facts"));
  EXPECT_THAT(refused("/made/blob", "x"), HasSubstr("names no blob"));
  EXPECT_THAT(refused("/usage/prompt_tokens", -1), HasSubstr("prompt_tokens"));
  EXPECT_THAT(refused("/usage/calls", 1e300), HasSubstr("calls"));
  EXPECT_THAT(refused("/judgement", Json::object()), HasSubstr("one of made"));
}

Order an_order(OrderBlobs& blobs) {
  Order order;
  order.numerics = kNumerics;
  order.build = "test";
  order.run = "r";
  order.call = CallId::make(0, 1, 0).text();
  order.privacy = Reach::kLan;
  order.time_limit = Milliseconds(60'000);
  order.options = check_options({{"task", "Write it."}}, find_maker("text")->options).value();
  order.units = {{"L01", "The first line", Json::object()}};
  order.files = {{"words/list.txt", blobs.put("a list").value()}};
  MakeOrder make;
  make.maker = find_maker("text");
  make.rung = "w";
  make.prefix = blobs.put("").value();
  make.tail = make.prefix;
  order.what = std::move(make);
  return order;
}

TEST_F(Orders, ANodeRefusesWhatItCannotDoRight) {
  ScriptedWorker worker = writer();
  const OrderBench bench = node_bench(&worker);
  const auto why = [&](const Order& order, const OrderBench& on) {
    const std::string hash = blobs_.put(order_text(order)).value();
    const auto result = carry_out(unit_id(order.call, hash), blobs_, on);
    return result ? "" : result.error().message;
  };
  const Order good = an_order(blobs_);
  EXPECT_EQ(why(good, bench), "");

  Order newer = good;
  newer.numerics = kNumerics + 1;
  EXPECT_THAT(why(newer, bench), HasSubstr("have the same lathe on both"));

  Order outside = good;
  outside.files.front().path = "../list.txt";
  EXPECT_THAT(why(outside, bench), HasSubstr("leads outside"));

  Order other_call = good;
  const std::string hash = blobs_.put(order_text(good)).value();
  EXPECT_THAT(carry_out("make:9:9:0:0:0." + hash, blobs_, bench).error().message,
              HasSubstr("another call"));
  EXPECT_THAT(carry_out("a task", blobs_, bench).error().message, HasSubstr("names no order"));

  EXPECT_THAT(why(good, node_bench(nullptr)), HasSubstr("no worker 'w'"));
  Order at_home = good;
  at_home.privacy = Reach::kLocal;
  class Far final : public Worker {
   public:
    WorkerInfo info() const override { return {"w", "m", "https://far", Reach::kAny}; }
    Status ready(const StopFlag&) override { return {}; }
    Result<Reply> complete(const Request&, const StopFlag&,
                           const std::function<void(const Delta&)>&) override {
      ADD_FAILURE() << "it was asked";
      return Reply{};
    }
  } far;
  EXPECT_THAT(why(good, node_bench(&far)), HasSubstr("may go as far as 'lan'"));

  blobs_.replace(good.files.front().blob, "another list");
  EXPECT_THAT(why(good, bench), HasSubstr("damaged or exchanged"));
  blobs_.remove(good.files.front().blob);
  EXPECT_THAT(why(good, bench), HasSubstr("there is no blob"));
  EXPECT_EQ(worker.seen().size(), 1U);
}

TEST_F(Orders, MutatedOrdersAreRefusedOrReadAsWhatTheySay) {
  const std::string good = order_text(an_order(blobs_));
  ASSERT_EQ(order_text(*read_order(good)), good);
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = good;
    for (std::uint32_t n = 1 + random() % 4; n > 0; --n) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, good.substr(random() % good.size(), 1 + random() % 40));
          break;
        default:
          text[at] = "{}[]\",:0"[random() % 8];
      }
      if (text.empty()) text = "x";
    }
    const auto order = read_order(text);
    refused += !order;
    if (!order) continue;
    for (const Order::File& file : order->files) EXPECT_TRUE(is_safe_relative(file.path)) << text;
    const std::string again = order_text(*order);
    EXPECT_EQ(order_text(*read_order(again)), again);
  }
  EXPECT_GT(refused, 1000);
}

TEST_F(Orders, WhatANodeMustHave) {
  const Recipe wishes = recipe(kRecipe, {"make.on=laptop", "judge.words.on=judge:ears"});
  EXPECT_THAT(needs_of(wishes, CallId::make(0, 1, 0), "w"),
              ElementsAre("maker:text", "on:laptop", "worker:w"));
  EXPECT_THAT(needs_of(wishes, CallId::judging(0, 1, 0, 0, 0), ""),
              ElementsAre("judge:ears", "judge:text"));
  const auto some = elsewhere(false), every = elsewhere(true),
             nothing = elsewhere(true, Reach::kLocal);
  EXPECT_TRUE(some->takes(wishes, CallId::judging(0, 1, 0, 0, 0)));
  EXPECT_FALSE(some->takes(wishes, CallId::whole(1, 0)));
  EXPECT_TRUE(every->takes(wishes, CallId::whole(1, 0)));
  EXPECT_FALSE(nothing->takes(wishes, CallId::make(0, 1, 0)));
}

TEST_F(Orders, AWishThatCannotBeKeptIsRefusedBeforeAnythingRuns) {
  books::Journal journal = testing::memory_journal(std::make_shared<testing::MemoryShelf>());
  ScriptedWorker worker = writer();
  const auto calls = elsewhere(false), nothing = elsewhere(false, Reach::kLocal);
  const auto why = [&](std::vector<std::string> set, Elsewhere* elsewhere) {
    const Bench on = bench(&worker, elsewhere);
    const auto run = start(journal, recipe(kRecipe, std::move(set)), on);
    return run ? "" : run.error().message;
  };
  EXPECT_THAT(why({"make.on=desk"}, nullptr), HasSubstr("--fleet"));
  EXPECT_THAT(why({"judge.words.on=desk"}, nullptr), HasSubstr("lathe fleet join"));
  EXPECT_THAT(why({"make.on=desk", "privacy=local"}, calls.get()),
              HasSubstr("set privacy = \"lan\""));
  EXPECT_THAT(why({"make.on=desk"}, nothing.get()), HasSubstr("--allow lan"));
  EXPECT_EQ(why({"make.on=desk"}, calls.get()), "");
  EXPECT_TRUE(worker.seen().empty());
  const auto blank = parse_recipe(kRecipe, "notes.toml", std::vector<std::string>{"make.on=\"\""});
  ASSERT_FALSE(blank);
  EXPECT_THAT(blank.error().message, HasSubstr("make.on"));
}

TEST(WaitingText, SaysWhoIsMissing) {
  books::UnitRow unit;
  unit.spec.id = "u";
  unit.spec.privacy = Reach::kLan;
  unit.spec.home = "home";
  unit.spec.needs = {"judge:ears", "on:desk"};
  std::vector<books::NodeRow> nodes(1);
  nodes[0].id = "laptop";
  nodes[0].clearance = Reach::kLan;
  nodes[0].caps = {"on:laptop"};
  nodes[0].seen_ms = 1'000'000;
  EXPECT_THAT(waiting_text(unit, nodes, 1'000'000), HasSubstr("the fleet has none"));
  nodes.push_back(nodes[0]);
  nodes[1].id = "desk";
  nodes[1].caps = {"on:desk"};
  nodes[1].load = {{"caps", {"judge:ears", "worker:big", 7}}};  // what its heartbeat says
  EXPECT_EQ(waiting_text(unit, nodes, 1'000'000), "waits its turn at desk");
  EXPECT_EQ(waiting_text(unit, nodes, 1'200'000),
            "waits for a node with on:desk: desk was last seen 3m 20s ago");
  nodes[1].state = books::NodeState::kDraining;
  EXPECT_THAT(waiting_text(unit, nodes, 1'000'000), HasSubstr("desk is draining"));
  unit.held.push_back({.run = "r", .unit = "u", .node = "desk", .epoch = 1});
  EXPECT_EQ(waiting_text(unit, nodes, 1'000'000), "at desk");
  // Of those who are there.
  EXPECT_TRUE(workers_of(nodes, 1'000'000).empty());
  nodes[1].state = books::NodeState::kActive;
  EXPECT_THAT(workers_of(nodes, 1'000'000), ElementsAre("big"));
  EXPECT_TRUE(workers_of(nodes, 1'200'000).empty());
}

}  // namespace
}  // namespace lathe::loop
