// Workers as processes before PostgreSQL; one of them and the server are killed (kill -9) amid the
// work. All units are done, none twice, and nothing that was acknowledged is lost.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <testing/postgres_server.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <thread>

#include "books/postgres/connection.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"

namespace lathe::books {
namespace {

constexpr int kWorkers = 3, kUnits = 300;
constexpr Milliseconds kCrashPause{100};
constexpr Milliseconds kCrashLimit{120'000};

// Takes units until none is open, and writes down which completions were acknowledged. A database
// that is away is asked again.
int work(const std::string& address, const std::string& node, const fs::path& told) {
  std::ofstream acknowledged(told);
  std::unique_ptr<LeaseStore> store;
  std::optional<Grant> lease;
  const auto end = std::chrono::steady_clock::now() + kCrashLimit;
  while (std::chrono::steady_clock::now() < end) {
    if (!store) {
      auto opened = open_postgres_leases(address);
      if (opened) store = *std::move(opened);
      if (!store) std::this_thread::sleep_for(kCrashPause);
      continue;
    }
    if (!lease) {
      Wish wish;
      wish.node = node;
      const auto taken = store->lease(wish);
      if (taken) lease = *taken;
      if (!taken || !lease) {
        const auto units = store->units("r");
        if (units && std::ranges::all_of(*units, [](const UnitRow& unit) {
              return unit.state == UnitState::kPassed;
            }))
          return 0;
        if (!taken)
          std::this_thread::sleep_for(kCrashPause);
        else
          (void)store->wait(kCrashPause);
      }
      continue;
    }
    std::this_thread::sleep_for(Milliseconds(2));
    UnitResult result;
    result.hash = "made of " + lease->unit;
    const auto answer = store->complete(*lease, result);
    if (!answer) {  // the same again once it is back: the answer may have been lost
      std::this_thread::sleep_for(kCrashPause);
      continue;
    }
    if (*answer == LeaseAnswer::kCounted || *answer == LeaseAnswer::kAlready)
      acknowledged << lease->unit << ' ' << lease->epoch << std::endl;
    lease.reset();
  }
  return 1;
}

pid_t start(const std::string& address, const std::string& node, const fs::path& told) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(work(address, node, told));
  return pid;
}

TEST(FleetCrash, NothingIsLostWhenAWorkerAndTheDatabaseAreKilled) {
  const auto directory = TempDir::make().value();
  lathe::testing::PostgresServer server(true);
  const std::string address = server.address();
  ASSERT_TRUE(init_postgres(address));
  {
    const auto store = open_postgres_leases(address).value();
    std::vector<UnitSpec> units(kUnits);
    for (int i = 0; i < kUnits; ++i) {
      UnitSpec& unit = units[static_cast<std::size_t>(i)];
      unit.id = fmt::format("u{:03}", i);
      unit.privacy = Reach::kLan;
      if (i >= 200) unit.deps = {fmt::format("u{:03}", i - 200)};
    }
    ASSERT_TRUE(store->add_units("r", units));
    for (int i = 0; i < kWorkers; ++i) {
      NodeRow node;
      node.id = fmt::format("n{}", i);
      node.clearance = Reach::kLan;
      ASSERT_TRUE(store->put_node(node));
    }
  }
  // Leases as short as the test has patience.
  {
    const auto desk = PgConnection::open(address).value();
    ASSERT_TRUE(desk->execute(
        "hurry",
        "CREATE OR REPLACE FUNCTION lathe.now_ms() RETURNS bigint LANGUAGE sql AS $$ SELECT "
        "(extract(epoch FROM pg_catalog.clock_timestamp()) * 15000)::bigint $$"));
  }
  std::vector<pid_t> workers;
  const auto told = [&](int i) { return directory.path() / fmt::format("told{}", i); };
  for (int i = 0; i < kWorkers; ++i)
    workers.push_back(start(address, fmt::format("n{}", i), told(i)));
  const auto passed = [&]() -> int {
    const auto store = open_postgres_leases(address);
    const auto units = store ? (*store)->units("r") : std::unexpected(store.error());
    if (!units) return 0;
    return static_cast<int>(std::ranges::count(*units, UnitState::kPassed, &UnitRow::state));
  };
  const auto reach = [&](int count) {
    for (int tries = 0; tries < 1200 && passed() < count; ++tries)
      std::this_thread::sleep_for(kCrashPause);
  };
  reach(kUnits / 6);
  ::kill(workers[0], SIGKILL);
  ::waitpid(workers[0], nullptr, 0);
  server.kill();
  server.start();
  reach(kUnits / 3);
  workers[0] = start(address, "n0", told(kWorkers));  // back again
  for (const pid_t worker : workers) {
    int status = -1;
    ::waitpid(worker, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const auto store = open_postgres_leases(address).value();
  const std::vector<UnitRow> units = store->units("r").value();
  ASSERT_EQ(units.size(), static_cast<std::size_t>(kUnits));
  std::map<std::string, std::int64_t> epochs;
  for (const UnitRow& unit : units) {
    EXPECT_EQ(unit.state, UnitState::kPassed) << unit.spec.id;
    EXPECT_EQ(unit.result.hash, "made of " + unit.spec.id);
    EXPECT_FALSE(unit.alarm);
    epochs[unit.spec.id] = unit.done_epoch;
  }
  // What a worker was told counts stands there, under the epoch that it held: so nobody else was.
  std::set<std::string> acknowledged;
  for (int i = 0; i <= kWorkers; ++i) {
    std::ifstream lines(told(i));
    std::string id;
    std::int64_t epoch = 0;
    while (lines >> id >> epoch) {
      EXPECT_EQ(epochs[id], epoch) << id;
      EXPECT_TRUE(acknowledged.insert(id).second) << id << " was acknowledged twice";
    }
  }
  EXPECT_GE(acknowledged.size(), static_cast<std::size_t>(kUnits - 1));
}

}  // namespace
}  // namespace lathe::books
