// A fleet for tests of orders: leases and blobs in memory, nodes that are threads, a run that has
// its calls made by them.
#pragma once

#include <gmock/gmock.h>
#include <testing/memory_journal.h>

#include <atomic>
#include <thread>

#include "ground/base/hash.h"
#include "loop/conductor/conductor.h"
#include "loop/orders/carry_out.h"
#include "loop/orders/leased_calls.h"
#include "loop/script/scripted_worker.h"

namespace lathe::loop {

inline constexpr std::string_view kRecipe = R"(recipe = "notes"
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
  Result<std::string> put(std::string_view bytes, const StopFlag& = {}) override {
    const std::lock_guard lock(mutex_);
    return blobs_.insert_or_assign(sha256_hex(bytes), std::string(bytes)).first->first;
  }
  Status fetch(const std::string& sha256, std::uint64_t, const StopFlag&,
               const Take& take) override {
    LATHE_TRY(const std::string bytes, get(sha256));
    return take(0, bytes);
  }
  Result<std::string> get(const std::string& sha256) const {
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
  mutable std::mutex mutex_;
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
  Result<bool> wait_for_end(Milliseconds patience) override {
    return store_.wait_for_end(patience);
  }

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

inline ScriptedWorker::Line in_lap(int lap, std::string text) {
  ScriptedWorker::Line line;
  line.lap = lap;
  line.text = std::move(text);
  return line;
}

// Too short first, then long enough.
inline ScriptedWorker writer() {
  return ScriptedWorker("w", {in_lap(1, "Short."), in_lap(2, "Long enough by now.")});
}

// What a record says whoever carried its calls out, and however long that took.
inline void leave_out_who(Json& json) {
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

}  // namespace lathe::loop
