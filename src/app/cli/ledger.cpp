// lathe ledger: what calls took, added up; the chain of its rows, looked through.
#include "app/cli/app.h"
#include "app/cli/journals.h"
#include "books/ledger/totals.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"

namespace lathe::app {
namespace {

struct LedgerFlags {
  std::string by = "model", from, to;
  bool csv = false, verify = false;
};

// Days are whole, the last one included.
Result<books::RowRange> range_of(const LedgerFlags& flags) {
  books::RowRange range;
  if (!flags.from.empty()) {
    LATHE_TRY(range.from_ms, parse_day(flags.from));
  }
  if (!flags.to.empty()) {
    LATHE_TRY(const std::int64_t day, parse_day(flags.to));
    range.to_ms = day + kDayMs;
  }
  if (range.from_ms >= range.to_ms)
    return invalid("--from {} is later than --to {}", flags.from, flags.to);
  return range;
}

std::string calls_text(const books::Total& total) {
  std::vector<std::string> parts;
  for (const auto& [count, what] : {std::pair(total.failed, "failed"),
                                    {total.cancelled, "cancelled"},
                                    {total.lost, "lost"},
                                    {total.uncounted, "uncounted"},
                                    {total.unpriced, "unpriced"}})
    if (count > 0) parts.push_back(fmt::format("{} {}", count, what));
  return join(parts, ", ");
}

std::string energy_text(const books::Total& total) {
  std::vector<std::string> parts;
  for (const auto& [scope, millijoules] : total.millijoules)
    parts.push_back(
        fmt::format("{} ({})", format_energy(static_cast<double>(millijoules) / 1000), scope));
  if (parts.empty()) return total.without_energy > 0 ? "not readable here" : "";
  return (total.without_energy > 0 ? "≥ " : "") + join(parts, " + ");
}

std::string money_text(const books::Total& total) {
  std::vector<std::string> parts;
  for (const auto& [currency, nano] : total.nano)
    parts.push_back(books::format_nano(nano, currency));
  if (parts.empty()) return total.unpriced > 0 ? "unpriced" : "";
  return (total.unpriced > 0 ? "≥ " : "") + join(parts, " + ");
}

std::string busy_text(const books::Total& total) {
  if (total.busy_us == 0) return total.without_busy > 0 ? "not known" : "";
  return (total.without_busy > 0 ? "≥ " : "") + format_duration(Milliseconds(total.busy_us / 1000));
}

void print_totals(std::span<const books::Total> totals, std::string_view by) {
  std::string book;
  for (const books::Total& total : totals) {
    if (std::exchange(book, total.book) != total.book)
      print(fmt::format(
          "{}\n{:<28} {:>8} {:>14} {:>14} {:>14} {:>12}  {}\n",
          total.book == "runs" ? "calls that runs made" : "calls that servers here answered", by,
          "calls", "fresh", "cached", "out", "busy", "energy, money, notes"));
    const std::string least = total.uncounted > 0 ? "≥ " : "";
    std::vector<std::string> notes;
    for (std::string note : {energy_text(total), money_text(total), calls_text(total)})
      if (!note.empty()) notes.push_back(std::move(note));
    print(fmt::format("{:<28} {:>8} {:>14} {:>14} {:>14} {:>12}  {}\n",
                      clip_utf8(total.name.empty() ? "–" : total.name, 28), total.calls,
                      least + std::to_string(total.fresh), least + std::to_string(total.cached),
                      least + std::to_string(total.out), busy_text(total), join(notes, " · ")));
  }
}

Status ledger(const App& app, const LedgerFlags& flags) {
  LATHE_TRY(const books::RowRange range, range_of(flags));
  LATHE_TRY(books::Journal journal, open_journal(app));
  if (const auto lost = journal.book_lost_calls(); lost && *lost > 0)
    print_note(fmt::format("note: {} of a server that was killed had no end; now they are lost",
                           counted(static_cast<std::size_t>(*lost), "call")));
  if (flags.verify) {
    LATHE_TRY(const std::int64_t rows, journal.verify_ledger());
    if (app.json)
      print_json({{"rows", rows}, {"whole", true}});
    else
      print(fmt::format("{}, each with the hash of the one before: whole\n",
                        counted(static_cast<std::size_t>(rows), "row")));
    return {};
  }
  books::Totals totals(books::parse_grouping(flags.by).value_or(books::Grouping::kModel));
  LATHE_TRY_STATUS(journal.rows(range, [&](const books::LedgerRow& row) { totals.add(row); }));
  const std::vector<books::Total> list = totals.list();
  if (flags.csv) {
    print_raw(books::to_csv(list));
  } else if (app.json) {
    for (const books::Total& total : list) print_json(to_json(total));
  } else if (list.empty()) {
    print(fmt::format("no calls in the ledger of {}\n", journal_place(app)));
  } else {
    print_totals(list, flags.by);
  }
  return {};
}

}  // namespace

void add_ledger(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<LedgerFlags>();
  CLI::App* command = cli.add_subcommand(
      "ledger",
      "What calls took: tokens, seconds, joules, money, of runs and of this box's servers");
  command->add_option("--by", flags->by, "What is added up")
      ->check(CLI::IsMember({"model", "key", "recipe", "day"}))
      ->capture_default_str();
  command->add_option("--from", flags->from, "The first day, as 2026-01-31 (UTC)");
  command->add_option("--to", flags->to, "The last day");
  command->add_flag("--csv", flags->csv, "As a table for other programs");
  command->add_flag("--verify", flags->verify,
                    "Look through the chain of rows; name the first place where it is broken");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = ledger(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
