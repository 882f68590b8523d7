// Which models stay in memory, and which go.
#include "serve/pool/residency.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "ground/base/units.h"

namespace lathe::serve {
namespace {

using State = ResidencyModel::State;

// In memory, or on its way there.
bool is_in(const ResidencyModel& model) {
  return model.state != State::kCold;
}

// What has to be free for its oldest waiting request.
DeviceBytes needs(const ResidencyModel& model) {
  return is_in(model) ? model.least_kv : model.bytes + model.least_kv;
}

// What goes back when it is evicted.
DeviceBytes holds(const ResidencyModel& model) {
  return model.bytes + model.bound_kv;
}

// Why `model` can never come in; "" when it can.
std::string never_fits(const ResidencyState& state, const ResidencyModel& model) {
  DeviceBytes pinned;
  for (const ResidencyModel& other : state.models)
    if (other.pinned && other.name != model.name) pinned += other.bytes;
  for (const auto& [device, bytes] : model.bytes + model.least_kv) {
    const std::uint64_t limit = state.limit.of(device), held = pinned.of(device);
    if (bytes + held <= limit) continue;
    const bool host = device == kHostDevice;
    const std::string what =
        model.program
            ? model.outgrown ? "as its program was seen to use" : "as its program's memory says"
            : fmt::format("{} weights and scratch, {} KV", format_bytes(model.bytes.of(device)),
                          format_bytes(model.least_kv.of(device)));
    return fmt::format(
        "'{}' needs {}{} ({}) and the budget is {}{}; use a smaller model or context{}", model.name,
        format_bytes(bytes), host ? "" : " of the memory of " + device, what, format_bytes(limit),
        held == 0 ? "" : fmt::format(", of which pinned models hold {}", format_bytes(held)),
        host ? ", or give --memory more" : "");
  }
  return {};
}

// Whether it holds something where `needed` is beyond the limit.
bool gives_room(const ResidencyModel& model, const DeviceBytes& needed, const DeviceBytes& limit) {
  return std::ranges::any_of(
      holds(model), [&](const auto& row) { return needed.of(row.first) > limit.of(row.first); });
}

// A program has outgrown its promise and all that is left: what is idle makes room, and where that
// is not enough, it has to go itself.
ResidencyPlan plan_for_outgrown(const ResidencyState& state, DeviceBytes taken) {
  ResidencyPlan plan;
  std::vector<const ResidencyModel*> idle;
  for (const ResidencyModel& model : state.models) {
    if (model.state == State::kLeaving) taken = taken.less(holds(model));
    if (model.state == State::kReady && !model.pinned && !model.busy) idle.push_back(&model);
  }
  std::ranges::sort(idle, {}, [](const ResidencyModel* model) {
    return std::tuple(model->waiting_since.has_value(), model->priority, model->last_used);
  });
  for (const ResidencyModel* model : idle) {
    if (!gives_room(*model, taken, state.limit)) continue;
    taken = taken.less(holds(*model));
    plan.evict.push_back(model->name);
  }
  if (taken.fits(state.limit)) return plan;
  plan.evict.clear();  // they would go in vain
  for (const ResidencyModel& model : state.models)
    if (model.outgrown && is_in(model) && model.state != State::kLeaving)
      plan.stop.push_back(model.name);
  return plan;
}

}  // namespace

ResidencyPlan plan_residency(const ResidencyState& state) {
  ResidencyPlan plan;
  bool loading = false, outgrown = false;
  DeviceBytes taken, leaving;
  for (const ResidencyModel& model : state.models) {
    loading = loading || (model.state == State::kLoading && !model.program);
    outgrown = outgrown || (model.outgrown && is_in(model));
    if (is_in(model)) taken += holds(model);
    if (model.state == State::kLeaving) leaving += holds(model);
  }
  if (outgrown && !taken.fits(state.limit)) return plan_for_outgrown(state, taken);
  std::vector<const ResidencyModel*> wanted;
  for (const ResidencyModel& model : state.models) {
    if (!model.waiting_since || model.state == State::kLoading || model.state == State::kLeaving)
      continue;
    if (std::string why = never_fits(state, model); !why.empty()) {
      plan.refuse.emplace_back(model.name, std::move(why));
    } else if (!is_in(model) || !(taken + needs(model)).fits(state.limit)) {
      wanted.push_back(&model);
    }
  }
  if (wanted.empty() || loading) return plan;
  const ResidencyModel& next = **std::ranges::min_element(
      wanted, {}, [](const ResidencyModel* model) { return *model->waiting_since; });

  // Whom to take it from: first those that nobody waits for, the least important and least recently
  // used first; then those whose requests came later.
  std::vector<const ResidencyModel*> victims;
  for (const ResidencyModel& model : state.models) {
    if (model.state != State::kReady || model.pinned || &model == &next) continue;
    if (model.waiting_since && *model.waiting_since < *next.waiting_since) continue;
    victims.push_back(&model);
  }
  std::ranges::sort(victims, {}, [](const ResidencyModel* model) {
    return std::tuple(model->busy, model->waiting_since.has_value(), model->priority,
                      model->last_used);
  });
  DeviceBytes needed = (taken + needs(next)).less(leaving);
  std::vector<const ResidencyModel*> chosen;
  for (const ResidencyModel* victim : victims) {
    if (!gives_room(*victim, needed, state.limit)) continue;
    needed = needed.less(holds(*victim));
    chosen.push_back(victim);
  }
  if (!needed.fits(state.limit)) return plan;  // those whose turn comes earlier hold the rest
  bool waits = !(needed + leaving).fits(state.limit);  // for what is on its way out
  for (const ResidencyModel* victim : chosen) {
    (victim->busy ? plan.hold : plan.evict).push_back(victim->name);
    waits = waits || victim->busy;
  }
  if (!waits && !is_in(next)) plan.load = next.name;
  return plan;
}

}  // namespace lathe::serve
