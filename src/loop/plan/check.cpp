// What must hold of a plan's tasks together: no circle, writes apart or in order, labels that never
// grow looser.
#include "loop/plan/check.h"

#include "loop/plan/globs.h"

namespace lathe::loop {
namespace {

using Sets = std::vector<std::uint64_t>;

// Of files as they are called, which may have stars in their names.
bool is_below(std::string_view path, std::string_view place) {
  return place == "." || path == place ||
         (path.starts_with(place) && path.size() > place.size() && path[place.size()] == '/');
}

std::uint64_t bit(std::size_t task) {
  return std::uint64_t{1} << task;
}

// A circle among tasks none of which can be first: each of them waits for another.
std::string circle_in(std::span<const PlanTask> tasks, const std::vector<bool>& placed) {
  std::size_t at = 0;
  while (placed[at]) ++at;
  std::vector<std::size_t> path;
  while (std::ranges::find(path, at) == path.end()) {
    path.push_back(at);
    at = *std::ranges::find_if(tasks[at].deps, [&](std::size_t dep) { return !placed[dep]; });
  }
  std::string text = tasks[at].id;
  for (auto it = std::ranges::find(path, at) + 1; it != path.end(); ++it)
    text += " → " + tasks[*it].id;
  return text + " → " + tasks[at].id;
}

// Kahn's way: whatever waits for nothing that is left comes next.
Status put_in_order(Plan& plan, const PlanPlaces& places) {
  std::vector<bool> placed(plan.tasks.size());
  plan.order.clear();
  for (bool more = true; more;) {
    more = false;
    for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
      if (placed[i] ||
          !std::ranges::all_of(plan.tasks[i].deps, [&](std::size_t dep) { return placed[dep]; }))
        continue;
      placed[i] = more = true;
      plan.order.push_back(i);
    }
  }
  if (plan.order.size() == plan.tasks.size()) return {};
  return places.problem("task", fmt::format("has a circle: {}; take one of these deps away",
                                            circle_in(plan.tasks, placed)));
}

std::pair<std::string, std::string> overlap_of(const std::vector<std::string>& left,
                                               const std::vector<std::string>& right,
                                               bool (*overlap)(std::string_view,
                                                               std::string_view)) {
  for (const std::string& a : left)
    for (const std::string& b : right)
      if (overlap(a, b)) return {a, b};
  return {};
}

// Who reads what another writes comes after it, unless they are in order already.
Status add_deps_of_reads(Plan& plan, const PlanPlaces& places) {
  const Sets before = ancestors_of(plan.tasks, plan.order);
  const auto in_order = [&](std::size_t a, std::size_t b) {
    return (before[a] & bit(b)) != 0 || (before[b] & bit(a)) != 0;
  };
  const auto reads = [&](std::size_t reader, std::size_t writer) {
    return overlap_of(plan.tasks[reader].reads, plan.tasks[writer].writes, writes_overlap);
  };
  for (std::size_t i = 0; i < plan.tasks.size(); ++i)
    for (std::size_t j = 0; j < plan.tasks.size(); ++j) {
      if (i == j || in_order(i, j)) continue;
      const auto [read, written] = reads(i, j);
      if (read.empty()) continue;
      if (!reads(j, i).first.empty())
        return places.of_task(plan, i, "reads",
                              fmt::format("and '{}' each read what the other writes; put one of "
                                          "them in the other's deps",
                                          plan.tasks[j].id));
      plan.tasks[i].deps.push_back(j);
      plan.notes.push_back(fmt::format("{} waits for {} too: it reads '{}', and that writes '{}'",
                                       plan.tasks[i].id, plan.tasks[j].id, read, written));
    }
  for (PlanTask& task : plan.tasks) std::ranges::sort(task.deps);
  return put_in_order(plan, places);
}

Status check_depth(const Plan& plan, const PlanPlaces& places) {
  const std::vector<int> depths = depths_of(plan);
  const auto deepest = std::ranges::max_element(depths);
  if (*deepest <= kMaxDepth) return {};
  return places.of_task(plan, static_cast<std::size_t>(deepest - depths.begin()), "deps",
                        fmt::format("is number {} of a chain, and {} are the most; put tasks "
                                    "together, or take deps away",
                                    *deepest, kMaxDepth));
}

Status check_writes(const Plan& plan, const PlanPlaces& places) {
  const Sets before = ancestors_of(plan.tasks, plan.order);
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
    if (const auto [written, kept] = overlap_of(plan.tasks[i].writes, plan.protect, globs_overlap);
        !written.empty())
      return places.of_task(
          plan, i, "writes",
          fmt::format("has '{}', but '{}' is protected; write to other paths", written, kept));
    for (std::size_t j = 0; j < i; ++j) {
      if ((before[i] & bit(j)) != 0 || (before[j] & bit(i)) != 0) continue;
      const auto [a, b] = overlap_of(plan.tasks[i].writes, plan.tasks[j].writes, writes_overlap);
      if (a.empty()) continue;
      return places.of_task(
          plan, i, "writes",
          fmt::format("has '{}', and '{}' writes '{}' at the same time; put one in the other's "
                      "deps, or part what they write",
                      a, plan.tasks[j].id, b));
    }
  }
  return {};
}

struct Bound {
  Reach label = Reach::kAny;
  std::string why;
};

// The loosest label that a task may have, by what it is shown and what that was made from.
Bound bound_of(const Plan& plan, const PlanTask& task, const PlanRules& rules) {
  Bound bound;
  const auto take = [&](Reach label, std::string why) {
    if (label < bound.label) bound = {label, std::move(why)};
  };
  for (const auto* globs : {&task.reads, &task.writes})
    for (const std::string& glob : *globs) {
      bool named = false;
      for (const PlanInput& input : plan.inputs) {
        const bool whole_tree = input.path == ".";
        if (whole_tree || globs_overlap(glob, input.path) ||
            globs_overlap(glob, input.path + "/**"))
          take(input.label, fmt::format("the input '{}'", input.path));
        named |= lies_within(glob, input.path);
      }
      if (!named)
        take(rules.unnamed, fmt::format("'{}', which is of no input of a looser label", glob));
    }
  for (const std::size_t dep : task.deps)
    take(plan.tasks[dep].label, fmt::format("the result of '{}'", plan.tasks[dep].id));
  return bound;
}

Status check_labels(Plan& plan, const std::vector<bool>& labelled, const PlanPlaces& places,
                    const PlanRules& rules) {
  for (const std::size_t i : plan.order) {
    PlanTask& task = plan.tasks[i];
    const Bound bound = bound_of(plan, task, rules);
    if (!labelled[i]) task.label = bound.label == Reach::kAny ? rules.unnamed : bound.label;
    if (task.label > bound.label)
      return places.of_task(
          plan, i, "privacy",
          fmt::format("is \"{}\", but {} is \"{}\"; write privacy = \"{}\"", label_name(task.label),
                      bound.why, label_name(bound.label), label_name(bound.label)));
  }
  return {};
}

}  // namespace

std::unexpected<Error> PlanPlaces::problem(const std::string& path,
                                           std::string_view message) const {
  return invalid("{}: {} {}", place_of(file, lines, path), path, message);
}

std::unexpected<Error> PlanPlaces::of_task(const Plan& plan, std::size_t task, std::string_view key,
                                           std::string_view message) const {
  return invalid("{}: task '{}': {} {}",
                 place_of(file, lines, fmt::format("task[{}].{}", task, key)), plan.tasks[task].id,
                 key, message);
}

std::vector<std::uint64_t> ancestors_of(std::span<const PlanTask> tasks,
                                        std::span<const std::size_t> order) {
  Sets before(tasks.size());
  for (const std::size_t i : order)
    for (const std::size_t dep : tasks[i].deps) before[i] |= before[dep] | bit(dep);
  return before;
}

std::vector<int> depths_of(const Plan& plan) {
  std::vector<int> depths(plan.tasks.size(), 1);
  for (const std::size_t i : plan.order)
    for (const std::size_t dep : plan.tasks[i].deps)
      depths[i] = std::max(depths[i], depths[dep] + 1);
  return depths;
}

Status check_tasks(Plan& plan, const std::vector<bool>& labelled, const PlanPlaces& places,
                   const PlanRules& rules) {
  LATHE_TRY_STATUS(put_in_order(plan, places));
  LATHE_TRY_STATUS(add_deps_of_reads(plan, places));
  LATHE_TRY_STATUS(check_depth(plan, places));
  LATHE_TRY_STATUS(check_writes(plan, places));
  return check_labels(plan, labelled, places, rules);
}

Reach label_of(std::span<const PlanInput> inputs, std::string_view path, const PlanRules& rules) {
  std::optional<Reach> label;
  for (const PlanInput& input : inputs)
    if (is_below(path, input.path)) label = std::min(label.value_or(Reach::kAny), input.label);
  return label.value_or(rules.unnamed);
}

Status check_links(const Plan& plan, std::span<const std::string> links) {
  for (const PlanTask& task : plan.tasks)
    for (const std::string& glob : task.writes)
      for (const std::string& link : links)
        if (globs_overlap(glob, link) || globs_overlap(glob, link + "/**"))
          return invalid(
              "task '{}': writes '{}', and '{}' is a symbolic link of the tree, which nothing is "
              "written through; write to where it points",
              task.id, glob, link);
  return {};
}

}  // namespace lathe::loop
