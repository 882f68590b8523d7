// The run as a value. fold() turns entries into a RunState, next_decision() turns a RunState into
// the next decision, and runnable_calls() says which calls that leaves to be made. All three are
// pure: the same entries always give the same decisions, which is what makes resume exact and
// replay checkable.
//
// What the entries are, in the order of a run's life (loop/record/event.h):
//   RunBegun, UnitsNamed          what is to be done: written at once, before anything else
//   LapOpened                     decision: the next lap of a track, its move and setting, and why
//   CallBegun                     a call is about to be made
//   CandidateMade, VerdictGiven   what came of it
//   LapClosed                     decision: the lap's best candidate, and whether the ratchet has
//   it TrackEnded                    decision: it has passed or was given up, and why RunEnded
//   decision Paused, Resumed               it was stopped or has to wait; it goes on Ticked,
//   Sampled               time has passed; how the machine is doing
//   ToolBegun, ToolAnswered       a maker calls a tool of another program
//   Doubted                       a node is broken: what it judged is judged again
//   ConsentAsked, ConsentAnswered a call waits for a person's word
//
// A resume behind an end takes up the tracks that ended without a verdict: reopen().
#pragma once

#include <set>

#include "loop/conductor/recipe.h"
#include "loop/record/event.h"

namespace lathe::loop {

struct JudgedBy {
  std::string judge;      // the spec's name
  std::size_t index = 0;  // in Recipe::judges
  int attempt = 0;        // 1: asked again after an error
  Judgement judgement;
  std::string node = {};  // that judged; "": the run's own machine
  std::int64_t t_ms = 0;  // when
};

struct CandidateState {
  int n = 0;
  bool made = false;  // a result has come
  std::optional<Error> error;
  std::string blob;
  std::string media_type;
  std::string extension;
  Json facts;
  std::vector<JudgedBy> verdicts;
};

bool better(const Rank& a, const Rank& b);

struct LapState {
  int number = 0;  // from 1
  Move move = Move::kSample;
  int rung = 0;
  int n = 1;
  Json setting = {};
  std::string reason = {};
  std::vector<CandidateState> candidates = {};
  bool closed = false;
  int best = -1;  // index into candidates
  Rank rank = {};
  bool gained = false;
  bool not_judged = false;
};

enum class TrackState { kOpen, kPassed, kGaveUp };
std::string_view track_state_name(TrackState state);

// The units that share one artifact: one for most makers, all of them where a source tree is
// changed.
struct Track {
  std::vector<std::size_t> units;   // indices into RunState::units
  std::vector<std::size_t> after;   // tracks that must have ended before
  std::vector<std::size_t> before;  // tracks that wait for this one
  TrackState state = TrackState::kOpen;
  Rule rule = Rule::kNone;  // why it ended
  std::string why;
  std::vector<LapState> laps;
  int best_lap = -1;  // index into laps: where the ratchet stands
};

// The lowest and the highest of what was sampled.
struct Span {
  std::optional<double> low = {}, high = {};

  void take(const std::optional<double>& value) {
    if (!value) return;
    low = std::min(low.value_or(*value), *value);
    high = std::max(high.value_or(*value), *value);
  }
};

// A call of another program's tool.
struct ToolCallState {
  bool once = false, answered = false, ok = false;
  std::string blob = {};  // of its answer
};

struct RunState {
  Recipe recipe;
  RunBegun header;
  std::vector<Unit> units;
  std::vector<Track> tracks;
  std::vector<JudgedBy> whole;                      // verdicts of whole judges
  std::set<CallId> begun;                           // calls with an intent
  std::set<CallId> answered;                        // calls with a result
  std::map<std::string, ToolCallState> tool_calls;  // by their keys
  std::map<CallId, ConsentAsked> consents;          // what calls wait for
  std::set<CameTooLate> late;                       // and was thrown away
  Usage usage;
  // What workers that are paid for cost, by the header's prices, in 10⁻⁹ of its currency's unit;
  // and how many of their calls came back without a count of tokens, so that it is not known.
  std::int64_t paid_nano = 0;
  int uncounted_paid = 0;
  std::int64_t t_ms = 0;
  std::optional<double> joules;
  Span celsius, watts;  // of samples
  std::int64_t next_seq = 0;
  bool ended = false;
  // What the run came to, by run_outcome(): never what the end record merely says.
  RunResult end_state = RunResult::kNotJudged;
  std::string end_why;
  RunResult end_said = RunResult::kNotJudged;  // as the end record has it

  // Indices that keep a decision from costing O(tracks): tracks that may have a decision to make,
  // tracks with an open lap.
  std::set<std::size_t> due;
  std::set<std::size_t> active;
  std::size_t open_tracks = 0;
};

// Lays the units out in tracks: what the last units named do.
void begin_tracks(RunState& state);
// A track's units, which stand side by side.
std::span<const Unit> units_of(const RunState& state, const Track& track);
// Who is asked for a track: the recipe's ladder, or of it the one that its unit names.
std::span<const std::string> ladder_of(const RunState& state, const Track& track);
// Errors: entries that cannot follow each other.
Status apply(RunState& state, const Entry& entry);
// Takes back what ended without a verdict, as if it had not been tried: what a resume does to a run
// whose end is not_judged.
void reopen(RunState& state);
Result<RunState> fold(std::span<const Entry> entries);

// Whether a verdict counts that the node gave at that time or later.
bool rests_on(const RunState& state, const std::string& node, std::int64_t since_ms);
// The next decision, or nothing when only the result of a call can bring the run on.
std::optional<Event> next_decision(const RunState& state);
// Calls without a result, in order: at most `limit` of them. Those with an intent but no result are
// in it too (see was_begun()).
std::vector<CallId> runnable_calls(const RunState& state, std::size_t limit);
bool was_begun(const RunState& state, const CallId& call);
// The first budget that is used up, in words; "": none is.
std::string spent_budget(const RunState& state);

// What a run came to. `passed` only if every track was accepted, each with the candidate that the
// ratchet holds passing every stage, and no whole judge failed or was not heard.
struct RunOutcome {
  RunResult result = RunResult::kPassed;
  std::string reason;
  std::size_t passed = 0, gave_up = 0;  // units
};
RunOutcome run_outcome(const RunState& state);

// It ended without a verdict about the work.
bool without_verdict(const Track& track);

// What a judge of the whole looks at, by the candidates that stand in it: a hash.
std::string whole_name(const RunState& state);

// The candidate the ratchet holds, or null.
const CandidateState* best_candidate(const Track& track);
// That candidate passes every stage.
bool candidate_passed(const Recipe& recipe, const Track& track);
// The verdicts that count for a candidate: the last attempt of each judge.
std::vector<const JudgedBy*> counted_verdicts(const CandidateState& candidate);
std::vector<Attempt> attempts_of(const Track& track);
std::vector<Critique> critiques_of(const CandidateState& candidate);
// Which of a group's units pass in a candidate, be it that it does not; none where there is one.
std::vector<bool> units_passing(const RunState& state, const Track& track,
                                const CandidateState& candidate);
// All where the track has passed, else those that pass in its best candidate.
std::vector<bool> units_passed(const RunState& state, const Track& track);
// The judges that have still to look at a candidate, by index in Recipe::judges, with the attempt;
// empty: all is judged.
std::vector<std::pair<std::size_t, int>> pending_judges(const Recipe& recipe,
                                                        const CandidateState& candidate);
// What the verdicts add up to. kAbstain: no judge that may gate has said anything; kError: not
// judged.
Outcome outcome_of(const Recipe& recipe, const CandidateState& candidate);
// The score that people are shown: of the judge that likes it least, in [0,1]; what could not be
// judged has 0.
double weakest_score(const CandidateState& candidate);
Rank rank_of(const RunState& state, const Track& track, const CandidateState& candidate);

}  // namespace lathe::loop
