// GET /plans, GET /nodes
#include "app/cli/served_plans.h"

#include "app/cli/fleet_desk.h"
#include "app/cli/journals.h"
#include "app/cli/plans.h"
#include "books/postgres/open_postgres.h"
#include "loop/plan/drive.h"
#include "serve/pairing/settings.h"
#include "serve/runs/answers.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostPlans = 20;

Json json_of_plan(const loop::FoundPlan& found) {
  const loop::Plan& plan = found.head.plan;
  const loop::PlanStand stand = stand_of(plan, found.head.rules, found.runs);
  Json tasks = Json::array();
  for (const std::size_t i : plan.order) {
    const loop::PlanTask& task = plan.tasks[i];
    Json row = part_json(stand.tasks[i]);
    row["id"] = task.id;
    row["do"] = task.instruction;
    row["maker"] = task.maker->name;
    row["privacy"] = loop::label_name(task.label);
    row["writes"] = task.writes;
    row["deps"] = Json::array();
    for (const std::size_t dep : task.deps) row["deps"].push_back(plan.tasks[dep].id);
    tasks.push_back(std::move(row));
  }
  return {{"id", found.head.id},
          {"goal", plan.goal},
          {"result", stand.ended ? Json(loop::result_name(*stand.ended)) : Json()},
          {"why", stand.why},
          {"tasks", std::move(tasks)},
          {"merge", part_json(stand.merge)}};
}

}  // namespace

serve::Handled list_of_plans(const App& app, const serve::Call& call) {
  if (!call.owner)
    return std::unexpected(
        serve::ApiError{403, "plans are for whoever runs the server: with the owner's key"});
  LATHE_TRY(const books::Journal journal, serve::or_api_error(open_journal(app)));
  LATHE_TRY(const auto ids, serve::or_api_error(loop::newest_plans(journal, kMostPlans)));
  Json plans = Json::array();
  for (const std::string& id : ids) {
    const auto found = loop::find_plan(journal, id);
    // Runs that were removed, or that only look like a plan's.
    if (found) plans.push_back(json_of_plan(*found));
  }
  return serve::json_reply({{"data", std::move(plans)}});
}

serve::Handled list_of_nodes(const App& app, const serve::Call& call) {
  if (!call.owner)
    return std::unexpected(
        serve::ApiError{403, "nodes are for whoever runs the server: with the owner's key"});
  LATHE_TRY(const auto settings, serve::or_api_error(serve::read_fleet_settings(app.config_dir)));
  Json nodes = Json::array();
  if (!settings)
    return serve::json_reply({{"fleet", nullptr}, {"own", true}, {"data", std::move(nodes)}});
  const std::string address = settings->libpq_address();
  const bool own = settings->inviter.empty();
  if (own) {
    LATHE_TRY(const auto store, serve::or_api_error(books::open_postgres_leases(address)));
    LATHE_TRY(const auto rows, serve::or_api_error(store->nodes()));
    for (const books::NodeRow& row : rows)
      if (row.state != books::NodeState::kForgotten) nodes.push_back(node_json(row));
  }
  return serve::json_reply(
      {{"fleet", books::postgres_place(address)}, {"own", own}, {"data", std::move(nodes)}});
}

}  // namespace lathe::app
