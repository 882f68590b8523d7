// lathe chats [forget KEY]: how many talks each key keeps on this machine's page. What they say is
// shown by the page, to that key alone.
#include "books/chats/chats.h"

#include "app/cli/app.h"
#include "app/cli/retention.h"
#include "ground/base/plural.h"
#include "ground/base/units.h"
#include "serve/server/keys.h"

namespace lathe::app {
namespace {

Result<books::Chats> open_chats(const App& app) {
  LATHE_TRY(books::Chats chats, books::Chats::open(app.journal_dir));
  LATHE_TRY_STATUS(forget_old_chats(app, chats));
  return chats;
}

Status list_chats(const App& app) {
  LATHE_TRY(const books::Chats chats, open_chats(app));
  LATHE_TRY(const std::vector<books::ChatSum> sums, chats.sums());
  for (const books::ChatSum& sum : sums) {
    const std::string key = sum.key.empty() ? std::string(serve::kOwnerName) : sum.key;
    if (app.json)
      print_json({{"key", key},
                  {"chats", sum.chats},
                  {"bytes", sum.bytes},
                  {"changed", format_utc(sum.changed_ms)}});
    else
      print(fmt::format("{:<24} {:>6} {:>12}  the last {}\n", key, sum.chats,
                        format_bytes(static_cast<std::uint64_t>(sum.bytes)),
                        format_utc(sum.changed_ms)));
  }
  if (sums.empty() && !app.json) print("no chats are kept\n");
  return {};
}

Status forget_chats(const App& app, const std::string& key) {
  LATHE_TRY(books::Chats chats, open_chats(app));
  LATHE_TRY(const std::int64_t forgotten, chats.forget_all(key == serve::kOwnerName ? "" : key));
  if (forgotten == 0)
    return fail(ErrorKind::kNotFound, "'{}' has no chats; `lathe chats` says who has", key);
  if (app.json)
    print_json({{"key", key}, {"forgotten", forgotten}});
  else
    print(fmt::format("{} of '{}' forgotten; no byte of them is left\n",
                      counted(static_cast<std::size_t>(forgotten), "chat"), key));
  return {};
}

}  // namespace

void add_chats(CLI::App& cli, App& app, Action& action) {
  CLI::App* command =
      cli.add_subcommand("chats", "How many talks each key keeps on the server's page");
  command->require_subcommand(0, 1);
  command->callback([&app, &action, command] {
    if (!command->get_subcommands().empty()) return;
    action = [&app] {
      const Status done = list_chats(app);
      return done ? kExitPassed : report_error(app, done.error());
    };
  });
  auto key = std::make_shared<std::string>();
  CLI::App* sub = command->add_subcommand("forget", "Remove all of a key's from every file");
  sub->add_option("key", *key, "Whose; \"owner\": this machine's own")->required();
  sub->callback([&app, &action, key] {
    action = [&app, key] {
      const Status done = forget_chats(app, *key);
      return done ? kExitPassed : report_error(app, done.error());
    };
  });
}

}  // namespace lathe::app
