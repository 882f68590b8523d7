// What people and nodes may do in the database of a fleet, and what is said when it refuses.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <testing/postgres_server.h>
#include <testing/tcp_relay.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "books/postgres/blob_pieces.h"
#include "books/postgres/connection.h"
#include "books/postgres/node_roles.h"
#include "books/postgres/open_postgres.h"
#include "books/postgres/schema.h"
#include "ground/base/file.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// One server for all cases; each finds a schema as it is after `lathe fleet init`.
class FleetDatabase : public ::testing::Test {
 protected:
  static lathe::testing::PostgresServer& server() {
    static lathe::testing::PostgresServer one;
    return one;
  }
  FleetDatabase() {
    server().clear_database("fleet", "DROP SCHEMA IF EXISTS lathe CASCADE");
    address_ = server().address("fleet");
    const auto done = init_postgres(address_);
    EXPECT_TRUE(done && done->fresh);
    desk_ = PgConnection::open(address_).value();
  }
  void sql(const std::string& text) {
    const Status done = desk_->execute("prepare a test", text);
    EXPECT_TRUE(done) << done.error().message;
  }
  std::string refused(const std::string& address) {
    const auto opened = open_postgres_leases(address);
    return opened ? "opened" : opened.error().message;
  }

  Result<std::string> get(const NodeBlobs& blobs, const std::string& sha256) const {
    std::string bytes;
    LATHE_TRY_STATUS(blobs.get(sha256, kMaxFileBytes, never_,
                               [&](std::uint64_t at, std::string_view piece) -> Status {
                                 bytes.resize(at);
                                 bytes += piece;
                                 return {};
                               }));
    return bytes;
  }

  // Unit "u" of run "r", which the node "laptop" may take.
  static UnitSpec add_unit(LeaseStore& store) {
    NodeRow row;
    row.id = "laptop";
    EXPECT_TRUE(store.put_node(row));
    UnitSpec unit;
    unit.id = "u";
    unit.home = row.id;
    EXPECT_TRUE(store.add_units("r", std::vector{unit}));
    return unit;
  }

  std::string address_;
  std::shared_ptr<PgConnection> desk_;
  const StopFlag never_;
};

TEST_F(FleetDatabase, SettingItUpAgainChangesNothing) {
  sql("INSERT INTO lathe.queue VALUES ('r', 1, 0)");
  const auto again = init_postgres(address_);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->fresh);
  EXPECT_EQ(desk_->run("look", "SELECT count(*) FROM lathe.queue").value()[0].integer(0), 1);
}

TEST_F(FleetDatabase, ANodeMayCallItsFunctionsAndNothingElse) {
  sql("DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'laptop') THEN CREATE "
      "ROLE laptop LOGIN IN ROLE lathe_node; END IF; END $$");
  NodeRow node;
  node.clearance = Reach::kLan;
  UnitSpec unit;
  unit.id = "u";
  unit.privacy = Reach::kLan;
  {
    const auto desk = open_postgres_leases(address_).value();
    for (const char* id : {"laptop", "desk"}) {
      node.id = id;
      ASSERT_TRUE(desk->put_node(node));
    }
    ASSERT_TRUE(desk->add_units("r", std::vector{unit}));
  }
  const std::string own = server().address("fleet", "laptop");
  const auto store = open_postgres_leases(own);
  ASSERT_TRUE(store) << store.error().message;
  Wish wish;
  wish.node = "desk";
  EXPECT_THAT((*store)->lease(wish).error().message, HasSubstr("may not speak for node desk"));
  wish.node = "laptop";
  const auto lease = (*store)->lease(wish).value();
  ASSERT_TRUE(lease);
  Grant forged = *lease;
  forged.node = "desk";
  EXPECT_EQ((*store)->complete(forged, {}).error().kind, ErrorKind::kDenied);
  EXPECT_EQ((*store)->complete(*lease, {}).value(), LeaseAnswer::kCounted);
  EXPECT_THAT((*store)->units("r").error().message,
              AllOf(HasSubstr("permission denied"), HasSubstr("lathe_desk")));
  EXPECT_EQ((*store)->put_node(node).error().kind, ErrorKind::kDenied);
  const auto connection = PgConnection::open(own).value();
  EXPECT_EQ(connection->run("store a blob", "SELECT lathe.blob_put($1)", {PgValue::bytes("abc")})
                .value()[0]
                .text(0),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  for (const char* forbidden :
       {"SELECT * FROM lathe.unit", "UPDATE lathe.node SET clearance = 0",
        "SELECT lathe.end_lease('laptop', 'r', 'u', 1, true)", "CREATE TABLE lathe.x (y integer)",
        "DELETE FROM lathe.blob", "SELECT lathe.lose_dependents('r', 'u')"})
    EXPECT_EQ(connection->run("try", forbidden).error().kind, ErrorKind::kDenied) << forbidden;
}

// Whatever a node writes, all others can go on reading.
TEST_F(FleetDatabase, WhatANodeWritesIsShortAndHarmsNobody) {
  const auto store = open_postgres_leases(address_).value();
  add_unit(*store);
  const Grant lease = store->lease({.node = "laptop"}).value().value();
  UnitResult result;
  result.body = std::string(100'000, 'x');
  EXPECT_THAT(store->complete(lease, result).error().message, HasSubstr("at most 65536 are taken"));
  EXPECT_THAT(store->heartbeat("laptop", {}, result.body).error().message,
              HasSubstr("at most 65536 are taken"));
  EXPECT_EQ(store->units("r").value().at(0).state, UnitState::kLeased);
  EXPECT_EQ(desk_
                ->run("lie", "SELECT lathe.complete('laptop','r','u',$1,1,'','','no JSON {')",
                      {lease.epoch})
                .value()[0]
                .integer(0),
            0);
  ASSERT_TRUE(desk_->run("lie", "SELECT lathe.heartbeat('laptop','[]','neither')"));
  EXPECT_EQ(store->units("r").value().at(0).result.body, Json());
  EXPECT_EQ(store->nodes().value().at(0).load, Json());
}

TEST_F(FleetDatabase, ANodeIsMadeAndForgotten) {
  const std::string id = "abcdefghijklmnopqrstuvwxyz234567";
  NodeRow row;
  row.id = id;
  row.clearance = Reach::kLan;
  const auto desk = open_postgres_leases(address_).value();
  ASSERT_TRUE(desk->put_node(row));
  ASSERT_TRUE(add_node_role(address_, id, "first"));
  ASSERT_TRUE(add_node_role(address_, id, "second")) << "who joins again gets a new password";
  const PgRows kept =
      desk_->run("look", "SELECT rolpassword FROM pg_authid WHERE rolname = $1", {id}).value();
  EXPECT_THAT(kept[0].text(0), ::testing::StartsWith("SCRAM-SHA-256$"));

  const std::string own = server().address("fleet", id);
  const PostgresNode node = open_postgres_node(own).value();
  EXPECT_TRUE(node.leases->heartbeat(id, {}, {{"cpu", 3}}));
  const std::string bytes("a\0b", 3);
  const std::string sha256 = node.blobs->put(bytes, never_).value();
  EXPECT_EQ(get(*node.blobs, sha256).value(), bytes);
  EXPECT_EQ(get(*node.blobs, std::string(64, '0')).error().kind, ErrorKind::kNotFound);
  sql("UPDATE lathe.blob SET bytes = 'other' WHERE sha256 = '" + sha256 + "'");
  EXPECT_THAT(get(*node.blobs, sha256).error().message, HasSubstr("holds what has the hash"));
  EXPECT_EQ(node.leases->nodes().error().kind, ErrorKind::kDenied);

  ASSERT_TRUE(desk->set_node_state(id, NodeState::kForgotten));
  EXPECT_EQ(node.leases->heartbeat(id, {}, {}).error().kind, ErrorKind::kDenied);
  ASSERT_TRUE(drop_node_role(address_, id));
  // The connection ends, which takes it a moment; the next one is refused.
  auto beat = node.leases->heartbeat(id, {}, {});
  for (int i = 0; i < 6'000 && !beat.error().message.contains("log in"); ++i) {
    std::this_thread::sleep_for(Milliseconds(10));
    beat = node.leases->heartbeat(id, {}, {});
  }
  EXPECT_EQ(beat.error().kind, ErrorKind::kDenied) << beat.error().message;
  EXPECT_THAT(beat.error().message, HasSubstr("not permitted to log in"));
  EXPECT_EQ(open_postgres_node(own).error().kind, ErrorKind::kDenied);
  // Invited once more it is let in again; a role that is no node's is left alone.
  EXPECT_TRUE(add_node_role(address_, id, "third"));
  EXPECT_TRUE(open_postgres_node(own));
  EXPECT_TRUE(drop_node_role(address_, "nobody"));
  EXPECT_THAT(add_node_role(address_, "lathe", "x").error().message, HasSubstr("no node's"));
  EXPECT_TRUE(drop_node_role(address_, "lathe"));
  EXPECT_TRUE(open_postgres_leases(address_));
}

TEST_F(FleetDatabase, WhoMayNotMakeRolesIsTold) {
  sql("DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'anna') THEN CREATE ROLE "
      "anna LOGIN IN ROLE lathe_desk; END IF; END $$");
  const auto refused = add_node_role(server().address("fleet", "anna"), "x", "y");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("CREATEROLE"));
}

TEST(NodeAddress, IsTheDesksAsAnotherMachineWritesIt) {
  const auto of = [](const std::string& address) {
    const auto made = address_for_node(address, "10.0.0.5", "node");
    return made ? made->database : made.error().message;
  };
  EXPECT_EQ(of("postgresql://anna:secret@desk:5433/lathe"),
            "postgresql://node@desk:5433/lathe?sslmode=require&channel_binding=require");
  for (const char* local : {"postgresql:///lathe", "postgresql://anna@localhost/lathe",
                            "postgresql://anna@127.0.0.1/lathe", "postgresql://[::1]/lathe",
                            "postgresql:///lathe?host=/run/postgresql&user=anna"})
    EXPECT_EQ(of(local), "postgresql://node@10.0.0.5/lathe?sslmode=require&channel_binding=require")
        << local;
  EXPECT_EQ(of("postgresql://desk/lathe?sslmode=disable&sslkey=/home/anna/key&passfile=/x"),
            "postgresql://node@desk/lathe?sslmode=disable");
  EXPECT_EQ(of("postgresql://desk/lathe?sslmode=verify-full&sslrootcert=/etc/root.crt"),
            "postgresql://node@desk/lathe?sslmode=verify-full&channel_binding=require");
  EXPECT_EQ(address_for_node("postgresql://d/l?sslrootcert=/etc/root.crt", "h", "n")
                .value()
                .root_certificate,
            "/etc/root.crt");
  EXPECT_EQ(of("postgresql://[fd00::7]/la%20the?sslmode=disable"),
            "postgresql://node@[fd00::7]/la%20the?sslmode=disable");
  EXPECT_THAT(of("postgresql://a,b/lathe"), HasSubstr("--db-for-nodes"));
  EXPECT_THAT(of("postgresql://desk"), HasSubstr("no database"));
  EXPECT_THAT(of("postgresql://desk/lathe?nonsense=1"), HasSubstr("cannot be read"));
}

TEST_F(FleetDatabase, AnotherFormatIsRefusedWithWhatToDo) {
  sql("UPDATE lathe.meta SET format = 99");
  EXPECT_THAT(refused(address_), AllOf(HasSubstr("newer lathe"), HasSubstr("99")));
  EXPECT_THAT(init_postgres(address_).error().message, HasSubstr("newer lathe"));
  sql("UPDATE lathe.meta SET format = 0");
  EXPECT_THAT(refused(address_), AllOf(HasSubstr("older lathe"), HasSubstr("lathe fleet init")));
  EXPECT_THAT(init_postgres(address_).error().message, HasSubstr("older lathe"));
  sql("DROP SCHEMA lathe CASCADE");
  EXPECT_THAT(refused(address_), HasSubstr("lathe fleet init --db"));
  sql("CREATE SCHEMA lathe");
  EXPECT_THAT(init_postgres(address_).error().message, HasSubstr("another program's"));
}

TEST_F(FleetDatabase, ADatabaseThatCanOnlyBeReadSaysSo) {
  Journal journal = open_postgres_journal(address_).value();
  ASSERT_TRUE(journal.book({.tables = {"x"}}));
  sql("ALTER DATABASE fleet SET default_transaction_read_only = on");
  Journal other = open_postgres_journal(address_).value();
  EXPECT_TRUE(other.runs());
  const auto refused = other.book({.tables = {"y"}});
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("the one that can be written"));
  sql("ALTER DATABASE fleet RESET default_transaction_read_only");
}

TEST_F(FleetDatabase, AFullDiskSaysWhatToDo) {
  const Status full = desk_->execute(
      "write",
      "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(full.error().message, HasSubstr("free some space on the database's machine"));
}

// Each of them only says that something may have changed.
TEST_F(FleetDatabase, AStormOfNewsIsOneAnswer) {
  const auto waits = open_postgres_leases(address_).value();
  NodeRow node;
  node.id = "laptop";
  ASSERT_TRUE(waits->put_node(node));
  sql("DO $$ BEGIN FOR i IN 1..20000 LOOP PERFORM pg_notify('lathe', i::text); END LOOP; END $$");
  ASSERT_TRUE(waits->wait(Milliseconds(600'000)));
  UnitSpec unit;
  unit.id = "u";
  unit.home = "laptop";
  ASSERT_TRUE(waits->add_units("r", std::vector{unit}));
  Wish wish;
  wish.node = "laptop";
  EXPECT_EQ(waits->lease(wish).value()->unit, "u");
}

// A schema of format 1, as far as the two differ.
TEST_F(FleetDatabase, AnOlderFormatIsBroughtToThisOne) {
  sql("INSERT INTO lathe.unit (run, id, kind, privacy, home, needs, deps, prio, waiting) VALUES "
      "('r', 'u', '', 1, '', '[]', '[]', 0, 0); INSERT INTO lathe.blob VALUES "
      "(encode(sha256('abc'), 'hex'), 'abc'); ALTER TABLE lathe.unit DROP COLUMN stale; DROP TABLE "
      "lathe.piece; DROP FUNCTION lathe.blob_there(text), lathe.blob_read(text, text, bigint), "
      "lathe.blob_add(text, bigint, bigint, bytea), lathe.too_late(text, text, text, bigint); "
      "CREATE FUNCTION lathe.blob_get(text) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea'; "
      "UPDATE lathe.meta SET format = 1");
  EXPECT_THAT(refused(address_), AllOf(HasSubstr("older lathe"), HasSubstr("lathe fleet init")));
  const auto done = init_postgres(address_);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_FALSE(done->fresh);
  EXPECT_EQ(done->before, 1);
  const PostgresNode node = open_postgres_node(address_).value();
  EXPECT_EQ(get(*node.blobs, sha256_hex("abc")).value(), "abc");
  EXPECT_EQ(node.leases->units("r").value().at(0).spec.id, "u");
  EXPECT_EQ(init_postgres(address_)->before, kPostgresFormat);
}

std::string random_bytes(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& each : bytes) each = static_cast<char>(random());
  return bytes;
}

class FleetBlobs : public FleetDatabase {
 protected:
  FleetBlobs() : relay_(server().socket(), 7) {
    sql("DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'laptop') THEN CREATE "
        "ROLE laptop LOGIN IN ROLE lathe_node; END IF; END $$");
  }
  // A node's own way to them, over the relay.
  std::unique_ptr<NodeBlobs> blobs(Milliseconds patience = kBlobPatience) {
    auto opened = NodeBlobs::open(
        fmt::format("postgresql:///fleet?host=127.0.0.1&port={}&user=laptop", relay_.port()),
        patience);
    EXPECT_TRUE(opened) << opened.error().message;
    return *std::move(opened);
  }
  std::int64_t ask(const std::string& text) {
    return desk_->run("look", text)->operator[](0).integer(0);
  }

  lathe::testing::TcpRelay relay_;
};

TEST_F(FleetBlobs, GoInPieces) {
  const auto way = blobs();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kBlobPiece - 1, kBlobPiece,
                                 kBlobPiece + 1, 3 * kBlobPiece}) {
    const std::string bytes = random_bytes(size, 1);
    const std::string sha256 = way->put(bytes, never_).value();
    std::size_t pieces = 0, largest = 0;
    std::string back;
    ASSERT_TRUE(way->get(sha256, kMaxFileBytes, never_,
                         [&](std::uint64_t at, std::string_view piece) -> Status {
                           EXPECT_EQ(at, back.size());
                           ++pieces;
                           largest = std::max(largest, piece.size());
                           back += piece;
                           return {};
                         }));
    EXPECT_EQ(back, bytes) << size;
    EXPECT_LE(largest, kBlobPiece);
    EXPECT_EQ(pieces, std::max<std::size_t>(1, (size + kBlobPiece - 1) / kBlobPiece));
    const std::uint64_t before = relay_.carried();
    EXPECT_EQ(way->put(bytes, never_).value(), sha256);
    if (size > kBlobPiece) {
      EXPECT_LT(relay_.carried() - before, 4096U) << "what is there is not sent again";
    }
  }
}

// No connection lives long enough for all of it: it goes on where it was, both ways.
TEST_F(FleetBlobs, ALostConnectionCostsAPieceAndNotTheTransfer) {
  const std::string bytes = random_bytes(4 * kBlobPiece, 2);
  relay_.cut_after(3 * kBlobPiece / 2);
  const auto way = blobs();
  const auto sent = way->put(bytes, never_);
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_GE(relay_.connections(), 3);
  EXPECT_LT(relay_.carried(), 2 * bytes.size());
  const auto back = get(*way, *sent);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, bytes);
  EXPECT_GE(relay_.connections(), 5);
  EXPECT_LT(relay_.carried(), 4 * bytes.size());
}

TEST_F(FleetBlobs, SlowOnesAreWaitedForAndStillOnesAreNot) {
  const std::string bytes = random_bytes(48 << 10, 3);
  const Milliseconds patience{1'000};
  relay_.pace(4096, 75);
  const auto begun = system_clock().monotonic();
  const auto way = blobs(patience);
  const auto sent = way->put(bytes, never_);
  ASSERT_TRUE(sent) << sent.error().message;
  const auto slow = get(*way, *sent);
  ASSERT_TRUE(slow) << slow.error().message;
  EXPECT_EQ(*slow, bytes);
  EXPECT_GT(system_clock().monotonic() - begun, patience) << "it was slow indeed";
  EXPECT_EQ(relay_.connections(), 1);
  relay_.pace(0, 0);
  const auto still = get(*way, *sent);
  ASSERT_FALSE(still);
  EXPECT_EQ(still.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(still.error().message, HasSubstr("nothing came or went for 1.0 s"));
  relay_.pace(1 << 16, 0);
  EXPECT_EQ(get(*way, *sent).value(), bytes) << "over a connection that was made anew";
}

TEST_F(FleetBlobs, WhoIsToldToStopDoes) {
  const auto way = blobs();
  const std::string sha256 = way->put("abc", never_).value();
  relay_.pace(0, 0);
  StopFlag stop;
  std::thread soon([&] { stop.raise(); });
  const auto ended = way->get(sha256, 3, stop, [](auto, auto) -> Status { return {}; });
  soon.join();
  EXPECT_EQ(ended.error().kind, ErrorKind::kCancelled);
}

// Nobody can say that a blob is what it is not: its name is its hash, and the ceiling is the
// database's own.
TEST_F(FleetBlobs, LiesAboutABlobCostNobodyTheRightOne) {
  const auto way = blobs();
  const std::string bytes = random_bytes(2 * kBlobPiece, 4), sha256 = sha256_hex(bytes);
  const auto add = [&](PgConnection& as, std::int64_t size, std::int64_t at,
                       std::string_view piece) {
    const auto done = as.run("lie", "SELECT lathe.blob_add($1,$2,$3,$4)",
                             {sha256, size, at, PgValue::bytes(piece)});
    return done ? "" : done.error().message;
  };
  const auto liar = PgConnection::open(server().address("fleet", "laptop")).value();
  const auto two = static_cast<std::int64_t>(bytes.size());
  EXPECT_THAT(add(*liar, std::int64_t{2} << 30, 0, "x"), HasSubstr("of a blob of 2147483648"));
  EXPECT_THAT(add(*liar, two, two / 2, "x"), HasSubstr("of which 0 are there")) << "a gap";
  EXPECT_THAT(add(*liar, two, 0, std::string(kBlobPiece + 1, 'x')), HasSubstr("a piece of"));
  EXPECT_THAT(add(*liar, 3, 0, "more"), HasSubstr("a piece of 4 bytes"));
  EXPECT_THAT(add(*liar, two, 0, ""), HasSubstr("a piece of 0 bytes"));
  // All of it is there, by its word; and it is not what it is called.
  for (int piece = 0; piece < 2; ++piece)
    EXPECT_EQ(add(*liar, two, piece * two / 2, std::string(kBlobPiece, 'x')), "");
  EXPECT_THAT(get(*way, sha256).error().message, HasSubstr("holds what has the hash"));
  // Another one has the right one: who reads finds it.
  const PostgresNode desk = open_postgres_node(address_).value();
  EXPECT_EQ(desk.blobs->put(bytes, never_).value(), sha256);
  EXPECT_EQ(get(*way, sha256).value(), bytes);
  // What is larger than the reader can take is refused before anything of it comes.
  const auto large = way->get(sha256, kBlobPiece, never_, [](auto, auto) -> Status {
    ADD_FAILURE() << "a piece came";
    return {};
  });
  EXPECT_THAT(large.error().message, AllOf(HasSubstr("2.0 MiB"), HasSubstr("at most 1.0 MiB")));
  // What only half came is not there.
  sql("DELETE FROM lathe.piece WHERE by = 'lathe' AND at = 0; DELETE FROM lathe.piece WHERE by = "
      "'laptop' AND at > 0");
  EXPECT_EQ(get(*way, sha256).error().kind, ErrorKind::kNotFound);
}

// A file without blocks on the disk, of any size.
class HollowFile {
 public:
  explicit HollowFile(std::size_t size) : size_(size) {
    std::string name = (fs::temp_directory_path() / "lathe-hollow.XXXXXX").string();
    const int file = ::mkstemp(name.data());
    ::unlink(name.c_str());
    EXPECT_EQ(::ftruncate(file, static_cast<off_t>(size)), 0);
    map_ = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
    ::close(file);
  }
  ~HollowFile() { ::munmap(map_, size_); }
  HollowFile(const HollowFile&) = delete;
  HollowFile& operator=(const HollowFile&) = delete;
  std::string_view bytes() const { return {static_cast<const char*>(map_), size_}; }

 private:
  std::size_t size_;
  void* map_;
};

// Of this process alone, without what it has mapped of files.
std::uint64_t own_bytes() {
  const std::string text = read_file("/proc/self/status", 1 << 16).value();
  return std::strtoull(text.c_str() + text.find("RssAnon:") + 8, nullptr, 10) << 10;
}

TEST_F(FleetBlobs, TooLargeOnesAreRefusedBeforeAnythingIsSent) {
  const auto way = blobs();
  const HollowFile file(std::size_t{2} << 30);
  const std::uint64_t before = relay_.carried();
  const auto refused = way->put(file.bytes(), never_);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("a blob of 2.0 GiB is too big"),
                                             HasSubstr("it takes up to 256.0 MiB")));
  EXPECT_EQ(relay_.carried(), before);
}

void carries_flat(NodeBlobs& way, std::size_t size, const StopFlag& never) {
  const HollowFile file(size);
  const std::uint64_t before = own_bytes();
  std::uint64_t most = 0, came = 0;
  const auto sha256 = way.put(file.bytes(), never);
  ASSERT_TRUE(sha256) << sha256.error().message;
  ASSERT_TRUE(
      way.get(*sha256, size, never, [&](std::uint64_t at, std::string_view piece) -> Status {
        came = at + piece.size();
        most = std::max(most, own_bytes());
        return {};
      }));
  EXPECT_EQ(came, size);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(most, before + 12 * kBlobPiece);
#endif
}

TEST_F(FleetBlobs, TakeNoMoreMemoryThanTheirPieces) {
  const auto way = NodeBlobs::open(server().address("fleet", "laptop")).value();
  carries_flat(*way, 20 * kBlobPiece, never_);
}

// The largest that there may be: --gtest_also_run_disabled_tests --gtest_filter='*TheLargest*'.
TEST_F(FleetBlobs, DISABLED_TheLargestTakesNoMoreMemory) {
  const auto way = NodeBlobs::open(server().address("fleet", "laptop")).value();
  carries_flat(*way, kMaxFileBytes, never_);
}

TEST_F(FleetDatabase, ARunWhoseConnectionWasLostIsNotWrittenTo) {
  Journal journal = open_postgres_journal(address_).value();
  const std::vector<Record> first{{0, 0, std::nullopt, "run", Json::object()}};
  std::optional<Lease> lease = journal.create_run({"r", "x", "y", 1}, first).value();
  sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'fleet' AND pid <> "
      "pg_backend_pid()");
  const Record second{1, 0, std::nullopt, "x", Json::object()};
  for (int times = 0; times < 2; ++times) {
    const auto lost = journal.append(*lease, second);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().kind, ErrorKind::kUnavailable);
  }
  lease.reset();
  // Given back, it may be taken again, over a connection that is made anew.
  EXPECT_EQ(journal.runs().value().front().records, 1);
  const auto again = journal.lease("r");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(journal.append(*again, second));
}

// A database on another machine lets nobody in without TLS, nor without a certificate that it
// knows; and who asks for the right server gets no other one.
TEST_F(FleetDatabase, AFarOneIsReachedByTlsAndCertificatesAlone) {
  lathe::testing::PostgresServer server;
  const std::string here = server.address(server.clear_database("far", ""));
  ASSERT_TRUE(init_postgres(here));
  const auto far = server.go_far("far");
  const std::string again = server.address("far");
  ASSERT_TRUE(PgConnection::open(again).value()->execute(
      "let it in", "CREATE ROLE laptop LOGIN IN ROLE lathe_node"));
  const auto with = [&](const char* mode, const fs::path& certificate, const fs::path& key,
                        const fs::path& root) {
    return fmt::format("{}&sslmode={}&sslcert={}&sslkey={}&sslrootcert={}", far.address, mode,
                       certificate.string(), key.string(), root.string());
  };
  const fs::path none = "/nowhere";
  const std::string fine = with("verify-full", far.certificate, far.key, far.root);
  const auto opened = open_postgres_leases(fine);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(PgConnection::open(fine)
                .value()
                ->run("look", "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                .value()[0]
                .text(0),
            "TLSv1.3");
  struct Case {
    std::string address, says;
  };
  const Case cases[] = {
      {with("disable", far.certificate, far.key, far.root), "no encryption"},
      {with("require", none, none, none), "certificate"},
      {with("verify-full", far.foreign_certificate, far.foreign_key, far.root), "unknown ca"},
      {with("verify-full", far.certificate, far.key,
            fs::path(far.foreign_certificate).replace_filename("foreign.crt")),
       "certificate verify failed"},
      // Another user's name with this certificate.
      {replace_all(fine, "laptop@", "lathe@"), "certificate authentication failed"},
  };
  for (const Case& each : cases) {
    const auto no = open_postgres_leases(each.address);
    ASSERT_FALSE(no) << each.address;
    EXPECT_THAT(no.error().message, HasSubstr(each.says));
    EXPECT_EQ(no.error().kind, ErrorKind::kDenied)
        << "it is no use to wait: " << no.error().message;
  }
}

// Nobody is asked who need not prove who it is; 192.0.2.1 is nobody's, and would take its time.
TEST_F(FleetDatabase, AnotherMachineHasToProveWhoItIs) {
  for (const char* options :
       {"", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca",
        "?sslmode=allow&channel_binding=require", "?channel_binding=require"}) {
    const auto no =
        open_postgres_leases(fmt::format("postgresql://anna:secret@192.0.2.1/lathe{}", options));
    ASSERT_FALSE(no) << options;
    EXPECT_EQ(no.error().kind, ErrorKind::kDenied) << options;
    EXPECT_THAT(no.error().message, AllOf(HasSubstr("192.0.2.1 is another machine"),
                                          HasSubstr("sslmode=verify-full&sslrootcert=FILE")));
    EXPECT_THAT(no.error().message, ::testing::Not(HasSubstr("secret")));
  }
  EXPECT_THAT(refused("postgresql://localhost,desk/lathe"), HasSubstr("desk is another machine"));
  EXPECT_THAT(refused("postgresql:///lathe?host=localhost&hostaddr=192.0.2.1"),
              HasSubstr("192.0.2.1 is another machine"));
  ASSERT_EQ(::setenv("PGHOST", "desk", 1), 0);
  EXPECT_THAT(refused("postgresql:///lathe"), HasSubstr("desk is another machine"));
  ::unsetenv("PGHOST");
  // These are asked: nobody is there, which is another matter.
  for (const char* options : {"?sslmode=verify-full", "?sslmode=require&channel_binding=require"})
    EXPECT_THAT(refused(fmt::format("postgresql://nobody.invalid/lathe{}", options)),
                HasSubstr("start the database or check its address"))
        << options;
}

TEST_F(FleetDatabase, NobodyIsThereIsSaidWithWhatToDo) {
  const std::string message = refused("postgresql://anna:secret@127.0.0.1:1/lathe");
  EXPECT_THAT(message, AllOf(HasSubstr("anna@127.0.0.1:1/lathe"), HasSubstr("start the database")));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("secret")));
  EXPECT_THAT(refused(server().address("no_such")), HasSubstr("no_such"));
}

TEST_F(FleetDatabase, WhoWaitsIsWokenWhenThereIsWork) {
  const auto waits = open_postgres_leases(address_).value();
  const auto desk = open_postgres_leases(address_).value();
  std::atomic<bool> woken = false;
  std::thread waiting([&] {
    // Longer than anything here takes: only news ends it.
    EXPECT_TRUE(waits->wait(Milliseconds(600'000)));
    woken = true;
  });
  UnitSpec unit;
  unit.id = "u";
  ASSERT_TRUE(desk->add_units("r", std::vector{unit}));
  waiting.join();
  EXPECT_TRUE(woken);
}

// Who waits for the end of a unit is told of it; who waits for work is not woken by that.
TEST_F(FleetDatabase, WhoWaitsForAnEndIsWokenByIt) {
  const auto waits = open_postgres_leases(address_).value();
  const auto idle = open_postgres_leases(address_).value();
  const auto node = open_postgres_leases(address_).value();
  UnitSpec unit = add_unit(*node);
  const auto lease = node->lease({.node = "laptop"}).value();
  ASSERT_TRUE(lease);
  ASSERT_FALSE(waits->wait_for_end(Milliseconds(0)).value()) << "from now on it listens";
  while (idle->wait_for_end(Milliseconds(0)).value()) {
  }
  std::thread waiting([&] {
    bool woken = false;  // longer than anything here takes: only news ends it
    while (!woken) woken = waits->wait_for_end(Milliseconds(600'000)).value();
  });
  EXPECT_EQ(node->complete(*lease, {}).value(), LeaseAnswer::kCounted);
  waiting.join();
  // Given up is an end, too.
  unit.id = "v";
  ASSERT_TRUE(node->add_units("r", std::vector{unit}));
  for (int attempt = 0; attempt < kPoisonAttemptsAlone; ++attempt)
    ASSERT_TRUE(node->fail(*node->lease({.node = "laptop"}).value()));
  EXPECT_EQ(node->units("r").value().at(1).state, UnitState::kGaveUp);
  bool woken = false;
  while (!woken) woken = waits->wait_for_end(Milliseconds(600'000)).value();
}

TEST_F(FleetDatabase, TextsThatADatabaseCannotHoldDoNoHarm) {
  Journal journal = open_postgres_journal(address_).value();
  const std::string title("a\0b\xff", 4);
  const std::vector<Record> first{{0, 0, 0.1, "run", {{"text", std::string("\0", 1)}}}};
  ASSERT_TRUE(journal.create_run({"r", "x", title, 1}, first));
  EXPECT_EQ(journal.runs().value().front().title,
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(journal.records("r").value()[0].body, first[0].body);
  EXPECT_EQ(journal.records("r").value()[0].joules, 0.1);
}

}  // namespace
}  // namespace lathe::books
