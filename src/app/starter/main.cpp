// lathe_make_starter: what the starter model is made with (docs/starter.md). `make starter` runs
// it.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "app/starter/base_model.h"
#include "app/starter/bpe.h"
#include "app/starter/drills.h"
#include "app/starter/evaluate.h"
#include "app/starter/takes.h"

namespace lathe::app {
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
  EvaluateOptions evaluate;
  TakesOptions takes;
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
  constexpr std::size_t kDrills = 20'000, kLeast = 30;
  std::vector<std::string> texts;
  Random random(flags.seed);
  for (std::size_t i = 0; i < kDrills; ++i) {
    const Drill drill = draw_drill(random, flags.depths, flags.repairs);
    texts.push_back(drill.prompt + drill.completion);
  }
  const infer::VocabularySpec vocabulary = learn_bpe(texts, flags.vocabulary, kLeast);
  LATHE_TRY_STATUS(write_base_model(flags.out, flags.shape, vocabulary, flags.seed));
  fmt::print("{}: {} tokens, {} of them merged\n", flags.out, vocabulary.tokens.size(),
             vocabulary.merges.size());
  return {};
}

Status make_drills(const Flags& flags) {
  Random random(flags.seed);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < flags.count; ++i)
    lines.push_back(dump_json(to_json(draw_drill(random, flags.depths, flags.repairs))));
  return write_lines(flags.out, lines);
}

Status make_takes(Flags& flags) {
  flags.takes.seed = flags.seed;
  flags.takes.depths = flags.depths;
  LATHE_TRY(const Takes takes, accepted_takes(flags.takes));
  std::vector<std::string> lines;
  for (const Drill& drill : takes.drills) lines.push_back(dump_json(to_json(drill)));
  LATHE_TRY_STATUS(write_lines(flags.out, lines));
  fmt::print("{}: {} of {} tasks solved, {} lines; {} passed the visible tests alone\n", flags.out,
             takes.accepted, takes.tasks, lines.size(), takes.wrong);
  return {};
}

// Tasks to play by a loop: the records of its input. Every other one has an unseen pair.
Status make_tasks(const Flags& flags) {
  Random random(flags.seed);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < flags.count; ++i) {
    const int depth = random.pick(flags.depths);
    const Split split = i % 2 == 0 || depth == 1 ? Split::kUnseen : Split::kPairs;
    Json line = {{"key", fmt::format("T{:02}", i + 1)}};
    line.update(to_json(draw_task(random, split, depth, random.chance(flags.repairs)).task));
    line.erase("id");
    lines.push_back(dump_json(line));
  }
  return write_lines(flags.out, lines);
}

Status make_evaluation(const Flags& flags) {
  LATHE_TRY(const std::string table, evaluate(flags.evaluate));
  fmt::print("{}", table);
  return {};
}

}  // namespace
}  // namespace lathe::app

int main(int argc, char** argv) {
  using namespace lathe::app;
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
  CLI::App* drills = add("drills", "Draw lines of prompt and completion to train on");
  drills->add_option("--count", flags.count, "How many");
  CLI::App* tasks = add("tasks", "Draw tasks that training never sees, as a loop's input");
  tasks->add_option("--count", flags.count, "How many");
  CLI::App* takes = add("takes", "Play tasks; keep what the judge accepts, to train on");
  takes->add_option("model", flags.takes.model, "A GGUF file")->required();
  takes->add_option("--count", flags.takes.count, "Tasks");
  takes->add_option("--laps", flags.takes.laps, "Of a task, at most");
  takes->add_option("--temperature", flags.takes.temperature,
                    "Of all laps but the first (default: the maker's)");
  takes->add_option("--threads", flags.takes.threads, "That compute");
  CLI::App* evaluation = cli.add_subcommand("evaluate", "Play the frozen tasks; print the table");
  evaluation->add_option("model", flags.evaluate.model, "A GGUF file")->required();
  evaluation->add_option("--count", flags.evaluate.count, "Tasks of each group")
      ->capture_default_str();
  evaluation->add_option("--laps", flags.evaluate.laps, "With feedback")->capture_default_str();
  evaluation->add_option("--best-of", flags.evaluate.best_of, "Candidates of a lap")
      ->capture_default_str();
  evaluation->add_option("--samples", flags.evaluate.samples, "Of the control")
      ->capture_default_str();
  evaluation->add_option("--seeds", flags.evaluate.seeds, "Runs of each task")
      ->capture_default_str();
  evaluation->add_option("--temperature", flags.evaluate.temperature,
                         "Of all laps but the first (default: the maker's)");
  evaluation
      ->add_option("--tasks-seed", flags.evaluate.tasks_seed,
                   "Other tasks than the frozen ones, to try things out on")
      ->capture_default_str();
  evaluation->add_option("--threads", flags.evaluate.threads, "That compute")
      ->capture_default_str();
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error);
  }
  if (base->parsed()) return report(make_base(flags));
  if (tasks->parsed()) return report(make_tasks(flags));
  if (takes->parsed()) return report(make_takes(flags));
  if (evaluation->parsed()) return report(make_evaluation(flags));
  return report(make_drills(flags));
}
