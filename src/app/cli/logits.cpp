// lathe logits MODEL --ids "1 2 3" --out F: the raw logits of every token, for checks against other
// engines; with --chunks and --embeddings also beside rows of media.
#include "app/cli/chunks.h"
#include "app/cli/local_model.h"
#include "app/cli/output_file.h"
#include "ground/base/part_file.h"

namespace lathe::app {
namespace {

struct LogitsFlags : ModelFlags {
  std::string ids, chunks, embeddings, out;
  bool force = false;
};

Result<infer::Prompt> read_prompt(LogitsFlags& flags) {
  if (flags.chunks.empty()) {
    LATHE_TRY(auto ids, parse_ids(flags.ids));
    return infer::Prompt(std::move(ids));
  }
  LATHE_TRY(infer::Prompt prompt, read_chunks(flags.chunks, flags.embeddings));
  for (const infer::PlacedRows& run : prompt.rows())
    if (run.block->shape().mutual) flags.together = std::max(flags.together, run.block->rows());
  return prompt;
}

Status write_logits(const App& app, LogitsFlags flags) {
  LATHE_TRY(const infer::Prompt prompt, read_prompt(flags));
  const std::vector<infer::TokenId>& ids = prompt.ids();
  const std::string& out = flags.out;
  LATHE_TRY_STATUS(
      check_output(out, {flags.path, flags.adapter, flags.chunks, flags.embeddings}, flags.force));
  LATHE_TRY(LocalModel local, open_model(app, flags));
  // Before the file is made: one that is there may be worth more than a wrong command line.
  LATHE_TRY_STATUS(infer::check_generates(local.model->blueprint()));
  if (flags.chunks.empty()) LATHE_TRY_STATUS(check_ids(ids, local));
  LATHE_TRY(PartFile file, PartFile::create(out));
  Status written;
  std::size_t position = 0, rows = 0;
  LATHE_TRY_STATUS(local.engine->logits(
      prompt,
      [&](std::span<const float> row) {
        if (ids[position++] == infer::kNoToken) return;
        ++rows;
        if (written) written = file.write(std::as_bytes(row));
      },
      local.adapter.get()));
  LATHE_TRY_STATUS(written);
  LATHE_TRY_STATUS(file.commit());
  if (app.json) {
    print_json(
        {{"positions", rows}, {"vocabulary", local.model->blueprint().vocabulary}, {"out", out}});
  } else {
    print(fmt::format("{}: {} positions × {} tokens, float32\n", out, rows,
                      local.model->blueprint().vocabulary));
  }
  return {};
}

}  // namespace

void add_logits(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command =
      cli.add_subcommand("logits", "Write the logits of given token ids as raw float32");
  add_model_flags(*command, flags);
  add_adapter_flag(*command, flags);
  CLI::Option* ids = command->add_option("--ids", flags->ids, "Token ids, separated by blanks");
  CLI::Option* chunks = command->add_option(
      "--chunks", flags->chunks, "In place of ids: texts and media, a JSON file (docs/engine.md)");
  CLI::Option* embeddings = command->add_option("--embeddings", flags->embeddings,
                                                "The rows of its media, float32, little endian");
  chunks->excludes(ids)->needs(embeddings);
  embeddings->needs(chunks);
  command->add_option("--out", flags->out, "File: tokens × vocabulary float32, little endian")
      ->required();
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = write_logits(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
