// lathe fleet nodes: who is in the fleet. lathe fleet drain | admit | forget NODE: what becomes of
// one of them.
#include "app/cli/fleet.h"
#include "app/cli/fleet_desk.h"
#include "books/postgres/node_roles.h"
#include "books/postgres/open_postgres.h"
#include "ground/base/text.h"
#include "loop/orders/leased_calls.h"

namespace lathe::app {
namespace {

struct FleetNodesFlags {
  std::string database, node;
};

// "cpu 12, memory 0": the load as it was said, one level of it.
std::string load_text(const Json& load) {
  std::vector<std::string> parts;
  if (load.is_object())
    for (const auto& [key, value] : load.items())
      if (value.is_primitive())
        parts.push_back(fmt::format("{} {}", key,
                                    value.is_string() ? json_string(load, key) : dump_json(value)));
  return parts.empty() ? "-" : clip_utf8(join(parts, ", "), 60);
}

Status list_nodes(const App& app, const FleetNodesFlags& flags) {
  LATHE_TRY(const std::string database, fleet_database(app, flags.database));
  LATHE_TRY(const auto store, books::open_postgres_leases(database));
  LATHE_TRY(const std::vector<books::NodeRow> nodes, store->nodes());
  if (app.json) {
    for (const books::NodeRow& node : nodes) print_json(node_json(node));
    return {};
  }
  if (nodes.empty()) print("the fleet has no nodes; `lathe fleet invite` lets one join\n");
  if (nodes.empty()) return {};
  constexpr std::string_view kRow = "{:<14} {:<10} {:<9} {:<11} {:<20} {:<32}  {} · {}\n";
  print(fmt::format(kRow, "NAME", "TIER", "CLEARANCE", "STATE", "SEEN", "ID", "HAS", "LOAD"));
  for (const books::NodeRow& node : nodes)
    print(fmt::format(kRow, clip_utf8(node_name(node), 14), clip_utf8(node.tier, 10),
                      clearance_name(node.clearance), books::node_state_name(node.state),
                      node.seen_ms == 0 ? "never" : format_utc(node.seen_ms), node.id,
                      join(loop::caps_of(node), " "), load_text(node.load)));
  return {};
}

Status change_node(const App& app, const FleetNodesFlags& flags, books::NodeState state,
                   std::string_view outcome) {
  LATHE_TRY(const std::string database, fleet_database(app, flags.database));
  LATHE_TRY(const auto store, books::open_postgres_leases(database));
  LATHE_TRY(const std::vector<books::NodeRow> nodes, store->nodes());
  LATHE_TRY(books::NodeRow node, find_node(nodes, flags.node));
  if (node.state == books::NodeState::kForgotten && state != books::NodeState::kForgotten)
    return invalid(
        "{} was forgotten, and its role with it; `lathe fleet invite` lets it join again",
        node_name(node));
  LATHE_TRY_STATUS(store->set_node_state(node.id, state));
  if (state == books::NodeState::kForgotten)
    LATHE_TRY_STATUS(books::drop_node_role(database, node.id));
  node.state = state;
  if (app.json)
    print_json(node_json(node));
  else
    print(fmt::format("{} ({}): {}\n", node_name(node), node.id, outcome));
  return {};
}

void add_nodes_command(CLI::App& fleet, App& app, Action& action, const char* name,
                       const char* about, bool of_one,
                       Status (*run)(const App&, const FleetNodesFlags&)) {
  auto flags = std::make_shared<FleetNodesFlags>();
  CLI::App* command = fleet.add_subcommand(name, about);
  if (of_one)
    command->add_option("node", flags->node, "Its name, its id, or the beginning of that")
        ->required();
  command->add_option("--db", flags->database,
                      "The fleet's database (default: that of --journal, or of `lathe fleet "
                      "init`)");
  command->callback([&app, &action, flags, run] {
    action = [&app, flags, run] {
      const Status done = run(app, *flags);
      return done ? kExitPassed : report_error(app, done.error());
    };
  });
}

}  // namespace

void add_fleet_nodes(CLI::App& fleet, App& app, Action& action) {
  using books::NodeState;
  add_nodes_command(fleet, app, action, "nodes", "List the nodes of the fleet", false, list_nodes);
  add_nodes_command(fleet, app, action, "drain",
                    "Have a node end what it holds and take nothing more", true,
                    [](const App& on, const FleetNodesFlags& flags) {
                      return change_node(on, flags, NodeState::kDraining,
                                         "it ends what it holds and gets nothing more");
                    });
  add_nodes_command(fleet, app, action, "admit", "Give a drained or quarantined node work again",
                    true, [](const App& on, const FleetNodesFlags& flags) {
                      return change_node(on, flags, NodeState::kActive, "it gets work");
                    });
  add_nodes_command(fleet, app, action, "forget", "Take a node out of the fleet, with all rights",
                    true, [](const App& on, const FleetNodesFlags& flags) {
                      return change_node(on, flags, NodeState::kForgotten,
                                         "forgotten: what it held is another's, and it may not log "
                                         "in any more");
                    });
}

}  // namespace lathe::app
