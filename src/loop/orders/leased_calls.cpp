// Calls of a run as units that nodes lease.
#include "loop/orders/leased_calls.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/base/version.h"
#include "loop/orders/answer.h"
#include "loop/orders/strict_json.h"
#include "loop/orders/unit_watch.h"
#include "loop/terms/write_rule.h"

namespace lathe::loop {
namespace {

using books::NodeRow;
using books::UnitRow;
using books::UnitSpec;
using books::UnitState;

constexpr std::int64_t kSilentMs = 3 * books::kBeatMs;  // then a node is not there
constexpr std::string_view kWorkerCap = "worker:";

bool has(const NodeRow& node, const std::string& need) {
  const std::vector<std::string> caps = caps_of(node);
  return std::ranges::find(caps, need) != caps.end();
}

bool may_have(const NodeRow& node, const UnitSpec& unit) {
  return may_go(unit, node.id, node.clearance);
}

bool is_there(const NodeRow& node, std::int64_t now_ms) {
  return node.state == books::NodeState::kActive && now_ms - node.seen_ms <= kSilentMs;
}

// A maker of a whole tree answers with changes, and those keep to the recipe's rule.
Status check_changes(const Recipe& recipe, const Made& made) {
  if (!recipe.maker->whole_group) return {};
  if (made.media_type != kChangesMediaType)
    return invalid("it made '{}' where changes of a source tree were asked for",
                   clip(made.media_type));
  LATHE_TRY(const Changes changes, parse_changes(made.bytes));
  const WriteRule rule = WriteRule::of(recipe.make_options);
  for (const auto& [path, text] : changes.files) LATHE_TRY_STATUS(rule.allows(path));
  return {};
}

bool only_advises(const Recipe& recipe, const CallId& call) {
  if (call.kind == CallId::Kind::kMake) return false;
  const JudgeSpec& judge = recipe.judges[call.judge];
  return judge.kind->advises && judge.kind->advises(judge.options);
}

class LeasedCalls final : public Elsewhere {
 public:
  explicit LeasedCalls(LeasedCallsSetup setup)
      : setup_(std::move(setup)), watch_(setup_.open, setup_.patience) {}

  Reach reach() const override { return setup_.reach; }

  // Judges that only advise stay, unless the recipe says where: nobody waits for their worker.
  bool takes(const Recipe& recipe, const CallId& call) const override {
    return ((setup_.all && !only_advises(recipe, call)) || !wanted_on(recipe, call).empty()) &&
           std::min(setup_.reach, reach_of(recipe)) != Reach::kLocal &&
           bound_here(recipe, call).empty();
  }

  Result<MadeAway> make(const AwayCall& away, const MakeTask& task) override {
    const MakerKind& maker = *away.recipe.maker;
    const std::string worker = asks_worker(maker, task.rung) ? task.rung : "";
    LATHE_TRY(Answered answered, have_done(away, worker, fmt::format("make:{}", maker.name),
                                           [&] { return make_order(away, task); }));
    MadeAway made;
    static_cast<AwayAnswer&>(made) = std::move(answered.who);
    made.proposals = std::move(answered.answer.proposals);
    made.made = std::move(answered.made);
    return made;
  }

  Result<JudgedAway> judge(const AwayCall& away, const JudgeTask& task) override {
    const JudgeSpec& judge = away.recipe.judges[away.call.judge];
    const std::string worker =
        judge.kind->needs_worker ? option_string(judge.options, "worker") : "";
    LATHE_TRY(Answered answered, have_done(away, worker, fmt::format("judge:{}", judge.kind->name),
                                           [&] { return judge_order(away, judge, task); }));
    if (broken().contains(answered.who.node))
      return gone(fmt::format("node {} judged it, and was found broken", answered.who.node));
    JudgedAway judged;
    static_cast<AwayAnswer&>(judged) = std::move(answered.who);
    Judgement& said = *answered.answer.judgement;
    // The reason of one who gave up stands as it was given.
    const std::string why = said.outcome == Outcome::kError ? why_not_judged(said) : "";
    if (why.empty())
      judged.judgement = std::move(said);
    else
      judged.judgement = invalid("{}", why);
    return judged;
  }

  std::set<std::string> broken() override { return watch_.broken(); }

  std::vector<Late> late(const std::string& run) override {
    std::vector<Late> late;
    for (const UnitRow& row : watch_.rows(run))
      for (const auto& [node, count] : row.stale)
        if (const auto name = parse_unit_id(row.spec.id))
          if (const auto call = parse_call(name->call)) late.push_back({*call, node});
    return late;
  }

  void end(const std::string& run) override {
    watch_.forget(run);
    if (const auto store = setup_.open()) std::ignore = (*store)->remove_run(run);
  }

 private:
  struct Answered {
    OrderAnswer answer;
    AwayAnswer who;
    Result<Made> made = Made{};
  };

  // The call's order to a node, and back with its answer, however long a node is waited for.
  Result<Answered> have_done(const AwayCall& away, const std::string& worker,
                             const std::string& kind,
                             const std::function<Result<Order>()>& order_of) {
    UnitSpec unit;
    std::string order;
    LATHE_TRY_STATUS(patiently(away, [&]() -> Status {
      LATHE_TRY(const Order put_together, order_of());
      LATHE_TRY(order, put(away, order_text(put_together)));
      return {};
    }));
    unit.id = unit_id(away.call.text(), order);
    unit.kind = kind;
    unit.privacy = std::min(setup_.reach, reach_of(away.recipe));
    unit.home = setup_.home;
    unit.needs = needs_of(away.recipe, away.call, worker);
    std::optional<Answered> answered;
    LATHE_TRY_STATUS(patiently(away, [&]() -> Status {
      LATHE_TRY(const UnitRow row, watch_.ended(away.run, unit, away.stop, away.progress));
      LATHE_TRY(answered, read(away, row, order));
      return {};
    }));
    return *std::move(answered);
  }

  // Again and again while what is needed is away, until the run is stopped.
  static Status patiently(const AwayCall& away, const std::function<Status()>& work) {
    for (;;) {
      Status done = work();
      if (done || done.error().kind != ErrorKind::kUnavailable ||
          done.error().code == books::kNodeFailures)
        return done;
      away.progress(fmt::format("waits for the fleet: {}", done.error().message));
      for (int i = 0; i < 10; ++i) {
        if (away.stop.raised()) return cancelled();
        std::this_thread::sleep_for(Milliseconds(100));
      }
    }
  }

  static std::unexpected<Error> cancelled() {
    return fail(ErrorKind::kCancelled, "the run was stopped while it waited for a node");
  }

  Result<Answered> read(const AwayCall& away, const UnitRow& row, const std::string& order) {
    if (row.state == UnitState::kGaveUp) {
      std::vector<std::string> nodes;
      for (const auto& [node, count] : row.attempts)
        nodes.push_back(fmt::format("{} ({})", node, count));
      return gone(
          fmt::format("no node could carry it out ({}): {} took it and gave no result; "
                      "`lathe fleet nodes` shows them",
                      clip(row.result.reason), nodes.empty() ? "none" : join(nodes, ", ")));
    }
    auto answered = read_foreign(away, row, order);
    if (answered || answered.error().kind == ErrorKind::kUnavailable) return answered;
    return invalid("the answer of node {} cannot be used: {}", row.done_by,
                   answered.error().message);
  }

  // Nothing that is waited for.
  static std::unexpected<Error> gone(std::string message) {
    return std::unexpected(
        Error{ErrorKind::kUnavailable, std::move(message), std::string(books::kNodeFailures)});
  }

  Result<Answered> read_foreign(const AwayCall& away, const UnitRow& row,
                                const std::string& order) {
    LATHE_TRY(const std::string blob, strict_blob(row.result.body, "answer"));
    LATHE_TRY(const std::string text, checked_blob(setup_.blobs, blob, away.stop));
    Answered answered;
    LATHE_TRY(answered.answer, read_answer(text, order));
    OrderAnswer& answer = answered.answer;
    const bool make = away.call.kind == CallId::Kind::kMake;
    if (make == answer.judgement.has_value())
      return invalid("it {}", make ? "judges, and something was to be made"
                                   : "makes, and something was to be judged");
    answered.who.node = row.done_by;
    answered.who.build = answer.build;
    answered.who.usage = answer.usage;
    if (answer.asked) {
      WorkerInfo asked = *answer.asked;
      asked.where = fmt::format("{} on {}", asked.where, row.done_by);
      asked.reach = std::max(asked.reach, Reach::kLan);
      answered.who.asked = std::move(asked);
    }
    if (answer.prompt) {
      LATHE_TRY(answered.who.prompt, checked_blob(setup_.blobs, *answer.prompt, away.stop));
    }
    if (!make) return answered;
    if (!answer.made) {
      answered.made = std::unexpected(answer.made.error());
      return answered;
    }
    Made made;
    LATHE_TRY(made.bytes, checked_blob(setup_.blobs, answer.made->blob, away.stop));
    note_sent(answer.made->blob);  // its judges find it there
    made.media_type = answer.made->media_type;
    made.extension = answer.made->extension;
    made.facts = answer.made->facts;
    LATHE_TRY_STATUS(check_changes(away.recipe, made));
    answered.made = std::move(made);
    return answered;
  }

  Result<Order> order_for(const AwayCall& away, const Json& options, std::span<const Unit> units) {
    Order order;
    order.numerics = kNumerics;
    order.build = away.build;
    order.run = away.run;
    order.call = away.call.text();
    order.privacy = std::min(setup_.reach, reach_of(away.recipe));
    order.time_limit = Milliseconds(away.recipe.stop.call_ms);
    order.options = options;
    order.units.assign(units.begin(), units.end());
    for (const RunBegun::File& file : away.header.files) {
      LATHE_TRY_STATUS(ship(away, file.blob));
      order.files.push_back({file.path, file.blob});
    }
    if (away.header.tree) {
      LATHE_TRY_STATUS(ship_tree(away, away.header.tree->blob));
      order.tree = away.header.tree->blob;
    }
    return order;
  }

  Result<Order> make_order(const AwayCall& away, const MakeTask& task) {
    LATHE_TRY(Order order, order_for(away, task.options, task.units));
    MakeOrder make;
    make.maker = away.recipe.maker;
    make.move = task.move;
    make.lap = task.lap;
    make.n = task.n_index;
    make.rung = task.rung;
    make.setting = task.setting;
    make.critiques = task.critiques;
    make.proposals = away.recipe.memory && away.recipe.memory->propose;
    LATHE_TRY(make.prefix, put(away, task.prefix));
    LATHE_TRY(make.tail, put(away, task.tail));
    if (task.best) {
      LATHE_TRY(make.best, put(away, *task.best));
    }
    order.what = std::move(make);
    return order;
  }

  Result<Order> judge_order(const AwayCall& away, const JudgeSpec& spec, const JudgeTask& task) {
    LATHE_TRY(Order order, order_for(away, spec.options, task.units));
    JudgeOrder judge;
    judge.judge = spec.kind;
    judge.scope = task.scope;
    judge.candidate = task.candidate;
    judge.media_type = std::string(task.media_type);
    judge.discovered = task.discovered;
    LATHE_TRY(judge.all_units, put(away, units_text(task.all_units)));
    if (task.scope == Scope::kUnit) LATHE_TRY_STATUS(put(away, task.bytes));
    for (const Part& each : task.parts) {
      JudgeOrder::Part& part = judge.parts.emplace_back();
      part.unit = each.unit;
      part.passed = each.passed;
      part.candidate = each.candidate;
      part.media_type = each.media_type;
      part.judgements = each.judgements;
      if (!each.candidate.empty()) LATHE_TRY_STATUS(put(away, each.bytes));
    }
    order.what = std::move(judge);
    return order;
  }

  // Once each: what was put stays there.
  Result<std::string> put(const AwayCall& away, std::string_view bytes) {
    std::string sha256 = sha256_hex(bytes);
    if (is_sent(sha256)) return sha256;
    LATHE_TRY_STATUS(setup_.blobs.put(bytes, away.stop));
    note_sent(sha256);
    return sha256;
  }

  void note_sent(const std::string& sha256) {
    const std::lock_guard lock(mutex_);
    sent_.insert(sha256);
  }

  Status ship(const AwayCall& away, const std::string& sha256) {
    if (is_sent(sha256)) return {};
    LATHE_TRY(const std::string bytes, away.blob(sha256));
    LATHE_TRY_STATUS(put(away, bytes));
    return {};
  }

  Status ship_tree(const AwayCall& away, const std::string& manifest) {
    if (is_sent(manifest)) return {};
    LATHE_TRY(const std::string text, away.blob(manifest));
    LATHE_TRY(const Json tree, parse_json(text));
    for (const Json& file : json_at(tree, "files"))
      LATHE_TRY_STATUS(ship(away, json_string(file, "blob")));
    LATHE_TRY_STATUS(put(away, text));  // last: where it is, all of it is
    return {};
  }

  bool is_sent(const std::string& sha256) const {
    const std::lock_guard lock(mutex_);
    return sent_.contains(sha256);
  }

  const LeasedCallsSetup setup_;
  mutable std::mutex mutex_;
  std::set<std::string> sent_;
  UnitWatch watch_;
};

}  // namespace

std::unique_ptr<Elsewhere> leased_calls(LeasedCallsSetup setup) {
  return std::make_unique<LeasedCalls>(std::move(setup));
}

std::string need_of(std::string_view on) {
  return on.find(':') == on.npos ? fmt::format("on:{}", on) : std::string(on);
}

std::vector<std::string> needs_of(const Recipe& recipe, const CallId& call,
                                  const std::string& worker) {
  const bool make = call.kind == CallId::Kind::kMake;
  std::set<std::string> needs;
  needs.insert(make ? fmt::format("maker:{}", recipe.maker->name)
                    : fmt::format("judge:{}", recipe.judges[call.judge].kind->name));
  if (!worker.empty()) needs.insert(std::string(kWorkerCap) + worker);
  if (const std::string& on = wanted_on(recipe, call); !on.empty()) needs.insert(need_of(on));
  return {needs.begin(), needs.end()};
}

std::vector<std::string> caps_of(const NodeRow& node) {
  std::vector<std::string> caps = node.caps;
  for (const Json& cap : json_at(node.load, "caps"))
    if (cap.is_string() && !cap.get<std::string>().starts_with(books::kNameCap) &&
        std::ranges::find(caps, cap.get<std::string>()) == caps.end())
      caps.push_back(cap);
  return caps;
}

std::set<std::string> workers_of(std::span<const NodeRow> nodes, std::int64_t now_ms) {
  std::set<std::string> workers;
  for (const NodeRow& node : nodes)
    for (const std::string& cap : caps_of(node))
      if (is_there(node, now_ms) && cap.starts_with(kWorkerCap))
        workers.insert(cap.substr(kWorkerCap.size()));
  return workers;
}

std::string waiting_text(const UnitRow& unit, std::span<const NodeRow> nodes, std::int64_t now_ms) {
  if (!unit.held.empty()) {
    std::vector<std::string> holders;
    for (const books::Grant& lease : unit.held) holders.push_back(lease.node);
    return fmt::format("at {}", join(holders, " and "));
  }
  const auto can = [&](const NodeRow& node) {
    return may_have(node, unit.spec) &&
           std::ranges::all_of(unit.spec.needs,
                               [&](const std::string& need) { return has(node, need); });
  };
  std::vector<std::string> able;
  for (const NodeRow& node : nodes)
    if (can(node) && is_there(node, now_ms)) able.push_back(node.id);
  if (!able.empty()) return fmt::format("waits its turn at {}", join(able, ", "));
  // What nobody has who is there; else all of it together.
  std::string wanted = join(unit.spec.needs, ", ");
  for (const std::string& need : unit.spec.needs)
    if (std::ranges::none_of(nodes, [&](const NodeRow& node) {
          return has(node, need) && may_have(node, unit.spec) && is_there(node, now_ms);
        }))
      wanted = need;
  const NodeRow* last = nullptr;
  for (const NodeRow& node : nodes)
    if (can(node) && (last == nullptr || node.seen_ms > last->seen_ms)) last = &node;
  if (last == nullptr)
    return fmt::format("waits for a node with {}: the fleet has none that may have this", wanted);
  if (last->state != books::NodeState::kActive)
    return fmt::format("waits for a node with {}: {} is {}", wanted, last->id,
                       node_state_name(last->state));
  return fmt::format(
      "waits for a node with {}: {} was last seen {} ago", wanted, last->id,
      format_duration(Milliseconds(std::max<std::int64_t>(0, now_ms - last->seen_ms))));
}

}  // namespace lathe::loop
