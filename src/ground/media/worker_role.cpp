// The confined child: finds its role, and answers or refuses.
#include "ground/media/worker_role.h"

#include "ground/sys/worker_process.h"

namespace lathe {

int run_worker(std::span<const std::string> args,
               std::initializer_list<std::span<const WorkerRole>> tables) {
  for (const std::span<const WorkerRole> table : tables)
    for (const WorkerRole& role : table)
      if (!args.empty() && args[0] == role.name && args.size() == 1 + role.arguments)
        return role.run(args.subspan(1));
  return 2;
}

Status lock_in(const ConfineLimits& limits) {
  watch_parent();
  return confine(limits);
}

std::string refusal(const Error& error) {
  return to_frame(
      {{{"error", error.message}, {"unavailable", error.kind == ErrorKind::kUnavailable}}, ""});
}

void refuse_all(const Error& error) {
  serve_frames([&](std::string_view) { return refusal(error); });
}

}  // namespace lathe
