// The loop that carries a plan out: leases, runs on threads, and what came of them.
#include "loop/plan/drive.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "ground/base/text.h"
#include "loop/conductor/elsewhere.h"
#include "loop/conductor/tree.h"
#include "loop/plan/recipes.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxShownBytes = 200'000;
constexpr Milliseconds kLookForEnds{100};
constexpr std::size_t kMostBytesOfAToken = 6;  // of texts and sources, on the whole
constexpr std::string_view kMergeName = "merge";
// What whoever leases the parts of plans must have: no node that carries out calls has it.
constexpr const char* kDrivesPlans = "drives:plans";

// A lease, and the run that is made for it on a thread of its own.
struct PartAtWork {
  std::optional<std::size_t> task;
  books::Grant grant;
  std::unique_ptr<books::Journal> journal;
  std::optional<Bench> bench;
  std::optional<Run> run;
  std::shared_ptr<void> beside;
  std::thread thread;
  Status driven;
  bool ended = false;  // guarded by the driver's mutex, as `driven` until then
};

Result<PartRun> read_part(const books::Journal& journal, const std::string& id,
                          const RunState& state, std::optional<std::size_t> task) {
  std::string bytes;
  if (!state.tracks.empty())
    if (const CandidateState* best = best_candidate(state.tracks.front())) {
      LATHE_TRY(bytes, journal.blob(best->blob));
    }
  return part_run(id, state, task, std::move(bytes));
}

class PlanDriver {
 public:
  PlanDriver(books::Journal& journal, const PlanHead& head, std::vector<PartRun> runs,
             const PlanBench& bench)
      : journal_(journal), head_(head), runs_(std::move(runs)), bench_(bench) {}
  ~PlanDriver() {
    if (!at_work_.empty()) bench_.stop.raise();
    for (const auto& part : at_work_) part->thread.join();
  }

  Result<PlanStand> drive() {
    LATHE_TRY_STATUS(check_who());
    LATHE_TRY(const books::Lease mine, journal_.lease(head_.id));
    LATHE_TRY_STATUS(join_fleet());
    for (;;) {
      const PlanStand stand = stand_of(head_.plan, head_.rules, runs_);
      const bool stopped = bench_.stop.raised();
      if (!stopped) {
        LATHE_TRY_STATUS(offer(stand));
        LATHE_TRY_STATUS(take(stand));
      }
      if (at_work_.empty()) {
        if (!stopped && !stand.ended) {
          LATHE_TRY(const bool others, wait_for_others());
          if (others) continue;
        }
        if (stand.ended) LATHE_TRY_STATUS(bench_.leases.remove_run(head_.id));
        return stand;
      }
      LATHE_TRY_STATUS(wait());
      LATHE_TRY_STATUS(collect());
    }
  }

 private:
  const Plan& plan() const { return head_.plan; }
  std::string name_of(std::optional<std::size_t> task) const {
    return task ? plan().tasks[*task].id : std::string(kMergeName);
  }
  const PartStand& part_of(const PlanStand& stand, std::optional<std::size_t> task) const {
    return task ? stand.tasks[*task] : stand.merge;
  }

  // That there is somebody to ask, and that everything may be where it says `on`: before anything
  // runs.
  Status check_who() const {
    const auto check = [this](const Result<Recipe>& recipe, Reach label) -> Status {
      if (!recipe) return std::unexpected(recipe.error());
      LATHE_TRY(const Bench* bench, bench_.bench(label));
      return check_elsewhere(*recipe, bench->elsewhere);
    };
    for (std::size_t task = 0; task < plan().tasks.size(); ++task) {
      const MakerKind& maker = *plan().tasks[task].maker;
      if (maker.needs_worker && bench_.rungs.empty())
        return invalid("task '{}': {} asks a worker, and there is none: give --worker NAME=URL",
                       name_of(task), maker.name);
      if (auto fine =
              check(task_recipe(plan(), task, bench_.rungs, "the plan"), plan().tasks[task].label);
          !fine)
        return at("task '" + name_of(task) + "'", std::move(fine).error());
    }
    if (auto fine = check(merge_recipe(plan(), head_.rules, "the plan"),
                          strictest_label(plan(), head_.rules));
        !fine)
      return at("whole", std::move(fine).error());
    return {};
  }

  // What this box held when its process ended is free again: nobody else works on this plan.
  Status join_fleet() {
    LATHE_TRY_STATUS(bench_.leases.put_node({.id = bench_.node, .tier = "here"}));
    LATHE_TRY(const auto units, bench_.leases.units(head_.id));
    for (const books::UnitRow& unit : units) {
      for (const books::Grant& grant : unit.held)
        if (grant.node == bench_.node) LATHE_TRY_STATUS(bench_.leases.release(grant));
      known_units_.insert(unit.spec.id);
    }
    return {};
  }

  // A unit for what can be begun, gone on with or tried again. Its name says what it is made for.
  Status offer(const PlanStand& stand) {
    std::vector<std::optional<std::size_t>> parts;
    for (const std::size_t task : plan().order) parts.emplace_back(task);
    parts.emplace_back(std::nullopt);
    for (const auto task : parts) {
      const PartStand& part = part_of(stand, task);
      const bool work = part.state == PartState::kReady || part.state == PartState::kBegun ||
                        (part.state == PartState::kNotJudged && !tried_.contains(part.run));
      const std::string key = fmt::format("{}.{}", name_of(task), part.basis.substr(0, 16));
      if (!work || offered_.contains(key)) continue;
      // Tried again, it is another unit: one that has ended stays so.
      std::string id = key;
      for (int again = 2; known_units_.contains(id) && ended_before(id); ++again)
        id = fmt::format("{}.{}", key, again);
      offered_[key] = id;
      parts_[id] = task;
      if (!known_units_.insert(id).second) continue;
      books::UnitSpec spec;
      spec.id = id;
      spec.kind = task ? fmt::format("task:{}", plan().tasks[*task].maker->name) : "task:merge";
      spec.privacy = task ? plan().tasks[*task].label : strictest_label(plan(), head_.rules);
      spec.home = bench_.node;
      spec.needs = {kDrivesPlans};
      LATHE_TRY_STATUS(bench_.leases.add_units(head_.id, std::span(&spec, 1)));
    }
    return {};
  }

  bool ended_before(const std::string& id) const {
    const auto units = bench_.leases.units(head_.id);
    if (!units) return false;
    const auto unit =
        std::ranges::find_if(*units, [&](const books::UnitRow& row) { return row.spec.id == id; });
    return unit != units->end() &&
           (unit->state == books::UnitState::kPassed || unit->state == books::UnitState::kGaveUp);
  }

  Status take(const PlanStand& stand) {
    while (at_work_.size() < static_cast<std::size_t>(std::max(bench_.max_parallel, 1))) {
      LATHE_TRY(auto grant, bench_.leases.lease(
                                {.node = bench_.node, .caps = {kDrivesPlans}, .run = head_.id}));
      if (!grant) return {};
      const auto part = parts_.find(grant->unit);
      // Of an earlier call, for what is not wanted any more.
      if (part == parts_.end()) {
        LATHE_TRY_STATUS(bench_.leases.complete(*grant, {.passed = false, .reason = "not wanted"}));
        continue;
      }
      LATHE_TRY_STATUS(begin(stand, part->second, *std::move(grant)));
    }
    return {};
  }

  // Whether there is more to wait for, after a moment: another holds something of this plan. Its
  // lease runs out, or it gives that back. What it says to have ended has no run here, and is
  // offered anew.
  Result<bool> wait_for_others() {
    LATHE_TRY(const auto units, bench_.leases.units(head_.id));
    bool again = false;
    for (const books::UnitRow& unit : units) {
      const std::string& id = unit.spec.id;
      if (std::ranges::none_of(offered_, [&](const auto& each) { return each.second == id; }))
        continue;
      if (!unit.held.empty()) {
        again = true;
        if (waited_for_.insert(id).second)
          tell({PlanNews::Kind::kWaits,
                name_of(parts_.at(id)),
                {},
                PartState::kReady,
                unit.held.front().node + " holds it"});
      } else if (unit.state == books::UnitState::kReady) {
        // Free since it was asked for: once more, and no oftener.
        again |= looked_again_.insert(id).second;
        if (waited_for_.erase(id) > 0) again = true;
      } else {
        again = true;
        forget_offer(id);
      }
    }
    if (again) LATHE_TRY_STATUS(bench_.leases.wait(kLookForEnds));
    return again;
  }

  Status begin(const PlanStand& stand, std::optional<std::size_t> task, books::Grant grant) {
    const PartStand& part = part_of(stand, task);
    auto work = std::make_unique<PartAtWork>();
    work->task = task;
    work->grant = std::move(grant);
    LATHE_TRY(books::Journal own, bench_.journal());
    work->journal = std::make_unique<books::Journal>(std::move(own));
    const Reach label = task ? plan().tasks[*task].label : strictest_label(plan(), head_.rules);
    LATHE_TRY(const Bench* shared, bench_.bench(label));
    const Bench& bench = work->bench.emplace(taking_turns(*shared));
    PlanNews news{PlanNews::Kind::kBegun, name_of(task), part.run};
    auto run = !part.run.empty() ? Run::resume(*work->journal, part.run, bench)
               : task            ? start_task(*work->journal, *task, part, bench, news)
                                 : start_merge(*work->journal, part, bench);
    Status begun = run ? Status() : std::unexpected(run.error());
    if (run && bench_.beside) begun = stand_beside(*work, label, run->id());
    if (!begun) {
      // Given back: it is no fault of the task's.
      LATHE_TRY_STATUS(bench_.leases.release(work->grant));
      return at("task '" + name_of(task) + "'", std::move(begun).error());
    }
    if (!part.run.empty()) news.kind = PlanNews::Kind::kGoesOn;
    work->run.emplace(*std::move(run));
    tried_.insert(work->run->id());
    news.run = work->run->id();
    tell(news);
    work->thread = std::thread([this, raw = work.get()] {
      Status driven = raw->run->drive();
      const std::lock_guard lock(mutex_);
      raw->driven = std::move(driven);
      raw->ended = true;
      arrived_.notify_one();
    });
    at_work_.push_back(std::move(work));
    return {};
  }

  Status stand_beside(PartAtWork& work, Reach label, const std::string& run) const {
    LATHE_TRY(work.beside, bench_.beside(label, run));
    return {};
  }

  // Meters of the machine are for one thread at a time, and here several runs look at them.
  Bench taking_turns(const Bench& shared) {
    Bench bench = shared;
    if (shared.joules)
      bench.joules = [this, read = shared.joules] {
        const std::lock_guard lock(machine_);
        return read();
      };
    if (shared.hold)
      bench.hold = [this, why = shared.hold](const std::set<PauseReason>& when) {
        const std::lock_guard lock(machine_);
        return why(when);
      };
    return bench;
  }

  Json header(std::optional<std::size_t> task, const PartStand& part) const {
    Json header = {
        {"run", head_.id},
        {"number", next_number()},
        {"basis", part.basis},
        {"canonical", {{"blob", canonical_}}},
        {"tree",
         {{"blob", head_.base.blob}, {"root", head_.base.root}, {"left_out", head_.base.left_out}}},
        {"unnamed", label_name(head_.rules.unnamed)},
        {"directory", head_.directory.string()},
        {"extra", head_.extra}};
    if (!task) return header;
    header["task"] = plan().tasks[*task].id;
    header["difficulty"] = plan().tasks[*task].difficulty;
    return header;
  }

  int next_number() const {
    int number = static_cast<int>(runs_.size()) + 1;
    for (const auto& part : at_work_)
      if (std::ranges::find(runs_, part->run->id(), &PartRun::id) == runs_.end()) ++number;
    return number;
  }

  // The tree as this task may see it: without what may travel less far than the task, and with what
  // those before it made.
  Result<std::string> tree_for(const books::Journal& journal, std::size_t task,
                               const PartStand& part) const {
    const Reach label = plan().tasks[task].label;
    return changed_tree(
        journal, head_.base.blob,
        [&](const std::string& path) {
          return label_of(plan().inputs, path, head_.rules) >= label;
        },
        part.base);
  }

  Result<Run> start_task(books::Journal& journal, std::size_t task, const PartStand& part,
                         const Bench& bench, PlanNews& news) {
    LATHE_TRY_STATUS(keep_plan(journal));
    LATHE_TRY(const std::string manifest, tree_for(journal, task, part));
    LATHE_TRY(const std::vector<ShownFile> files, shown_files(journal, task, manifest));
    Json extra = {{"plan", header(task, part)}};
    Unit unit = task_unit(plan(), task, files, part.sent_back);
    LATHE_TRY(const std::vector<std::string> ladder,
              ladder_for(task, unit, bench, extra["plan"]["route"], news));
    NewRun request;
    LATHE_TRY(request.recipe, task_recipe(plan(), task, ladder, "the plan"));
    request.recipe_dir = head_.directory;
    request.extra = std::move(extra);
    Prepared prepared;
    prepared.units.push_back(std::move(unit));
    prepared.title = fmt::format("{}: {}", head_.id, name_of(task));
    if (plan().tasks[task].changes_tree())
      prepared.tree = SourceTree{manifest, head_.base.root, {}};
    request.prepared = std::move(prepared);
    return Run::start(journal, request, bench);
  }

  // For makers that do not look into the tree themselves.
  Result<std::vector<ShownFile>> shown_files(const books::Journal& journal, std::size_t task,
                                             const std::string& manifest) const {
    std::vector<ShownFile> shown;
    const PlanTask& of = plan().tasks[task];
    if (of.changes_tree() || of.reads.empty()) return shown;
    LATHE_TRY(const TempDir tree, TempDir::make("lathe-plan"));
    LATHE_TRY_STATUS(lay_out_tree(journal, manifest, tree.path()));
    LATHE_TRY(const std::vector<std::string> files, list_files(tree.path()));
    std::size_t bytes = 0;
    for (const std::string& file : files) {
      if (std::ranges::none_of(of.reads,
                               [&](const std::string& glob) { return glob_match(glob, file); }))
        continue;
      LATHE_TRY(std::string text, read_file(tree.path() / file));
      if (find_invalid_utf8(text) != text.npos) continue;
      bytes += text.size();
      if (bytes > kMaxShownBytes)
        return invalid("it reads more than {} bytes with '{}'; name fewer files in reads",
                       kMaxShownBytes, file);
      shown.push_back({file, std::move(text)});
    }
    return shown;
  }

  // Who is asked. What is not is written down with the run, and said.
  Result<std::vector<std::string>> ladder_for(std::size_t task, const Unit& unit,
                                              const Bench& bench, Json& record, PlanNews& news) {
    std::vector<std::string> names;
    const PlanTask& of = plan().tasks[task];
    if (!of.maker->needs_worker) return names;
    const std::vector<std::string> kinds{std::string(of.maker->name)};
    std::vector<RouteRung> rungs;
    std::vector<std::string> silent;
    for (const std::string& name : bench_.rungs) {
      silent.emplace_back();
      rungs.push_back(rung_of(of, name, bench, silent.back()));
    }
    RouteUnit asked;
    asked.difficulty = of.difficulty;
    asked.privacy = of.label;
    // At least: nobody is left out for a guess that is too high.
    asked.context_tokens = static_cast<std::int64_t>(unit.text.size() / kMostBytesOfAToken);
    LATHE_TRY(const RouteBudget budget, limits_of(task, asked, rungs));
    Route route;
    find_route(asked, rungs, route_history(bench_.history, kinds, bench_.rungs), budget, route);
    record = Json::array();
    for (std::size_t i = 0; i < rungs.size(); ++i) {
      const RouteVerdict& verdict = route.verdicts[i];
      std::string why = why_text(asked, rungs[i], verdict);
      if (verdict.why == RouteWhy::kUnavailable && !silent[i].empty()) why += ": " + silent[i];
      record.push_back({{"rung", bench_.rungs[i]},
                        {"probability", verdict.probability},
                        {"cost", verdict.cost},
                        {"why_not", why}});
      if (!why.empty()) news.left_out.push_back(fmt::format("{}: {}", bench_.rungs[i], why));
    }
    for (const std::size_t rung : route.ladder) names.push_back(bench_.rungs[rung]);
    if (names.empty())
      return fail(ErrorKind::kUnavailable, "nobody may be asked for it: {}",
                  join(news.left_out, "; "));
    return names;
  }

  // A take must fit into what the plan's [stop] gives each run. Whose takes nobody has seen is not
  // left out for a guess.
  Result<RouteBudget> limits_of(std::size_t task, RouteUnit& unit,
                                std::span<RouteRung> rungs) const {
    LATHE_TRY(const Recipe recipe, task_recipe(plan(), task, bench_.rungs, "the plan"));
    const Budgets& budgets = recipe.stop.budgets;
    RouteBudget budget = bench_.budget;
    unit.deadline_seconds = static_cast<double>(recipe.stop.time_ms()) / 1e3;
    if (budgets.contains("energy")) budget.joules = std::min(budget.joules, budgets.at("energy"));
    if (budgets.contains("money")) budget.money = std::min(budget.money, budgets.at("money") / 1e9);
    for (std::size_t i = 0; i < rungs.size(); ++i)
      if (known_takes(plan().tasks[task], bench_.rungs[i]) == nullptr)
        rungs[i].seconds = std::min(rungs[i].seconds, unit.deadline_seconds);
    return budget;
  }

  const TakeTally* known_takes(const PlanTask& task, const std::string& rung) const {
    const auto known = bench_.history.find({std::string(task.maker->name), task.difficulty, rung});
    return known == bench_.history.end() || known->second.takes == 0 ? nullptr : &known->second;
  }

  RouteRung rung_of(const PlanTask& task, const std::string& name, const Bench& bench,
                    std::string& silent) const {
    RouteRung rung;
    Worker* worker = bench.worker ? bench.worker(name) : nullptr;
    const bool away = bench_.rungs_away.contains(name) && bench.elsewhere &&
                      bench.elsewhere->reach() >= Reach::kLan;
    rung.available = worker != nullptr || away;
    if (worker != nullptr) {
      rung.reach = worker->info().reach;
      rung.sees = worker->sees().has_value();
      // Whoever may not be asked is not asked whether it is there.
      if (const Status ready = rung.reach <= task.label ? worker->ready(bench_.stop) : Status();
          !ready) {
        rung.available = false;
        silent = ready.error().message;
      }
      rung.context_tokens = worker->context();
      if (const auto known = bench_.memory.find(name); known != bench_.memory.end()) {
        rung.memory_bytes = known->second.has;
        rung.takes_bytes = known->second.takes;
      }
    }
    // Whoever does not answer here is asked where it does.
    if (away && (worker == nullptr || !rung.available)) {
      rung.available = true;
      rung.reach = Reach::kLan;
      rung.context_tokens = 0;
      rung.memory_bytes = 0;
      silent.clear();
    }
    if (const TakeTally* known = known_takes(task, name)) {
      const double takes = known->takes;
      rung.seconds = known->seconds / takes;
      rung.money = known->money / takes;
      if (known->joule_takes > 0) rung.joules = known->joules / known->joule_takes;
    }
    return rung;
  }

  Result<Run> start_merge(books::Journal& journal, const PartStand& part, const Bench& bench) {
    LATHE_TRY_STATUS(keep_plan(journal));
    LATHE_TRY(const Recipe recipe, merge_recipe(plan(), head_.rules, "the plan"));
    GivenTake take;
    take.unit = {std::string(kMergeName), plan().goal, {{"wanted", true}}};
    take.bytes = serialise(part.base);
    take.media_type = std::string(kChangesMediaType);
    take.extension = "json";
    take.title = fmt::format("{}: {}", head_.id, kMergeName);
    take.tree = head_.base;
    LATHE_TRY(take.beside, named_files(recipe, head_.directory));
    return Run::start_given(journal, recipe, take, {{"plan", header(std::nullopt, part)}}, bench);
  }

  Status keep_plan(const books::Journal& journal) {
    if (!canonical_.empty()) return {};
    LATHE_TRY(canonical_, journal.put_blob(canonical_json(plan().canonical)));
    return {};
  }

  // For the end of a part; says meanwhile that this box lives.
  Status wait() {
    {
      std::unique_lock lock(mutex_);
      arrived_.wait_for(lock, kLookForEnds, [this] {
        return std::ranges::any_of(at_work_, [](const auto& part) { return part->ended; });
      });
    }
    const auto now = bench_.clock.monotonic();
    if ((now - beaten_).count() < books::kBeatMs) return {};
    beaten_ = now;
    std::vector<books::Grant> grants;
    for (const auto& part : at_work_) grants.push_back(part->grant);
    LATHE_TRY_STATUS(bench_.leases.heartbeat(bench_.node, grants, Json::object()));
    return {};
  }

  Status collect() {
    std::vector<std::unique_ptr<PartAtWork>> ended;
    {
      const std::lock_guard lock(mutex_);
      for (auto& part : at_work_)
        if (part->ended) ended.push_back(std::move(part));
    }
    std::erase(at_work_, nullptr);
    for (const auto& part : ended) part->thread.join();
    Status first;
    for (const auto& part : ended)
      if (auto taken = take_in(*part); !taken && first) first = std::move(taken);
    return first;
  }

  Status take_in(PartAtWork& part) {
    const RunState& state = part.run->state();
    LATHE_TRY(PartRun run, read_part(*part.journal, part.run->id(), state, part.task));
    std::erase_if(runs_, [&](const PartRun& each) { return each.id == run.id; });
    runs_.push_back(run);
    const PlanStand stand = stand_of(head_.plan, head_.rules, runs_);
    const PartStand& now = part_of(stand, part.task);
    if (!part.driven || !state.ended) {
      LATHE_TRY_STATUS(bench_.leases.release(part.grant));
      forget_offer(part.grant.unit);
      return part.driven;
    }
    books::UnitResult result;
    result.passed = run.result == RunResult::kPassed;
    result.reason = run.why;
    result.body = {{"run", run.id}};
    LATHE_TRY(const books::LeaseAnswer answer, bench_.leases.complete(part.grant, result));
    const bool stale = answer == books::LeaseAnswer::kStale || answer == books::LeaseAnswer::kAlarm;
    forget_offer(part.grant.unit);
    // A merge that sent something back is not what is wanted any more, and has failed all the same.
    const bool wanted = now.run == run.id;
    tell({stale ? PlanNews::Kind::kStale : PlanNews::Kind::kEnded, name_of(part.task), run.id,
          wanted ? now.state : state_of(run), wanted ? now.why : run.why});
    return {};
  }

  void forget_offer(const std::string& unit) {
    std::erase_if(offered_, [&](const auto& each) { return each.second == unit; });
  }

  void tell(const PlanNews& news) const {
    if (bench_.news) bench_.news(news);
  }

  books::Journal& journal_;
  const PlanHead& head_;
  std::vector<PartRun> runs_;
  const PlanBench& bench_;
  std::string canonical_;                                    // the blob of the plan
  std::set<std::string> known_units_;                        // of the store
  std::map<std::string, std::string> offered_;               // by name and basis: their units
  std::map<std::string, std::optional<std::size_t>> parts_;  // by unit
  std::set<std::string> tried_;                              // runs of this call
  std::set<std::string> waited_for_, looked_again_;          // units that others hold, or held
  Milliseconds beaten_{0};
  std::mutex machine_;  // guards what runs read of the machine
  std::mutex mutex_;    // guards the ends of those at work
  std::condition_variable arrived_;
  std::vector<std::unique_ptr<PartAtWork>> at_work_;
};

// "20260131-120000-plan-3f9a" of "20260131-120000-plan-3f9a: csv"; "": of no plan.
std::string plan_of(const books::RunRow& row) {
  const std::string id = row.title.substr(0, row.title.find(": "));
  return id.size() < row.title.size() && id.find("-plan-") != id.npos && books::is_run_id(id)
             ? id
             : std::string();
}

Result<std::string> plan_id(std::span<const books::RunRow> rows, const std::string& name) {
  std::set<std::string> found;
  for (const books::RunRow& row : rows) {  // newest first
    const std::string plan = plan_of(row);
    if (plan.empty()) continue;
    if (name == "last" || name == plan || name == row.id) return plan;
    if (!name.empty() && plan.starts_with(name)) found.insert(plan);
  }
  if (found.size() == 1) return *found.begin();
  return fail(ErrorKind::kNotFound,
              "there is {} plan '{}'; `lathe runs` shows the runs of plans, each with its plan's "
              "id first",
              found.empty() ? "no" : "more than one", clip_utf8(name, 80));
}

Result<PlanHead> head_of(const books::Journal& journal, const std::string& id, const Json& part) {
  PlanHead head;
  head.id = id;
  head.rules.unnamed = parse_label(json_string(part, "unnamed")).value_or(Reach::kLocal);
  LATHE_TRY(const std::string text, journal.blob(json_string(json_at(part, "canonical"), "blob")));
  LATHE_TRY(head.plan, parse_plan(text, "the plan of " + id, head.rules));
  const Json& tree = json_at(part, "tree");
  head.base = {json_string(tree, "blob"), json_string(tree, "root"), {}};
  for (const Json& link : json_at(tree, "left_out"))
    if (link.is_string()) head.base.left_out.push_back(link);
  head.directory = json_string(part, "directory");
  head.extra = json_at(part, "extra");
  return head;
}

std::vector<std::string> excluded_files() {
  for (const OptionSpec& spec : recipe_options("unit"))
    if (spec.name == "exclude")
      if (const auto globs = parse_json(spec.fallback)) return *globs;
  return {};
}

}  // namespace

Result<PlanHead> begin_plan(const books::Journal& journal, Plan plan, const PlanRules& rules,
                            const fs::path& tree, const fs::path& directory, Json extra,
                            const Clock& clock) {
  LATHE_TRY(TreeSnapshot snapshot, snapshot_tree(journal, tree, excluded_files()));
  LATHE_TRY_STATUS(check_links(plan, snapshot.left_out));
  std::error_code ignored;
  PlanHead head;
  head.id = new_run_id("plan", clock);
  head.plan = std::move(plan);
  head.rules = rules;
  head.base = {std::move(snapshot.manifest),
               fs::absolute(tree, ignored).lexically_normal().string(),
               std::move(snapshot.left_out)};
  head.directory = fs::absolute(directory, ignored).lexically_normal();
  head.extra = std::move(extra);
  return head;
}

Result<std::vector<std::string>> newest_plans(const books::Journal& journal, std::size_t most) {
  LATHE_TRY(const auto rows, journal.runs());
  std::vector<std::string> ids;
  for (const books::RunRow& row : rows) {
    std::string id = plan_of(row);
    if (!id.empty() && ids.size() < most && std::ranges::find(ids, id) == ids.end())
      ids.push_back(std::move(id));
  }
  return ids;
}

Result<FoundPlan> find_plan(const books::Journal& journal, const std::string& name) {
  LATHE_TRY(const auto rows, journal.runs());
  LATHE_TRY(const std::string id, plan_id(rows, name));
  FoundPlan found;
  for (const books::RunRow& row : rows) {
    if (plan_of(row) != id) continue;
    LATHE_TRY(const auto records, journal.records(row.id));
    const auto entries = from_records(records);
    const auto state =
        entries ? fold(*entries) : Result<RunState>(std::unexpected(entries.error()));
    if (!state) return at("run " + row.id, state.error());
    const Json& part = json_at(state->header.extra, "plan");
    if (json_string(part, "run") != id) continue;
    if (found.head.id.empty()) {
      LATHE_TRY(found.head, head_of(journal, id, part));
    }
    std::optional<std::size_t> task;
    if (part.contains("task")) {
      const auto at =
          std::ranges::find(found.head.plan.tasks, json_string(part, "task"), &PlanTask::id);
      if (at == found.head.plan.tasks.end())
        return invalid("run {}: is of no task of its plan", row.id);
      task = static_cast<std::size_t>(at - found.head.plan.tasks.begin());
    }
    LATHE_TRY(PartRun run, read_part(journal, row.id, *state, task));
    found.runs.push_back(std::move(run));
  }
  if (found.head.id.empty()) return fail(ErrorKind::kNotFound, "{}: no run is of this plan", id);
  return found;
}

Result<PlanStand> drive_plan(books::Journal& journal, const PlanHead& head,
                             std::vector<PartRun> runs, const PlanBench& bench) {
  return PlanDriver(journal, head, std::move(runs), bench).drive();
}

}  // namespace lathe::loop
