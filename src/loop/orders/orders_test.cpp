// Calls that nodes carry out: a run whose calls are all made elsewhere beside the same run at home,
// nodes that fail, that lie and that come late, and orders that nobody should believe.
#include "loop/orders/orders_test.h"

#include <random>

#include "ground/base/version.h"
#include "loop/orders/answer.h"

namespace lathe::loop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

// However many calls wait, one eye looks for all of them.
TEST_F(Orders, OneLooksForAllCallsThatWait) {
  class Counted final : public SharedLeases {
   public:
    Counted(books::LeaseStore& store, std::atomic<int>& looks)
        : SharedLeases(store), looks_(looks) {}
    Result<std::vector<books::UnitRow>> units(const std::string& run) const override {
      ++looks_;
      return SharedLeases::units(run);
    }

   private:
    std::atomic<int>& looks_;
  };
  std::string lines;
  for (int i = 0; i < 12; ++i) lines += fmt::format("Line {}\n", i);
  ASSERT_TRUE(write_file_atomic(dir_.path() / "in.txt", lines));
  std::atomic<int> opened = 0, looks = 0;
  const auto calls = leased_calls({.open = [&]() -> Result<std::unique_ptr<books::LeaseStore>> {
                                     ++opened;
                                     return std::make_unique<Counted>(*leases_, looks);
                                   },
                                   .blobs = blobs_,
                                   .home = "home",
                                   .all = true,
                                   .reach = Reach::kLan,
                                   .patience = Milliseconds(20)});
  books::Journal journal = testing::memory_journal(std::make_shared<testing::MemoryShelf>());
  Bench fleet = bench(nullptr, calls.get());
  fleet.parallel = 12;
  auto run = start(journal, recipe(), fleet);
  ASSERT_TRUE(run) << run.error().message;
  std::thread driving([&] { EXPECT_TRUE(run->drive()); });
  while (leases_->units(run->id()).value().size() < 12)
    std::this_thread::sleep_for(Milliseconds(1));
  const int then = looks;
  while (looks < then + 10) std::this_thread::sleep_for(Milliseconds(1));
  // One looks at units, one adds them, and one was asked for nodes before the first call.
  EXPECT_LE(opened, 3) << "twelve calls wait";
  ScriptedWorker there = writer();
  node("desk", caps(), carries_out(there));
  driving.join();
  EXPECT_EQ(run->state().end_state, RunResult::kPassed) << run->state().end_why;
  EXPECT_LE(opened, 4) << "and one took them back";
}

// What a node hands in when another had it by then is thrown away, and stands in the record.
TEST_F(Orders, WhatComesTooLateIsWrittenDown) {
  ASSERT_TRUE(write_file_atomic(dir_.path() / "in.txt", "The only line\n"));
  books::Journal journal = testing::memory_journal(std::make_shared<testing::MemoryShelf>());
  ScriptedWorker there = writer(), late = writer();
  std::atomic<bool> held = false, done = false, handed = false;
  const auto bench_there = std::make_shared<OrderBench>(node_bench(&late));
  node("slow", caps(), [&, bench_there](const books::Grant& lease) {
    if (held.exchange(true)) {
      std::ignore = leases_->release(lease);
      std::ignore = leases_->wait(Milliseconds(20));
      return;
    }
    while (!done) std::this_thread::sleep_for(Milliseconds(1));
    const auto result = carry_out(lease.unit, blobs_, *bench_there);
    ASSERT_TRUE(result);
    EXPECT_EQ(leases_->complete(lease, *result).value(), books::LeaseAnswer::kStale);
    handed = true;
  });
  const auto calls = elsewhere();
  const Bench fleet = bench(nullptr, calls.get());
  auto run = start(journal, recipe(), fleet);
  ASSERT_TRUE(run) << run.error().message;
  std::thread driving([&] { EXPECT_TRUE(run->drive()); });
  while (!held) std::this_thread::sleep_for(Milliseconds(1));
  EXPECT_TRUE(leases_->set_node_state("slow", books::NodeState::kQuarantined));  // takes its lease
  const Does works = carries_out(there);
  node("desk", caps(), [&](const books::Grant& lease) {
    while (done && !handed) std::this_thread::sleep_for(Milliseconds(1));
    works(lease);
    done = true;
  });
  driving.join();
  EXPECT_EQ(run->state().end_state, RunResult::kPassed) << run->state().end_why;
  std::vector<std::string> stale;
  for (const books::Record& record : records_of(journal, run->id()))
    if (record.kind == "stale")
      stale.push_back(fmt::format("{} {}", record.body["node"].get<std::string>(),
                                  record.body["within"]["call"].get<std::string>()));
  EXPECT_THAT(stale, ElementsAre("slow make:0:1:0:0:0"));
  EXPECT_TRUE(replay(from_records(journal.records(run->id()).value()).value()));
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

Order an_order(MemoryBlobs& blobs) {
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
