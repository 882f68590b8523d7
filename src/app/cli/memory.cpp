// lathe memory list | show | accept | retire | forget: what is remembered from run to run.
#include "books/memory/memory.h"

#include <set>

#include "app/cli/app.h"
#include "app/cli/journals.h"
#include "ground/base/hash.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::int64_t kMostFactDays = 36'500;

Json json_of(const books::Fact& fact) {
  const auto or_null = [](std::optional<std::int64_t> value) {
    return value ? Json(*value) : Json();
  };
  return {{"id", fact.id},
          {"scope", fact.scope},
          {"text", fact.text},
          {"state", books::fact_state_name(fact.state)},
          {"by", fact.by},
          {"source", {{"run", fact.run}, {"seq", fact.seq}, {"blob", fact.blob}}},
          {"made_ms", fact.made_ms},
          {"expires_ms", or_null(fact.expires_ms)},
          {"uses", fact.uses},
          {"last_used_ms", or_null(fact.last_used_ms)}};
}

void print_fact(const books::Fact& fact) {
  print(fmt::format("{:>4}  {:<9} {:<20} {}\n", fact.id, books::fact_state_name(fact.state),
                    fact.scope, replace_all(fact.text, "\n", " ")));
}

Status list(const App& app) {
  LATHE_TRY(const books::Memory memory, books::Memory::open(app.journal_dir));
  LATHE_TRY(const std::vector<books::Fact> facts, memory.facts());
  for (const books::Fact& fact : facts) app.json ? print_json(json_of(fact)) : print_fact(fact);
  if (facts.empty() && !app.json) print("nothing is remembered\n");
  return {};
}

Status show(const App& app, std::int64_t id) {
  LATHE_TRY(const books::Memory memory, books::Memory::open(app.journal_dir));
  LATHE_TRY(const books::Fact fact, memory.fact(id));
  if (app.json) {
    print_json(json_of(fact));
    return {};
  }
  print_fact(fact);
  const auto day = [](std::int64_t ms) { return format_utc(ms).substr(0, 10); };
  print(fmt::format("      made {}, by record {} of run {}\n", day(fact.made_ms), fact.seq,
                    fact.run));
  if (!fact.by.empty())
    print(fmt::format("      {} by {}\n", books::fact_state_name(fact.state), fact.by));
  if (fact.expires_ms) print(fmt::format("      until {}\n", day(*fact.expires_ms)));
  print(fmt::format("      in {}{}\n", counted(static_cast<std::size_t>(fact.uses), "prompt"),
                    fact.last_used_ms ? ", the last on " + day(*fact.last_used_ms) : ""));
  return {};
}

Status accept(const App& app, std::int64_t id, std::int64_t days) {
  LATHE_TRY(books::Memory memory, books::Memory::open(app.journal_dir));
  const auto until = days > 0 ? std::optional(system_clock().unix_ms() + days * kDayMs)
                              : std::optional<std::int64_t>();
  LATHE_TRY(const std::vector<books::Fact> older, memory.accept(id, "person", until));
  LATHE_TRY(const books::Fact fact, memory.fact(id));
  if (app.json) {
    Json retired = Json::array();
    for (const books::Fact& each : older) retired.push_back(json_of(each));
    print_json({{"accepted", json_of(fact)}, {"retired", std::move(retired)}});
    return {};
  }
  print_fact(fact);
  for (const books::Fact& each : older)
    print(fmt::format("it says something else than fact {}, which is retired: {}\n", each.id,
                      replace_all(each.text, "\n", " ")));
  return {};
}

Status retire(const App& app, std::int64_t id, std::int64_t) {
  LATHE_TRY(books::Memory memory, books::Memory::open(app.journal_dir));
  LATHE_TRY_STATUS(memory.retire(id, "person"));
  return show(app, id);
}

// The blobs of prompts that told a model of the fact.
Result<std::set<std::string>> prompts_with(const books::Journal& journal, const books::Fact& fact) {
  std::set<std::string> prompts;
  LATHE_TRY(const std::vector<books::RunRow> runs, journal.runs());
  for (const books::RunRow& run : runs) {
    for (const char* kind : {"made", "verdict"}) {
      LATHE_TRY(const std::vector<books::Record> records, journal.records(run.id, kind));
      for (const books::Record& record : records) {
        const std::string blob = json_string(json_at(record.body, "prompt"), "blob");
        if (blob.empty() || prompts.contains(blob)) continue;
        const auto prompt = journal.blob(blob);
        if (prompt && prompt->contains(fact.text)) prompts.insert(blob);
      }
    }
  }
  return prompts;
}

// Out of the memory, and out of the journal's blobs; what a run has made of it is named.
Status forget(const App& app, std::int64_t id, std::int64_t) {
  LATHE_TRY(books::Memory memory, books::Memory::open(app.journal_dir));
  LATHE_TRY(const books::Fact before, memory.fact(id));
  LATHE_TRY(books::Journal journal, open_journal(app));
  std::set<std::string> blobs;
  if (!before.text.empty()) {
    LATHE_TRY(blobs, prompts_with(journal, before));
    blobs.insert(sha256_hex(before.text));
  }
  if (!before.blob.empty()) blobs.insert(before.blob);
  for (const std::string& blob : blobs) LATHE_TRY_STATUS(journal.forget_blob(blob));
  LATHE_TRY_STATUS(memory.forget(id));
  if (app.json)
    print_json({{"forgotten", id}});
  else
    print(
        fmt::format("fact {} is forgotten. What runs made of it stays: `lathe rm RUN --erase` "
                    "erases a run\n",
                    id));
  return {};
}

}  // namespace

void add_memory(CLI::App& cli, App& app, Action& action) {
  CLI::App* command = cli.add_subcommand("memory", "What is remembered from run to run");
  command->require_subcommand(1);
  command->add_subcommand("list", "All facts, proposed ones too")->callback([&] {
    action = [&app] {
      const Status done = list(app);
      return done ? kExitPassed : report_error(app, done.error());
    };
  });
  struct Flags {
    std::int64_t id = 0, days = 0;
  };
  const auto add = [&](const char* verb, const char* help, auto run) {
    auto flags = std::make_shared<Flags>();
    CLI::App* sub = command->add_subcommand(verb, help);
    sub->add_option("fact", flags->id, "Its number")->required();
    sub->callback([&app, &action, flags, run] {
      action = [&app, flags, run] {
        const Status done = run(app, flags->id, flags->days);
        return done ? kExitPassed : report_error(app, done.error());
      };
    });
    return std::pair(sub, flags);
  };
  add("show", "One fact: where it comes from, and how it was used",
      [](const App& shown, std::int64_t id, std::int64_t) { return show(shown, id); });
  const auto [accepting, flags] =
      add("accept", "Let it be used; older ones that say something else are retired", accept);
  accepting->add_option("--days", flags->days, "For so long (default: for ever)")
      ->check(CLI::Range(std::int64_t{1}, kMostFactDays));
  add("retire", "Keep it, and use it no more", retire);
  add("forget", "Remove its text from every file; its number stays", forget);
}

}  // namespace lathe::app
