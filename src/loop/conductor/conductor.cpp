// Carries decisions out: calls makers and judges, writes down what came of it.
#include "loop/conductor/conductor.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/conductor/feedback.h"
#include "loop/conductor/tree.h"

namespace lathe::loop {
namespace {

// What a call came to, as the body of its result record.
struct CallOutcome {
  RunCall call;
  std::string kind;  // made | verdict
  Json body;
  bool failed = false;             // an error rather than an answer
  std::optional<Error> lost = {};  // made, but the journal could not take it: no fault of the unit
};

Json error_body(const Error& error) {
  return {{"kind", error_kind_name(error.kind)}, {"message", error.message}};
}

}  // namespace

std::string judge_hash(const JudgeSpec& judge, const std::string& build) {
  return sha256_hex(
      canonical_json({{"kind", judge.kind->name}, {"options", judge.options}, {"build", build}}));
}

Result<std::vector<Part>> whole_parts(const books::Journal& journal, const RunState& state) {
  std::vector<Part> parts;
  for (const Track& track : state.tracks)
    for (const std::size_t unit : track.units) {
      Part part{state.units[unit], unit_passed(track, state.units[unit])};
      if (const CandidateState* best = best_candidate(track)) {
        part.candidate = best->blob;
        for (const JudgedBy* verdict : counted_verdicts(*best))
          part.judgements.push_back(verdict->judgement);
        part.media_type = best->media_type;
        LATHE_TRY(part.bytes, journal.blob(best->blob));
      }
      parts.push_back(std::move(part));
    }
  return parts;
}

// Drives one run: owns the threads of its calls, and is the only one who appends.
class Driver {
 public:
  explicit Driver(Run& run) : run_(run), state_(run.state_), bench_(run.bench_) {}
  ~Driver() {
    cancel_.raise();
    for (auto& [id, thread] : threads_) thread.join();
  }

  Status drive() {
    LATHE_TRY_STATUS(prepare());
    for (;;) {
      LATHE_TRY_STATUS(decide());
      if (!state_.ended && bench_.stop.raised()) return pause();
      LATHE_TRY_STATUS(note_spent_time());
      LATHE_TRY_STATUS(begin_calls());
      if (state_.ended) return {};
      LATHE_CHECK(!threads_.empty());  // else no record could ever come: an endless wait
      LATHE_TRY_STATUS(take_results());
    }
  }

 private:
  Status prepare() {
    started_ = bench_.clock.monotonic();
    base_ms_ = state_.t_ms;
    base_joules_ = state_.joules.value_or(0);
    if (bench_.joules) first_joules_ = bench_.joules();
    const std::string manifest = json_string(json_at(state_.header, "tree"), "blob");
    if (!manifest.empty())
      place_.checkout = [this, manifest](const fs::path& directory) {
        return lay_out_tree(run_.journal_, manifest, directory);
      };
    place_.tree_root = json_string(json_at(state_.header, "tree"), "root");
    place_.program = bench_.program;
    place_.media = bench_.media;
    place_.unsafe_no_sandbox = bench_.unsafe_no_sandbox;
    LATHE_TRY(TempDir files, TempDir::make("lathe-recipe"));
    for (const Json& file : json_at(state_.header, "files")) {
      const std::string path = json_string(file, "path");
      if (!is_safe_relative(path)) return invalid("the journal names the file '{}'", path);
      LATHE_TRY(const std::string bytes, run_.journal_.blob(json_string(file, "blob")));
      LATHE_TRY_STATUS(make_directories((files.path() / path).parent_path()));
      LATHE_TRY_STATUS(write_file_atomic(files.path() / path, bytes));
    }
    place_.recipe_dir = files.path();
    recipe_files_.emplace(std::move(files));
    const Recipe& recipe = state_.recipe;
    if (recipe.maker->prefix && !state_.tracks.empty()) {
      LATHE_TRY(prefix_, recipe.maker->prefix(recipe.make_options, state_.units, place_));
    }
    return {};
  }

  std::int64_t now_ms() const { return base_ms_ + (bench_.clock.monotonic() - started_).count(); }

  Status append(books::Record record, std::optional<std::string> run_state = {}) {
    record.seq = state_.next_seq;
    // Decisions depend on the time of the records before them, so their own time is the same.
    if (record.kind == "call" || record.kind == "made" || record.kind == "verdict" ||
        record.kind == "tick")
      record.t_ms = std::max(state_.t_ms, now_ms());
    else
      record.t_ms = state_.t_ms;
    record.joules = state_.joules;
    if (bench_.joules && first_joules_)
      if (const auto joules = bench_.joules())
        record.joules = base_joules_ + *joules - *first_joules_;
    if (record.kind == "end") run_state = json_string(record.body, "state");
    LATHE_TRY_STATUS(run_.journal_.append(run_.lease_, record, run_state));
    LATHE_TRY_STATUS(apply(state_, record));
    if (bench_.observer) bench_.observer->on_record(state_, record);
    return {};
  }

  Status pause() {
    cancel_.raise();
    while (!threads_.empty()) LATHE_TRY_STATUS(take_results());
    return append({0, 0, std::nullopt, "pause", {{"reason", "stopped by the user"}}});
  }

  // The time budget must be noticed although no call has come back.
  Status note_spent_time() {
    if (state_.open_tracks == 0 || now_ms() < state_.recipe.stop.time_ms ||
        !spent_budget(state_).empty())
      return {};
    return append({0, 0, std::nullopt, "tick", Json::object()});
  }

  Status decide() {
    while (const auto next = next_decision(state_)) LATHE_TRY_STATUS(append(*next));
    return {};
  }

  // One call at a time, with the decisions in between: a record must never stand where a decision
  // is due.
  Status begin_calls() {
    const auto parallel = static_cast<std::size_t>(std::max(bench_.parallel, 1));
    for (;;) {
      LATHE_TRY_STATUS(decide());
      if (threads_.size() >= parallel) return {};
      const std::vector<RunCall> calls = runnable_calls(state_, threads_.size() + 1);
      const auto next = std::ranges::find_if(
          calls, [&](const RunCall& call) { return !threads_.contains(call.id()); });
      if (next == calls.end()) return {};
      LATHE_TRY_STATUS(begin(*next));
    }
  }

  Status begin(const RunCall& call) {
    if (const JudgedBy* earlier = earlier_verdict(call)) {
      Json body = result_body(call);
      body["judge_name"] = earlier->judge;
      body["judgement"] = to_json(earlier->judgement);
      body["reused"] = true;
      body["usage"] = to_json(Usage{});
      return append({0, 0, std::nullopt, "verdict", std::move(body)});
    }
    if (const Json& before = json_at(state_.header, "made_before");
        call.kind == "make" && !before.is_null()) {
      Json body = json_at(before[call.track][static_cast<std::size_t>(call.lap - 1)]["made"],
                          std::to_string(call.n));
      if (body.is_null()) {
        body = result_body(call);
        body["ok"] = false;
        body["error"] =
            error_body({ErrorKind::kInvalid, "the old run ended before this candidate was made"});
      }
      body["reused"] = true;
      body["usage"] = to_json(Usage{});
      return append({0, 0, std::nullopt, "made", std::move(body)});
    }
    const bool once = call.kind == "make" && repeat_of(state_.recipe) == "once";
    if (once && was_begun(state_, call) && !run_.redo_)
      return fail(ErrorKind::kUnavailable,
                  "run {}: call {} must not be made twice, it was begun and its end is not known; "
                  "see what it has done, "
                  "then `lathe resume {} --redo` to make it again",
                  run_.id(), call.id(), run_.id());
    LATHE_TRY(std::function<CallOutcome()> work,
              call.kind == "make" ? make_work(call) : judge_work(call));
    Json intent = to_json(call);
    intent["key"] = key_;
    intent["repeat"] = call.kind == "make" ? repeat_of(state_.recipe) : "pure";
    LATHE_TRY_STATUS(append({0, 0, std::nullopt, "call", std::move(intent)}));
    threads_.emplace(call.id(), std::thread([this, work = std::move(work)] {
                       CallOutcome outcome = work();
                       const std::lock_guard lock(mutex_);
                       results_.push_back(std::move(outcome));
                       arrived_.notify_one();
                     }));
    return {};
  }

  static std::string repeat_of(const Recipe& recipe) {
    const std::string option = option_string(recipe.make_options, "repeat");
    return option.empty() ? std::string(recipe.maker->repeat) : option;
  }

  // A judge that asks no model has given its answer for these bytes already: it is not asked again.
  const JudgedBy* earlier_verdict(const RunCall& call) const {
    if (call.kind != "judge" || state_.recipe.judges[call.judge].kind->needs_worker ||
        call.attempt > 0)
      return nullptr;
    const Track& track = state_.tracks[call.track];
    const std::string& blob = candidate(call).blob;
    for (const LapState& lap : track.laps)
      for (const CandidateState& other : lap.candidates) {
        if (other.blob != blob || &other == &candidate(call)) continue;
        for (const JudgedBy& verdict : other.verdicts)
          if (verdict.index == call.judge && verdict.judgement.outcome != Outcome::kError)
            return &verdict;
      }
    return nullptr;
  }

  const LapState& lap(const RunCall& call) const {
    return state_.tracks[call.track].laps[static_cast<std::size_t>(call.lap - 1)];
  }
  const CandidateState& candidate(const RunCall& call) const {
    return lap(call).candidates[static_cast<std::size_t>(call.n)];
  }
  Milliseconds time_left() const {
    return Milliseconds(std::max<std::int64_t>(
        1, std::min(state_.recipe.stop.call_ms, state_.recipe.stop.time_ms - now_ms())));
  }
  std::vector<Unit> units_of(const Track& track) const {
    std::vector<Unit> units;
    for (const std::size_t unit : track.units) units.push_back(state_.units[unit]);
    return units;
  }

  static Json result_body(const RunCall& call) {
    Json body = to_json(call);
    body["reused"] = false;
    return body;
  }

  Worker* worker(const std::string& name) const {
    return bench_.worker ? bench_.worker(name) : nullptr;
  }

  Result<std::function<CallOutcome()>> make_work(const RunCall& call) {
    const Recipe& recipe = state_.recipe;
    const Track& track = state_.tracks[call.track];
    const LapState& lap = this->lap(call);
    auto task = std::make_shared<MakeTask>(MakeTask{recipe.make_options, {}});
    auto units = std::make_shared<std::vector<Unit>>(units_of(track));
    task->units = *units;
    task->move = lap.move;
    task->lap = lap.number;
    task->n_index = call.n;
    task->rung = lap.rung < std::ssize(recipe.ladder)
                     ? recipe.ladder[static_cast<std::size_t>(lap.rung)]
                     : "";
    task->setting = lap.setting;
    task->prefix = prefix_;
    std::optional<std::string> shown;
    if (const CandidateState* best = best_candidate(track); best && lap.move != Move::kResample) {
      LATHE_TRY(task->best, run_.journal_.blob(best->blob));
      task->critiques = critiques_of(*best);
      if (is_text_media(best->media_type)) shown = task->best;
    }
    task->tail = feedback_tail(track, lap, shown);
    Worker* rung_worker = recipe.maker->needs_worker ? worker(task->rung) : nullptr;
    const bool missing = recipe.maker->needs_worker && !rung_worker;

    Json key = {{"kind", recipe.maker->name},
                {"options", recipe.make_options},
                {"units", Json::array()},
                {"move", move_name(lap.move)},
                {"lap", lap.number},
                {"n", call.n},
                {"rung", task->rung},
                {"setting", lap.setting},
                {"prefix", sha256_hex(task->prefix)},
                {"tail", task->tail}};
    for (const Unit& unit : *units) key["units"].push_back(to_json(unit));
    key["files"] = json_at(state_.header, "files");
    if (task->best) key["best"] = sha256_hex(*task->best);
    if (rung_worker) key["worker"] = {rung_worker->info().model, rung_worker->info().where};
    key_ = sha256_hex(canonical_json(key));

    return [this, call, task, units, rung_worker, missing, limit = time_left(),
            kind = recipe.maker]() -> CallOutcome {
      CallOutcome outcome{call, "made", result_body(call)};
      const auto begun = bench_.clock.monotonic();
      Usage usage;
      const MakeContext context{.place = place_,
                                .worker = rung_worker,
                                .stop = cancel_,
                                .time_limit = limit,
                                .progress =
                                    [this, call](std::string_view what) {
                                      if (bench_.observer) bench_.observer->on_progress(call, what);
                                    },
                                .usage = &usage};
      Result<Made> made = missing ? fail(ErrorKind::kUnavailable,
                                         "there is no worker '{}'; name one with --worker {}=URL",
                                         task->rung, task->rung)
                                  : kind->make(*task, context);
      if (made) {
        auto blob = run_.journal_.put_blob(made->bytes);
        if (!blob) {
          outcome.lost = std::move(blob).error();
          return outcome;
        }
        outcome.body["blob"] = *std::move(blob);
      }
      outcome.body["ok"] = made.has_value();
      outcome.body["ms"] = (bench_.clock.monotonic() - begun).count();
      outcome.body["usage"] = to_json(usage);
      if (made) {
        outcome.body["bytes"] = made->bytes.size();
        outcome.body["media_type"] = made->media_type;
        outcome.body["extension"] = made->extension;
        outcome.body["facts"] = made->facts;
      } else {
        outcome.failed = true;
        outcome.body["error"] = error_body(made.error());
      }
      return outcome;
    };
  }

  Result<std::function<CallOutcome()>> judge_work(const RunCall& call) {
    const JudgeSpec& judge = state_.recipe.judges[call.judge];
    struct Kept {
      std::vector<Unit> units;
      std::string blob, bytes, media_type;
      std::vector<Part> parts;
    };
    auto kept = std::make_shared<Kept>();
    if (call.kind == "whole") {
      kept->units = state_.units;
      LATHE_TRY(kept->parts, whole_parts(run_.journal_, state_));
      std::string blobs;
      for (const Part& part : kept->parts) blobs += part.candidate + "\n";
      kept->blob = sha256_hex(blobs);
    } else {
      kept->units = units_of(state_.tracks[call.track]);
      kept->blob = candidate(call).blob;
      kept->media_type = candidate(call).media_type;
      // The real artifact from the store, not the maker's account of it.
      LATHE_TRY(kept->bytes, run_.journal_.blob(kept->blob));
    }
    const std::string hash = judge_hash(judge, bench_.build);
    key_ = sha256_hex(hash + kept->blob + dump_json(json_at(state_.header, "files")) +
                      std::to_string(call.attempt));
    const std::string worker_name = option_string(judge.options, "worker");
    return [this, call, kept, &judge, hash,
            asked = judge.kind->needs_worker ? worker(worker_name) : nullptr,
            limit = time_left()]() -> CallOutcome {
      CallOutcome outcome{call, "verdict", result_body(call)};
      const auto begun = bench_.clock.monotonic();
      JudgeTask task{judge.options};
      task.units = kept->units;
      task.all_units = state_units_;
      task.scope = call.kind == "whole" ? Scope::kWhole : Scope::kUnit;
      task.candidate = kept->blob;
      task.bytes = kept->bytes;
      task.media_type = kept->media_type;
      task.parts = kept->parts;
      task.discovered = discovered_;
      JudgeContext context{.place = place_,
                           .worker = asked,
                           .stop = cancel_,
                           .time_limit = limit,
                           .progress = [this, call](std::string_view what) {
                             if (bench_.observer) bench_.observer->on_progress(call, what);
                           }};
      if (bench_.observer && bench_.observer->wants_output())
        context.output = [this, &call](std::string_view text) {
          bench_.observer->on_output(&call, text);
        };
      const Judgement judgement = judge_closed(*judge.kind, task, context);
      outcome.failed = judgement.outcome == Outcome::kError;
      outcome.body["judge_name"] = judge.name;
      outcome.body["judge_hash"] = hash;
      outcome.body["ms"] = (bench_.clock.monotonic() - begun).count();
      outcome.body["usage"] = to_json(judgement.usage);
      outcome.body["judgement"] = to_json(judgement);
      return outcome;
    };
  }

  Status take_results() {
    std::deque<CallOutcome> taken;
    {
      std::unique_lock lock(mutex_);
      // Wakes by itself so that Ctrl-C and the time budget are noticed.
      arrived_.wait_for(lock, Milliseconds(100), [this] { return !results_.empty(); });
      taken.swap(results_);
    }
    for (CallOutcome& outcome : taken) {
      const auto thread = threads_.find(outcome.call.id());
      thread->second.join();
      threads_.erase(thread);
      // An answer that came in time is kept; what was cut off is made again after the resume.
      if (state_.ended || (outcome.failed && (cancel_.raised() || bench_.stop.raised()))) continue;
      if (outcome.lost) return std::unexpected(*std::move(outcome.lost));
      LATHE_TRY_STATUS(append({0, 0, std::nullopt, outcome.kind, std::move(outcome.body)}));
      LATHE_TRY_STATUS(decide());
    }
    if (bench_.stop.raised()) cancel_.raise();
    return {};
  }

  Run& run_;
  RunState& state_;
  const Bench& bench_;
  Place place_;
  std::optional<TempDir> recipe_files_;
  std::string prefix_;
  // Read by calls on their threads; never changed while one runs.
  const std::vector<Unit> state_units_ = state_.units;
  const Json discovered_ = json_at(state_.header, "discovered");
  std::string key_;  // of the call that is being prepared

  Milliseconds started_{0};
  std::int64_t base_ms_ = 0;
  double base_joules_ = 0;
  std::optional<double> first_joules_;

  StopFlag cancel_;  // what calls look at: raised for a stop and at the run's end
  std::map<std::string, std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<CallOutcome> results_;
};

Run::Run(books::Journal& journal, books::RunLease lease, RunState state, const Bench& bench)
    : journal_(journal), lease_(std::move(lease)), state_(std::move(state)), bench_(bench) {}

Result<Run> Run::resume(books::Journal& journal, const std::string& id, const Bench& bench,
                        bool redo) {
  LATHE_TRY(books::RunLease lease, journal.lease(id));
  LATHE_TRY(const std::vector<books::Record> records, journal.records(id));
  auto state = fold(records);
  if (!state) return at("run " + id, state.error());
  Run run(journal, std::move(lease), *std::move(state), bench);
  run.redo_ = redo;
  if (run.state_.ended && run.state_.end_state != "not_judged") return run;
  const books::Record record{run.state_.next_seq,
                             run.state_.t_ms,
                             run.state_.joules,
                             "resume",
                             {{"build", bench.build}, {"unix_ms", bench.clock.unix_ms()}}};
  LATHE_TRY_STATUS(journal.append(run.lease_, record, "open"));
  LATHE_TRY_STATUS(apply(run.state_, record));
  return run;
}

Status Run::drive() {
  return Driver(*this).drive();
}

Result<int> replay(std::span<const books::Record> records) {
  LATHE_TRY(const RunState end, fold(records));
  if (end.end_said == "passed" && end.end_state != "passed")
    return invalid("the run said passed, wrongly: it is {}, {}",
                   replace_all(end.end_state, "_", " "), end.end_why);
  // What is decided, not how it is put.
  const auto decided = [](const books::Record& record) {
    Json body = record.body;
    body.erase("reason");
    return canonical_json(body);
  };
  RunState state;
  int decisions = 0;
  for (const books::Record& record : records) {
    const auto expected = next_decision(state);
    const bool is_decision = record.kind == "lap" || record.kind == "close" ||
                             record.kind == "unit" || record.kind == "end";
    // A run that was killed may have left a decision unmade: then a resume stands in its place.
    const bool fits = expected ? (is_decision ? record.kind == expected->kind &&
                                                    decided(record) == decided(*expected)
                                              : record.kind == "resume")
                               : !is_decision;
    if (!fits)
      return invalid("record {}: the journal says {} {}, but these records lead to {} {}",
                     record.seq, record.kind, clip_utf8(dump_json(record.body), 400),
                     expected ? expected->kind : "no decision",
                     expected ? clip_utf8(dump_json(expected->body), 400) : "");
    decisions += is_decision;
    LATHE_TRY_STATUS(apply(state, record));
  }
  return decisions;
}

}  // namespace lathe::loop
