// lathe consent list | show | approve | deny | forget | rule: the exact bytes that would go to a
// cloud, and your word on them.
#include "app/cli/consent_gate.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

struct ConsentFlags {
  std::vector<std::string> ids, secret_ok, paths;
  bool all = false, unknown = false;
  std::string to, money, until;
};

Status list_consents(const App& app, const ConsentFlags& flags) {
  LATHE_TRY(const auto table, consents_of(app).all());
  bool shown = false;
  for (const books::Approval& each : table) {
    if (!flags.all && !app.json && each.decision != books::Decision::kAsked) continue;
    shown = true;
    if (app.json)
      print_json(consent_json(each));
    else
      print(fmt::format("{}  {:<8}  {}  {}\n", each.id(), decision_name(each.decision),
                        format_utc(each.at_ms), consent_words(each)));
  }
  if (!shown && !app.json)
    print(table.empty() ? "nothing was to go to a cloud yet\n"
                        : "nothing waits for your consent; --all lists what was decided\n");
  return {};
}

Status show_consent(const App& app, const ConsentFlags& flags) {
  const books::Consents consents = consents_of(app);
  LATHE_TRY(const books::Approval consent, consents.find(flags.ids.front()));
  LATHE_TRY(const std::string body, consents.body(consent));
  if (app.json) {
    Json json = consent_json(consent);
    json["text"] = body;
    print_json(json);
    return {};
  }
  // The facts apart from the text, which is as it would leave, byte for byte.
  print_note(fmt::format("consent {}: {}\n{}, sha256 {}", consent.id(),
                         decision_name(consent.decision), consent_words(consent),
                         consent.subject.at("sha256")));
  if (app.terminal)
    print(make_valid_utf8(body) + "\n");
  else
    print_raw(body);
  return {};
}

Status decide_consents(const App& app, const ConsentFlags& flags, books::Decision decision) {
  const books::Consents consents = consents_of(app);
  for (const std::string& id : flags.ids) {
    LATHE_TRY_STATUS(consents.decide(id, decision, flags.secret_ok, system_clock().unix_ms()));
    LATHE_TRY(const books::Approval consent, consents.find(id));
    if (!app.json)
      print(fmt::format("{}: {}\n", decision_name(consent.decision), consent_words(consent)));
  }
  return {};
}

Status forget_consents(const App& app, const ConsentFlags& flags) {
  for (const std::string& id : flags.ids) LATHE_TRY_STATUS(consents_of(app).forget(id));
  return {};
}

// With its port, and in the case that outgoing bytes have it.
Result<std::string> destination_of(const std::string& url) {
  LATHE_TRY(const serve::Endpoint endpoint, serve::parse_base_url(url));
  LATHE_TRY(const serve::UrlParts parts, serve::parts_of(endpoint.url));
  return parts.origin + (parts.path == "/" ? "" : parts.path);
}

Status add_rule(const App& app, const ConsentFlags& flags) {
  books::ConsentRule rule;
  LATHE_TRY(rule.destination, destination_of(flags.to));
  if (flags.paths.empty() && !flags.unknown)
    return invalid(
        "a rule says which files it is for: --path GLOB, as often as there are some, and "
        "--unknown-paths for requests that do not say which files they hold");
  rule.paths = flags.paths;
  rule.unknown_paths = flags.unknown;
  LATHE_TRY(const books::Money money, books::parse_money(flags.money));
  rule.nano_a_day = money.nano;
  rule.currency = money.currency;
  LATHE_TRY(rule.until_ms, parse_utc(flags.until));
  const std::int64_t now = system_clock().unix_ms();
  if (rule.until_ms <= now) return invalid("--until {}: has gone by", flags.until);
  LATHE_TRY_STATUS(consents_of(app).add(rule, now));
  if (app.json)
    print_json({{"id", rule.row().id()}});
  else
    print(fmt::format("rule {}\n", rule.row().id()));
  return {};
}

Status list_rules(const App& app, const ConsentFlags&) {
  LATHE_TRY(const auto table, consents_of(app).rules());
  const std::int64_t now = system_clock().unix_ms();
  for (const books::Approval& each : table) {
    LATHE_TRY(const books::ConsentRule rule, books::ConsentRule::of(each));
    const std::int64_t spent = spent_of(each, now);
    const bool holds = each.decision == books::Decision::kAllowed && now < rule.until_ms;
    if (app.json) {
      print_json({{"id", each.id()},
                  {"destination", rule.destination},
                  {"paths", rule.paths},
                  {"unknown_paths", rule.unknown_paths},
                  {"money_a_day", books::money_text(rule.nano_a_day, rule.currency)},
                  {"charged_today", books::money_text(spent, rule.currency)},
                  {"until", format_utc(rule.until_ms)},
                  {"holds", holds}});
      continue;
    }
    std::string files = join(rule.paths, " ");
    if (rule.unknown_paths) files += files.empty() ? "any files" : " and requests that do not say";
    print(fmt::format("{}  {}  {}, {} a day ({} charged today), until {}{}\n", each.id(),
                      rule.destination, files, books::money_text(rule.nano_a_day, rule.currency),
                      books::money_text(spent, rule.currency), format_utc(rule.until_ms),
                      holds ? "" : "; holds no more"));
  }
  if (table.empty() && !app.json) print("there are no rules: each request is asked for\n");
  return {};
}

Status remove_rules(const App& app, const ConsentFlags& flags) {
  for (const std::string& id : flags.ids) LATHE_TRY_STATUS(consents_of(app).remove_rule(id));
  return {};
}

using ConsentCommand = Status (*)(const App&, const ConsentFlags&);

void run_later(CLI::App& sub, App& app, Action& action, std::shared_ptr<ConsentFlags> flags,
               ConsentCommand run) {
  sub.callback([&app, &action, flags = std::move(flags), run] {
    action = [&app, flags, run] {
      const Status status = run(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

void add_ids(CLI::App& sub, ConsentFlags& flags, const char* which) {
  sub.add_option("id", flags.ids, which)->required();
}

void add_rules(CLI::App& command, App& app, Action& action,
               const std::shared_ptr<ConsentFlags>& flags) {
  CLI::App* rules = command.add_subcommand("rule", "Consents that stand: add, list, remove");
  rules->require_subcommand(1);
  CLI::App* add = rules->add_subcommand("add", "Let requests of one kind go without being asked");
  add->add_option("--to", flags->to, "The URL that they go to, or the beginning of it")->required();
  add->add_option("--path", flags->paths,
                  "A glob: each file of a request is one of these; may be given again")
      ->take_all();
  add->add_flag("--unknown-paths", flags->unknown,
                "Requests that do not say which files they hold, too");
  add->add_option("--money", flags->money, "\"2.00 USD\": what those of a day may cost, in all")
      ->required();
  add->add_option("--until", flags->until, "The day on which it ends, like 2027-01-31 (UTC)")
      ->required();
  run_later(*add, app, action, flags, add_rule);
  run_later(*rules->add_subcommand("list", "Those there are, and what they were charged today"),
            app, action, flags, list_rules);
  CLI::App* remove = rules->add_subcommand("remove", "Ask for each request again");
  add_ids(*remove, *flags, "Of those that `lathe consent rule list` shows");
  run_later(*remove, app, action, flags, remove_rules);
}

}  // namespace

void add_consent(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ConsentFlags>();
  CLI::App* command = cli.add_subcommand(
      "consent", "What would go to a cloud, in its exact bytes, and your word on it");
  command->require_subcommand(1);
  constexpr const char* kWhich = "Of those that `lathe consent list` shows";
  CLI::App* list = command->add_subcommand("list", "What waits for your word");
  list->add_flag("--all", flags->all, "What was decided, too");
  run_later(*list, app, action, flags, list_consents);
  CLI::App* show = command->add_subcommand("show", "The exact text");
  show->add_option("id", flags->ids, kWhich)->required()->expected(1);
  run_later(*show, app, action, flags, show_consent);
  CLI::App* approve = command->add_subcommand("approve", "Let exactly these bytes go");
  add_ids(*approve, *flags, kWhich);
  approve
      ->add_option("--secret-ok", flags->secret_ok,
                   "\"a key of AWS\": what looks like one may go all the same; may be given again")
      ->take_all();
  run_later(*approve, app, action, flags, [](const App& here, const ConsentFlags& given) {
    return decide_consents(here, given, books::Decision::kAllowed);
  });
  CLI::App* deny = command->add_subcommand("deny", "Keep them here");
  add_ids(*deny, *flags, kWhich);
  run_later(*deny, app, action, flags, [](const App& here, const ConsentFlags& given) {
    return decide_consents(here, given, books::Decision::kRefused);
  });
  CLI::App* forget = command->add_subcommand("forget", "Take it and its text away");
  add_ids(*forget, *flags, kWhich);
  run_later(*forget, app, action, flags, forget_consents);
  add_rules(*command, app, action, flags);
}

}  // namespace lathe::app
