// lathe import DIR: a Hugging Face model directory as one GGUF file.
#include "infer/convert/import.h"

#include "app/cli/app.h"
#include "app/cli/output_file.h"
#include "app/cli/work_progress.h"
#include "ground/base/units.h"

namespace lathe::app {
namespace {

struct ModelImportFlags {
  std::string directory, out, type;
  bool force = false;
};

Status import(const App& app, const ModelImportFlags& flags) {
  infer::ImportOptions options;
  LATHE_TRY(const int threads, choose_threads(0));
  options.threads = static_cast<std::size_t>(threads);
  options.stop = app.stop;
  if (!flags.type.empty()) {
    const infer::TensorTypeInfo* type = infer::find_tensor_type(flags.type);
    if (!type || type->block != 1)
      return invalid(
          "--type is '{}'; it may be f32, f16 or bf16. `lathe quantize` makes smaller "
          "ones",
          flags.type);
    options.type = type->type;
  }
  LATHE_TRY_STATUS(check_output(flags.out, {flags.directory}, flags.force));
  Result<infer::ImportReport> report;
  {
    WorkProgress progress(app, "importing");
    options.progress = [&progress](std::uint64_t done, std::uint64_t total) {
      progress.update(done, total);
    };
    report = infer::import_model(flags.directory, flags.out, options);
  }
  if (!report) return std::unexpected(report.error());
  print_warnings(app, report->warnings);
  if (app.json)
    print_json({{"out", flags.out},
                {"architecture", report->architecture},
                {"tensors", report->tensors},
                {"bytes", report->bytes},
                {"warnings", report->warnings}});
  else
    print(fmt::format("{}: {}, {} tensors, {}\n", flags.out, report->architecture, report->tensors,
                      format_bytes(report->bytes)));
  return {};
}

}  // namespace

void add_import(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ModelImportFlags>();
  CLI::App* command = cli.add_subcommand("import", "Make a GGUF file of a Hugging Face model");
  command
      ->add_option("DIR", flags->directory,
                   "Its directory: config.json, tokenizer.json, safetensors")
      ->required();
  command->add_option("--out", flags->out, "The GGUF file to write")->required();
  add_force_flag(*command, flags->force);
  command->add_option("--type", flags->type,
                      "Type of the matrices: f32, f16 or bf16 (default: as they are stored)");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = import(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
