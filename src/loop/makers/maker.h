// A maker generates candidates. A kind is a descriptor: options, a pure choice of the next move,
// and the making itself. To add one: a file here that defines `const MakerKind kMyMaker`, and a
// line in registry.cpp.
#pragma once

#include <span>

#include "ground/base/option.h"
#include "loop/terms/terms.h"
#include "work/tool_set.h"

namespace lathe::loop {

// One finished lap over a track (a unit, or the units that share one artifact), as the next
// proposal sees it.
struct Attempt {
  int lap = 1;  // from 1
  Move move = Move::kSample;
  int rung = 0;       // index into the ladder
  Json setting = {};  // as proposed
  bool passed = false;
  bool made = false;                // false: no candidate could be made (or all were unusable)
  double score = 0;                 // of the lap's best candidate, in [0,1]
  bool gained = false;              // the ratchet accepted it
  std::vector<Critique> critiques;  // of the lap's best candidate, merged
  int n = 0;                        // which of the lap's candidates that is
};

struct Proposal {
  Move move = Move::kSample;
  int rung = 0;
  int n = 1;           // how many candidates
  Json setting = {};   // for make(): voice and pronunciation, temperature and seed, …; journaled
  std::string reason;  // for people: "heard 'free air' for 'fourier': say it with the dictionary's
                       // pronunciation"
};

struct ProposeTask {
  const Json& options;                       // of [make], checked
  std::span<const std::string> ladder = {};  // names of the rungs: workers or voices
  std::span<const Unit> units = {};
  std::span<const Attempt> attempts = {};  // empty: propose the first lap
  int best_of = 1;
  int repairs = 2;
};

struct MakeTask {
  const Json& options;
  std::span<const Unit> units = {};
  Move move = Move::kSample;
  int lap = 1;
  int n_index = 0;        // which of the lap's N candidates
  std::string rung = {};  // the ladder's entry
  Json setting = {};
  // For makers that write a prompt: the bytes that stay the same for the whole run, and the lap's
  // own part.
  std::string prefix = {};
  std::string tail = {};
  std::optional<std::string> best = {};  // bytes of the best candidate so far
  std::vector<Critique> critiques = {};  // of that best candidate
};

struct Made {
  std::string bytes;
  std::string media_type = {};
  std::string extension = {};  // of the file a person gets: "wav"
  Json facts = {};             // what was done: voice, pronunciations, applied edits
};

struct MakeContext {
  const Place& place;
  Worker* worker = nullptr;  // the rung's worker; null for kinds that need none
  const StopFlag& stop;
  Milliseconds time_limit{600'000};
  // May be empty: what is going on, a few words.
  std::function<void(std::string_view)> progress = {};
  // What the calls cost is added here, also when nothing comes of them; null: nobody asks.
  Usage* usage = nullptr;
  ToolSet* tools = nullptr;  // of other programs; null: there are none
  // Gets the facts that the answer proposes to remember; null: it may propose none.
  std::vector<std::string>* proposals = nullptr;
};

// An output that could not be used (unparsable, unappliable) is an Error of kind kInvalid:
// mechanically retried once by the maker itself (ask.h), with the error's text in the prompt,
// before it is returned.
struct MakerKind {
  std::string_view name;
  std::string_view summary = {};
  std::span<const OptionSpec> options = {};
  bool needs_worker = false;  // the ladder names workers
  bool whole_group = false;   // all units share one artifact (a source tree)
  std::string_view repeat =
      "repeatable";  // pure | repeatable | once: may a call without a known result be made again?
  Status (*check)(const Json& options,
                  std::span<const std::string> ladder) = nullptr;  // beyond types; may be null
  // The next lap, or nothing when the maker is at its end. Pure: the same attempts give the same
  // proposal.
  std::optional<Proposal> (*propose)(const ProposeTask& task) = nullptr;
  // The byte-frozen prompt prefix; null for makers without a prompt.
  Result<std::string> (*prefix)(const Json& options, std::span<const Unit> units,
                                const Place& place) = nullptr;
  Result<Made> (*make)(const MakeTask& task, const MakeContext& context) = nullptr;
  // The inverse of make(), for training: the answer of a model, in the form that the prompt asks
  // for, of which make() makes `take`. An error where no answer does. null: the take is the answer.
  Result<std::string> (*answer)(const MakeTask& task, const Place& place,
                                const std::string& take) = nullptr;
  bool takes_tools = false;  // its model may be given those of [[tool]]
  // Whether its model must read pictures; null: never.
  bool (*shows_pictures)(const Json& options) = nullptr;
  // The ladder's entry that asks nobody, where the others are workers: a ladder that has it does
  // without those that are not there.
  std::string_view own_rung = {};
  // The same where such entries are many, each another way: whether a name is one of them.
  bool (*is_own_rung)(std::string_view rung) = nullptr;
};

inline bool asks_worker(const MakerKind& kind, std::string_view rung) {
  if (kind.needs_worker || rung.empty()) return kind.needs_worker;
  if (kind.is_own_rung != nullptr) return !kind.is_own_rung(rung);
  return !kind.own_rung.empty() && rung != kind.own_rung;
}

std::span<const MakerKind* const> maker_kinds();
const MakerKind* find_maker(std::string_view name);

// The ladder policy of makers that ask a model: sample, then repair while errors have a locus and
// repairs are left, then resample N fresh ones; two laps without gain: the next rung. In
// propose_by_model.cpp.
std::optional<Proposal> propose_by_model(const ProposeTask& task);

}  // namespace lathe::loop
