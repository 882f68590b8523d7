// What happens in a run, as types. A run is a list of entries; the journal keeps them as records,
// and this room alone knows how an event stands in one: to_record() writes it, from_record() reads
// it. Plain values; the bodies are described in docs/journal.md.
#pragma once

#include <cstdint>
#include <variant>

#include "books/journal/journal.h"
#include "books/prices/price.h"
#include "loop/record/call_id.h"
#include "loop/record/rule.h"
#include "loop/terms/judgement.h"
#include "work/work.h"

namespace lathe::loop {

// --- Decisions: each follows from the entries before it ---

// The next lap of a track.
struct LapOpened {
  std::size_t track = 0;
  int lap = 0;  // from 1
  Move move = Move::kSample;
  int rung = 0;
  std::optional<std::string> rung_name = {};  // nullopt: the maker has no ladder that far
  int n = 1;                                  // how many candidates
  Json setting = {};
  Rule rule = Rule::kNone;
  std::string reason = {};
};

// What orders candidates: a candidate is better when it is lexicographically greater.
struct Rank {
  bool passed = false;
  int gates = 0;  // passed gate judges
  int units = 0;  // passed units of the group
  double score = 0;
};

// The lap's best candidate (-1: none could be used), and whether the ratchet takes it.
struct LapClosed {
  std::size_t track = 0;
  int lap = 0;
  int best = -1;
  Rank rank = {};
  bool gained = false;
  bool not_judged = false;
  Rule rule = Rule::kNone;
  std::string reason = {};
};

struct TrackEnded {
  std::size_t track = 0;
  std::vector<std::string> units = {};  // their keys
  bool passed = false;                  // else it was given up
  Rule rule = Rule::kNone;
  std::string reason = {};
  std::optional<std::string> blob = {};  // the candidate that stands
};

// What a run comes to.
enum class RunResult { kPassed, kPartial, kFailed, kNotJudged };
std::string_view result_name(RunResult result);  // as records say it: "not_judged"
std::string result_text(RunResult result);       // as people do: "not judged"
std::optional<RunResult> parse_result(std::string_view name);

struct RunEnded {
  RunResult result = RunResult::kNotJudged;
  std::string reason;
  std::size_t passed = 0, gave_up = 0;  // units
};

// --- Calls ---

// It is about to be made: written down before it is.
struct CallBegun {
  CallId call;
  std::string key;     // hash of everything that decides the answer
  std::string repeat;  // pure | repeatable | once
};

// A call of another program's tool, while a candidate is made: written down before it is made, …
struct ToolBegun {
  CallId within;
  std::string key;  // hash of the tool and its arguments, and of `within` unless it is `once`
  std::string tool, arguments;
  bool once = false;  // it may change something: it is never made a second time
};
// … and what it answered, all of it.
struct ToolAnswered {
  CallId within;
  std::string key;
  bool ok = false;
  std::string blob;
};

struct Artifact {
  std::string blob;  // sha256 of its bytes
  std::uint64_t bytes = 0;
  std::string media_type;
  std::string extension;  // of the file a person gets
  Json facts;             // how it was made
};

// What came of a maker's call.
struct CandidateMade {
  CallId call;
  bool reused = false;                  // nobody was called: the answer was there already
  std::optional<std::int64_t> ms = {};  // the call's wall time; nullopt: there never was one
  Usage usage = {};
  Result<Artifact> answer = Artifact{};
  // The worker that was asked; "": nobody. nullopt: the record does not say (lathe 0.1).
  std::optional<std::string> worker = {};
  // The blob of what it was asked last (prompt_text()); nullopt: nobody was, or the record does not
  // say.
  std::optional<std::string> prompt = {};
  std::optional<std::string> node = {};  // that made it; nullopt: the run's own machine
};

// What came of a judge's.
struct VerdictGiven {
  CallId call;
  bool reused = false;
  std::string judge_name = {};
  std::optional<std::string> judge_hash = {};  // nullopt with a verdict that is reused
  std::optional<std::int64_t> ms = {};
  Usage usage = {};
  Judgement judgement = {};
  std::optional<std::string> worker = {};
  std::optional<std::string> node = {};
  std::optional<std::string> prompt = {};  // as that of a candidate
};

// --- How a run begins, stops and goes on ---

struct SourceTree {
  std::string blob;                   // the snapshot's manifest
  std::string root;                   // the directory it was taken of
  std::vector<std::string> left_out;  // symbolic links
};

struct EnergySource {
  std::string scope, source;  // what the joules cover, or why there are none
};

// One lap of an old run, as a run that judges its candidates again takes it over.
struct TakenLap {
  LapOpened lap;
  std::vector<CandidateMade> made;
};

// All that a run needs to go on without the files it was begun with.
struct RunBegun {
  struct Input {
    std::string path;
    std::uint64_t bytes = 0;
    std::string blob;
  };
  struct File {  // that the recipe's options name, relative to it
    std::string path, blob;
  };
  struct Worker {
    std::string name, model, where, reach;
  };
  // What a tool server said of its tools: they stay as they are for as long as the run is.
  struct Tools {
    std::string server, blob;
  };
  // What a worker that is paid for asks for: money is counted by these for as long as the run is.
  struct WorkerPrice {
    std::string worker;
    books::Price price;
  };
  std::string title;  // for people
  std::vector<Input> inputs;
  std::vector<File> files;
  std::optional<SourceTree> tree;
  Json discovered;  // by the tests, before the first lap
  std::vector<Worker> workers;
  std::vector<WorkerPrice> prices = {};
  Json extra;  // what the command line wants to find again: {"out": …, "allow": …}
  int format = 1;
  Json recipe;  // canonical
  std::string recipe_sha256;
  std::string build;
  std::optional<int>
      numerics;  // of its arithmetic (ground/base/version.h); version 0.1 did not say
  std::int64_t created_ms = 0;  // UTC
  int parallel = 1;
  std::optional<EnergySource> energy;
  std::optional<std::vector<std::vector<TakenLap>>> made_before;  // per track
  std::vector<Tools> tools = {};

  // The run that this one, without a loop, is compared with; "": none.
  std::string baseline_of() const;
};
Json to_json(std::span<const RunBegun::File> files);

// Some of the units; the tracks begin with the last ones.
struct UnitsNamed {
  std::vector<Unit> units;
  bool last = false;
};

struct Paused {
  std::string reason;
};
struct Resumed {
  std::string build;
  std::int64_t unix_ms = 0;
};
struct Ticked {};  // time has passed
// How the machine is doing, from time to time. Absent: cannot be read here.
struct Sampled {
  std::optional<double> celsius = {};  // the hottest of the processor's sensors
  std::optional<double> watts = {};    // since the sample before; of what the run's joules cover
};

// A node was found broken: what it judged since then is not believed.
struct Doubted {
  std::string node;
  std::int64_t since_ms = 0;  // of the run's working time
};

// A call would send something to a cloud, and waits for a person's word on exactly these bytes:
// written down before it waits, …
struct ConsentAsked {
  CallId within;
  std::string consent;  // its id
  std::string about;    // in words: how much, whereto
};
// … and what came of it. Absent where the run was stopped meanwhile.
struct ConsentAnswered {
  CallId within;
  std::string consent;
  bool given = false;
  std::string by = {};  // a person, or a standing rule
};

// A node handed in what another had by then: nothing came of it.
struct CameTooLate {
  CallId within;
  std::string node;
  auto operator<=>(const CameTooLate&) const = default;
};

using Event =
    std::variant<RunBegun, UnitsNamed, LapOpened, CallBegun, CandidateMade, VerdictGiven, LapClosed,
                 TrackEnded, RunEnded, Paused, Resumed, Ticked, Sampled, ToolBegun, ToolAnswered,
                 Doubted, ConsentAsked, ConsentAnswered, CameTooLate>;

struct Entry {
  std::int64_t seq = 0;
  std::int64_t t_ms = 0;         // working time of the run so far
  std::optional<double> joules;  // energy so far, where the machine can be read
  Event event;
};

bool is_decision(const Event& event);
// The call that an event is about, or null.
const CallId* call_of(const Event& event);
// The track that a decision or a call is about; nullopt: it is about the run.
std::optional<std::size_t> track_of(const Event& event);

std::string_view kind_of(const Event& event);  // as records say it: run, units, lap, …
books::Record to_record(const Entry& entry);
// Errors: a kind that is not known, or a body that does not say what its kind must say.
Result<Entry> from_record(const books::Record& record);
Result<std::vector<Entry>> from_records(std::span<const books::Record> records);
// A record as programs get to see it: {"seq", "t_ms", "joules", "kind", "body"}.
Json record_json(const Entry& entry);

}  // namespace lathe::loop
