// Runs that are older than CONFIG/lathe.toml lets them grow are erased.
#include "app/cli/retention.h"

#include "app/cli/consent_gate.h"
#include "ground/base/plural.h"
#include "ground/base/toml.h"

namespace lathe::app {
namespace {

constexpr std::int64_t kMostDays = 36'500;

// nullopt: for ever.
Result<std::optional<std::int64_t>> read_keep_days(const fs::path& file) {
  auto text = read_file(file, 1 << 20);
  if (!text && text.error().kind == ErrorKind::kNotFound) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  LATHE_TRY(const toml::table table, parse_toml(*text, file.string()));
  for (const auto& [key, value] : table)
    if (key.str() != "journal")
      return invalid("{}: '{}' is not known here; it has the table [journal]",
                     toml_place(file.string(), key.source()), key.str());
  const toml::node* journal = table.get("journal");
  if (!journal) return std::nullopt;
  if (!journal->is_table())
    return invalid("{}: journal must be a table", toml_place(file.string(), journal->source()));
  for (const auto& [key, value] : *journal->as_table()) {
    const std::string place = toml_place(file.string(), key.source());
    if (key.str() != "keep_days")
      return invalid("{}: '{}' is not known in [journal]; it has keep_days", place, key.str());
    const auto days = value.value_exact<std::int64_t>();
    if (!days || *days < 1 || *days > kMostDays)
      return invalid("{}: keep_days must be a whole number from 1 to {}", place, kMostDays);
    return *days;
  }
  return std::nullopt;
}

fs::path settings_file(const App& app) {
  return app.config_dir / "lathe.toml";
}

}  // namespace

std::vector<std::string> too_old(std::span<const books::RunRow> runs, std::int64_t keep_days,
                                 std::int64_t now_ms) {
  std::vector<std::string> old;
  for (const books::RunRow& run : runs)
    if (!run.live && now_ms - run.created_ms > keep_days * kDayMs) old.push_back(run.id);
  return old;
}

Status erase_old_runs(const App& app, books::Journal& journal) {
  const fs::path file = settings_file(app);
  LATHE_TRY(const auto keep_days, read_keep_days(file));
  if (!keep_days) return {};
  LATHE_TRY(const auto runs, journal.runs());
  const auto old = too_old(runs, *keep_days, system_clock().unix_ms());
  if (old.empty()) return {};
  const auto erased = journal.erase(old);
  if (!erased) {
    print_note(
        fmt::format("note: {} older than {} could not be erased: {}", counted(old.size(), "run"),
                    counted(static_cast<std::size_t>(*keep_days), "day"), erased.error().message));
    return {};
  }
  LATHE_TRY_STATUS(consents_of(app).forget_runs(old));
  print_note(fmt::format("note: {} older than {} erased, as {} asks", counted(old.size(), "run"),
                         counted(static_cast<std::size_t>(*keep_days), "day"), file.string()));
  return {};
}

Status forget_old_chats(const App& app, books::Chats& chats) {
  LATHE_TRY(const auto keep_days, read_keep_days(settings_file(app)));
  if (!keep_days) return {};
  const auto forgotten = chats.forget_before(system_clock().unix_ms() - *keep_days * kDayMs);
  return forgotten ? Status() : std::unexpected(forgotten.error());
}

}  // namespace lathe::app
