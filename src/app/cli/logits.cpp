// lathe logits MODEL --ids "1 2 3" --out F: the raw logits of every position, for checks against
// other engines.
#include <charconv>

#include "app/cli/local_model.h"
#include "app/cli/output_file.h"
#include "ground/base/part_file.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

Result<std::vector<infer::TokenId>> parse_ids(std::string_view text) {
  std::vector<infer::TokenId> ids;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ' ' || text[at] == ',' || text[at] == '\n') {
      ++at;
      continue;
    }
    infer::TokenId id = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    if (error != std::errc()) {
      return invalid("--ids: '{}' at byte {} is no token id", clip_utf8(text.substr(at), 20), at);
    }
    ids.push_back(id);
    at = static_cast<std::size_t>(end - text.data());
  }
  return ids;
}

Status write_logits(const App& app, const ModelFlags& flags, const std::string& ids_text,
                    const std::string& out, bool force) {
  LATHE_TRY(const auto ids, parse_ids(ids_text));
  if (ids.empty()) return invalid("--ids is empty; give at least one token id, like \"1 2 3\"");
  LATHE_TRY_STATUS(check_output(out, {flags.path, flags.adapter}, force));
  LATHE_TRY(LocalModel local, open_model(app, flags));
  // Before the file is made: one that is there may be worth more than a wrong command line.
  for (const infer::TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= local.model->blueprint().vocabulary) {
      return invalid("--ids names token {}; {} has the tokens 0 to {}", id, flags.path,
                     local.model->blueprint().vocabulary - 1);
    }
  }
  if (ids.size() > local.engine->options().context) {
    return invalid("--ids names {} tokens; the context holds {}", ids.size(),
                   local.engine->options().context);
  }
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
