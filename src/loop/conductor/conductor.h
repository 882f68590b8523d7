// Carries a run out: decisions come from state.h, this makes the calls they ask for and writes down
// what came of them. One loop on the calling thread is the only writer; calls run on threads of
// their own, at most `parallel` at once.
#pragma once

#include "books/journal/journal.h"
#include "books/prices/price_table.h"
#include "ground/base/clock.h"
#include "loop/conductor/call_notes.h"
#include "loop/conductor/elsewhere.h"
#include "loop/conductor/state.h"
#include "loop/terms/passage.h"
#include "loop/terms/remembered.h"

namespace lathe::loop {

// on_entry() is called on the run's thread, the others from any.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_entry(const RunState& state, const Entry& entry) = 0;  // it is durable already
  virtual void on_progress(const CallId& call, std::string_view what) = 0;
  // What tests and programs under judgement print, as it comes; null: before the first lap. Only if
  // wants_output().
  virtual bool wants_output() const { return false; }
  virtual void on_output(const CallId* /*call*/, std::string_view /*text*/) {}
  // Nothing else is shown while `work` speaks with the person.
  virtual void alone(const std::function<void()>& work) { work(); }
};

// The machine and the outside world, as the run may use them.
struct Bench {
  fs::path program;  // lathe's own executable
  bool unsafe_no_sandbox = false;
  int parallel = 1;
  std::string build;                 // version and build of this program, for the record
  std::shared_ptr<MediaPool> media;  // voices and ears
  std::function<Worker*(const std::string& name)> worker;  // null: not known here
  std::function<std::optional<double>()> joules;  // energy counted so far; empty: not readable here
  std::optional<EnergySource> energy;
  // Why the run has to wait now, in words; "": it need not. Asked on the run's thread, often.
  std::function<std::string(const std::set<PauseReason>& when)> hold = {};
  std::function<std::optional<double>()> celsius = {};  // of the processor; empty: not readable
  const Clock& clock;
  const StopFlag& stop;
  Observer* observer = nullptr;
  std::vector<books::PriceTable> prices = {};  // for workers that are paid for
  // Opens the servers of [[tool]] for one candidate. Any thread; empty: not here.
  std::function<Result<std::unique_ptr<ForeignTools>>(std::span<const ToolServer> servers,
                                                      const StopFlag& stop)>
      tools = {};
  Elsewhere* elsewhere = nullptr;  // takes calls that another machine carries out; null: none does
  CallNotes* notes = nullptr;      // what workers have to say to the run's record; null: nothing
};

// What is to be done, put together by whoever begins the run instead of read from files.
struct Prepared {
  std::vector<Unit> units;
  std::optional<SourceTree> tree = {};  // its snapshot is in the journal already
  std::string title;                    // for people
};

struct NewRun {
  Recipe recipe;
  fs::path
      recipe_dir;  // files that options name are relative to this, and are copied into the journal
  fs::path
      input;   // replaces unit.from or unit.tree; empty: as the recipe says, relative to recipe_dir
  Json extra;  // what the command line wants to find again: {"out": …, "allow": …}
  // With a [context]: the best passages for a question.
  std::function<Result<std::vector<Passage>>(std::string_view question)> look_up = {};
  // With a [memory]: the facts that fit a question.
  std::function<Result<std::vector<Recalled>>(std::string_view question)> recall = {};
  std::optional<Prepared> prepared = {};  // instead of unit.from and unit.tree
};

// What somebody else made, to be judged as it is.
struct GivenTake {
  Unit unit;  // what it is for
  std::string bytes, media_type, extension;
  std::string title;                               // for people
  std::map<std::string, std::string> beside = {};  // files that the judges name, and their bytes
  // Where the take is changes of a source tree: its snapshot, and what its tests said before them.
  std::optional<SourceTree> tree = {};
  Json discovered = {};
};

// A run that is driven, by this object alone: it holds the lease.
class Run {
 public:
  // Everything that is needed to go on without the original files is in the journal when this
  // returns.
  static Result<Run> start(books::Journal& journal, const NewRun& request, const Bench& bench);
  // A new run on what an old one began with, under another recipe. The files it needs are in the
  // journal already.
  static Result<Run> start_again(books::Journal& journal, const RunState& old, const Recipe& recipe,
                                 const Json& extra, const Bench& bench);
  // The same, but the candidates are the old run's: only the judges work. `recipe_dir`: for files
  // that the judges name.
  static Result<Run> start_rejudge(books::Journal& journal, const std::string& old_id,
                                   std::span<const Entry> old, const Recipe& recipe,
                                   const fs::path& recipe_dir, const Bench& bench);
  // A run whose only candidate is `take`: its judges work, and nothing is made. The recipe's maker
  // is "given".
  static Result<Run> start_given(books::Journal& journal, const Recipe& recipe,
                                 const GivenTake& take, const Json& extra, const Bench& bench);
  // `redo`: calls of a maker that must not be made twice are made again although they were begun.
  static Result<Run> resume(books::Journal& journal, const std::string& id, const Bench& bench,
                            bool redo = false);

  const std::string& id() const { return lease_.run(); }
  const RunState& state() const { return state_; }
  // To the end, or until bench.stop is raised (then the last record is a pause and state().ended is
  // false).
  Status drive();

 private:
  Run(books::Journal& journal, books::Lease lease, RunState state, const Bench& bench);
  static Result<Run> create(books::Journal& journal, const Recipe& recipe, RunBegun header,
                            std::span<const Unit> units, const Bench& bench);
  friend class Driver;
  books::Journal& journal_;
  books::Lease lease_;
  RunState state_;
  const Bench& bench_;
  bool redo_ = false;
};

// Goes through the entries as they were written and checks that each decision is the one that the
// entries before it lead to, however it is put. Returns the number of decisions; the error says
// that the run said "passed" wrongly, or names the first decision that differs.
Result<int> replay(std::span<const Entry> entries);

// The servers of the recipe's [[tool]], opened; null: it has none.
Result<std::unique_ptr<ForeignTools>> open_tools(const Recipe& recipe, const Bench& bench,
                                                 const StopFlag& stop);
// The files beside the recipe that its options name (a schema, a task, a rubric), with their bytes.
Result<std::map<std::string, std::string>> named_files(const Recipe& recipe,
                                                       const fs::path& recipe_dir);
// One line for each file that the recipe's options name and that is not beside it.
std::vector<std::string> missing_files(const Recipe& recipe, const fs::path& recipe_dir);
// Refused: what [context] or [memory] shows would travel further than it may. `worker`: as a bench
// has it.
Status check_reach(const Recipe& recipe,
                   const std::function<Worker*(const std::string& name)>& worker);
Status check_schema_files(const Recipe& recipe, const fs::path& recipe_dir);

// The facts that were recalled for the units, as their maker's prompt says them; what has been
// forgotten since is left out.
Result<std::string> remembered_text(const books::Journal& journal, const Recipe& recipe,
                                    std::span<const Unit> units);
// "20260131-120000-fix-tests-3f9a": of a run that begins now.
std::string new_run_id(const std::string& recipe, const Clock& clock);
// The judge's own identity: kind, options and this program's build. Verdicts carry it.
std::string judge_hash(const JudgeSpec& judge, const std::string& build);
// Everything a whole judge looks at, in the order of the units. Needs the journal for the bytes.
Result<std::vector<Part>> whole_parts(const books::Journal& journal, const RunState& state);

}  // namespace lathe::loop
