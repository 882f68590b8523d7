// lathe merge BASE ADAPTER OUT [TYPE]: a model with an adapter in its weights.
#include "app/cli/app.h"
#include "app/cli/output_file.h"
#include "ground/base/units.h"
#include "infer/convert/quantize.h"
#include "infer/tune/output.h"

namespace lathe::app {
namespace {

struct MergeFlags {
  std::string base, adapter, out, type;
  int threads = 0;
  bool force = false;
};

Status merge(const App& app, const MergeFlags& flags) {
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  LATHE_TRY_STATUS(check_output(flags.out, {flags.base, flags.adapter}, flags.force));
  LATHE_TRY(const infer::Gguf base, infer::Gguf::open(flags.base));
  LATHE_TRY(const infer::Gguf adapter, infer::Gguf::open(flags.adapter));
  infer::MergeOptions options;
  if (!flags.type.empty()) {
    LATHE_TRY(const infer::QuantizeTarget* target, infer::find_quantize_target(flags.type));
    LATHE_TRY(options.types, infer::plan_types(base, *target));
    options.file_type = target->file_type;
  }
  infer::ThreadTeam team(threads);
  LATHE_TRY_STATUS(
      infer::merge_adapter(base, adapter, team, infer::best_kernel_table(), options, flags.out));
  const std::uint64_t bytes = fs::file_size(flags.out);
  if (app.json)
    print_json({{"out", flags.out}, {"bytes", bytes}});
  else
    print(fmt::format("{}: {}\n", flags.out, format_bytes(bytes)));
  return {};
}

}  // namespace

void add_merge(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<MergeFlags>();
  CLI::App* command = cli.add_subcommand("merge", "Write a model with an adapter in its weights");
  command->add_option("BASE", flags->base, "The GGUF file that the adapter was trained on")
      ->required();
  command->add_option("ADAPTER", flags->adapter, "Its LoRA adapter, a GGUF file")->required();
  command->add_option("OUT", flags->out, "The GGUF file to write")->required();
  command->add_option("TYPE", flags->type,
                      "Type of the weights, as lathe quantize has them (default: as they are)");
  command->add_option("--threads", flags->threads, "Threads that compute (default: one a core)");
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = merge(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
