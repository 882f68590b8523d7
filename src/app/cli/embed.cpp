// lathe embed MODEL TEXT: what a model makes of a text that it reads: its embedding, or, of a query
// and a document, a reranker's scores; as raw float32, for checks against other engines too.
#include "app/cli/local_model.h"
#include "app/cli/output_file.h"
#include "ground/base/part_file.h"
#include "infer/models/vocabulary.h"

namespace lathe::app {
namespace {

struct EmbedFlags : ModelFlags {
  std::string text, query, ids, out;
  bool tokens = false, force = false;
};

// Rows of numbers, all of one width.
struct Rows {
  std::vector<float> values;
  std::size_t width = 0;
};

Status check_flags(const EmbedFlags& flags) {
  if (flags.text.empty() == flags.ids.empty())
    return invalid("give either a text or --ids: what is to be read");
  if (!flags.query.empty() && !flags.ids.empty())
    return invalid("--query goes with a text, the document; --ids are the whole of what is read");
  return {};
}

Result<std::vector<infer::TokenId>> tokens_of(const EmbedFlags& flags, const LocalModel& local) {
  if (!flags.ids.empty()) {
    LATHE_TRY(std::vector<infer::TokenId> ids, parse_ids(flags.ids));
    LATHE_TRY_STATUS(check_ids(ids, local));
    return ids;
  }
  const bool ranks = local.model->blueprint().ranks;
  if (ranks && flags.query.empty())
    return invalid("{} is a reranker: it needs --query, and the document as its text", flags.path);
  if (!ranks && !flags.query.empty())
    return invalid("--query is for rerankers; {} is none", flags.path);
  if (!ranks) return local.tokenizer->encode(flags.text, true, false);
  LATHE_TRY(const std::string source, infer::read_rerank_template(*local.file));
  return infer::pair_tokens(*local.tokenizer, source, flags.query, flags.text);
}

Result<Rows> read_text(const LocalModel& local, std::vector<infer::TokenId> tokens, bool each) {
  const infer::Blueprint& blueprint = local.model->blueprint();
  Rows rows;
  rows.width = blueprint.text_width();
  if (each) {
    LATHE_TRY_STATUS(local.engine->hidden(std::move(tokens), [&](std::span<const float> row) {
      rows.values.insert(rows.values.end(), row.begin(), row.end());
    }));
    return rows;
  }
  const infer::Pooling pooling =
      blueprint.pooling == infer::Pooling::kNone ? infer::Pooling::kMean : blueprint.pooling;
  LATHE_TRY(const auto reading, local.engine->read(std::move(tokens), pooling));
  for (bool done = false; !done;) {
    LATHE_TRY(done, reading->step());
  }
  rows.values = reading->values();
  return rows;
}

void print_rows(const Rows& rows) {
  std::string text;
  for (std::size_t i = 0; i < rows.values.size(); ++i)
    text += fmt::format("{}{}", rows.values[i], (i + 1) % rows.width == 0 ? "\n" : " ");
  print(text);
}

Status embed(const App& app, const EmbedFlags& flags) {
  LATHE_TRY_STATUS(check_flags(flags));
  if (!flags.out.empty()) LATHE_TRY_STATUS(check_output(flags.out, {flags.path}, flags.force));
  LATHE_TRY(const LocalModel local, open_model(app, flags));
  LATHE_TRY(std::vector<infer::TokenId> tokens, tokens_of(flags, local));
  const std::size_t count = tokens.size();
  LATHE_TRY(const Rows rows, read_text(local, std::move(tokens), flags.tokens));
  if (!flags.out.empty()) {
    LATHE_TRY(PartFile file, PartFile::create(flags.out));
    LATHE_TRY_STATUS(file.write(std::as_bytes(std::span(rows.values))));
    LATHE_TRY_STATUS(file.commit());
  }
  if (app.json) {
    Json json{{"tokens", count}, {"rows", rows.values.size() / rows.width}, {"width", rows.width}};
    if (flags.out.empty())
      json["values"] = rows.values;
    else
      json["out"] = flags.out;
    const infer::Blueprint& blueprint = local.model->blueprint();
    if (blueprint.ranks && !flags.tokens)
      json["relevance"] = infer::relevance_of(blueprint, rows.values);
    print_json(json);
  } else if (flags.out.empty()) {
    print_rows(rows);
  } else {
    print(fmt::format("{}: {} × {}, float32, of {} tokens\n", flags.out,
                      rows.values.size() / rows.width, rows.width, count));
  }
  return {};
}

}  // namespace

void add_embed(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<EmbedFlags>();
  flags->kv = "f32";  // of one text, which is soon forgotten
  CLI::App* command =
      cli.add_subcommand("embed", "Make an embedding of a text, or score a document for a query");
  add_model_flags(*command, flags);
  command->add_option("text", flags->text, "What is read; with --query, the document");
  command->add_option("--query", flags->query, "Of a reranker: what the document is scored for");
  command->add_option("--ids", flags->ids, "Token ids instead of a text, separated by blanks");
  command->add_flag("--tokens", flags->tokens, "A row for each token, not one for the text");
  command->add_option("--out", flags->out,
                      "File: float32, little endian, not normalised (default: printed)");
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = embed(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
