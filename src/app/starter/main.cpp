// lathe_make_starter: what the starter model is made with (docs/starter.md). `make starter` runs
// it.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "app/starter/base_model.h"
#include "app/starter/bpe.h"
#include "app/starter/examples.h"

namespace lathe {
namespace {

struct Flags {
  std::uint64_t seed = 1;
  std::size_t count = 1000;
  std::string out;
  std::size_t vocabulary = 1024;
  StarterShape shape;
  std::string split = "train";
  std::vector<int> depths{1, 2};
  int repairs = 50;
};

int report(const Status& status) {
  if (status) return 0;
  fmt::print(stderr, "error: {}\n", status.error().message);
  return 2;
}

Status write_lines(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return write_file_atomic(path, text);
}

Status make_base(const Flags& flags) {
  constexpr std::size_t kExamples = 20'000, kLeast = 30;
  std::vector<std::string> texts;
  Random random(flags.seed);
  for (std::size_t i = 0; i < kExamples; ++i) {
    const Example example = draw_example(random, flags.depths, flags.repairs);
    texts.push_back(example.prompt + example.completion);
  }
  const VocabularySpec vocabulary = learn_bpe(texts, flags.vocabulary, kLeast);
  LATHE_TRY_STATUS(write_base_model(flags.out, flags.shape, vocabulary, flags.seed));
  fmt::print("{}: {} tokens, {} of them merged\n", flags.out, vocabulary.tokens.size(),
             vocabulary.merges.size());
  return {};
}

Status make_examples(const Flags& flags) {
  Random random(flags.seed);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < flags.count; ++i)
    lines.push_back(dump_json(to_json(draw_example(random, flags.depths, flags.repairs))));
  return write_lines(flags.out, lines);
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  using namespace lathe;
  CLI::App cli("Makes Lathe's starter model: docs/starter.md");
  cli.require_subcommand(1);
  Flags flags;
  const auto add = [&](const char* name, const char* summary) {
    CLI::App* command = cli.add_subcommand(name, summary);
    command->add_option("--out", flags.out, "The file to write")->required();
    command->add_option("--seed", flags.seed, "What everything is drawn from");
    command->add_option("--depths", flags.depths, "How many idioms a function has")->delimiter(',');
    command->add_option("--repairs", flags.repairs,
                        "Per cent of tasks that begin with broken code");
    return command;
  };
  CLI::App* base = add("base", "Learn the tokenizer, write a model with random weights");
  base->add_option("--width", flags.shape.width, "Of the stream");
  base->add_option("--layers", flags.shape.layers, "Of the model");
  base->add_option("--hidden", flags.shape.hidden, "Of the feed-forward part");
  base->add_option("--heads", flags.shape.heads, "Of attention");
  base->add_option("--kv-heads", flags.shape.kv_heads, "… of keys and values");
  CLI::App* examples = add("examples", "Draw lines of prompt and completion to train on");
  examples->add_option("--count", flags.count, "How many");
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error);
  }
  if (base->parsed()) return report(make_base(flags));
  return report(make_examples(flags));
}
