// For the tests of this room: a journal in a directory, runs of tests/data/journals in it, and a
// server that has its routes.
#pragma once

#include <gmock/gmock.h>
#include <testing/raw_client.h>
#include <testing/stored_journal.h>

#include "books/sqlite/open_journal.h"
#include "ground/base/hash.h"
#include "serve/runs/run_routes.h"
#include "serve/server/server.h"

namespace lathe::serve {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawClient;
using testing::RawReply;

inline books::Record stored_record(const std::string& line) {
  const Json json = parse_json(line).value();
  books::Record record;
  record.seq = json["seq"];
  record.t_ms = json["t_ms"];
  record.kind = json["kind"];
  record.body = json["body"];
  return record;
}

inline std::vector<books::Record> stored_records(const std::string& name) {
  std::vector<books::Record> records;
  for (const std::string& line : stored_lines(name)) records.push_back(stored_record(line));
  return records;
}

class RunsTest : public ::testing::Test {
 protected:
  void SetUp() override { start({}); }
  void TearDown() override {
    if (desk) desk->close();
    server.reset();
  }

  void start(ServerConfig config) {
    server.reset();
    desk = std::make_unique<RunDesk>(
        [this]() -> Result<books::Journal> {
          if (problem) return std::unexpected(*problem);
          return books::open_ledger(dir.path());
        },
        std::nullopt, draw);
    config.port = 0;
    auto started = Server::start(std::move(config), {run_routes(*desk)});
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }

  books::Journal journal() const { return books::open_journal(dir.path()).value(); }

  // A run of these records, of which `count` are there. `by`: whose it is.
  books::Lease begin(books::Journal& journal, const std::string& id, std::int64_t created_ms,
                     std::vector<books::Record> records, std::size_t count,
                     const std::string& by = "") const {
    if (!by.empty()) records.front().body["extra"]["by"] = by;
    auto lease = journal.create_run({id, "recipe of " + id, "title", created_ms},
                                    std::span(records).first(2));
    EXPECT_TRUE(lease) << lease.error().message;
    add(journal, *lease, records, 2, count);
    return *std::move(lease);
  }
  static void add(books::Journal& journal, const books::Lease& lease,
                  const std::vector<books::Record>& records, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      const bool end = records[i].kind == "end";
      const auto state = end ? std::optional(json_string(records[i].body, "state")) : std::nullopt;
      ASSERT_TRUE(journal.append(lease, records[i], state));
    }
  }
  void add_run(const std::string& id, const std::string& name, std::int64_t created_ms = 1,
               const std::string& by = "") const {
    books::Journal own = journal();
    const auto records = stored_records(name);
    begin(own, id, created_ms, records, records.size(), by);
  }

  RawReply get(std::string_view path, std::string_view headers = "") const {
    RawClient client(server->port());
    client.get(path, headers);
    return client.reply();
  }
  Json json(std::string_view path, std::string_view headers = "") const {
    const RawReply reply = get(path, headers);
    EXPECT_EQ(reply.status, 200) << path << ": " << reply.body;
    const auto parsed = parse_json(reply.body);
    return parsed ? *parsed : Json();
  }
  std::string refusal(std::string_view path, int status, std::string_view headers = "") const {
    const RawReply reply = get(path, headers);
    EXPECT_EQ(reply.status, status) << path << ": " << reply.body;
    const auto parsed = parse_json(reply.body);
    return parsed ? json_string(json_at(*parsed, "error"), "message") : "no JSON: " + reply.body;
  }

  TempDir dir = TempDir::make().value();
  std::optional<Error> problem;  // of opening the journal
  DrawArtifact draw;             // counts from the next start()
  std::unique_ptr<RunDesk> desk;
  std::unique_ptr<Server> server;
};

// One event of a stream.
struct StreamEvent {
  std::string id, name;
  Json data;
};
inline std::vector<StreamEvent> stream_events(const std::string& text) {
  std::vector<StreamEvent> events;
  StreamEvent event;
  for (const std::string& line : split(text, '\n')) {
    if (line.starts_with("id: ")) event.id = line.substr(4);
    if (line.starts_with("event: ")) event.name = line.substr(7);
    if (line.starts_with("data: ")) event.data = parse_json(line.substr(6)).value();
    if (line.empty() && !event.name.empty()) events.push_back(std::exchange(event, {}));
  }
  return events;
}

}  // namespace lathe::serve
