// Reads tables of prices and box.toml; lathe prices, lathe payback.
#include "app/cli/money.h"

#include "app/cli/journals.h"
#include "books/prices/payback.h"
#include "ground/base/plural.h"
#include "loop/conductor/state.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostTables = 1000;
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;

std::string today() {
  return format_day(system_clock().unix_ms());
}

Status read_tables(const fs::path& directory, std::vector<books::PriceTable>& tables) {
  std::error_code ignored;
  if (!fs::exists(directory, ignored)) return {};
  LATHE_TRY(const auto files, list_files(directory, kMostTables));
  for (const std::string& file : files) {
    if (!file.ends_with(".toml") || file.find('/') != file.npos) continue;
    LATHE_TRY(const std::string text, read_file(directory / file, kMostBytes));
    LATHE_TRY(books::PriceTable table, books::parse_price_table(text, (directory / file).string()));
    tables.push_back(std::move(table));
  }
  return {};
}

}  // namespace

Result<std::vector<books::PriceTable>> load_prices(const App& app) {
  std::vector<books::PriceTable> tables;
  LATHE_TRY_STATUS(read_tables(app.config_dir / "prices", tables));
  LATHE_TRY_STATUS(read_tables(app.recipes_dir.parent_path() / "prices", tables));
  return tables;
}

Result<books::LocalPrices> load_box(const App& app) {
  books::LocalPrices local;
  local.utilisation = fail(ErrorKind::kUnavailable, "how much it is used was not looked up");
  local.now_ms = system_clock().unix_ms();
  const fs::path file = app.config_dir / "box.toml";
  const auto text = read_file(file, kMostBytes);
  if (text) {
    LATHE_TRY(local.box, books::parse_box(*text, file.string(), today()));
  } else if (text.error().kind == ErrorKind::kNotFound) {
    local.why_no_box = fmt::format(
        "write {}: price, currency, bought, life_years, and [[tariff]] with from and per_kwh",
        file.string());
  } else {
    return std::unexpected(text.error());
  }
  return local;
}

Result<books::LocalPrices> load_local_prices(const App& app, const books::Journal& journal) {
  LATHE_TRY(books::LocalPrices local, load_box(app));
  books::UtilisationCount use(local.now_ms);
  LATHE_TRY_STATUS(
      journal.rows({.from_ms = use.from_ms()}, [&](const books::LedgerRow& row) { use.add(row); }));
  local.utilisation = use.count();
  return local;
}

namespace {

std::string amount_text(std::int64_t nano) {
  return fmt::format("{:.4g}", static_cast<double>(nano) / static_cast<double>(books::kNano));
}

Status list_prices(const App& app) {
  LATHE_TRY(const auto tables, load_prices(app));
  for (const books::PriceTable& table : tables) {
    const std::string age = books::age_note(table.date, today());
    if (!app.json)
      print(
          fmt::format("{} · {}{} · {} for a million tokens · {} · {}\n{:<28} {:>10} {:>10} {:>10} "
                      "{:>11}\n",
                      table.name, table.date, age, table.currency, table.source, table.place,
                      "MODEL", "IN", "OUT", "CACHE READ", "CACHE WRITE"));
    for (const books::Price& price : table.prices) {
      const auto optional = [](const std::optional<std::int64_t>& nano) {
        return nano ? amount_text(*nano) : std::string("–");
      };
      if (app.json)
        print_json(to_json(price));
      else
        print(fmt::format("{:<28} {:>10} {:>10} {:>10} {:>11}\n", price.model,
                          amount_text(price.in), amount_text(price.out), optional(price.cache_read),
                          optional(price.cache_write)));
    }
  }
  if (tables.empty() && !app.json) print("no table of prices\n");
  return {};
}

struct ImportFlags {
  std::string file, date;
};

Status import_prices(const App& app, const ImportFlags& flags) {
  const std::string date = flags.date.empty() ? today() : flags.date;
  LATHE_TRY(const std::int64_t day, parse_day(date));
  static_cast<void>(day);
  LATHE_TRY(const std::string text, read_file(flags.file, kMostBytes));
  auto imported =
      books::import_litellm(text, date, "LiteLLM's model_prices_and_context_window.json");
  if (!imported) return at(flags.file, imported.error());
  for (const auto& [model, why] : imported->rejected) {
    if (app.json)
      print_json({{"rejected", model}, {"why", why}});
    else
      print(fmt::format("left out: {}: {}\n", model, why));
  }
  const fs::path place = app.config_dir / "prices" / fmt::format("litellm-{}.toml", date);
  if (const auto fine = books::parse_price_table(imported->toml, place.string()); !fine)
    return std::unexpected(fine.error());
  std::error_code ignored;
  if (fs::exists(place, ignored))
    return invalid(
        "{}: is there already; what was priced by it keeps its hash. Remove it, or give "
        "another --date",
        place.string());
  LATHE_TRY_STATUS(make_directories(place.parent_path()));
  LATHE_TRY_STATUS(write_file_atomic(place, imported->toml));
  if (app.json)
    print_json({{"taken", imported->taken},
                {"left_out", imported->rejected.size()},
                {"table", place.string()}});
  else
    print(fmt::format("{} taken, {} left out: {}\n", counted(imported->taken, "price"),
                      imported->rejected.size(), place.string()));
  return {};
}

// Accepted takes of all runs that ended.
Status count_takes(const books::Journal& journal, books::PaybackBasis& basis) {
  LATHE_TRY(const auto rows, journal.runs());
  for (const books::RunRow& row : rows) {
    if (row.state == "open") continue;
    LATHE_TRY(const auto records, journal.records(row.id));
    LATHE_TRY(const auto entries, loop::from_records(records));
    LATHE_TRY(const loop::RunState state, loop::fold(entries));
    const loop::RunOutcome outcome = loop::run_outcome(state);
    basis.takes += static_cast<std::int64_t>(state.units.size());
    basis.accepted += static_cast<std::int64_t>(outcome.passed);
  }
  return {};
}

std::string months_text(const std::optional<double>& months) {
  return months ? fmt::format("{:.1f} months", *months) : "never";
}

Json months_json(const std::optional<double>& months) {
  return months ? Json(*months) : Json();
}

Status payback(const App& app) {
  LATHE_TRY(const books::Journal journal, open_journal(app));
  LATHE_TRY(books::LocalPrices local, load_local_prices(app, journal));
  books::PaybackBasis basis{.box = std::move(local.box),
                            .why_no_box = std::move(local.why_no_box),
                            .utilisation = std::move(local.utilisation),
                            .now_ms = local.now_ms};
  LATHE_TRY_STATUS(count_takes(journal, basis));
  LATHE_TRY(const books::Payback result, books::payback_of(basis));
  const books::PaybackTerms& terms = result.terms;
  const std::string& currency = basis.box->currency;
  if (app.json) {
    print_json({{"price", terms.price},
                {"currency", currency},
                {"cash_month", terms.cash},
                {"share", terms.share},
                {"acceptance", terms.acceptance},
                {"power_month", terms.power},
                {"utilisation", result.utilisation},
                {"used_hour", result.used_hour},
                {"used_hour_if_always", result.used_hour_of_full},
                {"months", months_json(result.flat)},
                {"months_if_prices_halve", months_json(result.halved)},
                {"months_if_prices_fall_tenfold", months_json(result.tenth)}});
    return {};
  }
  print(fmt::format(
      "What decides it:\n"
      "  cash      {:.2f} {} a month no longer flows for {}; {:.0f} % of its work came here\n"
      "  accepted  {} of {} takes, {:.0f} %\n"
      "  use       {:.1f} % of the time: an hour of use costs {:.2f} {}, {:.2f} if it never idled\n"
      "  power     {:.2f} {} a month · capacity checked {} for {} people\n",
      terms.cash, currency, basis.box->cash->what, 100 * terms.share, basis.accepted, basis.takes,
      100 * terms.acceptance, 100 * result.utilisation, result.used_hour, currency,
      result.used_hour_of_full, terms.power, currency, basis.box->capacity->checked,
      basis.box->capacity->people));
  print(fmt::format(
      "{:.2f} {} are back after {} at the prices of today; {} if prices elsewhere halve every "
      "year, {} if they fall tenfold.\n",
      terms.price, currency, months_text(result.flat), months_text(result.halved),
      months_text(result.tenth)));
  return {};
}

}  // namespace

void add_prices(CLI::App& cli, App& app, Action& action) {
  CLI::App* command = cli.add_subcommand("prices", "Tables of what providers ask for tokens");
  const auto act = [&app, &action](auto run) {
    action = [&app, run] {
      const Status status = run(app);
      return status ? kExitPassed : report_error(app, status.error());
    };
  };
  command->callback([act, command] {
    if (command->get_subcommands().empty()) act(list_prices);
  });
  command->add_subcommand("list", "All that is known, and how old it is")->callback([act] {
    act(list_prices);
  });
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* import = command->add_subcommand(
      "import", "Take a file of LiteLLM's (model_prices_and_context_window.json) over");
  import->add_option("file", flags->file, "The JSON file; nothing is fetched")->required();
  import->add_option("--date", flags->date, "The day of its prices (default: today)");
  import->callback(
      [act, flags] { act([flags](const App& of) { return import_prices(of, *flags);
});
}  // namespace lathe::app
);
}

void add_payback(CLI::App& cli, App& app, Action& action) {
  CLI::App* command =
      cli.add_subcommand("payback", "When this machine has paid for itself, and what decides it");
  command->callback([&app, &action] {
    action = [&app] {
      const Status status = payback(app);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
