// This machine as a node: caps, load, canaries, and the orders that it carries out.
#include "app/cli/node_here.h"

#include "app/cli/running_server.h"
#include "ground/sys/climate.h"
#include "ground/sys/machine.h"
#include "loop/orders/carry_out.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kLookAtLoadEvery{1'000};

// Of this machine; a person is whoever waits for its server.
NodeLoad look_at(const App& app, std::optional<Climate>& before) {
  NodeLoad load;
  load.cpu = cpu_pressure();
  load.memory = memory_pressure();
  const Climate climate = read_climate();
  load.on_battery = climate.on_battery;
  load.hot = is_hot(before.value_or(climate), climate);
  before = climate;
  if (const auto base = running_server(app))
    if (const auto status = get_json(app, {.base = *base}, "/status")) {
      load.person = json_int(*status, "interactive", 0) > 0;
      load.asked = json_int(*status, "interactive_total", 0);
    }
  return load;
}

}  // namespace

NodeHere::NodeHere(const App& app, FleetAccess access, Options options)
    : app_(app),
      access_(std::move(access)),
      options_(std::move(options)),
      look_([&app, before = std::optional<Climate>()]() mutable { return look_at(app, before); }),
      rule_(options_.limits.value_or(LoadLimits())) {}

NodeHere::~NodeHere() = default;

std::vector<std::string> NodeHere::caps() const {
  std::vector<std::string> caps{"on:" + access_.name};
  if (!access_.tier.empty() && access_.tier != access_.name) caps.push_back("on:" + access_.tier);
  for (std::string& cap : loop::program_caps()) caps.push_back(std::move(cap));
  for (const std::string& worker : options_.workers) caps.push_back("worker:" + worker);
  return caps;
}

std::string NodeHere::busy() {
  if (!options_.limits) return {};
  const std::scoped_lock lock(mutex_);
  const Milliseconds now = system_clock().monotonic();
  if (!looked_ || now - *looked_ >= kLookAtLoadEvery) {
    looked_ = now;
    busy_ = rule_.why_not(look_(), now);
  }
  return busy_;
}

Json NodeHere::load() {
  Json load{{"name", access_.name},
            {"tier", access_.tier},
            {"caps", caps()},
            {"slots", options_.slots},
            {"build", options_.bench.build}};
  if (const std::string why = busy(); !why.empty()) load["busy"] = why;
  if (const auto cpu = cpu_pressure()) load["cpu"] = *cpu;
  if (const auto memory = memory_pressure()) load["memory"] = *memory;
  if (canaries_) load[kCanary] = canaries_->said();
  return load;
}

Result<std::unique_ptr<NodeHere>> NodeHere::start(const App& app, FleetAccess access,
                                                  Options options) {
  std::unique_ptr<NodeHere> here(new NodeHere(app, std::move(access), std::move(options)));
  // A database that is away is waited for, by each of the node's threads.
  const auto store = here->access_.leases();
  const auto known = store ? (*store)->heartbeat(here->access_.node, {}, here->load())
                           : std::unexpected(store.error());
  if (!known && known.error().kind != ErrorKind::kUnavailable)
    return std::unexpected(known.error());
  if (here->options_.canary) {
    Canaries::Options canaries;
    canaries.models = here->options_.models;
    canaries.make = here->options_.canary;
    canaries.log = print_note;
    here->canaries_ = std::make_unique<Canaries>(std::move(canaries));
  }
  NodeOptions node;
  node.id = here->access_.node;
  node.run = here->options_.run;
  node.slots = here->options_.slots;
  node.open = here->access_.leases;
  node.caps = [self = here.get()] { return self->caps(); };
  node.busy = [self = here.get()] { return self->busy(); };
  node.load = [self = here.get()] { return self->load(); };
  node.log = print_note;
  node.carry_out = [self = here.get()](const books::Grant& lease,
                                       const StopFlag& stop) -> Result<books::UnitResult> {
    LATHE_TRY(const auto blobs, self->access_.blobs());
    const loop::Bench& bench = self->options_.bench;
    return loop::carry_out(lease.unit, *blobs,
                           loop::OrderBench{.program = bench.program,
                                            .unsafe_no_sandbox = bench.unsafe_no_sandbox,
                                            .build = bench.build,
                                            .media = bench.media,
                                            .worker = bench.worker,
                                            .stop = stop,
                                            .progress = {}});
  };
  here->node_ = std::make_unique<Node>(std::move(node));
  return here;
}

}  // namespace lathe::app
