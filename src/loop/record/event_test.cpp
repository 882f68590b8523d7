// Every record of the journals that lathe 0.1 left is read, typed, and written back as the same
// bytes; and what a record must say is asked for.
#include "loop/record/event.h"

#include <gmock/gmock.h>

#include <set>

#include <testing/stored_journal.h>

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

TEST(RecordTest, StoredRecordsComeBackAsTheyWere) {
  std::set<std::string> kinds, rules;
  for (const std::string& run : stored_runs()) {
    for (const std::string& line : stored_lines(run)) {
      const Json json = parse_json(line).value();
      const Json& joules = json_at(json, "joules");
      const books::Record record{
          json_int(json, "seq", -1), json_int(json, "t_ms", -1),
          joules.is_number() ? std::optional(joules.get<double>()) : std::nullopt,
          json_string(json, "kind"), json_at(json, "body")};
      const auto entry = from_record(record);
      ASSERT_TRUE(entry) << run << ": " << entry.error().message;
      EXPECT_EQ(dump_json(record_json(*entry)), line) << run;
      kinds.insert(record.kind);
      rules.insert(json_string(record.body, "rule"));
    }
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"run", "units", "lap", "call", "made", "verdict", "close",
                                          "unit", "end", "pause", "resume"}));
  for (const char* rule : {"first lap", "next move", "made before", "rung unavailable", "ratchet",
                           "passed", "no further candidate", "laps"})
    EXPECT_TRUE(rules.contains(rule)) << rule;
}

TEST(RecordTest, WhoWasAskedIsSaid) {
  CandidateMade made{.call = CallId::make(3, 2, 1), .ms = 5, .worker = "coder"};
  books::Record record = to_record({7, 9, std::nullopt, made});
  EXPECT_EQ(record.kind, "made");
  EXPECT_EQ(record.body["call"], "make:3:2:1:0:0");
  EXPECT_EQ(record.body["worker"], "coder");
  EXPECT_EQ(std::get<CandidateMade>(from_record(record)->event).worker, "coder");
  EXPECT_EQ(std::get<CandidateMade>(from_record(record)->event).prompt, std::nullopt);
  EXPECT_FALSE(record.body.contains("prompt"));
  made.prompt = std::string(64, 'a');
  record = to_record({7, 9, std::nullopt, made});
  EXPECT_EQ(record.body["prompt"]["blob"], *made.prompt);
  EXPECT_EQ(std::get<CandidateMade>(from_record(record)->event).prompt, made.prompt);
  VerdictGiven verdict{.call = CallId::judging(0, 1, 0, 2, 1), .worker = ""};
  record = to_record({8, 9, std::nullopt, verdict});
  EXPECT_EQ(std::get<VerdictGiven>(from_record(record)->event).prompt, std::nullopt);
  verdict.prompt = std::string(64, 'b');
  record = to_record({8, 9, std::nullopt, verdict});
  EXPECT_EQ(std::get<VerdictGiven>(from_record(record)->event).prompt, verdict.prompt);
  EXPECT_EQ(record.body["worker"], "");
  EXPECT_FALSE(record.body.contains("node"));
  made.node = verdict.node = "desk";
  for (const Event& event : {Event(made), Event(verdict)}) {
    record = to_record({9, 9, std::nullopt, event});
    EXPECT_EQ(record.body["node"], "desk");
    EXPECT_EQ(to_record(*from_record(record)).body, record.body);
  }
  record = to_record({8, 9, std::nullopt, verdict});
  // A record of lathe 0.1 does not say, which is not the same as that nobody was asked.
  record.body.erase("worker");
  EXPECT_EQ(std::get<VerdictGiven>(from_record(record)->event).worker, std::nullopt);
}

TEST(RecordTest, WhatARecordMustSayIsAskedFor) {
  const auto problem = [](std::string kind, Json body) {
    const auto entry = from_record({4, 0, std::nullopt, std::move(kind), std::move(body)});
    return entry ? std::string() : entry.error().message;
  };
  EXPECT_THAT(problem("nonsense", Json::object()),
              HasSubstr("record 4 (nonsense) cannot be read: this lathe does not know this kind"));
  EXPECT_THAT(problem("lap", {{"lap", 1}, {"move", "sample"}, {"rule", "first lap"}}),
              HasSubstr("names no track"));
  EXPECT_THAT(problem("lap", {{"track", 0}, {"move", "jump"}, {"rule", "first lap"}}),
              HasSubstr("no known move"));
  EXPECT_THAT(problem("unit", {{"track", 0}, {"rule", "because"}}),
              HasSubstr("'because' is no rule"));
  EXPECT_THAT(problem("end", {{"state", "fine"}}), HasSubstr("nothing that is known"));
  EXPECT_THAT(problem("made", {{"kind", "bake"}}), HasSubstr("'bake' is no kind of call"));
  Json verdict = to_record({0, 0, std::nullopt, VerdictGiven{}}).body;
  EXPECT_EQ(problem("verdict", verdict), "");
  EXPECT_FALSE(verdict.contains("prompt"));
  verdict["judgement"]["score"] = 2;
  EXPECT_THAT(problem("verdict", verdict), HasSubstr("score"));
  verdict.erase("judgement");
  EXPECT_THAT(problem("verdict", verdict), HasSubstr("no known outcome"));
}

TEST(RecordTest, AnErrorKeepsItsKind) {
  for (const ErrorKind kind : {ErrorKind::kInvalid, ErrorKind::kNotFound, ErrorKind::kUnavailable,
                               ErrorKind::kDenied, ErrorKind::kTimeout, ErrorKind::kCancelled}) {
    const CandidateMade made{.call = CallId::make(0, 1, 0),
                             .answer = std::unexpected(Error{kind, "why"})};
    const auto back = from_record(to_record({1, 0, std::nullopt, made}));
    EXPECT_EQ(std::get<CandidateMade>(back->event).answer.error().kind, kind);
  }
}

TEST(RecordTest, CallsOfToolsComeBack) {
  const ToolBegun begun{CallId::make(2, 3, 1), "k", "db__query", R"({"a":1})", true};
  books::Record record = to_record({1, 0, std::nullopt, begun});
  EXPECT_EQ(record.kind, "tool");
  const auto back = std::get<ToolBegun>(from_record(record)->event);
  EXPECT_EQ(back.within, begun.within);
  EXPECT_EQ(back.key + back.tool + back.arguments, R"(kdb__query{"a":1})");
  EXPECT_TRUE(back.once);
  record.body.erase("once");  // who does not say so must not be called a second time
  EXPECT_TRUE(std::get<ToolBegun>(from_record(record)->event).once);
  record.body.erase("key");
  EXPECT_FALSE(from_record(record));
  record = to_record({1, 0, std::nullopt, ToolAnswered{begun.within, "k", true, "b"}});
  EXPECT_EQ(record.kind, "tool_answer");
  const auto answered = std::get<ToolAnswered>(from_record(record)->event);
  EXPECT_EQ(answered.within, begun.within);
  EXPECT_EQ(answered.blob, "b");
  EXPECT_TRUE(answered.ok);
  record = to_record({1, 0, std::nullopt, Doubted{"box", 5}});
  EXPECT_EQ(record.kind, "doubt");
  EXPECT_EQ(std::get<Doubted>(from_record(record)->event).since_ms, 5);
  record.body.erase("node");
  EXPECT_FALSE(from_record(record));
  // They are no calls of the run's own, and no track's.
  EXPECT_EQ(call_of(Event(begun)), nullptr);
  EXPECT_EQ(track_of(Event(begun)), std::nullopt);
  RunBegun run;
  run.tools = {{"db", "abc"}};
  record = to_record({0, 0, std::nullopt, run});
  EXPECT_EQ(std::get<RunBegun>(from_record(record)->event).tools.at(0).blob, "abc");
}

TEST(RecordTest, WaitingForConsentComesBack) {
  const ConsentAsked asked{CallId::judging(2, 3, 1, 1, 0), "ab12", "10 bytes to x"};
  books::Record record = to_record({1, 5, std::nullopt, asked});
  EXPECT_EQ(record.kind, "consent");
  const auto back = std::get<ConsentAsked>(from_record(record)->event);
  EXPECT_EQ(back.within, asked.within);
  EXPECT_EQ(back.consent + back.about, "ab1210 bytes to x");
  record.body.erase("consent");
  EXPECT_FALSE(from_record(record));
  record = to_record({2, 6, std::nullopt, ConsentAnswered{asked.within, "ab12", true, "rule 3"}});
  EXPECT_EQ(record.kind, "consent_answer");
  EXPECT_EQ(to_record(*from_record(record)).body, record.body);
  record.body.erase("given");
  EXPECT_FALSE(std::get<ConsentAnswered>(from_record(record)->event).given);
}

TEST(RecordTest, WhatCameTooLateComesBack) {
  const CameTooLate late{CallId::make(1, 2, 0), "box"};
  books::Record record = to_record({1, 5, std::nullopt, late});
  EXPECT_EQ(record.kind, "stale");
  EXPECT_EQ(std::get<CameTooLate>(from_record(record)->event), late);
  EXPECT_EQ(call_of(Event(late)), nullptr) << "it answers nothing";
  record.body.erase("node");
  EXPECT_FALSE(from_record(record));
}

TEST(RecordTest, CallsAreReadAsTheyAreWritten) {
  for (const CallId& call :
       {CallId::make(3, 2, 1), CallId::judging(0, 1, 2, 3, 1), CallId::whole(4, 0)})
    EXPECT_EQ(parse_call(call.text()), call);
  for (const char* text :
       {"", "make", "make:1:2:3:4", "bake:1:2:3:4:5", "make:1:2:3:4:5:6", "make:-1:2:3:4:5",
        "make:1:2:3:4:5x", "make:1:2::4:5", "make:99999999999:2:3:4:5"})
    EXPECT_EQ(parse_call(text), std::nullopt) << text;
}

TEST(RecordTest, EveryRuleHasWordsOfItsOwn) {
  std::set<std::string_view> texts;
  for (int i = 1; i <= static_cast<int>(Rule::kWaitsForAnother); ++i) {
    const auto rule = static_cast<Rule>(i);
    EXPECT_EQ(parse_rule(rule_text(rule)), rule) << rule_text(rule);
    EXPECT_TRUE(texts.insert(rule_text(rule)).second) << rule_text(rule);
  }
  EXPECT_EQ(parse_rule(""), std::nullopt);  // nothing decided is in no record
}

TEST(RecordTest, AnEntryKnowsItsCallAndItsTrack) {
  EXPECT_EQ(track_of(Event(LapOpened{.track = 2})), 2U);
  EXPECT_EQ(track_of(Event(CandidateMade{.call = CallId::make(3, 1, 0)})), 3U);
  EXPECT_EQ(track_of(Event(VerdictGiven{.call = CallId::whole(1, 0)})), std::nullopt);
  EXPECT_EQ(track_of(Event(Paused{"why"})), std::nullopt);
  EXPECT_EQ(track_of(Event(Sampled{})), std::nullopt);
  EXPECT_EQ(call_of(Event(Ticked{})), nullptr);
  EXPECT_TRUE(is_decision(RunEnded{}));
  EXPECT_FALSE(is_decision(CallBegun{}));
}

}  // namespace
}  // namespace lathe::loop
