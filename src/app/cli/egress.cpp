// lathe egress: what was in contact with other machines, from the socket layer's own record.
#include <algorithm>

#include "app/cli/opened_run.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "serve/net/contact_log.h"

namespace lathe::app {
namespace {

struct EgressFlags {
  std::string run, since;
};

Json json_of(const serve::ContactRow& row) {
  Json labels = Json::object();
  for (const auto& [name, value] : row.labels) labels[name] = value;
  Json json = {{"begun", format_utc(row.begun_ms)},
               {"ended", row.ended_ms ? Json(format_utc(*row.ended_ms)) : Json()},
               {"kind", contact_kind_name(row.kind)},
               {"address", row.address},
               {"port", row.port},
               {"host", row.host},
               {"reach", reach_name(row.reach)},
               {"allowed_by", row.allowed_by},
               {"what", row.what},
               {"labels", std::move(labels)}};
  // Without an end nobody knows how much it was.
  json["sent"] = row.end ? Json(row.end->sent) : Json();
  json["received"] = row.end ? Json(row.end->received) : Json();
  json["sha256"] = row.end && !row.end->sha256.empty() ? Json(row.end->sha256) : Json();
  json["outcome"] = row.end ? Json(row.end->outcome) : Json();
  return json;
}

std::string line_of(const serve::ContactRow& row) {
  std::string place = row.address.find(':') == std::string::npos
                          ? fmt::format("{}:{}", row.address, row.port)
                          : fmt::format("[{}]:{}", row.address, row.port);
  if (row.address.empty()) place = row.host;
  if (row.address != row.host && !row.address.empty()) place += " (" + row.host + ")";
  const std::string bytes =
      !row.end ? "bytes not known"
      : row.kind == serve::ContactKind::kLookup
          ? "the name"
          : fmt::format("{} sent, {} received", row.end->sent, row.end->received);
  std::string text = fmt::format("{}  {:<6} {}  {}  {}\n", format_utc(row.begun_ms),
                                 contact_kind_name(row.kind), place, bytes, row.what);
  text += "    allowed by " + row.allowed_by;
  for (const auto& [name, value] : row.labels) text += fmt::format(" · {} {}", name, value);
  if (row.end && !row.end->sha256.empty()) text += " · sha256 " + row.end->sha256;
  return text + "\n";
}

// Where a run is named, those that were for it; with `since`, those that had not ended by then.
Result<std::vector<serve::ContactRow>> wanted(const App& app, const EgressFlags& flags,
                                              std::vector<serve::ContactRow> rows) {
  if (!flags.run.empty()) {
    LATHE_TRY(const OpenedRun run, open_run(app, flags.run));
    std::erase_if(rows, [&](const serve::ContactRow& row) {
      const auto label = row.labels.find("run");
      return label == row.labels.end() || label->second != run.id;
    });
  }
  if (!flags.since.empty()) {
    LATHE_TRY(const std::int64_t since, parse_utc(flags.since));
    std::erase_if(rows, [&](const serve::ContactRow& row) {
      return row.ended_ms.value_or(row.begun_ms) < since;
    });
  }
  return rows;
}

Status egress(const App& app, const EgressFlags& flags) {
  const fs::path file = contacts_file(app);
  LATHE_TRY(serve::ContactRows all, serve::ContactLog::read(file));
  LATHE_TRY(const auto rows, wanted(app, flags, std::move(all.rows)));
  if (!all.broken.empty())
    print_note(fmt::format("warning: {}: {} cannot be read (the first is line {})", file.string(),
                           counted(all.broken.size(), "line"), all.broken.front()));
  for (const serve::ContactRow& row : rows) {
    if (app.json) {
      print_json(json_of(row));
    } else {
      print(line_of(row));
    }
  }
  // The record says what it holds: older lathes wrote none, and another --journal has its own.
  if (rows.empty() && !app.json)
    print(all.broken.empty() ? fmt::format("nothing left this machine, by the record in {}\n",
                                           file.parent_path().string())
                             : "no readable line says that "
                               "anything left this machine\n");
  return {};
}

}  // namespace

void add_egress(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<EgressFlags>();
  CLI::App* command =
      cli.add_subcommand("egress", "What was in contact with other machines, and who allowed it");
  command->add_option("run", flags->run,
                      "Only of this run: its id, the beginning of it, or \"last\"");
  command->add_option("--since", flags->since, "Only from this day on, like 2026-12-01 (UTC)");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = egress(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
