// The simulation: a queue of what happens next, nodes that take units, a coordinator that adds
// them.
#include "app/simulate/fleet_simulation.h"

#include <algorithm>
#include <deque>
#include <queue>
#include <vector>

#include "books/leases/lease_rules.h"
#include "ground/base/random.h"
#include "loop/plan/route.h"

namespace lathe::app {
namespace {

constexpr int kMostNodes = 100'000, kMostUnits = 100'000'000;
constexpr std::size_t kHome = 0, kSmall = 1, kMiddle = 2, kBig = 3, kCloud = 4;
constexpr double kRungSeconds[] = {4, 4, 8, 16, 10};
constexpr double kPasses[3][5] = {{.90, .90, .97, .99, .99},   // of difficulty 1
                                  {.60, .60, .85, .97, .98},   // 2
                                  {.25, .25, .60, .90, .95}};  // 3
constexpr std::int64_t kStartMs = 1'000'000;
constexpr std::int64_t kDownMs = 60'000;  // a node that died is back then
constexpr std::int64_t kPollMs = 5'000;
constexpr std::int64_t kLookMs = 60'000;
constexpr std::int64_t kPatienceMs = 3'600'000;  // without a result, what is open is lost
// The coordinator keeps so many calls for each node, and adds so many units for each at once.
constexpr int kBacklog = 8, kBatch = 5;
// Streams of random numbers.
enum Stream : std::uint64_t { kSpeed = 1, kDifficulty, kLabel, kWork, kVerdict, kFailure, kWhen };

struct SimulatedNode {
  std::string id;
  std::size_t best = kSmall;  // the biggest model that it has
  double speed = 1;
  books::Wish wish;
  bool idle = false;
  std::int64_t down_ms = 0;  // so long it was dead
  // What it works on, the place of that in its batch, and when it lets the fleet know.
  books::Grant lease = {};
  std::int64_t unit = 0;
  std::size_t rung = 0;
  std::int64_t turn = 0;  // of its leases: what was planned for an older one does not happen
};

struct SimulatedUnit {
  std::uint8_t difficulty = 1;
  Reach privacy = Reach::kLan;
  std::uint8_t steps = 0, step = 0;  // of its ladder
  std::array<std::uint8_t, kSimulatedRungs.size()> ladder = {};
  bool counted = false;  // the call of this step
  bool ended = false;
};

enum class Happening { kAsks, kBeats, kEnds, kDies };
struct Event {
  std::int64_t at_ms = 0, order = 0;
  Happening what = Happening::kAsks;
  std::size_t node = 0;
  std::int64_t turn = 0;
  bool operator>(const Event& other) const {
    return std::tie(at_ms, order) > std::tie(other.at_ms, other.order);
  }
};

class Simulation {
 public:
  explicit Simulation(const SimulatedFleet& fleet) : fleet_(fleet), history_(1, 5) {}

  SimulationReport run() {
    make_nodes();
    feed();
    while (ended_ < fleet_.units && !events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ms_ = event.at_ms;
      if (now_ms_ > counted_ms_ + kPatienceMs) break;
      if (now_ms_ > looked_ms_ + kLookMs) {
        looked_ms_ = now_ms_;
        look_for_given_up();
      }
      happens(event);
    }
    return sum_up();
  }

 private:
  double draw(Stream stream, std::int64_t place) const {
    return uniform_at(fleet_.seed, stream, static_cast<std::uint64_t>(place));
  }
  void plan(Happening what, std::size_t node, std::int64_t in_ms) {
    events_.push({now_ms_ + in_ms, order_++, what, node, nodes_[node].turn});
  }
  // Local units come from the first nodes, each from one of them.
  std::size_t home_of(std::int64_t unit) const {
    return static_cast<std::size_t>(unit) % std::max<std::size_t>(1, nodes_.size() / 50);
  }
  static std::string run_of(std::int64_t batch) { return fmt::format("batch-{:07}", batch); }
  static std::string call_id(std::int64_t unit, int step) {
    return fmt::format("{:09}.{}", unit, step);
  }

  void make_nodes();
  void feed();
  void add_call(std::int64_t unit, std::vector<books::UnitSpec>& calls) const;
  void happens(const Event& event);
  void ask(std::size_t index);
  void begin(std::size_t index, const books::Grant& lease);
  void end(std::size_t index);
  void judged(std::int64_t unit, bool passed);
  void look_for_given_up();
  void finish(std::int64_t unit);
  void wake_idle();
  SimulationReport sum_up();

  const SimulatedFleet& fleet_;
  books::LeaseRules rules_;
  loop::RouteHistory history_;
  std::array<loop::RouteRung, kSimulatedRungs.size()> rungs_ = {};
  loop::Route route_;
  std::vector<SimulatedNode> nodes_;
  std::vector<SimulatedUnit> units_;
  std::vector<int> open_;  // units of each batch that have not ended
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t now_ms_ = kStartMs, order_ = 0, ended_ = 0, leases_ = 0;
  std::int64_t counted_ms_ = kStartMs, looked_ms_ = kStartMs, oldest_ = 0;
  int batch_size_ = 1;
  // By rung: seconds that a node of speed 1 has for the calls that were counted.
  std::array<double, kSimulatedRungs.size()> work_ = {};
  SimulationReport report_;
};

void Simulation::make_nodes() {
  batch_size_ = kBatch * fleet_.nodes;
  for (int i = 0; i < fleet_.nodes; ++i) {
    SimulatedNode& node = nodes_.emplace_back();
    node.id = fmt::format("node-{:06}", i);
    // Of 100: 58 laptops, 30 desks, 10 stations, 2 in the cloud; the first of all are laptops.
    const int place = i % 50;
    node.best = place < 29 ? kSmall : place < 44 ? kMiddle : place < 49 ? kBig : kCloud;
    node.speed = 0.7 + 0.6 * draw(kSpeed, i);
    node.wish.node = node.id;
    for (std::size_t rung = kSmall; rung <= node.best; ++rung)
      if (node.best != kCloud || rung == kCloud) node.wish.caps.emplace_back(kSimulatedRungs[rung]);
    books::NodeRow row;
    row.id = node.id;
    row.clearance = node.best == kCloud ? Reach::kAny : Reach::kLan;
    LATHE_CHECK(rules_.put_node(row).has_value());
    plan(Happening::kAsks, nodes_.size() - 1, 0);
  }
  for (std::size_t rung = 0; rung < rungs_.size(); ++rung) {
    rungs_[rung].reach = rung == kHome ? Reach::kLocal : rung == kCloud ? Reach::kAny : Reach::kLan;
    rungs_[rung].seconds = kRungSeconds[rung];
    if (rung == kCloud) rungs_[rung].money = 0.01;
  }
}

// Adds units while there is little to do.
void Simulation::feed() {
  bool added = false;
  while (std::ssize(units_) < fleet_.units &&
         std::ssize(units_) - ended_ < std::int64_t{kBacklog} * fleet_.nodes) {
    const std::int64_t batch = std::ssize(units_) / batch_size_;
    const std::int64_t first = std::ssize(units_);
    const std::int64_t last = std::min<std::int64_t>(first + batch_size_, fleet_.units);
    std::vector<books::UnitSpec> calls;
    for (std::int64_t unit = first; unit < last; ++unit) {
      SimulatedUnit& made = units_.emplace_back();
      const double hard = draw(kDifficulty, unit), label = draw(kLabel, unit);
      made.difficulty = hard < 0.5 ? 1 : hard < 0.8 ? 2 : 3;
      made.privacy = label < 0.01 ? Reach::kLocal : label < 0.8 ? Reach::kLan : Reach::kAny;
      loop::RouteUnit asked;
      asked.difficulty = made.difficulty;
      asked.privacy = made.privacy;
      for (std::size_t rung = 0; rung < rungs_.size(); ++rung)
        rungs_[rung].available = (rung == kHome) == (made.privacy == Reach::kLocal);
      loop::find_route(asked, rungs_, history_, {}, route_);
      for (const std::size_t rung : route_.ladder)
        made.ladder[made.steps++] = static_cast<std::uint8_t>(rung);
      add_call(unit, calls);
    }
    open_.push_back(static_cast<int>(last - first));
    LATHE_CHECK(rules_.add_units(run_of(batch), calls).has_value());
    added = true;
  }
  if (added) wake_idle();
}

void Simulation::add_call(std::int64_t unit, std::vector<books::UnitSpec>& calls) const {
  const SimulatedUnit& of = units_[static_cast<std::size_t>(unit)];
  const std::size_t rung = of.ladder[of.step];
  books::UnitSpec& call = calls.emplace_back();
  call.id = call_id(unit, of.step);
  call.kind = kSimulatedRungs[rung];
  call.privacy = of.privacy;
  if (rung == kHome) call.home = nodes_[home_of(unit)].id;
  call.needs = {std::string(kSimulatedRungs[rung == kHome ? kSmall : rung])};
  // What fewer nodes can do goes first, and what was begun before what was not.
  call.prio = static_cast<std::int64_t>(rung == kHome ? kCloud + 1 : rung) * 8 + of.step;
}

void Simulation::happens(const Event& event) {
  SimulatedNode& node = nodes_[event.node];
  if (event.turn != node.turn) return;
  switch (event.what) {
    case Happening::kAsks:
      return ask(event.node);
    case Happening::kBeats:
      if (!rules_.heartbeat(node.id, std::span(&node.lease, 1), {}, now_ms_).value().empty())
        return plan(Happening::kBeats, event.node, books::kBeatMs);
      // Another was faster: it stops at once.
      ++node.turn;
      return ask(event.node);
    case Happening::kEnds:
      return end(event.node);
    case Happening::kDies:
      ++node.turn;
      ++report_.deaths;
      node.down_ms += kDownMs;
      return plan(Happening::kAsks, event.node, kDownMs);
  }
}

void Simulation::ask(std::size_t index) {
  SimulatedNode& node = nodes_[index];
  node.idle = false;
  const auto lease = rules_.lease(node.wish, now_ms_);
  if (lease && *lease) return begin(index, **lease);
  node.idle = true;
  plan(Happening::kAsks, index, kPollMs);
}

void Simulation::wake_idle() {
  for (std::size_t index = 0; index < nodes_.size(); ++index) {
    if (!nodes_[index].idle) continue;
    nodes_[index].idle = false;
    ++nodes_[index].turn;
    plan(Happening::kAsks, index, 0);
  }
}

void Simulation::begin(std::size_t index, const books::Grant& lease) {
  SimulatedNode& node = nodes_[index];
  ++node.turn;
  node.lease = lease;
  node.unit = std::stoll(lease.unit);
  const SimulatedUnit& unit = units_[static_cast<std::size_t>(node.unit)];
  const int step = lease.unit.back() - '0';
  node.rung = unit.ladder[static_cast<std::size_t>(step)];
  const bool stranger = node.rung == kHome && home_of(node.unit) != index;
  if (stranger || (node.best == kCloud && unit.privacy != Reach::kAny)) ++report_.trespassed;
  report_.copies += lease.copy;
  ++report_.leases;
  const double work = kRungSeconds[node.rung] * (0.5 + draw(kWork, node.unit));
  const auto takes_ms = static_cast<std::int64_t>(work / node.speed * 1000);
  const std::int64_t number = leases_++;
  const double fate = draw(kFailure, number) / fleet_.failures, when = draw(kWhen, number);
  if (fate < 0.5)
    return plan(Happening::kDies, index,
                static_cast<std::int64_t>(when * static_cast<double>(takes_ms)));
  if (fate < 1) {  // asleep: no heartbeat leaves it, and it goes on as if nothing had been
    ++report_.sleeps;
    return plan(Happening::kEnds, index, takes_ms + static_cast<std::int64_t>(120'000 * when));
  }
  if (takes_ms > books::kBeatMs) plan(Happening::kBeats, index, books::kBeatMs);
  plan(Happening::kEnds, index, takes_ms);
}

void Simulation::end(std::size_t index) {
  SimulatedNode& node = nodes_[index];
  ++node.turn;
  SimulatedUnit& unit = units_[static_cast<std::size_t>(node.unit)];
  const std::size_t step = static_cast<std::size_t>(node.lease.unit.back() - '0');
  const bool passed = draw(kVerdict, node.unit * 8 + static_cast<std::int64_t>(step)) <
                      kPasses[unit.difficulty - 1][node.rung];
  books::UnitResult result;
  result.passed = passed;
  result.hash = passed ? "made" : "";
  if (!passed) result.reason = "judged";
  if (rules_.complete(node.lease, result, now_ms_) != books::LeaseAnswer::kCounted) {
    ++report_.stale;
    return ask(index);
  }
  report_.twice += unit.ended || step != unit.step || unit.counted;
  unit.counted = true;
  counted_ms_ = now_ms_;
  ++report_.calls[node.rung];
  work_[node.rung] += kRungSeconds[node.rung] * (0.5 + draw(kWork, node.unit));
  history_.add(0, unit.difficulty, node.rung, 1, passed ? 1 : 0);
  judged(node.unit, passed);
  ask(index);
}

// The next rung only after a verdict.
void Simulation::judged(std::int64_t unit, bool passed) {
  SimulatedUnit& of = units_[static_cast<std::size_t>(unit)];
  if (passed || of.step + 1 == of.steps) {
    ++(passed ? report_.passed : report_.exhausted);
    return finish(unit);
  }
  ++of.step;
  of.counted = false;
  std::vector<books::UnitSpec> calls;
  add_call(unit, calls);
  LATHE_CHECK(rules_.add_units(run_of(unit / batch_size_), calls).has_value());
}

// Nobody tells the coordinator of a unit that was given up because nodes failed: it looks.
void Simulation::look_for_given_up() {
  while (oldest_ < std::ssize(units_) && units_[static_cast<std::size_t>(oldest_)].ended) ++oldest_;
  for (std::int64_t unit = oldest_; unit < std::ssize(units_); ++unit) {
    const SimulatedUnit& of = units_[static_cast<std::size_t>(unit)];
    if (of.ended) continue;
    const books::UnitRow* call = rules_.unit(run_of(unit / batch_size_), call_id(unit, of.step));
    if (!call || call->state != books::UnitState::kGaveUp) continue;
    ++report_.failed;
    finish(unit);
  }
}

void Simulation::finish(std::int64_t unit) {
  units_[static_cast<std::size_t>(unit)].ended = true;
  ++ended_;
  const std::int64_t batch = unit / batch_size_;
  if (--open_[static_cast<std::size_t>(batch)] == 0) rules_.remove_run(run_of(batch));
  feed();
}

SimulationReport Simulation::sum_up() {
  report_.lost = fleet_.units - ended_;
  report_.seconds = static_cast<double>(now_ms_ - kStartMs) / 1000;
  if (report_.seconds <= 0) return report_;
  // What asks for a model of some size can only be done by the nodes that have one, in the time
  // that they live: the scarcest of these sets the bound.
  double work = 0, capacity = 0, least_seconds = 0;
  std::int64_t calls = 0;
  for (const std::size_t rung : {kBig, kMiddle, kSmall, kHome}) {
    work += work_[rung];
    calls += report_.calls[rung];
    for (const SimulatedNode& node : nodes_)
      if (node.best == rung)
        capacity += node.speed * (1 - static_cast<double>(node.down_ms) / 1000 / report_.seconds);
    if (capacity > 0) least_seconds = std::max(least_seconds, work / capacity);
  }
  report_.throughput = static_cast<double>(calls) / report_.seconds;
  if (least_seconds > 0) report_.bound = static_cast<double>(calls) / least_seconds;
  return report_;
}

}  // namespace

Result<SimulationReport> simulate_fleet(const SimulatedFleet& fleet) {
  if (fleet.nodes < 50 || fleet.nodes > kMostNodes)
    return invalid("--nodes {}: a simulated fleet has 50 to {} nodes", fleet.nodes, kMostNodes);
  if (fleet.units < 1 || fleet.units > kMostUnits)
    return invalid("--units {}: a simulated fleet does 1 to {} units", fleet.units, kMostUnits);
  if (!(fleet.failures >= 0 && fleet.failures <= 0.5))
    return invalid("--failures {}: it is the part of the leases whose node fails, 0 to 0.5",
                   fleet.failures);
  return Simulation(fleet).run();
}

}  // namespace lathe::app
