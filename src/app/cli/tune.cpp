// lathe tune MODEL DATA --out FILE: fine-tuning on one's own data. FILE is a LoRA adapter, or with
// --full, where every weight is trained, a model. The same command goes on where a stopped or
// killed one was.
#include <unistd.h>

#include "app/cli/app.h"
#include "app/cli/journals.h"
#include "app/cli/output_file.h"
#include "app/cli/tune_output.h"
#include "app/lessons/from_runs.h"
#include "app/lessons/lessons.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/base/visible_text.h"
#include "ground/sys/machine.h"
#include "infer/models/vocabulary.h"
#include "infer/tune/output.h"
#include "infer/tune/trainer.h"

namespace lathe::app {
namespace {

struct TuneFlags {
  std::string model, data, runs, out, schedule = "cosine", checkpoint_every = "2m";
  std::string activations = "f32";
  bool full = false, fresh = false, skip_bad = false;
  int threads = 0;
  double validation = 0.05;
  bool force = false;
  std::size_t preview = 0;
  infer::LoraOptions lora;
  infer::TrainOptions train;
  // Without a flag: what suits the method.
  std::optional<double> rate, weight_decay;
  std::optional<std::size_t> epochs, batch, micro;
};

void choose_defaults(TuneFlags& flags) {
  infer::TrainOptions& train = flags.train;
  train.rate = flags.rate.value_or(flags.full ? 1e-3 : 2e-4);
  train.weight_decay = flags.weight_decay.value_or(flags.full ? 0.1 : 0);
  train.epochs = flags.epochs.value_or(flags.full ? 1 : 3);
  train.batch_tokens = flags.batch.value_or(flags.full ? 8192 : 2048);
  train.micro_tokens = flags.micro.value_or(flags.full ? 2048 : 1024);
  train.bf16_activations = flags.activations == "bf16";
  flags.lora.seed = train.seed;
}

// Everything that the weights will depend on.
std::string fingerprint(const TuneFlags& flags, const std::string& base, const std::string& data) {
  const infer::TrainOptions& t = flags.train;
  return sha256_hex(fmt::format(
      "{} {} full={} rank={} alpha={} targets={} epochs={} batch={} micro={} rate={} schedule={} "
      "warmup={} beta2={} decay={} "
      "clip={} seed={} validation={} evaluations={} patience={}{}",
      base, data, flags.full, flags.lora.rank, flags.lora.alpha, join(flags.lora.targets, ","),
      t.epochs, t.batch_tokens, t.micro_tokens, t.rate, flags.schedule, t.warmup, t.beta2,
      t.weight_decay, t.clip, t.seed, flags.validation, t.evaluations, t.patience,
      t.bf16_activations ? " activations=bf16" : ""));
}

// One line, rewritten on a terminal; elsewhere a line now and then.
class TrainView {
 public:
  explicit TrainView(const App& app) : app_(app), terminal_(isatty(STDERR_FILENO) == 1) {}
  // The line stays as it is: what comes next begins a new one.
  void end() {
    if (shown_ && terminal_) fmt::print(stderr, "\n");
    shown_ = false;
  }
  void update(const infer::TrainProgress& now) {
    const infer::CurvePoint& point = now.point;
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

// The first examples as the model will see them: green (or in brackets) what is trained.
void preview(const App& app, const infer::Tokenizer& tokenizer, const Lessons& data,
             std::size_t count) {
  for (const Lesson& lesson : std::span(data.lessons).first(std::min(count, data.lessons.size()))) {
    const infer::Example& example = lesson.example;
    std::string text, stretch;  // of tokens that are all trained, or none of them
    for (std::size_t i = 0; i < example.tokens.size(); ++i) {
      stretch += tokenizer.piece(example.tokens[i], true);
      const bool trained = example.trained[i] != 0;
      if (i + 1 < example.tokens.size() && (example.trained[i + 1] != 0) == trained) continue;
      const std::string shown = visible_text(std::exchange(stretch, {}));
      text += !trained ? shown : app.color ? "\x1b[32m" + shown + "\x1b[0m" : "⟦" + shown + "⟧";
    }
    print_raw(fmt::format("line {}: {} tokens, {} trained\n{}\n\n", lesson.line,
                          example.tokens.size(), infer::trained_tokens(example), text));
  }
}

std::vector<infer::Example> examples_of(std::vector<Lesson>&& lessons) {
  std::vector<infer::Example> examples;
  for (Lesson& lesson : lessons) examples.push_back(std::move(lesson.example));
  return examples;
}

// What a training starts with.
struct Prepared {
  std::unique_ptr<infer::Gguf> base;
  std::unique_ptr<infer::TuneModel> model;
  std::unique_ptr<infer::Tokenizer> tokenizer;
  Lessons data;
};

// DATA, or what the journal's runs have to teach.
Result<Lessons> read_data(const App& app, const TuneFlags& flags, const LessonReader& reader) {
  if (flags.data.empty() == flags.runs.empty())
    return invalid("give either DATA or --from-runs RUNS");
  if (!flags.data.empty()) return reader.read(flags.data);
  LATHE_TRY(const books::Journal journal, open_journal(app));
  LATHE_TRY(const RunLines runs, lines_of_runs(journal, split(flags.runs, ','), app.program));
  for (const std::string& note : runs.notes) print_note("left out: " + note);
  if (!app.json)
    fmt::print(stderr, "{} runs: {} accepted takes, {} repairs that lead to them; {} left out\n",
               runs.runs, runs.accepted, runs.repairs, runs.left_out);
  const std::vector<std::string_view> lines(runs.lines.begin(), runs.lines.end());
  return reader.read(lines, "runs");
}

// Before anything is allocated: the kernel would end us without a word.
Status check_model_fits(const TuneFlags& flags, const infer::Gguf& base) {
  std::uint64_t bytes = 0, count = 0;
  for (const infer::GgufTensor& tensor : base.tensors()) {
    bytes += tensor.bytes;
    count += tensor.rows() * tensor.shape[0];
  }
  // All trained: each number, its gradient and two moments, in f32.
  const std::uint64_t needed = flags.full ? count * 4 * sizeof(float) : bytes;
  const std::uint64_t left = read_machine().memory_left().value_or(needed);
  if (needed <= left) return {};
  return fail(ErrorKind::kUnavailable, "{}: {} {} of memory, and {} are left{}", flags.model,
              flags.full ? fmt::format("training all of its {} numbers takes", count)
                         : std::string("it takes"),
              format_bytes(needed), format_bytes(left),
              flags.full ? "; without --full an adapter is trained, which takes less" : "");
}

Result<Prepared> prepare(const App& app, const TuneFlags& flags) {
  LATHE_TRY(infer::Gguf base, infer::Gguf::open(flags.model));
  LATHE_TRY_STATUS(check_model_fits(flags, base));
  Prepared prepared;
  prepared.base = std::make_unique<infer::Gguf>(std::move(base));
  const auto lora = flags.full ? std::nullopt : std::optional(flags.lora);
  LATHE_TRY(prepared.model, infer::TuneModel::load(*prepared.base, lora));
  LATHE_TRY(infer::VocabularySpec vocabulary, infer::read_vocabulary(*prepared.base));
  LATHE_TRY(prepared.tokenizer, infer::Tokenizer::make(std::move(vocabulary)));
  LATHE_TRY(const std::string chat_template, prepared.base->text_or("tokenizer.chat_template", ""));
  LATHE_TRY(const LessonReader reader,
            LessonReader::create(
                *prepared.tokenizer, chat_template,
                {.context = prepared.model->blueprint().context, .skip_bad = flags.skip_bad}));
  LATHE_TRY(prepared.data, read_data(app, flags, reader));
  return prepared;
}

// Activations of all layers are kept where half of the free memory holds them; else they are
// computed twice, which changes no bit.
Status choose_checkpointing(const TuneFlags& flags, const infer::TuneModel& model,
                            std::size_t threads, const std::vector<Lesson>& lessons,
                            infer::TrainOptions& options) {
  std::size_t longest = 0;
  for (const Lesson& lesson : lessons) longest = std::max(longest, lesson.example.tokens.size());
  infer::NetworkOptions network{.max_tokens = std::max(longest, options.micro_tokens),
                                .longest = longest,
                                .checkpointing = false,
                                .bf16 = options.bf16_activations};
  const std::uint64_t left = read_machine().memory_left().value_or(std::uint64_t{4} << 30);
  options.gradient_checkpointing = infer::Network::bytes(model, threads, network) > left / 2;
  network.checkpointing = options.gradient_checkpointing;
  const std::uint64_t needed = infer::Network::bytes(model, threads, network);
  if (needed <= left) return {};
  return fail(ErrorKind::kUnavailable,
              "{}: a training step of {} tokens takes {} of memory, and {} are left; give "
              "--micro-batch less, or leave long examples out",
              flags.model, network.max_tokens, format_bytes(needed), format_bytes(left));
}

// What a killed process was writing when it was killed: the checkpoint's name and six random
// characters. (Not what a person may have called ".backup".)
void remove_partial_files(const fs::path& checkpoint) {
  std::error_code error;
  const fs::path directory = checkpoint.has_parent_path() ? checkpoint.parent_path() : ".";
  const std::string start = checkpoint.filename().string() + ".";
  const auto random = [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0 ||
           std::isupper(static_cast<unsigned char>(c)) != 0;
  };
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name.size() == start.size() + 6 && name.starts_with(start) &&
        std::any_of(name.begin() + static_cast<std::ptrdiff_t>(start.size()), name.end(), random))
      fs::remove(entry.path(), error);
  }
}

void tell_data(const App& app, const Prepared& prepared, std::size_t held_out) {
  const Lessons& data = prepared.data;
  for (const std::string& note : data.notes) print_note("left out: " + note);
  if (app.json) return;
  fmt::print(stderr,
             "{} lines: {} examples to learn, {} to validate; left out: {} duplicates, {} too "
             "long, {} bad\n{} trained parameters\n",
             data.lines, data.lessons.size(), held_out, data.duplicates, data.too_long, data.bad,
             prepared.model->parameters().count());
}

void tell_result(const App& app, const std::string& out, const infer::TrainReport& report) {
  const infer::CurvePoint& last = report.curve.back();
  if (app.json) {
    Json line{{"out", out},
              {"steps", report.steps},
              {"tokens", report.tokens},
              {"loss", last.loss},
              {"early", report.early},
              {"resumed_at", report.resumed_at},
              {"seconds", report.seconds}};
    if (report.best_validation) {
      line["validation_loss"] = *report.best_validation;
      line["best_step"] = report.best_step;
    }
    return print_json(line);
  }
  print(fmt::format("{}: {} steps{}, {} tokens, loss {:.4f}{}\n", out, report.steps,
                    report.early ? " (ended early: validation got no better)" : "", report.tokens,
                    last.loss,
                    report.best_validation ? fmt::format(", validation {:.4f} (of step {})",
                                                         *report.best_validation, report.best_step)
                                           : ""));
}

Result<int> tune(const App& app, TuneFlags& flags) {
  choose_defaults(flags);
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  LATHE_TRY(flags.train.shape, infer::parse_rate_shape(flags.schedule));
  LATHE_TRY(flags.train.checkpoint_every, parse_duration(flags.checkpoint_every));
  LATHE_TRY(Prepared prepared, prepare(app, flags));
  Lessons& data = prepared.data;
  if (flags.preview != 0) {
    preview(app, *prepared.tokenizer, data, flags.preview);
    return kExitPassed;
  }
  LATHE_TRY_STATUS(check_output(flags.out, {flags.model, flags.data}, flags.force));
  infer::TrainOptions options = flags.train;
  LATHE_TRY_STATUS(choose_checkpointing(flags, *prepared.model, static_cast<std::size_t>(threads),
                                        data.lessons, options));
  std::vector<Lesson> held_out = split_off(data.lessons, flags.validation);
  if (data.lessons.empty())
    return invalid("all tasks fell to the validation; --validation 0 keeps them");
  tell_data(app, prepared, held_out.size());
  LATHE_TRY(const std::string base_hash, sha256_file(flags.model));
  options.checkpoint = flags.out + ".checkpoint";
  options.fingerprint = fingerprint(flags, base_hash, data.digest);
  options.stop = app.stop;
  TrainView view(app);
  options.progress = [&view](const infer::TrainProgress& now) { view.update(now); };
  options.warn = [](const std::string& text) { print_note("warning: " + text); };
  std::error_code ignored;
  remove_partial_files(options.checkpoint);
  if (flags.fresh) fs::remove(options.checkpoint, ignored);
  infer::ThreadTeam team(threads);
  LATHE_TRY(auto trainer, infer::Trainer::create(*prepared.model, team, infer::best_kernel_table(),
                                                 examples_of(std::move(data.lessons)),
                                                 examples_of(std::move(held_out)), options));
  const Result<infer::TrainReport> ran = trainer->run();
  view.end();
  if (!ran) return std::unexpected(ran.error());
  const infer::TrainReport& report = *ran;
  if (report.stopped) {
    fmt::print(stderr, "stopped at step {} of {}; the same command goes on\n", report.steps,
               report.total_steps);
    return kExitStopped;
  }
  if (flags.full)
    LATHE_TRY_STATUS(infer::write_trained_model(*prepared.base, *prepared.model, flags.out));
  else
    LATHE_TRY_STATUS(write_adapter_files(*prepared.model, flags.lora, flags.model, flags.out));
  LATHE_TRY_STATUS(write_loss_plot(report.curve, flags.out));
  fs::remove(options.checkpoint, ignored);
  tell_result(app, flags.out, report);
  return kExitPassed;
}

}  // namespace

void add_tune(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<TuneFlags>();
  CLI::App* command = cli.add_subcommand("tune", "Fine-tune a model on your own data");
  infer::TrainOptions& train = flags->train;
  command->add_option("MODEL", flags->model, "A GGUF file")->required();
  command->add_option(
      "DATA", flags->data,
      "JSON lines: chats (messages), prompt and completion, alpaca, ShareGPT or text");
  command->add_option(
      "--from-runs", flags->runs,
      "Instead of DATA: accepted takes of the journal's runs, and repairs that lead "
      "to them: all, or ids separated by commas");
  command->add_option("--out", flags->out, "The file to write")->required();
  add_force_flag(*command, flags->force);
  command
      ->add_option("--preview", flags->preview,
                   "Show so many examples with what is trained of them, and train nothing")
      ->expected(0, 1)
      ->default_str("3");
  command->add_flag("--full", flags->full, "Train every weight; OUT is a model");
  command->add_option("--rank", flags->lora.rank, "Of the adapter")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--alpha", flags->lora.alpha, "The adapter counts alpha / rank times")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--targets", flags->lora.targets,
                   "Linear layers that get an adapter, of " + join(infer::lora_targets(), ",") +
                       " (default: all)")
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
      ->add_option("--activations", flags->activations,
                   "What is kept of them for the backward pass: f32, or bf16 in half the memory")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
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

}  // namespace lathe::app
