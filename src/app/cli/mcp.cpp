// lathe mcp: judges, loops and models of this machine as tools of any agent that speaks the Model
// Context Protocol.
#include <fcntl.h>
#include <unistd.h>

#include "app/cli/workshop.h"
#include "ground/sys/process.h"
#include "serve/mcp/stdio.h"

namespace lathe::app {
namespace {

struct McpFlags {
  ToolFlags tools{"."};
  DriveFlags drive;
};

// Nothing but messages may stand in standard output: whatever else is printed goes to standard
// error.
Result<UniqueFd> take_standard_output() {
  UniqueFd out(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!out || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    return fail(ErrorKind::kUnavailable, "standard output cannot be used: {}", errno_text(errno));
  return out;
}

Status mcp(const App& app, const McpFlags& flags) {
  LATHE_TRY(const UniqueFd out, take_standard_output());
  LATHE_TRY(const auto desk, AgentDesk::open(app, flags.drive, flags.tools, ""));
  return serve::serve_mcp(*desk->server(), STDIN_FILENO, out.get(), *app.stop);
}

}  // namespace

void add_mcp(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<McpFlags>();
  CLI::App* command = cli.add_subcommand(
      "mcp", "Judges, loops and local models as tools of other agents (MCP on standard input)");
  command->add_option("--root", flags->tools.root, "Files below this directory may be read")
      ->capture_default_str();
  command
      ->add_option("--tools", flags->tools.tools, "Only these: listen,look,test,check,loop,run,ask")
      ->delimiter(',');
  add_drive_flags(*command, flags->drive);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status served = mcp(app, *flags);
      return served ? kExitPassed : report_error(app, served.error());
    };
  });
}

}  // namespace lathe::app
