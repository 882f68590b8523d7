// lathe logits MODEL --ids "1 2 3" --out F: the raw logits of every position, for checks against
// other engines.
#include "app/cli/local_model.h"
#include "app/cli/output_file.h"
#include "ground/base/part_file.h"

namespace lathe::app {
namespace {

Status write_logits(const App& app, const ModelFlags& flags, const std::string& ids_text,
                    const std::string& out, bool force) {
  LATHE_TRY(const auto ids, parse_ids(ids_text));
  LATHE_TRY_STATUS(check_output(out, {flags.path, flags.adapter}, force));
  LATHE_TRY(LocalModel local, open_model(app, flags));
  // Before the file is made: one that is there may be worth more than a wrong command line.
  LATHE_TRY_STATUS(infer::check_generates(local.model->blueprint()));
  LATHE_TRY_STATUS(check_ids(ids, local));
  LATHE_TRY(PartFile file, PartFile::create(out));
  Status written;
  LATHE_TRY_STATUS(local.engine->logits(
      ids,
      [&](std::span<const float> row) {
        if (written) written = file.write(std::as_bytes(row));
      },
      local.adapter.get()));
  LATHE_TRY_STATUS(written);
  LATHE_TRY_STATUS(file.commit());
  if (app.json) {
    print_json({{"positions", ids.size()},
                {"vocabulary", local.model->blueprint().vocabulary},
                {"out", out}});
  } else {
    print(fmt::format("{}: {} positions × {} tokens, float32\n", out, ids.size(),
                      local.model->blueprint().vocabulary));
  }
  return {};
}

}  // namespace

void add_logits(CLI::App& cli, App& app, Action& action) {
  struct Flags : ModelFlags {
    std::string ids, out;
    bool force = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      cli.add_subcommand("logits", "Write the logits of given token ids as raw float32");
  add_model_flags(*command, flags);
  add_adapter_flag(*command, flags);
  command->add_option("--ids", flags->ids, "Token ids, separated by blanks")->required();
  command->add_option("--out", flags->out, "File: positions × vocabulary float32, little endian")
      ->required();
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = write_logits(app, *flags, flags->ids, flags->out, flags->force);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
