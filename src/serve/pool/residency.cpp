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
std::uint64_t needs(const ResidencyModel& model) {
  return (is_in(model) ? 0 : model.bytes) + model.least_kv;
}

// Why `model` can never come in; "" when it can.
std::string never_fits(const ResidencyState& state, const ResidencyModel& model) {
  std::uint64_t pinned = 0;
  for (const ResidencyModel& other : state.models)
    pinned += other.pinned && other.name != model.name ? other.bytes : 0;
  const std::uint64_t needed = model.bytes + model.least_kv;
  if (needed + pinned <= state.limit) return {};
  return fmt::format(
      "'{}' needs {} ({} weights and scratch, {} KV) and the budget is {}{}; use a smaller model "
      "or "
      "context, or give --memory more",
      model.name, format_bytes(needed), format_bytes(model.bytes), format_bytes(model.least_kv),
      format_bytes(state.limit),
      pinned == 0 ? "" : fmt::format(", of which pinned models hold {}", format_bytes(pinned)));
}

}  // namespace

ResidencyPlan plan_residency(const ResidencyState& state) {
  ResidencyPlan plan;
  bool loading = false;
  std::uint64_t taken = 0;
  for (const ResidencyModel& model : state.models) {
    loading = loading || model.state == State::kLoading;
    if (is_in(model)) taken += model.bytes + model.bound_kv;
  }
  std::vector<const ResidencyModel*> wanted;
  for (const ResidencyModel& model : state.models) {
    if (!model.waiting_since || model.state == State::kLoading) continue;
    if (std::string why = never_fits(state, model); !why.empty()) {
      plan.refuse.emplace_back(model.name, std::move(why));
    } else if (!is_in(model) || taken + needs(model) > state.limit) {
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
  const std::uint64_t needed = needs(next);
  std::vector<const ResidencyModel*> chosen;
  for (const ResidencyModel* victim : victims) {
    if (taken + needed <= state.limit) break;
    taken -= victim->bytes + victim->bound_kv;
    chosen.push_back(victim);
  }
  if (taken + needed > state.limit) return plan;  // those whose turn comes earlier hold the rest
  bool waits = false;
  for (const ResidencyModel* victim : chosen) {
    (victim->busy ? plan.hold : plan.evict).push_back(victim->name);
    waits = waits || victim->busy;
  }
  if (!waits && !is_in(next)) plan.load = next.name;
  return plan;
}

}  // namespace lathe::serve
