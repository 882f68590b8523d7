// Nodes as people name them, and the database that a fleet has.
#include "app/cli/fleet_desk.h"

#include <unistd.h>

#include <algorithm>

#include "books/postgres/open_postgres.h"
#include "ground/base/text.h"
#include "loop/orders/leased_calls.h"
#include "serve/pairing/settings.h"

namespace lathe::app {
namespace {

constexpr std::string_view kClearances[] = {"local", "lan", "cloud"};
using books::kNameCap;
constexpr std::size_t kShortestPrefix = 4;

}  // namespace

Result<std::string> fleet_database(const App& app, const std::string& given) {
  if (!given.empty()) {
    if (books::is_postgres_address(given)) return given;
    return invalid("--db '{}' is no address of a database; it begins with postgresql://", given);
  }
  if (!app.journal_database.empty()) return app.journal_database;
  LATHE_TRY(const auto settings, serve::read_fleet_settings(app.config_dir));
  if (settings) return settings->libpq_address();
  return invalid(
      "this machine knows no fleet; give its database, --db postgresql://USER@HOST/DATABASE, or "
      "begin one: lathe fleet init --db …");
}

std::string machine_name() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  std::string name(host);
  name = name.substr(0, std::min<std::size_t>(name.find('.'), 64));
  return serve::check_fleet_name("", name) ? name : "machine";
}

std::string_view clearance_name(Reach clearance) {
  return kClearances[static_cast<std::size_t>(clearance)];
}

Reach parse_clearance(const std::string& name) {
  return static_cast<Reach>(std::ranges::find(kClearances, name) - std::begin(kClearances));
}

books::NodeRow fleet_node(const std::string& id, const std::string& fingerprint,
                          const std::string& name, const std::string& tier, Reach clearance) {
  books::NodeRow node;
  node.id = id;
  node.tier = tier;
  node.clearance = clearance;
  node.cert = fingerprint;
  node.caps = {std::string(kNameCap) + name};
  if (tier != name) node.caps.push_back(std::string(kNameCap) + tier);
  return node;
}

std::string node_name(const books::NodeRow& node) {
  if (node.caps.empty() || !node.caps[0].starts_with(kNameCap)) return node.id;
  return node.caps[0].substr(kNameCap.size());
}

Json node_json(const books::NodeRow& node) {
  return {{"id", node.id},
          {"name", node_name(node)},
          {"tier", node.tier},
          {"clearance", clearance_name(node.clearance)},
          {"state", books::node_state_name(node.state)},
          {"fingerprint", node.cert},
          {"caps", loop::caps_of(node)},
          {"load", node.load},
          {"seen", node.seen_ms == 0 ? Json() : Json(format_utc(node.seen_ms))}};
}

Result<books::NodeRow> find_node(const std::vector<books::NodeRow>& nodes,
                                 const std::string& text) {
  std::vector<const books::NodeRow*> found;
  std::vector<std::string> names;
  for (const books::NodeRow& node : nodes) {
    names.push_back(node_name(node));
    if (node.id == text) return node;
    if (names.back() == text || (text.size() >= kShortestPrefix && node.id.starts_with(text)))
      found.push_back(&node);
  }
  if (found.size() == 1) return *found[0];
  const std::string shown = clip_utf8(make_valid_utf8(text), 100);
  if (found.empty())
    return fail(ErrorKind::kNotFound, "the fleet has no node '{}'{}; lathe fleet nodes lists them",
                shown, did_you_mean(text, names));
  std::vector<std::string> ids;
  for (const books::NodeRow* node : found) ids.push_back(node->id);
  return invalid("'{}' may be each of these nodes: {}; give more of the id", shown,
                 join(ids, ", "));
}

Status put_fleet_node(books::LeaseStore& store, books::NodeRow node) {
  LATHE_TRY(const std::vector<books::NodeRow> nodes, store.nodes());
  for (const books::NodeRow& other : nodes) {
    if (other.id == node.id) {
      node.load = other.load;
      node.seen_ms = other.seen_ms;
    } else if (other.state != books::NodeState::kForgotten && node_name(other) == node_name(node)) {
      return invalid(
          "the fleet has a node '{}' already ({}); give this one another name with --name, or "
          "forget that one: lathe fleet forget {}",
          node_name(node), other.id, other.id);
    }
  }
  LATHE_TRY_STATUS(store.put_node(node));
  const auto old = std::ranges::find(nodes, node.id, &books::NodeRow::id);
  // Whoever is let in again is no longer forgotten; a quarantine stays.
  if (old != nodes.end() && old->state == books::NodeState::kForgotten)
    return store.set_node_state(node.id, books::NodeState::kActive);
  return {};
}

}  // namespace lathe::app
