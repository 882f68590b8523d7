// Starts the program: its places, the stop flag, the command line and what is wrong with it.
#include "app/cli/app.h"

#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "books/postgres/open_postgres.h"
#include "ground/base/text.h"
#include "ground/base/version.h"
#include "ground/base/visible_text.h"

namespace lathe::app {
namespace {

StopFlag stop_flag;
volatile std::sig_atomic_t told_to_end = 0;     // by SIGTERM
constexpr std::size_t kLongestMessage = 16384;  // bytes of an error; the rest is somebody's file

extern "C" void on_stop_signal(int signal) {
  if (signal == SIGTERM) told_to_end = 1;
  if (stop_flag.raised()) {
    // The first one asked for an orderly end; the journal survives a rude one too.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  stop_flag.raise();
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Never a place that others can make first.
Result<fs::path> home_path(const char* xdg_name, const char* below_home) {
  if (const fs::path xdg = environment(xdg_name); xdg.is_absolute()) return xdg / "lathe";
  if (const fs::path home = environment("HOME"); home.is_absolute())
    return home / below_home / "lathe";
  if (const passwd* user = ::getpwuid(::getuid());
      user && user->pw_dir && fs::path(user->pw_dir).is_absolute())
    return fs::path(user->pw_dir) / below_home / "lathe";
  return fail(ErrorKind::kNotFound,
              "HOME is not set, and the password database has no home for user {}: set HOME, or {}",
              ::getuid(), xdg_name);
}

// Beside the program when it runs from its build directory, else where `cmake --install` puts them.
fs::path find_recipes(const fs::path& program) {
  std::error_code ignored;
  for (fs::path dir = program.parent_path(); dir.has_relative_path(); dir = dir.parent_path()) {
    for (const fs::path& candidate : {dir / "recipes", dir / "share" / "lathe" / "recipes"})
      if (fs::exists(candidate / "voice-over.toml", ignored)) return candidate;
  }
  return "/usr/share/lathe/recipes";
}

}  // namespace

Result<App> make_app(const char* argv0) {
  App app;
  std::error_code error;
  app.program = fs::read_symlink("/proc/self/exe", error);
  if (error) app.program = fs::absolute(argv0, error);
  LATHE_TRY(app.journal_dir, home_path("XDG_DATA_HOME", ".local/share"));
  LATHE_TRY(app.config_dir, home_path("XDG_CONFIG_HOME", ".config"));
  app.recipes_dir = find_recipes(app.program);
  app.terminal = isatty(STDOUT_FILENO) == 1;
  app.escapes = app.terminal && environment("TERM") != "dumb";
  app.color = app.escapes && environment("NO_COLOR").empty();
  winsize size{};
  if (app.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    app.width = size.ws_col;
    app.height = size.ws_row;
  }
  app.stop = &stop_flag;
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond `ulimit -f` is an error like a full disk
  return app;
}

// A SIGTERM before the clearing is seen by its number, one after it raises the flag again.
bool clear_interrupt(const App& app) {
  app.stop->clear();
  if (told_to_end) app.stop->raise();
  return !told_to_end;
}

int report_error(const App& app, const Error& error) {
  if (app.json) print_json({{"error", error.message}});
  fmt::print(stderr, "error: {}\n", visible_text(clip_utf8(error.message, kLongestMessage)));
  switch (error.kind) {
    case ErrorKind::kUnavailable:
    case ErrorKind::kTimeout:
      return kExitNotJudged;
    case ErrorKind::kCancelled:
      return kExitStopped;
    default:
      return kExitUsage;
  }
}

Result<int> choose_threads(int asked) {
  if (asked < 0 || asked > 1024) return invalid("--threads is {}; it must lie in [1, 1024]", asked);
  return asked > 0 ? asked : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

Result<std::string> read_standard_input() {
  constexpr std::size_t kMaxText = std::size_t{1} << 30;
  std::string text;
  char buffer[65536];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) {
    text.append(buffer, got);
    if (text.size() > kMaxText)
      return invalid("standard input: more than {} bytes; give it in parts", kMaxText);
  }
  if (std::ferror(stdin) != 0)
    return fail(ErrorKind::kUnavailable, "standard input: cannot be read");
  return text;
}

void print(std::string_view text) {
  print_raw(visible_text(text));
}

void print_note(std::string_view text) {
  fmt::print(stderr, "{}\n", visible_text(text));
}

void print_raw(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_json(const Json& value) {
  print_raw(dump_json(value) + "\n");
}

namespace {

// An option takes one value: what stands behind it is the command's. Several are several options.
void take_one_value_each(CLI::App& command) {
  for (CLI::Option* option : command.get_options({}))
    if (option->nonpositional() &&
        option->get_expected_max() >= CLI::detail::expected_max_vector_size)
      option->allow_extra_args(false);
  for (CLI::App* below : command.get_subcommands({})) take_one_value_each(*below);
}

// `lathe help [COMMAND]` and `lathe version`, as people type them.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "version") arguments[0] = "--version";
  if (!arguments.empty() && arguments[0] == "help") {
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  return arguments;
}

Error error_of(const CLI::App& cli, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = cli.remaining(true);
  const auto chosen = cli.get_subcommands();
  const std::string name = chosen.empty() ? "" : " " + chosen.front()->get_name();
  if (unknown.empty())
    return {ErrorKind::kInvalid, fmt::format("{}; `lathe{} --help` shows how", error.what(), name)};
  std::vector<std::string> known;
  const bool option = unknown.front().starts_with('-');
  if (option) {
    for (const CLI::App* app : {&cli, chosen.empty() ? &cli : chosen.front()})
      for (const CLI::Option* each : app->get_options({}))
        for (const std::string& flag : each->get_lnames()) known.push_back("--" + flag);
  } else if (chosen.empty()) {
    for (const CLI::App* command : cli.get_subcommands({})) known.push_back(command->get_name());
  } else {
    return {ErrorKind::kInvalid, fmt::format("lathe{} has no use for '{}'; `lathe{} --help` shows "
                                             "what it takes",
                                             name, unknown.front(), name)};
  }
  return {ErrorKind::kInvalid, fmt::format("lathe{} has no {} '{}'{}; `lathe{} --help` lists them",
                                           name, option ? "option" : "command", unknown.front(),
                                           did_you_mean(unknown.front(), known), name)};
}

}  // namespace

fs::path contacts_file(const App& app) {
  return app.journal_dir / "contacts.jsonl";
}

int run_cli(int argc, char** argv) {
  auto made = make_app(argv[0]);
  if (!made) return report_error(App(), made.error());
  App app = *std::move(made);
  CLI::App cli{"Lathe: loops of generate, inspect, judge and repair until the work passes.",
               "lathe"};
  cli.set_version_flag("-V,--version", fmt::format("lathe {}", program_version()));
  cli.require_subcommand(1);
  cli.fallthrough();
  std::string journal = app.journal_dir.string();
  cli.add_option("--journal", journal,
                 "Directory of the journal, or the address of a database: postgresql://…")
      ->capture_default_str();
  cli.add_flag("--json", app.json, "Print JSON for scripts");
  Action action;
  for (const CommandSpec& command : commands()) command.add(cli, app, action);
  take_one_value_each(cli);
  std::vector<std::string> arguments = arguments_of(argc, argv);
  // What is wrong with the command line is JSON too where JSON was asked for.
  app.json = std::ranges::find(arguments, "--json") != arguments.end();
  try {
    std::ranges::reverse(arguments);
    cli.parse(std::move(arguments));
  } catch (const CLI::Success& shown) {
    return cli.exit(shown);
  } catch (const CLI::ParseError& error) {
    return report_error(app, error_of(cli, error));
  }
  if (books::is_postgres_address(journal))
    app.journal_database = journal;
  else
    app.journal_dir = journal;
  app.contacts = std::make_shared<serve::ContactLog>(contacts_file(app), print_note);
  return action ? action() : kExitUsage;
}

}  // namespace lathe::app
