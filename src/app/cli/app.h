// What every command shares: where things are, how to speak to the person, and the one stop flag
// that Ctrl-C raises. Only this room reads the environment.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "books/journal/journal.h"
#include "ground/base/clock.h"
#include "ground/base/file.h"
#include "ground/base/stop.h"
#include "serve/net/contact_log.h"

namespace lathe::app {

enum ExitCode {
  kExitPassed = 0,
  kExitFailed = 1,     // the work was judged and did not pass
  kExitUsage = 2,      // the input or the command line is wrong
  kExitNotJudged = 3,  // a judge could not tell, or the work could not be done
  kExitStopped = 130,  // Ctrl-C: `lathe resume` goes on
};

struct App {
  fs::path program;  // this executable
  // --journal: a directory, or the address of a database. Beside a database, what is this
  // machine's alone lies in the default directory.
  fs::path journal_dir;
  std::string journal_database;
  fs::path config_dir;
  fs::path recipes_dir;  // the shipped recipes
  bool json = false;
  bool color = false;  // standard output is a terminal and NO_COLOR is not set
  bool terminal = false;
  bool escapes = false;  // standard output is a terminal that understands escape sequences
  int width = 80, height = 24;
  StopFlag* stop = nullptr;  // raised by SIGINT and SIGTERM; a second one ends the process
  std::shared_ptr<serve::ContactLog> contacts;  // what reaches other machines is written down here
};

// The record of contacts with other machines.
fs::path contacts_file(const App& app);
// An error where neither the environment nor the password database knows a home.
Result<App> make_app(const char* argv0);

// Each command adds itself to the command line; the action runs after parsing and returns the exit
// code.
using Action = std::function<int()>;
struct CommandSpec {
  void (*add)(CLI::App& cli, App& app, Action& action);
};
std::span<const CommandSpec> commands();

// Goes on after a Ctrl-C. False: SIGTERM asked for the end, which stays asked for.
bool clear_interrupt(const App& app);
// "error: …" on standard error; returns the exit code that fits the kind.
int report_error(const App& app, const Error& error);
// How many threads compute: as asked, 0 for one a core; errors name the flag and its range.
Result<int> choose_threads(int asked);
// All of it, within a bound.
Result<std::string> read_standard_input();
// To standard output. Names, titles and texts of others may be in it: no character of it acts on a
// terminal.
void print(std::string_view text);
// As it is: our own escape sequences, and what a program behind a pipe wants byte for byte.
void print_raw(std::string_view text);
void print_note(std::string_view text);  // a line on standard error, harmless like print()
void print_json(const Json& value);      // one line

int run_cli(int argc, char** argv);

}  // namespace lathe::app
