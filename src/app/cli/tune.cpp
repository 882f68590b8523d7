// lathe tune MODEL DATA --out FILE: fine-tuning on one's own data. FILE is a LoRA adapter, or with
// --full, where every weight is trained, a model. The same command goes on where a stopped or
// killed one was.
#include <unistd.h>

#include "app/cli/app.h"
#include "app/cli/tune_output.h"
#include "app/lessons/lessons.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "infer/models/vocabulary.h"
#include "infer/tune/output.h"
#include "infer/tune/trainer.h"

namespace lathe {
namespace {

struct Flags {
  std::string model, data, out, schedule = "cosine", checkpoint_every = "2m";
  bool full = false, fresh = false, skip_bad = false;
  int threads = 0;
  double validation = 0.05;
  LoraOptions lora;
  TrainOptions train;
  // Without a flag: what suits the method.
  std::optional<double> rate, weight_decay;
  std::optional<std::size_t> epochs, batch, micro;
};

void choose_defaults(Flags& flags) {
  TrainOptions& train = flags.train;
  train.rate = flags.rate.value_or(flags.full ? 1e-3 : 2e-4);
  train.weight_decay = flags.weight_decay.value_or(flags.full ? 0.1 : 0);
  train.epochs = flags.epochs.value_or(flags.full ? 1 : 3);
  train.batch_tokens = flags.batch.value_or(flags.full ? 8192 : 2048);
  train.micro_tokens = flags.micro.value_or(flags.full ? 2048 : 1024);
  flags.lora.seed = train.seed;
}

// Everything that the weights will depend on.
std::string fingerprint(const Flags& flags, const std::string& base, const std::string& data) {
  const TrainOptions& t = flags.train;
  return sha256_hex(fmt::format(
      "{} {} full={} rank={} alpha={} targets={} epochs={} batch={} micro={} rate={} schedule={} "
      "warmup={} beta2={} decay={} "
      "clip={} seed={} validation={} evaluations={} patience={}",
      base, data, flags.full, flags.lora.rank, flags.lora.alpha, join(flags.lora.targets, ","),
      t.epochs, t.batch_tokens, t.micro_tokens, t.rate, flags.schedule, t.warmup, t.beta2,
      t.weight_decay, t.clip, t.seed, flags.validation, t.evaluations, t.patience));
}

// One line, rewritten on a terminal; elsewhere a line now and then.
class TrainView {
 public:
  explicit TrainView(const App& app) : app_(app), terminal_(isatty(STDERR_FILENO) == 1) {}
  ~TrainView() {
    if (shown_ && terminal_ && !app_.json) fmt::print(stderr, "\n");
  }
  void update(const TrainProgress& now) {
    const CurvePoint& point = now.point;
    if (app_.json) {
      Json line{{"step", point.step},
                {"steps", now.steps},
                {"tokens", point.tokens},
                {"loss", point.loss},
                {"rate", point.rate},
                {"gradient_norm", point.norm},
                {"tokens_per_second", now.tokens_per_second}};
      if (point.validation) line["validation_loss"] = *point.validation;
      return print_json(line);
    }
    if (point.validation) validation_ = point.validation;
    const auto at = std::chrono::steady_clock::now();
    const bool last = point.step == now.steps;
    if (!last && shown_ && at - told_ < (terminal_ ? Milliseconds(200) : Milliseconds(20'000)))
      return;
    told_ = at;
    shown_ = true;
    const auto left = Milliseconds(static_cast<std::int64_t>(now.seconds_left * 1000));
    fmt::print(stderr, "{}step {} of {}: loss {:.4f}{}, {:.0f} tokens/s, {} left{}",
               terminal_ ? "\r" : "", point.step, now.steps, point.loss,
               validation_ ? fmt::format(", validation {:.4f}", *validation_) : "",
               now.tokens_per_second, format_duration(left), terminal_ ? "\x1b[K" : "\n");
  }

 private:
  const App& app_;
  bool terminal_, shown_ = false;
  std::optional<double> validation_;
  std::chrono::steady_clock::time_point told_;
};

std::vector<Example> examples_of(std::vector<Lesson>&& lessons) {
  std::vector<Example> examples;
  for (Lesson& lesson : lessons) examples.push_back(std::move(lesson.example));
  return examples;
}

Result<int> tune(const App& app, Flags& flags) {
  choose_defaults(flags);
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  LATHE_TRY(flags.train.shape, parse_rate_shape(flags.schedule));
  LATHE_TRY(flags.train.checkpoint_every, parse_duration(flags.checkpoint_every));
  LATHE_TRY(const Gguf base, Gguf::open(flags.model));
  LATHE_TRY(auto model,
            TuneModel::load(base, flags.full ? std::nullopt : std::optional(flags.lora)));
  LATHE_TRY(VocabularySpec vocabulary, read_vocabulary(base));
  LATHE_TRY(const auto tokenizer, Tokenizer::make(std::move(vocabulary)));
  LATHE_TRY(Lessons data,
            read_lessons(flags.data, *tokenizer,
                         {.context = model->blueprint().context, .skip_bad = flags.skip_bad}));
  std::vector<Lesson> held_out = split_off(data.lessons, flags.validation);
  if (data.lessons.empty())
    return invalid("{}: all of its tasks fell to the validation; --validation 0 keeps them",
                   flags.data);
  for (const std::string& note : data.notes) fmt::print(stderr, "left out: {}\n", note);
  if (!app.json)
    fmt::print(stderr,
               "{} lines: {} examples to learn, {} to validate; left out: {} duplicates, {} too "
               "long, {} bad\n{} trained parameters\n",
               data.lines, data.lessons.size(), held_out.size(), data.duplicates, data.too_long,
               data.bad, model->parameters().count());

  LATHE_TRY(const std::string base_hash, sha256_file(flags.model));
  ThreadTeam team(threads);
  TrainOptions options = flags.train;
  options.checkpoint = flags.out + ".checkpoint";
  options.fingerprint = fingerprint(flags, base_hash, data.digest);
  options.stop = app.stop;
  TrainView view(app);
  options.progress = [&view](const TrainProgress& now) { view.update(now); };
  options.warn = [](const std::string& text) { fmt::print(stderr, "warning: {}\n", text); };
  std::error_code ignored;
  if (flags.fresh) fs::remove(options.checkpoint, ignored);
  LATHE_TRY(auto trainer,
            Trainer::create(*model, team, best_kernel_table(), examples_of(std::move(data.lessons)),
                            examples_of(std::move(held_out)), options));
  LATHE_TRY(const TrainReport report, trainer->run());
  if (report.stopped) {
    fmt::print(stderr, "\nstopped at step {} of {}; the same command goes on\n", report.steps,
               report.total_steps);
    return kExitStopped;
  }
  if (flags.full)
    LATHE_TRY_STATUS(write_trained_model(base, *model, flags.out));
  else
    LATHE_TRY_STATUS(write_adapter_files(*model, flags.lora, flags.model, flags.out));
  fs::remove(options.checkpoint, ignored);
  if (!app.json)
    print(fmt::format("{}: {} steps, {} tokens, loss {:.4f}{}\n", flags.out, report.steps,
                      report.tokens, report.curve.back().loss,
                      report.best_validation
                          ? fmt::format(", validation {:.4f} (of step {})", *report.best_validation,
                                        report.best_step)
                          : ""));
  return kExitPassed;
}

}  // namespace

void add_tune(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = cli.add_subcommand("tune", "Fine-tune a model on your own data");
  TrainOptions& train = flags->train;
  command->add_option("MODEL", flags->model, "A GGUF file")->required();
  command->add_option("DATA", flags->data, "JSON lines: {\"prompt\", \"completion\"}")->required();
  command->add_option("--out", flags->out, "The file to write")->required();
  command->add_flag("--full", flags->full, "Train every weight; OUT is a model");
  std::vector<std::string> targets(lora_targets().begin(), lora_targets().end());
  command->add_option("--rank", flags->lora.rank, "Of the adapter")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--alpha", flags->lora.alpha, "The adapter counts alpha / rank times")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option(
          "--targets", flags->lora.targets,
          "Linear layers that get an adapter, of " + join(targets, ",") + " (default: all)")
      ->delimiter(',');
  command
      ->add_option("--epochs", flags->epochs,
                   "Times that every example is seen (default: 3, with --full 1)")
      ->check(CLI::PositiveNumber);
  command->add_option("--rate", flags->rate, "Peak learning rate (default: 2e-4, with --full 1e-3)")
      ->check(CLI::PositiveNumber);
  command->add_option("--schedule", flags->schedule, "cosine or wsd")->capture_default_str();
  command->add_option("--warmup", train.warmup, "Share of the steps that warm up")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--batch", flags->batch, "Tokens of a step (default: 2048, with --full 8192)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--micro-batch", flags->micro,
                   "Tokens computed at a time (default: 1024, with --full 2048)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--weight-decay", flags->weight_decay,
                   "Of matrices (default: 0, with --full 0.1)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--beta2", train.beta2, "AdamW's second decay")
      ->check(CLI::Range(0.0, 0.99999))
      ->capture_default_str();
  command->add_option("--clip", train.clip, "Largest norm of a gradient; 0: any")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seed", train.seed, "Of the order of the examples and an adapter's start")
      ->capture_default_str();
  command->add_option("--validation", flags->validation, "Share of the tasks that is not learnt")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  command->add_option("--evaluations", train.evaluations, "Validations in all")
      ->capture_default_str();
  command
      ->add_option("--patience", train.patience,
                   "Validations without a better one before it ends early; 0: never")
      ->capture_default_str();
  command->add_option("--checkpoint-every", flags->checkpoint_every, "Like 90s, 10m")
      ->capture_default_str();
  command->add_flag("--fresh", flags->fresh, "Throw an old checkpoint away");
  command->add_flag("--skip-bad", flags->skip_bad, "Leave lines out that can't be read");
  command->add_option("--threads", flags->threads, "Threads that compute (default: one a core)");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Result<int> code = tune(app, *flags);
      return code ? *code : report_error(app, code.error());
    };
  });
}

}  // namespace lathe
