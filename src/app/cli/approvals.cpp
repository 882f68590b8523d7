// lathe approvals list | allow | refuse | forget: what a person was asked for, and what they said.
#include "app/cli/consent_gate.h"
#include "app/cli/tool_desk.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

std::string row_words(const books::Approval& approval) {
  if (approval.kind == books::kConsentKind) return "consent: " + consent_words(approval);
  if (approval.kind == books::kConsentRuleKind)
    return "rule of consent for " + approval.subject.at("destination");
  return approval_words(approval);
}

Status list_approvals(const App& app) {
  LATHE_TRY(const auto table, approvals_of(app).all());
  for (const books::Approval& each : table) {
    if (app.json) {
      Json subject = Json::object();
      for (const auto& [name, value] : each.subject) subject[name] = value;
      print_json({{"id", each.id()},
                  {"kind", each.kind},
                  {"subject", std::move(subject)},
                  {"decision", decision_name(each.decision)},
                  {"at", format_utc(each.at_ms)}});
    } else {
      print(fmt::format("{}  {:<8}  {}  {}\n", each.id(), decision_name(each.decision),
                        format_utc(each.at_ms), row_words(each)));
    }
  }
  if (table.empty() && !app.json) print("nobody was asked for anything yet\n");
  return {};
}

// Of what was asked for, by its id.
Status decide(const App& app, const std::vector<std::string>& ids, books::Decision decision) {
  const books::Approvals approvals = approvals_of(app);
  for (const std::string& id : ids) {
    LATHE_TRY(auto table, approvals.all());
    const auto found = std::ranges::find(table, id, &books::Approval::id);
    if (found == table.end())
      return fail(ErrorKind::kNotFound,
                  "nobody was asked for '{}'; `lathe approvals list` shows what was asked for",
                  clip_utf8(id, 40));
    const std::int64_t now = system_clock().unix_ms();
    // Of what goes to a cloud, secrets must be named: `lathe consent`.
    if (found->kind == books::kConsentKind)
      LATHE_TRY_STATUS(consents_of(app).decide(id, decision, {}, now));
    else
      LATHE_TRY_STATUS(approvals.update(id, [&](books::Approval& row) -> Status {
        row.decision = decision;
        row.at_ms = now;
        return {};
      }));
    if (!app.json) print(fmt::format("{}: {}\n", decision_name(decision), row_words(*found)));
  }
  return {};
}

Status forget(const App& app, const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    // A consent goes with its text.
    const Status gone = consents_of(app).forget(id);
    if (gone) continue;
    if (gone.error().kind != ErrorKind::kNotFound) return gone;
    LATHE_TRY_STATUS(approvals_of(app).forget(id));
  }
  return {};
}

}  // namespace

void add_approvals(CLI::App& cli, App& app, Action& action) {
  auto ids = std::make_shared<std::vector<std::string>>();
  CLI::App* command =
      cli.add_subcommand("approvals", "What you were asked to allow, and what you said");
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, auto run) {
    CLI::App* sub = command->add_subcommand(name, help);
    if (std::string_view(name) != "list")
      sub->add_option("id", *ids, "Of those that `lathe approvals list` shows")->required();
    sub->callback([&app, &action, run] {
      action = [&app, run] {
        const Status status = run(app);
        return status ? kExitPassed : report_error(app, status.error());
      };
    });
  };
  add("list", "All of it", list_approvals);
  add("allow", "Allow it, from now on",
      [ids](const App& here) { return decide(here, *ids, books::Decision::kAllowed); });
  add("refuse", "Refuse it, from now on",
      [ids](const App& here) { return decide(here, *ids, books::Decision::kRefused); });
  add("forget", "Ask again when it comes up",
      [ids](const App& here) { return forget(here, *ids); });
}

}  // namespace lathe::app
