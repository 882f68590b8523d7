// Carries decisions out: calls makers and judges, writes down what came of it.
#include "loop/conductor/conductor.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/version.h"
#include "loop/conductor/account.h"
#include "loop/conductor/make_task.h"
#include "loop/conductor/run_files.h"
#include "loop/conductor/tool_calls.h"
#include "loop/terms/labelled_worker.h"

namespace lathe::loop {
namespace {

constexpr std::int64_t kDoubtedMs = 3'600'000;  // nodes are looked at each hour
constexpr std::int64_t kSampleEvery = 60'000;   // of working time, between looks at the machine

// What a call came to.
struct CallOutcome {
  std::variant<CandidateMade, VerdictGiven> event;
  bool failed = false;  // an error rather than an answer
  // No fault of the unit, and nothing of it can be written down: the journal could not take what
  // was made, or the tools are others than those that were agreed to.
  std::optional<Error> lost = {};
  std::optional<WorkerInfo> asked = {};  // on another machine

  const CallId& call() const {
    return std::visit([](const auto& each) -> const CallId& { return each.call; }, event);
  }
};

// A call that can be made now, on any thread.
struct PreparedCall {
  std::string key;  // hash of everything that decides the answer
  std::optional<WorkerInfo> asked;
  std::function<CallOutcome()> work;
};

// What a judge looks at: the real bytes from the store, not the maker's account of them.
struct Judged {
  std::vector<Unit> units;
  std::string blob, bytes, media_type;
  std::vector<Part> parts;
};

}  // namespace

std::string judge_hash(const JudgeSpec& judge, const std::string& build) {
  return sha256_hex(
      canonical_json({{"kind", judge.kind->name}, {"options", judge.options}, {"build", build}}));
}

Result<std::vector<Part>> whole_parts(const books::Journal& journal, const RunState& state) {
  std::vector<Part> parts;
  for (const Track& track : state.tracks) {
    const std::vector<bool> passed = units_passed(state, track);
    const auto units = units_of(state, track);
    for (std::size_t i = 0; i < units.size(); ++i) {
      Part part{units[i], passed[i]};
      if (const CandidateState* best = best_candidate(track)) {
        part.candidate = best->blob;
        for (const JudgedBy* verdict : counted_verdicts(*best))
          part.judgements.push_back(verdict->judgement);
        part.media_type = best->media_type;
        LATHE_TRY(part.bytes, journal.blob(best->blob));
      }
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

Result<std::string> remembered_text(const books::Journal& journal, const Recipe& recipe,
                                    std::span<const Unit> units) {
  if (!recipe.memory) return "";
  std::vector<std::string> texts;
  for (const RecalledBlob& fact : recalled_of(units)) {
    auto text = journal.blob(fact.blob);
    if (!text && text.error().kind == ErrorKind::kNotFound) continue;
    if (!text) return std::unexpected(text.error());
    texts.push_back(*std::move(text));
  }
  return remembered_text(texts, recipe.memory->propose);
}

// Drives one run: owns the threads of its calls, and is the only one who appends.
class Driver {
 public:
  explicit Driver(Run& run) : run_(run), state_(run.state_), bench_(run.bench_) {}
  ~Driver() {
    cancel_.raise();
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    written_.notify_all();
    for (auto& [id, thread] : threads_) thread.join();
    if (bench_.notes) bench_.notes->close(run_.id());
    if (!threads_.empty()) take_back();
  }

  Status drive() {
    LATHE_TRY_STATUS(prepare());
    LATHE_TRY_STATUS(note_doubts());  // while it was stopped, too
    for (;;) {
      LATHE_TRY_STATUS(decide());
      if (!state_.ended && bench_.stop.raised()) return pause("stopped by the user");
      if (const std::string why = why_hold(); !why.empty()) {
        LATHE_TRY_STATUS(wait_out(why));
        continue;
      }
      LATHE_TRY_STATUS(note_climate());
      LATHE_TRY_STATUS(note_spent_time());
      LATHE_TRY_STATUS(begin_calls());
      if (state_.ended) {
        return finish_calls();
      }
      LATHE_CHECK(!threads_.empty());  // else no record could ever come: an endless wait
      LATHE_TRY_STATUS(take_results());
    }
  }

 private:
  Status prepare() {
    start_clocks();
    Place place;
    place.program = bench_.program;
    place.media = bench_.media;
    place.unsafe_no_sandbox = bench_.unsafe_no_sandbox;
    LATHE_TRY(RunFiles files, lay_out(run_.journal_, state_, std::move(place)));
    files_.emplace(std::move(files));
    for (const RunBegun::Tools& each : state_.header.tools) {
      LATHE_TRY(definitions_[each.server], run_.journal_.blob(each.blob));
    }
    if (bench_.notes)
      bench_.notes->open(run_.id(), [this](Event event) { return write_down(std::move(event)); });
    tool_calls_.emplace(
        ToolCalls::Book{[this](Event event) { return write_down(std::move(event)); },
                        [this](std::string_view bytes) { return run_.journal_.put_blob(bytes); },
                        [this](const std::string& blob) { return run_.journal_.blob(blob); }},
        state_.tool_calls);
    return {};
  }

  // On a call's thread: the run's own writes it down.
  Status write_down(Event event) {
    Note note{std::move(event), std::nullopt};
    std::unique_lock lock(mutex_);
    if (!closed_) notes_.push_back(&note);
    arrived_.notify_one();
    written_.wait(lock, [&] { return note.written || closed_; });
    if (note.written) return *note.written;
    std::erase(notes_, &note);
    return fail(ErrorKind::kCancelled, "the run has stopped");
  }

  // What calls want to have in the record, where no decision is due.
  Status take_notes() {
    std::vector<Note*> notes;
    {
      const std::lock_guard lock(mutex_);
      notes.swap(notes_);
    }
    for (Note* note : notes) {
      const Status written = state_.ended ? fail(ErrorKind::kCancelled, "the run has ended")
                                          : append_note(std::move(note->event));
      {
        const std::lock_guard lock(mutex_);
        note->written = written;
      }
      written_.notify_all();
      if (!state_.ended) LATHE_TRY_STATUS(written);
    }
    return {};
  }

  // Its time may have used a budget up.
  Status append_note(Event event) {
    LATHE_TRY_STATUS(append(std::move(event)));
    return decide();
  }

  // Working time and energy go on from what is written down.
  void start_clocks() {
    started_ = bench_.clock.monotonic();
    base_ms_ = state_.t_ms;
    base_joules_ = state_.joules.value_or(0);
    if (bench_.joules) first_joules_ = bench_.joules();
    sampled_ms_ = base_ms_;
    sampled_joules_ = joules_now();
  }

  std::int64_t now_ms() const { return base_ms_ + (bench_.clock.monotonic() - started_).count(); }

  std::optional<double> joules_now() const {
    const auto joules = bench_.joules && first_joules_ ? bench_.joules() : std::nullopt;
    return joules ? std::optional(base_joules_ + *joules - *first_joules_) : std::nullopt;
  }

  // Decisions depend on the time of the entries before them, so their own time is the same.
  bool takes_time(const Event& event) const {
    return call_of(event) || std::holds_alternative<Ticked>(event) ||
           std::holds_alternative<Sampled>(event) || std::holds_alternative<ConsentAsked>(event) ||
           std::holds_alternative<ConsentAnswered>(event);
  }

  // `rows`: what the event's call took.
  Status append(Event event, std::span<const books::LedgerRow> rows = {}) {
    Entry entry{state_.next_seq, state_.t_ms, state_.joules, std::move(event)};
    if (takes_time(entry.event)) entry.t_ms = std::max(state_.t_ms, now_ms());
    if (const auto joules = joules_now()) entry.joules = joules;
    std::optional<std::string> run_state;
    if (const auto* end = std::get_if<RunEnded>(&entry.event)) run_state = result_name(end->result);
    LATHE_TRY_STATUS(run_.journal_.append(run_.lease_, to_record(entry), run_state, rows));
    LATHE_TRY_STATUS(apply(state_, entry));
    if (bench_.observer) bench_.observer->on_entry(state_, entry);
    return {};
  }

  // What is cut off is made again when the run goes on.
  Status pause(const std::string& why) {
    LATHE_TRY_STATUS(finish_calls());
    return append(Paused{why});
  }

  // Ends those that are under way.
  Status finish_calls() {
    cancel_.raise();
    while (!threads_.empty()) LATHE_TRY_STATUS(take_results());
    take_back();
    return {};
  }

  // No call waits for an answer: nobody shall work on for nothing.
  void take_back() {
    if (bench_.elsewhere) bench_.elsewhere->end(run_.id());
  }

  std::string why_hold() const {
    return state_.ended || !bench_.hold ? "" : bench_.hold(state_.recipe.stop.pause_when);
  }

  // Until nothing is in the way any more, or a person stops the run. No working time passes.
  Status wait_out(const std::string& why) {
    LATHE_TRY_STATUS(pause(why));
    while (!bench_.stop.raised() && !why_hold().empty())
      std::this_thread::sleep_for(Milliseconds(100));
    cancel_.clear();
    start_clocks();
    return append(Resumed{bench_.build, bench_.clock.unix_ms()});
  }

  // From time to time, where there is something to say.
  Status note_climate() {
    const std::int64_t now = now_ms();
    if (state_.ended || now - sampled_ms_ < kSampleEvery) return {};
    Sampled sample{.celsius = bench_.celsius ? bench_.celsius() : std::nullopt};
    const auto joules = joules_now();
    if (sampled_joules_ && joules)
      sample.watts = (*joules - *sampled_joules_) * 1000 / static_cast<double>(now - sampled_ms_);
    sampled_ms_ = now;
    sampled_joules_ = joules;
    if (!sample.celsius && !sample.watts) return {};
    return append(sample);
  }

  // The time budget must be noticed although no call has come back.
  Status note_spent_time() {
    if (state_.open_tracks == 0 || now_ms() < state_.recipe.stop.time_ms() ||
        !spent_budget(state_).empty())
      return {};
    return append(Ticked{});
  }

  // Before an answer counts: what a node judged that was found broken meanwhile counts no more.
  Status note_doubts() {
    if (!bench_.elsewhere || state_.ended) return {};
    for (const std::string& node : bench_.elsewhere->broken()) {
      const std::int64_t since = std::max<std::int64_t>(0, state_.t_ms - kDoubtedMs);
      if (!rests_on(state_, node, since)) continue;
      LATHE_TRY_STATUS(append(Doubted{node, since}));
    }
    return decide();
  }

  // Where no decision is due.
  Status note_late() {
    if (!bench_.elsewhere || state_.ended) return {};
    for (const Elsewhere::Late& each : bench_.elsewhere->late(run_.id()))
      if (CameTooLate late{each.call, each.node}; !state_.late.contains(late))
        LATHE_TRY_STATUS(append(std::move(late)));
    return {};
  }

  Status decide() {
    while (auto next = next_decision(state_)) LATHE_TRY_STATUS(append(*std::move(next)));
    return {};
  }

  // One call at a time, with the decisions in between: a record must never stand where a decision
  // is due.
  Status begin_calls() {
    const auto parallel = static_cast<std::size_t>(std::max(bench_.parallel, 1));
    for (;;) {
      LATHE_TRY_STATUS(decide());
      if (threads_.size() >= parallel) return {};
      const std::vector<CallId> calls = runnable_calls(state_, threads_.size() + 1);
      const auto next =
          std::ranges::find_if(calls, [&](const CallId& call) { return !threads_.contains(call); });
      if (next == calls.end()) return {};
      LATHE_TRY_STATUS(begin(*next));
    }
  }

  Status begin(const CallId& call) {
    const bool make = call.kind == CallId::Kind::kMake;
    if (const JudgedBy* earlier = earlier_verdict(call)) {
      VerdictGiven given;
      given.call = call;
      given.reused = true;
      given.judge_name = earlier->judge;
      given.judgement = earlier->judgement;
      if (!earlier->node.empty()) given.node = earlier->node;
      given.worker = "";
      return append(std::move(given));
    }
    if (make && state_.header.made_before) return append(made_before(call));
    const std::string repeat = make ? repeat_of(state_.recipe) : "pure";
    if (repeat == "once" && was_begun(state_, call) && !run_.redo_)
      return fail(ErrorKind::kUnavailable,
                  "run {}: call {} must not be made twice, it was begun and its end is not known; "
                  "see what it has done, "
                  "then `lathe resume {} --redo` to make it again",
                  run_.id(), call.text(), run_.id());
    LATHE_TRY(PreparedCall prepared, make ? prepare_make(call) : prepare_judge(call));
    const CallStart start{state_.next_seq, bench_.clock.unix_ms(), std::move(prepared.asked)};
    LATHE_TRY_STATUS(append(CallBegun{call, std::move(prepared.key), repeat}));
    starts_[call] = start;
    threads_.emplace(call, std::thread([this, work = std::move(prepared.work)] {
                       CallOutcome outcome = work();
                       const std::lock_guard lock(mutex_);
                       results_.push_back(std::move(outcome));
                       arrived_.notify_one();
                     }));
    return {};
  }

  // What the old run made there.
  CandidateMade made_before(const CallId& call) const {
    const TakenLap& lap =
        (*state_.header.made_before)[call.track][static_cast<std::size_t>(call.lap - 1)];
    const auto found =
        std::ranges::find(lap.made, call.n, [](const CandidateMade& each) { return each.call.n; });
    CandidateMade made;
    if (found != lap.made.end()) {
      made = *found;
    } else {
      made.call = call;
      made.answer = std::unexpected(
          Error{ErrorKind::kInvalid, "the old run ended before this candidate was made"});
      made.worker = "";
    }
    made.reused = true;
    made.usage = {};
    return made;
  }

  // A judge that asks no model has given its answer for these bytes already: it is not asked again.
  const JudgedBy* earlier_verdict(const CallId& call) const {
    if (call.kind != CallId::Kind::kJudge || state_.recipe.judges[call.judge].kind->needs_worker ||
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

  const LapState& lap(const CallId& call) const {
    return state_.tracks[call.track].laps[static_cast<std::size_t>(call.lap - 1)];
  }
  const CandidateState& candidate(const CallId& call) const {
    return lap(call).candidates[static_cast<std::size_t>(call.n)];
  }
  Milliseconds time_left() const {
    return Milliseconds(std::max<std::int64_t>(
        1, std::min(state_.recipe.stop.call_ms, state_.recipe.stop.time_ms() - now_ms())));
  }
  Worker* worker(const std::string& name) const {
    return bench_.worker ? bench_.worker(name) : nullptr;
  }

  bool goes_away(const CallId& call) const {
    return bench_.elsewhere && bench_.elsewhere->takes(state_.recipe, call);
  }

  AwayCall away(const CallId& call) const {
    return {.run = run_.id(),
            .call = call,
            .recipe = state_.recipe,
            .header = state_.header,
            .build = bench_.build,
            .blob = [this](const std::string& sha256) { return run_.journal_.blob(sha256); },
            .stop = cancel_,
            .progress = progress_of(call)};
  }

  std::optional<LabelledWorker> labelled_for(const CallId& call, Worker* asked) const {
    if (!asked) return std::nullopt;
    return std::optional<LabelledWorker>(
        std::in_place, *asked,
        std::map<std::string, std::string>{{"run", run_.id()}, {"call", call.text()}});
  }

  // By the name that the recipe has for it.
  static std::optional<WorkerInfo> info_of(const Worker* worker, const std::string& name) {
    if (worker == nullptr) return std::nullopt;
    WorkerInfo info = worker->info();
    info.name = name;
    return info;
  }

  std::function<void(std::string_view)> progress_of(const CallId& call) const {
    return [this, call](std::string_view what) {
      if (bench_.observer) bench_.observer->on_progress(call, what);
    };
  }

  Result<PreparedCall> prepare_make(const CallId& call) {
    const Recipe& recipe = state_.recipe;
    const Track& track = state_.tracks[call.track];
    const LapState& lap = this->lap(call);
    std::optional<std::string> best;
    if (const CandidateState* base = built_on(track, lap)) {
      LATHE_TRY(best, run_.journal_.blob(base->blob));
    }
    LATHE_TRY(std::string remembered,
              remembered_text(run_.journal_, recipe, units_of(state_, track)));
    const auto task = std::make_shared<const MakeTask>(make_task(
        state_, track, lap, call.n, files_->prefix, std::move(best), std::move(remembered)));
    const bool leaves = goes_away(call);
    Worker* asked =
        asks_worker(*recipe.maker, task->rung) && !leaves ? worker(task->rung) : nullptr;
    return PreparedCall{make_key(*task, state_.header.files, *recipe.maker, asked),
                        info_of(asked, task->rung),
                        [this, call, task, asked, leaves, limit = time_left()] {
                          return leaves ? make_away(call, *task) : make(call, *task, asked, limit);
                        }};
  }

  static std::string make_key(const MakeTask& task, std::span<const RunBegun::File> files,
                              const MakerKind& maker, Worker* asked) {
    Json key = {{"kind", maker.name},
                {"options", task.options},
                {"units", Json::array()},
                {"move", move_name(task.move)},
                {"lap", task.lap},
                {"n", task.n_index},
                {"rung", task.rung},
                {"setting", task.setting},
                {"prefix", sha256_hex(task.prefix)},
                {"tail", task.tail}};
    for (const Unit& unit : task.units) key["units"].push_back(to_json(unit));
    key["files"] = to_json(files);
    if (task.best) key["best"] = sha256_hex(*task.best);
    if (asked) key["worker"] = {asked->info().model, asked->info().where};
    return sha256_hex(canonical_json(key));
  }

  // On a thread of its own, as judge().
  CallOutcome make(const CallId& call, const MakeTask& task, Worker* asked, Milliseconds limit) {
    const MakerKind& maker = *state_.recipe.maker;
    CandidateMade event;
    event.call = call;
    event.worker = asked ? task.rung : "";
    const auto begun = bench_.clock.monotonic();
    std::optional<LabelledWorker> labelled = labelled_for(call, asked);
    const auto& memory = state_.recipe.memory;
    std::vector<std::string> proposals;
    MakeContext context{.place = files_->place,
                        .worker = labelled ? &*labelled : nullptr,
                        .stop = cancel_,
                        .time_limit = limit,
                        .progress = progress_of(call),
                        .usage = &event.usage,
                        .proposals = memory && memory->propose ? &proposals : nullptr};
    Result<Made> made =
        asks_worker(maker, task.rung) && !asked
            ? fail(ErrorKind::kUnavailable,
                   "there is no worker '{}'; name one with --worker {}=URL", task.rung, task.rung)
            : make_with_tools(call, task, context);
    event.ms = (bench_.clock.monotonic() - begun).count();
    return kept(std::move(event), std::move(made), proposals,
                labelled ? labelled->sent() : std::nullopt);
  }

  // On another machine, as judge_away().
  CallOutcome make_away(const CallId& call, const MakeTask& task) {
    CandidateMade event;
    event.call = call;
    event.worker = "";
    const auto begun = bench_.clock.monotonic();
    auto answer = bench_.elsewhere->make(away(call), task);
    event.ms = (bench_.clock.monotonic() - begun).count();
    if (!answer) {
      event.answer = std::unexpected(std::move(answer).error());
      return {std::move(event), true};
    }
    event.node = answer->node;
    event.usage = answer->usage;
    if (answer->asked) event.worker = task.rung;
    const auto& memory = state_.recipe.memory;
    if (!memory || !memory->propose) answer->proposals.clear();
    CallOutcome outcome = kept(std::move(event), std::move(answer->made), answer->proposals,
                               std::move(answer->prompt));
    if (answer->asked) (outcome.asked = std::move(answer->asked))->name = task.rung;
    return outcome;
  }

  // What was made, what it proposes and what was asked for it: in the journal before the event is.
  CallOutcome kept(CandidateMade event, Result<Made> made, std::span<const std::string> proposals,
                   const std::optional<std::string>& sent) {
    std::optional<Error> lost;
    if (!made && made.error().code == kToolsChanged) lost = made.error();
    if (made) {
      for (const std::string& text : proposals)
        if (auto blob = run_.journal_.put_blob(text))
          made->facts["proposed"].push_back({{"blob", *std::move(blob)}});
        else
          lost = std::move(blob).error();
      if (auto blob = run_.journal_.put_blob(made->bytes))
        event.answer = Artifact{*std::move(blob), made->bytes.size(), made->media_type,
                                made->extension, made->facts};
      else
        lost = std::move(blob).error();
    } else {
      event.answer = std::unexpected(made.error());
    }
    if (!lost) lost = keep_prompt(sent, event.prompt);
    return {std::move(event), !made, std::move(lost)};
  }

  // What was asked, in the journal; an error if that does not take it.
  std::optional<Error> keep_prompt(const std::optional<std::string>& sent,
                                   std::optional<std::string>& name) {
    if (!sent) return {};
    auto blob = run_.journal_.put_blob(*sent);
    if (!blob) return std::move(blob).error();
    name = *std::move(blob);
    return {};
  }

  // The servers are of this candidate alone.
  Result<Made> make_with_tools(const CallId& call, const MakeTask& task, MakeContext& context) {
    LATHE_TRY(const auto tools, open_tools(state_.recipe, bench_, cancel_));
    if (tools) LATHE_TRY_STATUS(tools->unchanged(definitions_));
    std::optional<RecordedTools> recorded;
    if (tools) context.tools = &recorded.emplace(*tools, *tool_calls_, call);
    return state_.recipe.maker->make(task, context);
  }

  Result<Judged> what_is_judged(const CallId& call) const {
    Judged judged;
    if (call.kind == CallId::Kind::kWhole) {
      judged.units = state_.units;
      LATHE_TRY(judged.parts, whole_parts(run_.journal_, state_));
      judged.blob = whole_name(state_);
    } else {
      const auto units = units_of(state_, state_.tracks[call.track]);
      judged.units.assign(units.begin(), units.end());
      judged.blob = candidate(call).blob;
      judged.media_type = candidate(call).media_type;
      LATHE_TRY(judged.bytes, run_.journal_.blob(judged.blob));
    }
    return judged;
  }

  Result<PreparedCall> prepare_judge(const CallId& call) {
    const JudgeSpec& judge = state_.recipe.judges[call.judge];
    LATHE_TRY(Judged judged, what_is_judged(call));
    const std::string name = option_string(judge.options, "worker");
    const bool leaves = goes_away(call);
    Worker* asked = judge.kind->needs_worker && !leaves ? worker(name) : nullptr;
    const VerdictGiven event{.call = call,
                             .judge_name = judge.name,
                             .judge_hash = judge_hash(judge, bench_.build),
                             .worker = asked ? name : ""};
    std::string key =
        sha256_hex(*event.judge_hash + judged.blob + dump_json(to_json(state_.header.files)) +
                   std::to_string(call.attempt));
    return PreparedCall{std::move(key), info_of(asked, name),
                        [this, event, &judge, asked, leaves, limit = time_left(),
                         judged = std::make_shared<const Judged>(std::move(judged))] {
                          return leaves ? judge_away(event, judge, *judged)
                                        : this->judge(event, judge, *judged, asked, limit);
                        }};
  }

  JudgeTask judge_task(const CallId& call, const JudgeSpec& judge, const Judged& judged) const {
    JudgeTask task{judge.options};
    task.units = judged.units;
    task.all_units = state_.units;
    task.scope = call.kind == CallId::Kind::kWhole ? Scope::kWhole : Scope::kUnit;
    task.candidate = judged.blob;
    task.bytes = judged.bytes;
    task.media_type = judged.media_type;
    task.parts = judged.parts;
    task.discovered = state_.header.discovered;
    return task;
  }

  // A node's word is as foreign as a broken judge's: what it says is closed here.
  CallOutcome judge_away(VerdictGiven event, const JudgeSpec& judge, const Judged& judged) {
    const auto begun = bench_.clock.monotonic();
    const JudgeTask task = judge_task(event.call, judge, judged);
    auto answer = bench_.elsewhere->judge(away(event.call), task);
    event.ms = (bench_.clock.monotonic() - begun).count();
    std::optional<WorkerInfo> asked;
    std::optional<std::string> sent;
    Result<Judgement> said = Judgement{};
    if (answer) {
      const std::string name = option_string(judge.options, "worker");
      event.node = answer->node;
      event.judge_hash = judge_hash(judge, answer->build);
      event.worker = answer->asked ? name : "";
      if (answer->asked) (asked = answer->asked)->name = name;
      event.usage = answer->usage;
      sent = std::move(answer->prompt);
      said = std::move(answer->judgement);
    } else {
      said = std::unexpected(std::move(answer).error());
    }
    event.judgement = closed(*judge.kind, task, std::move(said));
    event.judgement.usage = event.usage;
    const bool failed = event.judgement.outcome == Outcome::kError;
    auto lost = keep_prompt(sent, event.prompt);
    return {std::move(event), failed, std::move(lost), std::move(asked)};
  }

  CallOutcome judge(VerdictGiven event, const JudgeSpec& judge, const Judged& judged, Worker* asked,
                    Milliseconds limit) {
    const auto begun = bench_.clock.monotonic();
    const JudgeTask task = judge_task(event.call, judge, judged);
    std::optional<LabelledWorker> labelled = labelled_for(event.call, asked);
    JudgeContext context{.place = files_->place,
                         .worker = labelled ? &*labelled : nullptr,
                         .stop = cancel_,
                         .time_limit = limit,
                         .progress = progress_of(event.call)};
    if (bench_.observer && bench_.observer->wants_output())
      context.output = [this, call = event.call](std::string_view text) {
        bench_.observer->on_output(&call, text);
      };
    event.judgement = judge_closed(*judge.kind, task, context);
    event.ms = (bench_.clock.monotonic() - begun).count();
    event.usage = event.judgement.usage;
    const bool failed = event.judgement.outcome == Outcome::kError;
    auto lost = keep_prompt(labelled ? labelled->sent() : std::nullopt, event.prompt);
    return {std::move(event), failed, std::move(lost)};
  }

  Status take_results() {
    std::deque<CallOutcome> taken;
    {
      std::unique_lock lock(mutex_);
      // Wakes by itself so that Ctrl-C and the time budget are noticed.
      arrived_.wait_for(lock, Milliseconds(100),
                        [this] { return !results_.empty() || !notes_.empty(); });
      taken.swap(results_);
    }
    LATHE_TRY_STATUS(take_notes());
    LATHE_TRY_STATUS(note_late());
    for (CallOutcome& outcome : taken) {
      const auto thread = threads_.find(outcome.call());
      thread->second.join();
      threads_.erase(thread);
      const std::vector<books::LedgerRow> rows{row_of_outcome(outcome)};
      LATHE_TRY_STATUS(note_doubts());
      // An answer that came in time is kept; what was cut off is made again after the resume, and
      // took what it took.
      if (state_.ended || is_late(outcome) ||
          (outcome.failed && (cancel_.raised() || bench_.stop.raised()))) {
        LATHE_TRY_STATUS(run_.journal_.book({.rows = rows}));
        continue;
      }
      if (outcome.lost) return std::unexpected(*std::move(outcome.lost));
      LATHE_TRY_STATUS(append(
          std::visit([](auto& event) { return Event(std::move(event)); }, outcome.event), rows));
      LATHE_TRY_STATUS(decide());
    }
    if (bench_.stop.raised()) cancel_.raise();
    return {};
  }

  // It judges a whole that is another one by now: a doubt has opened a part of it.
  bool is_late(const CallOutcome& outcome) const {
    const auto* given = std::get_if<VerdictGiven>(&outcome.event);
    return given != nullptr && given->call.kind == CallId::Kind::kWhole &&
           (state_.open_tracks > 0 || given->judgement.candidate != whole_name(state_));
  }

  books::LedgerRow row_of_outcome(const CallOutcome& outcome) {
    auto start = starts_.extract(outcome.call());
    if (outcome.asked) start.mapped().asked = outcome.asked;
    return std::visit(
        [&](const auto& event) { return row_of(run_.id(), state_.header, start.mapped(), event); },
        outcome.event);
  }

  Run& run_;
  RunState& state_;
  const Bench& bench_;
  // Read by calls on their threads, and never changed while one runs, like the state's recipe,
  // header and units.
  std::optional<RunFiles> files_;

  Milliseconds started_{0};
  std::int64_t base_ms_ = 0;
  double base_joules_ = 0;
  std::optional<double> first_joules_;
  std::int64_t sampled_ms_ = 0;
  std::optional<double> sampled_joules_;

  StopFlag cancel_;  // what calls look at: raised for a stop and at the run's end
  std::map<CallId, std::thread> threads_;
  std::map<CallId, CallStart> starts_;  // of those
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<CallOutcome> results_;
  // What calls want to have written down, and wait for.
  struct Note {
    Event event;
    std::optional<Status> written;
  };
  std::vector<Note*> notes_;
  std::condition_variable written_;
  bool closed_ = false;

  std::optional<ToolCalls> tool_calls_;
  std::map<std::string, std::string> definitions_;  // of tools, as the run began with them
};

Run::Run(books::Journal& journal, books::Lease lease, RunState state, const Bench& bench)
    : journal_(journal), lease_(std::move(lease)), state_(std::move(state)), bench_(bench) {}

Result<Run> Run::resume(books::Journal& journal, const std::string& id, const Bench& bench,
                        bool redo) {
  LATHE_TRY(books::Lease lease, journal.lease(id));
  LATHE_TRY(const std::vector<books::Record> records, journal.records(id));
  const auto entries = from_records(records);
  auto state = entries ? fold(*entries) : Result<RunState>(std::unexpected(entries.error()));
  if (!state) return at("run " + id, state.error());
  LATHE_TRY_STATUS(check_reach(state->recipe, bench.worker));
  LATHE_TRY_STATUS(check_elsewhere(state->recipe, bench.elsewhere));
  Run run(journal, std::move(lease), *std::move(state), bench);
  run.redo_ = redo;
  if (run.state_.ended && run.state_.end_state != RunResult::kNotJudged) return run;
  const Entry entry{run.state_.next_seq, run.state_.t_ms, run.state_.joules,
                    Resumed{bench.build, bench.clock.unix_ms()}};
  // What was begun and has neither an end nor a row was under way when the process ended.
  std::vector<books::LedgerRow> lost = lost_calls(id, *entries);
  LATHE_TRY_STATUS(journal.rows({.run = id}, [&](const books::LedgerRow& row) {
    std::erase_if(lost, [&](const books::LedgerRow& each) { return each.id == row.id; });
  }));
  LATHE_TRY_STATUS(journal.append(run.lease_, to_record(entry), "open", lost));
  LATHE_TRY_STATUS(apply(run.state_, entry));
  return run;
}

Status Run::drive() {
  return Driver(*this).drive();
}

}  // namespace lathe::loop
