// lathe runs | show | rm | gc | export | replay
#include "app/cli/consent_gate.h"
#include "app/cli/journals.h"
#include "app/cli/model_library.h"
#include "app/cli/model_show.h"
#include "app/cli/opened_run.h"
#include "app/cli/output_file.h"
#include "app/cli/outputs.h"
#include "app/cli/retention.h"
#include "app/cli/view.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "show/run/caveats.h"
#include "show/run/listing.h"

namespace lathe::app {
namespace {

int list_runs(const App& app) {
  const auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  const auto rows = journal->runs();
  if (!rows) return report_error(app, rows.error());
  if (rows->empty() && !app.json) print(fmt::format("no runs in {}\n", journal_place(app)));
  for (const books::RunRow& row : *rows) {
    const std::string state = show::listed_state(*journal, row);
    if (app.json)
      print_json({{"id", row.id},
                  {"recipe", row.recipe},
                  {"title", row.title},
                  {"state", state},
                  {"created", format_utc(row.created_ms)},
                  {"records", row.records}});
    else
      print(fmt::format("{:<44} {:<11} {}  {}\n", row.id, state, format_utc(row.created_ms),
                        row.title));
  }
  return kExitPassed;
}

int show_run(const App& app, const std::string& name, bool all) {
  const auto run = open_run(app, name);
  if (!run) return report_error(app, run.error());
  if (app.json) {
    for (const loop::Entry& entry : run->entries) print_json(record_json(entry));
    return kExitPassed;
  }
  const show::RunSummary summary = show::summary_of(run->state);
  print(show::heading_line(run->id, summary, show::run_caveats(run->state)) + "\n");
  for (const std::string& line :
       show::table_lines(summary, {app.terminal ? app.width : 140, app.color}))
    print_raw(line + "\n");
  if (!run->state.ended || run->state.end_state == loop::RunResult::kNotJudged)
    print(fmt::format("lathe resume {} {}\n", run->id,
                      run->state.ended ? "tries what was not judged again" : "goes on"));
  if (!all) return kExitPassed;
  loop::RunState state;
  for (const loop::Entry& entry : run->entries) {
    if (auto fine = apply(state, entry); !fine) return report_error(app, fine.error());
    if (const std::string line = show::entry_line(state, entry); !line.empty()) print(line + "\n");
  }
  return kExitPassed;
}

// No byte of them stays: rows of the ledger hold no texts, and stay.
int erase_runs(const App& app, const std::vector<std::string>& names) {
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    auto id = journal->find_run(name);
    if (!id) return report_error(app, id.error());
    if (std::ranges::find(ids, *id) == ids.end()) ids.push_back(*std::move(id));
  }
  const auto report = journal->erase(ids);
  if (!report) return report_error(app, report.error());
  const auto consents = consents_of(app).forget_runs(ids);
  if (!consents) return report_error(app, consents.error());
  print(fmt::format("erased {}, with {} ({}){}\n", join(ids, ", "),
                    counted(static_cast<std::size_t>(report->removed), "artifact"),
                    format_bytes(report->freed_bytes),
                    *consents > 0 ? " and " + counted(*consents, "consent") : ""));
  return kExitPassed;
}

int remove_run(const App& app, const std::vector<std::string>& names) {
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  for (const std::string& name : names) {
    const auto id = journal->find_run(name);
    if (!id) return report_error(app, id.error());
    if (auto removed = journal->remove_run(*id); !removed)
      return report_error(app, removed.error());
    print(fmt::format("removed {}; `lathe gc` frees its artifacts\n", *id));
  }
  return kExitPassed;
}

int collect_garbage(const App& app) {
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  if (auto kept = erase_old_runs(app, *journal); !kept) return report_error(app, kept.error());
  const auto report = journal->gc();
  if (!report) return report_error(app, report.error());
  if (app.json)
    print_json({{"removed", report->removed},
                {"freed_bytes", report->freed_bytes},
                {"kept", report->kept},
                {"missing", report->missing}});
  else
    print(fmt::format("removed {} ({}), kept {}{}\n",
                      counted(static_cast<std::size_t>(report->removed), "artifact"),
                      format_bytes(report->freed_bytes), report->kept,
                      report->missing > 0
                          ? fmt::format("; of {} the snapshot is missing",
                                        counted(static_cast<std::size_t>(report->missing), "run"))
                          : ""));
  return kExitPassed;
}

int export_run(const App& app, const std::string& name, const std::string& directory, bool force) {
  const auto run = open_run(app, name);
  if (!run) return report_error(app, run.error());
  auto out = OutputDirectory::open(directory, force);
  if (!out) return report_error(app, out.error());
  loop::Place place;
  place.program = app.program;
  const auto written = write_outputs(run->journal, run->state, *out, place, *app.stop);
  if (!written) return report_error(app, written.error());
  std::string lines;
  for (const loop::Entry& entry : run->entries) lines += dump_json(record_json(entry)) + "\n";
  const auto store = [&](const std::string& file, std::string_view bytes) -> Status {
    const auto stored = out->write(file, bytes);
    return stored ? Status() : std::unexpected(stored.error());
  };
  Status stored = store("records.jsonl", lines);
  // Every artifact the records name, under its hash.
  std::set<std::string> blobs;
  for (const loop::Entry& entry : run->entries)
    if (const auto* made = std::get_if<loop::CandidateMade>(&entry.event); made && made->answer)
      blobs.insert(made->answer->blob);
  for (const std::string& blob : blobs) {
    if (!stored) break;
    const auto bytes = run->journal.blob(blob);
    stored = bytes ? store("artifacts/" + blob, *bytes) : std::unexpected(bytes.error());
  }
  if (stored) stored = out->finish();
  if (!stored) return report_error(app, stored.error());
  print(fmt::format("{}: {}, {}, records.jsonl\n", directory, counted(written->size(), "result"),
                    counted(blobs.size(), "artifact")));
  return kExitPassed;
}

int replay_run(const App& app, const std::string& name) {
  const auto run = open_run(app, name);
  if (!run) return report_error(app, run.error());
  const auto decisions = replay(run->entries);
  if (!decisions) {
    report_error(app, decisions.error());
    return kExitFailed;
  }
  if (app.json)
    print_json({{"run", run->id},
                {"records", run->entries.size()},
                {"decisions", *decisions},
                {"same", true}});
  else
    print(fmt::format("run {}: {} records lead to the same {} decisions\n", run->id,
                      run->entries.size(), *decisions));
  return kExitPassed;
}

// A command that takes one run.
template <class Run>
void add_on_run(CLI::App& cli, App& app, Action& action, const char* name, const char* help,
                Run run) {
  auto id = std::make_shared<std::string>();
  CLI::App* command = cli.add_subcommand(name, help);
  command->add_option("run", *id, "Its id, the beginning of it, or \"last\"")->required();
  command->callback(
      [&app, &action, id, run] { action = [&app, id, run] { return run(app, *id); }; });
}

}  // namespace

void add_runs(CLI::App& cli, App& app, Action& action) {
  cli.add_subcommand("runs", "List the runs in the journal")->callback([&] {
    action = [&] { return list_runs(app); };
  });
}

void add_show(CLI::App& cli, App& app, Action& action) {
  struct Flags {
    std::string name;
    bool all = false, whole_template = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      cli.add_subcommand("show", "Show a run (its units, laps and scores) or a model file");
  command
      ->add_option("NAME", flags->name,
                   "A run: its id, the beginning of it, or \"last\"; or a GGUF file or a name of "
                   "`lathe models`")
      ->required();
  command->add_flag("--all", flags->all, "Of a run: every event, in order");
  command->add_flag("--template", flags->whole_template, "Of a model: its chat template alone");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      std::error_code error;
      const fs::path path = model_path(app, flags->name);
      const bool model = fs::is_regular_file(path, error) || flags->name.ends_with(".gguf");
      return model ? show_model(app, path, flags->whole_template)
                   : show_run(app, flags->name, flags->all);
    };
  });
}

void add_rm(CLI::App& cli, App& app, Action& action) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* command = cli.add_subcommand("rm", "Remove runs from the journal");
  auto erase = std::make_shared<bool>(false);
  command->add_option("run", *names, "Their ids, the beginning of one, or \"last\"")->required();
  command->add_flag(
      "--erase", *erase,
      "No byte of them stays: their artifacts go, too, and what was freed is cleared");
  command->callback([&app, &action, names, erase] {
    action = [&app, names, erase] {
      return *erase ? erase_runs(app, *names) : remove_run(app, *names);
    };
  });
}

void add_gc(CLI::App& cli, App& app, Action& action) {
  cli.add_subcommand("gc", "Free the artifacts that no run names any more")->callback([&] {
    action = [&] { return collect_garbage(app); };
  });
}

void add_export(CLI::App& cli, App& app, Action& action) {
  struct Flags {
    std::string run, out;
    bool force = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      cli.add_subcommand("export", "Write a run's results, artifacts and records to a directory");
  command->add_option("run", flags->run, "Its id, the beginning of it, or \"last\"")->required();
  command->add_option("directory", flags->out, "Made when it is missing")->required();
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] { return export_run(app, flags->run, flags->out, flags->force); };
  });
}

void add_replay(CLI::App& cli, App& app, Action& action) {
  add_on_run(cli, app, action, "replay", "Check that a run's records lead to the decisions it took",
             replay_run);
}

}  // namespace lathe::app
