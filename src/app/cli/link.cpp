// lathe link MODEL: the rest of a model for a machine that serves it (`lathe serve --link`).
#include "app/cli/link_contact.h"
#include "app/cli/local_model.h"
#include "app/cli/model_library.h"
#include "app/cli/pool_flags.h"
#include "ground/base/units.h"
#include "infer/link/partner.h"
#include "infer/link/tcp_wire.h"

namespace lathe::app {
namespace {

struct LinkFlags {
  std::string model, listen = "127.0.0.1:8090", memory;
  int threads = 0;
};

void note(const App& app, const std::string& line) {
  if (app.json)
    print_json({{"event", "log"}, {"message", line}});
  else
    print_note(line);
}

Status link(const App& app, const LinkFlags& flags) {
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(model_path(app, flags.model)));
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  infer::ThreadTeam team(threads);
  infer::PartnerOptions options;
  LATHE_TRY(options.memory, memory_for_models(flags.memory));
  options.kernels = &infer::best_kernel_table();
  options.log = [&app](const std::string& line) { note(app, line); };
  const std::uint64_t memory = options.memory;
  LATHE_TRY(const auto partner, infer::LinkPartner::open(file, team, std::move(options)));
  LATHE_TRY(infer::TcpListener listener, infer::TcpListener::open(flags.listen));
  const auto colon = flags.listen.rfind(':');
  const std::string host = colon == flags.listen.npos ? "127.0.0.1" : flags.listen.substr(0, colon);
  const std::string address = fmt::format("{}:{}", host, listener.port());
  if (app.json)
    print_json({{"event", "ready"}, {"address", address}, {"memory", memory}});
  else
    print(fmt::format("a part of {} can be had at {} · {} for them · Ctrl-C ends\n", flags.model,
                      address, format_bytes(memory)));
  while (!app.stop->raised()) {
    auto wire = listener.accept(*app.stop);
    if (!wire) break;
    LATHE_TRY_STATUS(record_link(app, serve::ContactKind::kIn, address));
    const Status ended = partner->serve(std::move(*wire), *app.stop);
    note(app, ended ? "the machine that serves the model has gone"
                    : "the link has ended: " + ended.error().message);
  }
  return {};
}

}  // namespace

void add_link(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<LinkFlags>();
  CLI::App* command = cli.add_subcommand(
      "link", "Hold a part of a model that another machine serves (`lathe serve --link`)");
  command->add_option("model", flags->model, "A GGUF file or a name of `lathe models`")->required();
  command
      ->add_option("--listen", flags->listen,
                   "ADDRESS:PORT to listen on; port 0: any that is free. What is sent is neither "
                   "encrypted nor signed: other addresses than loopback are for a network of one's "
                   "own")
      ->capture_default_str();
  command->add_option("--memory", flags->memory,
                      "For weights, KV and scratch (default: what is free, less a reserve)");
  command->add_option("--threads", flags->threads, "That compute (default: one a core)");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = link(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
