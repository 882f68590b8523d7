// The memory budget that commands with models of their own use.
#include "app/cli/pool_flags.h"

#include <unistd.h>

#include "ground/base/units.h"
#include "ground/sys/machine.h"

namespace lathe::app {

Result<std::uint64_t> memory_for_models(const std::string& asked) {
  if (!asked.empty()) {
    auto bytes = parse_bytes(asked);
    if (!bytes) return invalid("--memory: {}", bytes.error().message);
    return *bytes;
  }
  const auto left = read_machine().memory_left();
  if (!left) {
    return fail(ErrorKind::kUnavailable,
                "this machine does not say how much memory it has left; name it with --memory");
  }
  const std::uint64_t reserve = std::max<std::uint64_t>(std::uint64_t{1} << 30, *left / 10);
  return *left - std::min(*left, reserve);
}

serve::ProgramPlaces program_places(const App& app) {
  serve::ProgramPlaces places{.guard = app.program, .logs = app.config_dir / "programs"};
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
    places.env.emplace_back(*variable);
  return places;
}

Result<serve::PoolOptions> local_pool_options(const App& app) {
  serve::PoolOptions options;
  LATHE_TRY(options.memory, memory_for_models(""));
  LATHE_TRY(options.threads, choose_threads(0));
  options.programs = program_places(app);
  options.program = app.program;
  if (!app.json) {
    options.log = [](const std::string& line) { print_note(line); };
  }
  return options;
}

}  // namespace lathe::app
