// The program: hands over to a confined child's work, or to the command line.
#include "app/cli/app.h"
#include "ground/sys/guarded_process.h"
#include "loop/senses/media_worker.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  // Started by lathe itself: the confined child that decodes, speaks and hears.
  if (!args.empty() && args[0] == "media-worker")
    return lathe::loop::media_worker_main(std::span(args).subspan(1));
  if (!args.empty() && args[0] == lathe::kGuardRole)
    return lathe::guard_main(std::span(args).subspan(1));
  return lathe::app::run_cli(argc, argv);
}
