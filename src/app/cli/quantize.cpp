// lathe quantize IN OUT TYPE: a model again, with smaller weights.
#include "infer/convert/quantize.h"

#include "app/cli/app.h"
#include "app/cli/output_file.h"
#include "app/cli/work_progress.h"
#include "ground/base/text.h"
#include "ground/base/units.h"

namespace lathe::app {
namespace {

struct QuantizeFlags {
  std::string in, out, type, importance;
  std::vector<std::string> rules;
  int threads = 0;
  bool force = false;
};

Status quantize(const App& app, const QuantizeFlags& flags) {
  LATHE_TRY(const infer::QuantizeTarget* target, infer::find_quantize_target(flags.type));
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  LATHE_TRY_STATUS(check_output(flags.out, {flags.in}, flags.force));
  const auto start = std::chrono::steady_clock::now();
  infer::QuantizeOptions options;
  options.threads = static_cast<std::size_t>(threads);
  options.stop = app.stop;
  for (const std::string& text : flags.rules) {
    LATHE_TRY(infer::TypeRule rule, infer::parse_type_rule(text));
    options.rules.push_back(std::move(rule));
  }
  infer::ImportanceMatrix importance;
  if (!flags.importance.empty()) {
    LATHE_TRY(importance, infer::read_importance(flags.importance));
    options.importance = &importance;
  }
  Result<infer::QuantizeReport> report;
  {
    WorkProgress progress(app, fmt::format("to {}", target->name));
    options.progress = [&progress](const infer::QuantizeProgress& now) {
      progress.update(now.bytes_done, now.bytes);
    };
    report = infer::quantize_model(flags.in, flags.out, *target, options);
  }
  if (!report) return std::unexpected(report.error());
  const auto took =
      std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
  print_warnings(app, report->warnings);
  if (app.json)
    print_json({{"out", flags.out},
                {"type", target->name},
                {"bytes_before", report->bytes_before},
                {"bytes_after", report->bytes_after},
                {"milliseconds", took.count()},
                {"warnings", report->warnings}});
  else
    print(fmt::format("{}: {}, {} (was {}), {}\n", flags.out, target->name,
                      format_bytes(report->bytes_after), format_bytes(report->bytes_before),
                      format_duration(took)));
  return {};
}

std::string type_names() {
  std::vector<std::string> names;
  for (const infer::QuantizeTarget& target : infer::quantize_targets())
    names.emplace_back(target.name);
  return join(names, ", ");
}

}  // namespace

void add_quantize(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = cli.add_subcommand("quantize", "Write a model with smaller weights");
  command->add_option("IN", flags->in, "A GGUF file, or the first part of a split one")->required();
  command->add_option("OUT", flags->out, "The GGUF file to write")->required();
  command->add_option("TYPE", flags->type, type_names())->required();
  command
      ->add_option("--tensor-type", flags->rules,
                   "Type of the tensors whose name a pattern is found in: ffn_down=Q6_K; the first "
                   "one that fits counts. May be repeated")
      ->type_name("REGEX=TYPE");
  command
      ->add_option("--imatrix", flags->importance,
                   "An importance matrix, as `lathe imatrix` makes it")
      ->type_name("FILE");
  command->add_option("--threads", flags->threads, "Threads that compute (default: one a core)");
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = quantize(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
