// Runs as clients of the server see them: lists, tables, single units, streams, artifacts; and what
// is wrong with what they ask for.
#include "serve/runs/runs_test.h"

#include <list>

#include "show/run/json.h"

namespace lathe::serve {
namespace {

TEST_F(RunsTest, ListsTheNewestFirstInPages) {
  EXPECT_EQ(json("/v1/runs"), (Json{{"runs", Json::array()}, {"next", nullptr}}));
  for (int i = 0; i < 5; ++i) add_run(fmt::format("r{}", i), "text", 1000 + i / 2);
  std::string order, next;
  do {
    const Json page = json("/v1/runs?limit=2" + (next.empty() ? "" : "&before=" + next));
    EXPECT_LE(page["runs"].size(), 2U);
    for (const Json& run : page["runs"]) order += run["id"].get<std::string>() + " ";
    next = page["next"].is_null() ? "" : page["next"].get<std::string>();
  } while (!next.empty());
  EXPECT_EQ(order, "r4 r3 r2 r1 r0 ");
  const Json first = json("/runs?limit=1")["runs"][0];
  EXPECT_EQ(first["recipe"], "recipe of r4");
  EXPECT_EQ(first["state"], "passed");
  EXPECT_EQ(first["created_ms"], 1002);
  EXPECT_EQ(first["records"], stored_records("text").size());
}

TEST_F(RunsTest, ACursorHoldsWhereItsRunHasGone) {
  for (int i = 0; i < 3; ++i) add_run(fmt::format("r{}", i), "text", 1000 + i);
  const std::string next = json("/runs?limit=2")["next"];
  ASSERT_TRUE(journal().remove_run("r1"));
  const Json rest = json("/runs?before=" + next)["runs"];
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0]["id"], "r0");
}

TEST_F(RunsTest, SaysWhatIsRunningStoppedAndQueued) {
  books::Journal own = journal();
  const auto records = stored_records("text");
  std::optional<books::Lease> running = begin(own, "r1", 1, records, 5);
  { const auto ended = begin(own, "r2", 2, records, 5); }
  { const auto ended = begin(own, "r3", 3, records, 5); }
  { const auto ended = begin(own, "r4", 4, records, 5); }
  ASSERT_TRUE(own.enqueue("r3", 1));
  ASSERT_TRUE(own.enqueue("r4", 1, true));
  const auto states = [&] {
    std::string text;
    const Json list = json("/runs");
    for (const Json& run : list["runs"]) text += run["state"].get<std::string>() + " ";
    return text;
  };
  EXPECT_EQ(states(), "stopped queued stopped running ");
  EXPECT_EQ(json("/runs/r1")["state"], "running");
  running.reset();
  EXPECT_EQ(states(), "stopped queued stopped stopped ");
}

// Everything of `wanted` stands in `given`, which may say more.
bool says_all(const Json& given, const Json& wanted) {
  if (wanted.is_object())
    return given.is_object() && std::ranges::all_of(wanted.items(), [&](const auto& member) {
             return says_all(json_at(given, member.key()), member.value());
           });
  if (!wanted.is_array()) return given == wanted;
  if (!given.is_array() || given.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (!says_all(given[i], wanted[i])) return false;
  return true;
}

// The same as whoever folds the records and prints them all.
TEST_F(RunsTest, ShowsWhatTheRecordsGive) {
  for (const std::string& name : stored_runs()) {
    const auto records = stored_records(name);
    add_run(name, name);
    const auto entries = loop::from_records(records).value();
    const loop::RunState state = loop::fold(entries).value();
    const Json whole = to_json(show::view_of(state, entries));
    const Json run = json("/v1/runs/" + name);
    for (const char* member :
         {"recipe", "title", "build", "created_ms", "t_ms", "outcome", "why", "units",
          "units_passed", "laps", "spent", "whole", "caveats", "yield"})
      EXPECT_EQ(run[member], whole[member]) << name << " " << member;
    EXPECT_EQ(run["seq"], records.back().seq);
    Json of_whole = Json::array();
    for (const Json& call : run["whole_calls"])
      if (!call["under_way"].get<bool>()) of_whole.push_back({call["seq"], call["judge_name"]});
    Json said_of_whole = Json::array();
    for (const loop::Entry& entry : entries)
      if (const auto* verdict = std::get_if<loop::VerdictGiven>(&entry.event);
          verdict && verdict->call.kind == loop::CallId::Kind::kWhole)
        said_of_whole.push_back({entry.seq, verdict->judge_name});
    EXPECT_EQ(of_whole, said_of_whole) << name;
    ASSERT_EQ(run["tracks"], whole["tracks"].size());
    const Json units = json("/v1/runs/" + name + "/units");
    ASSERT_EQ(units["tracks"].size(), whole["tracks"].size());
    for (std::size_t i = 0; i < whole["tracks"].size(); ++i) {
      Json row = units["tracks"][i];
      EXPECT_EQ(row["index"], i);
      const Json unit = json(fmt::format("/v1/runs/{}/units/{}", name, i));
      EXPECT_TRUE(says_all(unit, row)) << name << " " << dump_json(row);
      EXPECT_TRUE(says_all(unit, whole["tracks"][i])) << name << " " << dump_json(unit);
      std::size_t answered = 0;
      for (const Json& call : unit["calls"]) answered += !call["under_way"].get<bool>();
      const auto is_of = [&](const loop::Entry& entry) {
        return loop::track_of(entry.event) == i &&
               (std::holds_alternative<loop::CandidateMade>(entry.event) ||
                std::holds_alternative<loop::VerdictGiven>(entry.event));
      };
      EXPECT_EQ(answered, static_cast<std::size_t>(std::ranges::count_if(entries, is_of))) << name;
    }
  }
}

TEST_F(RunsTest, UnitsComeInPages) {
  add_run("r1", "text");
  const Json all = json("/runs/r1/units");
  ASSERT_GT(all["tracks"].size(), 1U);
  EXPECT_TRUE(all["next"].is_null());
  Json pages = Json::array();
  for (Json from = 0; !from.is_null();) {
    const Json page = json(fmt::format("/runs/r1/units?limit=1&from={}", from.get<int>()));
    ASSERT_EQ(page["tracks"].size(), 1U);
    pages.push_back(page["tracks"][0]);
    from = page["next"];
  }
  EXPECT_EQ(pages, all["tracks"]);
  EXPECT_EQ(json("/runs/r1/units?from=100")["tracks"], Json::array());
}

TEST_F(RunsTest, ARunThatGrowsIsFoldedOn) {
  books::Journal own = journal();
  const auto records = stored_records("voice");
  const books::Lease lease = begin(own, "r1", 1, records, 3);
  EXPECT_EQ(json("/runs/r1")["outcome"], "not ended");
  for (std::size_t i = 3; i < records.size(); ++i) {
    add(own, lease, records, i, i + 1);
    EXPECT_EQ(json("/runs/r1")["seq"], i);
  }
  EXPECT_EQ(json("/runs/r1")["outcome"], "passed");
}

TEST_F(RunsTest, WhatIsAskedForInAWrongWayIsRefusedByName) {
  add_run("r1", "text");
  const std::string huge(4000, 'x');
  for (const auto& [path, word] :
       std::map<std::string, std::string>{{"/runs?limit=0", "limit"},
                                          {"/runs?limit=201", "limit"},
                                          {"/runs?limit=x", "limit"},
                                          {"/runs?before=x", "before"},
                                          {"/runs?before=1_../x", "before"},
                                          {"/runs?before=9999999999999999999999_r1", "before"},
                                          {"/runs?what=1", "what"},
                                          {"/runs?%ff=1", "%ff"},
                                          {"/runs/r1/units?from=-1", "from"},
                                          {"/runs/r1/units?limit=1e3", "limit"},
                                          {"/runs/r1/events?after=-2", "after"},
                                          {"/runs/r1/events?after=9223372036854775808", "after"},
                                          {"/runs/r1/events?after=9223372036854775807", "after"},
                                          {"/runs/r1/events?after=garbage", "after"}})
    EXPECT_THAT(refusal("/v1" + path, 400), HasSubstr(word)) << path;
  for (const std::string& path :
       {std::string("/runs/r2"), std::string("/runs/..%2fx"), std::string("/runs/%00"),
        "/runs/" + huge, std::string("/runs/r"), std::string("/runs/r1/units/99"),
        std::string("/runs/r1/units/-1"), std::string("/runs/r1/units/18446744073709551616"),
        std::string("/runs/r1/units/x"), std::string("/runs/r2/events"),
        std::string("/runs/r1/what"), std::string("/runs/r1/units/0/more")})
    refusal("/v1" + path, 404);
  for (const char* id : {"garbage", "-1", "9223372036854775808", "1 2", ""})
    EXPECT_THAT(refusal("/runs/r1/events", 400, fmt::format("Last-Event-ID: {}\r\n", id)),
                HasSubstr("Last-Event-ID"));
  EXPECT_EQ(get("/runs/r1", "Accept: " + huge + "\r\n").status, 200);
}

TEST_F(RunsTest, AJournalThatCannotBeReadIsSaidSo) {
  problem = Error{ErrorKind::kInvalid, "journal.db: was written by a newer lathe"};
  EXPECT_THAT(refusal("/runs", 503), HasSubstr("newer lathe"));
  EXPECT_THAT(refusal("/runs/r1/events", 503), HasSubstr("newer lathe"));
  problem.reset();
  EXPECT_EQ(json("/runs")["runs"], Json::array()) << "it is looked at again";
}

// --- streams ---

TEST_F(RunsTest, AStreamTellsEveryRecordOnce) {
  books::Journal own = journal();
  const auto records = stored_records("text");
  const books::Lease lease = begin(own, "r1", 1, records, 10);
  RawClient client(server->port());
  client.get("/v1/runs/r1/events");
  ASSERT_TRUE(client.wait_for("id: 9\n"));
  add(own, lease, records, 10, 20);
  ASSERT_TRUE(client.wait_for("id: 19\n"));
  add(own, lease, records, 20, records.size());
  const RawReply reply = client.reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.head, HasSubstr("text/event-stream"));
  const auto events = stream_events(reply.body);
  ASSERT_EQ(events.size(), records.size() + 1);
  loop::RunState state;
  for (std::size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(events[i].id, std::to_string(i));
    EXPECT_EQ(events[i].data["seq"], i);
    EXPECT_EQ(events[i].data["kind"], records[i].kind);
    EXPECT_EQ(events[i].data["t_ms"], records[i].t_ms);
  }
  EXPECT_EQ(events.back().name, "end");
  EXPECT_TRUE(client.ends()) << "a stream takes its connection along";
}

TEST_F(RunsTest, WhoComesBackGetsWhatItHasNotSeen) {
  add_run("r1", "text");
  const auto last = static_cast<int>(stored_records("text").size()) - 1;
  const auto ids = [&](const std::string& query, const std::string& headers) {
    const auto events = stream_events(get("/v1/runs/r1/events" + query, headers).body);
    EXPECT_EQ(events.back().name, "end");
    return std::pair(events.size() - 1, events.front().id);
  };
  EXPECT_EQ(ids("?after=-1", ""), std::pair(std::size_t(last + 1), std::string("0")));
  EXPECT_EQ(ids("?after=0", ""), std::pair(std::size_t(last), std::string("1")));
  EXPECT_EQ(ids("?after=0", "Last-Event-ID: 4\r\n"),
            std::pair(std::size_t(last - 4), std::string("5")));
  EXPECT_EQ(ids(fmt::format("?after={}", last), "").first, 0U);
  EXPECT_EQ(ids("?after=9007199254740992", "").first, 0U);
}

TEST_F(RunsTest, ARunThatIsRemovedEndsItsStreams) {
  books::Journal own = journal();
  { const auto lease = begin(own, "r1", 1, stored_records("text"), 10); }
  RawClient client(server->port());
  client.get("/runs/r1/events?after=8");
  ASSERT_TRUE(client.wait_for("id: 9\n"));
  ASSERT_TRUE(own.remove_run("r1"));
  const auto events = stream_events(client.reply().body);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].name, "gone");
  refusal("/runs/r1", 404);
}

// The pages that come last are served; those that heard nothing for longest end, and come back by
// themselves.
TEST_F(RunsTest, OfFiveThousandWatchersTheOldestIdleEnd) {
  books::Journal own = journal();
  const auto records = stored_records("text");
  const books::Lease quiet = begin(own, "r1", 1, records, 10);
  const books::Lease busy = begin(own, "r2", 2, records, 10);
  std::list<RawClient> clients;  // who heard something longest ago comes first
  const auto watch = [&](const char* run) {
    RawClient& client = clients.emplace_back(server->port());
    client.get(fmt::format("/runs/{}/events?after=9", run));
    return client.wait_for(": watching");
  };
  ASSERT_TRUE(watch("r2"));
  while (clients.size() < Watches::kMost) ASSERT_TRUE(watch("r1"));
  // The first one to come is the last one that was told something.
  add(own, busy, records, 10, 11);
  ASSERT_TRUE(clients.front().wait_for("id: 10\n"));
  clients.splice(clients.end(), clients, clients.begin());
  for (int more = 0; more < 5000; ++more) {
    ASSERT_TRUE(watch("r1")) << more;
    ASSERT_TRUE(clients.front().ends()) << more;
    clients.pop_front();
  }
  add(own, quiet, records, 10, 11);
  for (RawClient& client : clients) EXPECT_TRUE(client.wait_for("id: 10\n"));
}

TEST_F(RunsTest, TheServersEndEndsStreams) {
  books::Journal own = journal();
  const books::Lease lease = begin(own, "r1", 1, stored_records("text"), 10);
  RawClient client(server->port());
  client.get("/runs/r1/events");
  ASSERT_TRUE(client.wait_for("id: 9\n"));
  desk->close();
  EXPECT_TRUE(client.reply().whole);
  EXPECT_THAT(refusal("/runs", 503), HasSubstr("shutting down"));
}

// While a run is looked at, others may clean up after runs: no byte stays.
TEST_F(RunsTest, ARunMayBeErasedWhileItIsLookedAt) {
  books::Journal own = journal();
  auto records = stored_records("text");
  records[0].body["files"].push_back({{"path", "x"}, {"blob", own.put_blob("secret").value()}});
  { const auto lease = begin(own, "r1", 1, records, 10); }
  json("/runs/r1");
  RawClient client(server->port());
  client.get("/runs/r1/events");
  ASSERT_TRUE(client.wait_for("id: 9\n"));
  const auto erased = own.erase(std::vector<std::string>{"r1"});
  ASSERT_TRUE(erased) << erased.error().message;
  EXPECT_EQ(erased->removed, 1);
  EXPECT_EQ(stream_events(client.reply().body).back().name, "gone");
}

// Keys with line breaks and signs of all kinds are values like others.
TEST_F(RunsTest, KeysMayHoldAnything) {
  books::Journal own = journal();
  auto records = stored_records("gave-up");
  const std::string key = "line\nbreak \xF0\x9F\x98\x80 </script>" + std::string(100'000, 'k');
  for (books::Record& record : records)
    if (record.kind == "units") record.body["units"][0]["key"] = key;
  { const auto lease = begin(own, "r1", 1, records, records.size()); }
  EXPECT_EQ(json("/runs/r1/units")["tracks"][0]["units"][0]["key"], key);
  const auto events = stream_events(get("/runs/r1/events").body);
  EXPECT_EQ(events.size(), records.size() + 1);
}

// --- whose ---

TEST_F(RunsTest, AKeySeesWhatItBegan) {
  const fs::path file = dir.path() / "keys.toml";
  std::vector<Key> keys(2);
  keys[0].name = "anna";
  keys[0].sha256 = sha256_hex("anna-secret");
  keys[1].name = "ben";
  keys[1].sha256 = sha256_hex("ben-secret");
  ASSERT_TRUE(write_file_atomic(file, keys_text(keys)));
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  ServerConfig config;
  config.api_keys = {"owner-secret"};
  config.keys = KeyFile::open(file, [](const std::string&) {}).value();
  start(std::move(config));
  books::Journal own = journal();
  auto records = stored_records("text");
  records[0].body["files"].push_back({{"path", "x"}, {"blob", own.put_blob("hers").value()}});
  { const auto lease = begin(own, "r1", 1, records, records.size(), "anna"); }
  add_run("r2", "text", 2, "ben");
  add_run("r3", "text", 3);
  const auto seen = [&](const std::string& key) {
    std::string ids;
    const Json list = json("/runs", fmt::format("x-api-key: {}\r\n", key));
    for (const Json& run : list["runs"]) ids += run["id"].get<std::string>() + " ";
    return ids;
  };
  EXPECT_EQ(seen("owner-secret"), "r3 r2 r1 ");
  EXPECT_EQ(seen("anna-secret"), "r1 ");
  EXPECT_EQ(seen("ben-secret"), "r2 ");
  const std::string anna = "x-api-key: anna-secret\r\n", ben = "x-api-key: ben-secret\r\n";
  const std::string blob = "/blobs/" + sha256_hex("hers");
  EXPECT_EQ(get(blob, anna).body, "hers");
  for (const std::string& path :
       {std::string("/runs/r1"), std::string("/runs/r1/units"), std::string("/runs/r1/units/0"),
        std::string("/runs/r1/events"), blob})
    refusal(path, 404, ben);
  EXPECT_EQ(get("/runs").status, 401);
  // Whoever runs the server sees how far it is, and not what it says.
  const std::string owner = "x-api-key: owner-secret\r\n";
  for (const Json& run : json("/runs", owner)["runs"])
    EXPECT_EQ(run["title"] == "", run["by"] != "") << run;
  EXPECT_NE(json("/runs", anna)["runs"][0]["title"], "");
  for (const std::string& path :
       {std::string("/runs/r1"), std::string("/runs/r1/units"), std::string("/runs/r1/units/0"),
        std::string("/runs/r1/events"), std::string("/runs/r1/labels"),
        std::string("/runs/r1/agreement")})
    EXPECT_THAT(refusal(path, 403, owner), HasSubstr("is shown to that key alone")) << path;
  refusal(blob, 404, owner);
  EXPECT_EQ(get("/runs/r3", owner).status, 200);
}

}  // namespace
}  // namespace lathe::serve
