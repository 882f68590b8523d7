// A run as a person or a program looks at it, computed once from its state and its entries. Plain
// values without markup, and no effects: terminal.h, html.h and json.h print them. Nothing here
// knows a judge or a maker by name.
#pragma once

#include <limits>

#include "loop/conductor/state.h"
#include "loop/record/event.h"
#include "loop/terms/exhibit.h"

namespace lathe::show {

// --- What stands in the table ---

struct UnitRow {
  std::string key;
  bool passed = false;
};

struct LapScore {
  bool closed = false;
  std::optional<double> score;  // of its best candidate, in [0,10]; nullopt: none could be used
};

// A track: one unit, or the units that share one artifact.
struct TrackRow {
  std::vector<UnitRow> units;
  std::string text;  // of the first unit, clipped
  loop::TrackState state = loop::TrackState::kOpen;
  bool unjudged = false;  // it ended without a verdict about the work
  std::string why;        // it ended
  std::string caveats;    // what its pass does not cover
  std::string fault;      // the first one of the last lap that closed
  std::vector<LapScore> laps;

  bool passed() const { return state == loop::TrackState::kPassed; }
  bool is_group() const { return units.size() > 1; }
};

struct WholeRow {
  std::string judge;
  loop::Outcome outcome = loop::Outcome::kError;
  double score = 0;  // in [0,10]
};

// One budget, and what was used of it.
struct SpentRow {
  std::string name;
  bool by_calls = false;  // calls use it up; else it passes by itself
  std::optional<double> spent, limit;
  std::string brief, account;  // in words; "": nothing to say
};

struct RunSummary {
  bool ended = false;
  std::string outcome;  // "passed", "not judged", …; "not ended"
  std::string why;
  std::size_t units = 0, units_passed = 0, laps = 0;
  std::vector<TrackRow> rows;
  std::size_t hidden = 0;  // rows that were left out
  std::vector<WholeRow> whole;
  std::vector<SpentRow> spent;
  std::vector<std::string> waits = {};  // what a person is asked for, a line each
  std::vector<std::string> late = {};   // what nodes handed in for nothing, a line each
  std::string climate = {};  // how the machine did: "41 to 73 °C, 20 to 45 W"; "": not known
  std::int64_t left_ms = 0;  // of the time budget at most, or as the rest will probably take
  bool left_is_estimate = false;

  bool passed() const { return outcome == "passed"; }
};

// What changes while a run goes on. At most `most_rows`: where there are more, those that have
// passed are left out first.
RunSummary summary_of(const loop::RunState& state,
                      std::size_t most_rows = std::numeric_limits<std::size_t>::max());

// A track's row of the table.
TrackRow track_row(const loop::RunState& state, const loop::Track& track);

// "making U1", "judging U1: ears": what a call is for.
std::string call_words(const loop::RunState& state, const loop::CallId& call);
// The first fault of the last lap that closed, with its place; "": it had none.
std::string last_fault(const loop::Track& track);
// What a node handed in for nothing, in words.
std::string late_words(const loop::RunState& state, const loop::CameTooLate& late);
// "U1", or "U1 (+3 more)" for a group.
std::string track_name(const loop::RunState& state, const loop::Track& track);

// --- And all there is to say ---

struct VerdictView {
  std::string judge;
  loop::Stage stage = loop::Stage::kGate;
  loop::Outcome outcome = loop::Outcome::kError;
  double score = 0, bar = 0;  // in [0,10]
  std::vector<loop::Critique> critiques;
  std::vector<loop::Exhibit> exhibits;
  Json evidence;  // what is not shown by the exhibits
};

// How an artifact is looked at.
enum class ArtifactKind { kSound, kPicture, kFilm, kDrawing, kChanges, kText, kOther };
ArtifactKind artifact_kind(std::string_view media_type);

struct CandidateView {
  int n = 0;
  std::string error;  // why there is none; "": there is one
  std::string blob;   // "": nothing was made
  std::string media_type;
  ArtifactKind kind = ArtifactKind::kOther;
  Json facts;  // how it was made
  std::vector<VerdictView> verdicts;
};

struct LapView {
  int number = 0;
  loop::Move move = loop::Move::kSample;
  std::string reason;
  bool closed = false, gained = false;
  int best = -1;  // which candidate
  std::vector<CandidateView> candidates;
};

struct TrackView {
  std::string rule;  // why it ended
  std::vector<LapView> laps;
};

// What a move on a rung brought.
struct MoveYield {
  std::string move;  // "repair · coder"
  int laps = 0, gained = 0, passed = 0;
};

// The loop, judged by itself.
struct LoopYield {
  std::vector<MoveYield> moves;  // by their names
  int made = 0, usable = 0;
  int judged_again = 0, flipped = 0;  // the same candidate by the same judge
  std::int64_t make_ms = 0, judge_ms = 0;
  std::size_t candidates = 0;
  std::size_t one_shot = 0;   // units whose first candidate passes
  std::vector<double> curve;  // share of units passed after lap 0, 1, …
};

struct RunView {
  std::string recipe, title, build;
  std::int64_t created_ms = 0, t_ms = 0;
  std::optional<double> joules;
  int best_of = 1;
  Json canonical;    // the recipe
  std::string tree;  // the snapshot's manifest, a blob; ""
  std::string caveats;
  RunSummary summary;
  LoopYield yield;
  std::vector<TrackView> tracks;  // beside summary.rows
  std::vector<VerdictView> whole;
  std::vector<std::string> account = {};  // what it took, a line each; empty: nobody looked it up
};
RunView view_of(const loop::RunState& state, std::span<const loop::Entry> entries);
// The same without its tracks and their rows, for who shows those one by one.
RunView overview_of(const loop::RunState& state, std::span<const loop::Entry> entries);
TrackView track_view(const loop::RunState& state, const loop::Track& track);

}  // namespace lathe::show
