// lathe media-worker: the confined child that decodes, speaks and hears. Started by lathe itself.
#include "loop/media/media_worker.h"

#include "app/cli/app.h"

namespace lathe {

void add_media_worker(CLI::App& cli, App& app, Action& action) {
  (void)app;
  CLI::App* command = cli.add_subcommand("media-worker")->group("");  // hidden
  command->prefix_command();
  command->callback([command, &action] {
    action = [args = command->remaining()] { return media_worker_main(args); };
  });
}

}  // namespace lathe
