// The fleet's store, as this machine reaches it.
#include "app/cli/fleet_access.h"

#include <netdb.h>

#include <algorithm>

#include "books/postgres/open_postgres.h"
#include "books/sqlite/open_journal.h"
#include "books/sqlite/open_leases.h"
#include "serve/net/endpoint.h"
#include "serve/pairing/settings.h"

namespace lathe::app {
namespace {

// Without a fleet this machine is all of it.
constexpr const char* kHere = "here";

class JournalBlobs final : public loop::OrderBlobs {
 public:
  explicit JournalBlobs(books::Journal journal) : journal_(std::move(journal)) {}
  Result<std::string> put(std::string_view bytes, const StopFlag&) override {
    return journal_.put_blob(bytes);
  }
  Status fetch(const std::string& sha256, std::uint64_t, const StopFlag&,
               const Take& take) override {
    LATHE_TRY(const std::string bytes, journal_.blob(sha256));
    return take(0, bytes);
  }

 private:
  books::Journal journal_;
};

class DatabaseBlobs final : public loop::OrderBlobs {
 public:
  explicit DatabaseBlobs(std::unique_ptr<books::NodeBlobs> blobs) : blobs_(std::move(blobs)) {}
  Result<std::string> put(std::string_view bytes, const StopFlag& stop) override {
    return blobs_->put(bytes, stop);
  }
  Status fetch(const std::string& sha256, std::uint64_t max_bytes, const StopFlag& stop,
               const Take& take) override {
    return blobs_->get(sha256, max_bytes, stop, take);
  }

 private:
  std::unique_ptr<books::NodeBlobs> blobs_;
};

// By what its names stand for now; one that stands for nothing is nowhere that bytes could go.
Reach reach_of_database(const std::string& address) {
  Reach reach = Reach::kLocal;
  for (const std::string& host : books::postgres_hosts(address)) {
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, nullptr, &found) != 0) continue;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next)
      reach = std::max(reach, serve::reach_of_address(each->ai_addr));
    ::freeaddrinfo(found);
  }
  return reach;
}

FleetAccess this_machine(const App& app) {
  FleetAccess access;
  access.place = app.journal_dir.string();
  access.node = access.name = access.tier = kHere;
  access.leases = [&app]() -> Result<std::unique_ptr<books::LeaseStore>> {
    LATHE_TRY(auto store, books::open_leases(app.journal_dir));
    books::NodeRow here;
    here.id = here.tier = kHere;
    here.caps = {"on:here"};
    LATHE_TRY_STATUS(store->put_node(here));
    return store;
  };
  access.blobs = [&app]() -> Result<std::unique_ptr<loop::OrderBlobs>> {
    LATHE_TRY(books::Journal journal, books::open_journal(app.journal_dir));
    return std::make_unique<JournalBlobs>(std::move(journal));
  };
  return access;
}

}  // namespace

Result<FleetAccess> fleet_access(const App& app) {
  LATHE_TRY(const auto settings, serve::read_fleet_settings(app.config_dir));
  if (!settings) return this_machine(app);
  FleetAccess access;
  const std::string address = settings->libpq_address();
  access.place = books::postgres_place(address);
  access.reach = reach_of_database(address);
  access.node = settings->node;
  access.name = settings->name;
  access.tier = settings->tier;
  access.own = settings->inviter.empty();
  access.leases = [address, own = access.own]() -> Result<std::unique_ptr<books::LeaseStore>> {
    if (own) return books::open_postgres_leases(address);
    LATHE_TRY(books::PostgresNode node, books::open_postgres_node(address));
    return std::move(node.leases);
  };
  access.blobs = [address]() -> Result<std::unique_ptr<loop::OrderBlobs>> {
    LATHE_TRY(auto blobs, books::NodeBlobs::open(address));
    return std::make_unique<DatabaseBlobs>(std::move(blobs));
  };
  return access;
}

}  // namespace lathe::app
