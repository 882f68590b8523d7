// lathe judge list | run | label | calibrate: judges outside a run.
#include "app/cli/drive.h"
#include "app/cli/judge_label.h"
#include "app/cli/output_file.h"
#include "app/cli/workers.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/media/media_type.h"
#include "loop/judges/calibration.h"
#include "loop/senses/media_pool.h"

namespace lathe::app {
namespace {

struct JudgeFlags {
  bool force = false;
  std::string judge;
  std::string file;       // what is judged, or the labels
  std::string labels_of;  // a run, instead of a file of labels
  std::vector<std::string> set;
  std::string tree;
  std::string out;
  std::string time = "2m";
  DriveFlags drive;
};

// A judge with its options, checked, and everything that it may ask for.
class JudgeBench {
 public:
  static Result<std::unique_ptr<JudgeBench>> make(const App& app, const JudgeFlags& flags) {
    auto bench = std::make_unique<JudgeBench>(app);
    bench->kind_ = loop::find_judge(flags.judge);
    if (!bench->kind_) {
      std::vector<std::string> names;
      for (const loop::JudgeKind* kind : loop::judge_kinds()) names.emplace_back(kind->name);
      return fail(ErrorKind::kNotFound, "there is no judge '{}'{}; there are {}",
                  clip_utf8(flags.judge, 60), did_you_mean(flags.judge, names), join(names, ", "));
    }
    LATHE_TRY(bench->options_, read_options(*bench->kind_, flags.set));
    LATHE_TRY(const Milliseconds limit, parse_duration(flags.time));
    LATHE_TRY(bench->setup_, DriveSetup::make(app, flags.drive, Reach::kAny, nullptr));
    if (const Worker* worker = bench->worker(); worker && bench->kind_->shows_pictures)
      LATHE_TRY_STATUS(worker->sees());
    std::error_code ignored;
    bench->limit_ = limit;
    bench->place_.program = app.program;
    bench->place_.recipe_dir = fs::current_path(ignored);
    bench->place_.unsafe_no_sandbox = flags.drive.unsafe_no_sandbox;
    bench->place_.media = bench->setup_->bench().media;
    if (!flags.tree.empty())
      bench->place_.checkout = [tree = fs::path(flags.tree)](const fs::path& directory) -> Status {
        std::error_code error;
        fs::copy(tree, directory, fs::copy_options::recursive | fs::copy_options::skip_symlinks,
                 error);
        if (error)
          return fail(ErrorKind::kUnavailable, "{}: cannot copy it: {}", tree.string(),
                      error.message());
        return {};
      };
    return bench;
  }

  explicit JudgeBench(const App& app) : app_(app) {}

  loop::Judgement judge(std::string_view bytes, const std::string& media_type,
                        const loop::Unit& unit) const {
    const std::vector<loop::Unit> units{unit};
    loop::JudgeTask task{options_};
    task.units = units;
    task.all_units = units;
    task.candidate = sha256_hex(bytes);
    task.bytes = bytes;
    task.media_type = media_type;
    const loop::JudgeContext context{
        place_, setup_->bench().worker(option_string(options_, "worker")), *app_.stop, limit_};
    return loop::judge_closed(*kind_, task, context);
  }

  Result<Json> calibrate(std::size_t labels, const loop::CalibrationTable& table) const {
    LATHE_TRY(const std::string identity, loop::judge_identity(*kind_, options_, place_, worker()));
    Json record = loop::calibration_record(table, *kind_, identity, worker());
    record["labels"] = labels;
    return record;
  }

 private:
  Worker* worker() const { return setup_->bench().worker(option_string(options_, "worker")); }

  static Result<Json> read_options(const loop::JudgeKind& kind,
                                   const std::vector<std::string>& set) {
    Json given = Json::object();
    for (const std::string& text : set) {
      const auto equals = text.find('=');
      if (equals == text.npos)
        return invalid("--set {}: write it as key=value", clip_utf8(text, 80));
      const std::string key = text.substr(0, equals);
      const auto spec = std::ranges::find(kind.options, std::string_view(key), &OptionSpec::name);
      if (spec == kind.options.end()) {
        given[key] = Json();  // check_options names it, with a suggestion
      } else {
        auto value = parse_option_text(*spec, text.substr(equals + 1));
        if (!value) return at("--set", value.error());
        given[key] = *std::move(value);
      }
    }
    auto options = check_options(given, kind.options);
    if (!options) return invalid("--set {}: {}", options.error().key, options.error().message);
    if (kind.check) LATHE_TRY_STATUS(kind.check(*options));
    return *std::move(options);
  }

  const App& app_;
  const loop::JudgeKind* kind_ = nullptr;
  Json options_;
  std::unique_ptr<DriveSetup> setup_;
  loop::Place place_;
  Milliseconds limit_{0};
};

int exit_code(loop::Outcome outcome) {
  return outcome == loop::Outcome::kPass   ? kExitPassed
         : outcome == loop::Outcome::kFail ? kExitFailed
                                           : kExitNotJudged;
}

void print_judgement(const App& app, const loop::Judgement& judgement) {
  if (app.json) {
    print_json(to_json(judgement));
    return;
  }
  print(fmt::format("{}: {:.2f} of 10 (bar {:.2f})\n", loop::outcome_name(judgement.outcome),
                    10 * judgement.score, 10 * judgement.bar));
  for (const loop::Critique& critique : judgement.critiques)
    print(make_valid_utf8(fmt::format(
        "  {}{}{}{}\n", critique.locus, critique.locus.empty() ? "" : ": ", critique.claim,
        critique.evidence.empty() ? "" : " (" + clip_utf8(critique.evidence, 300) + ")")));
  for (const auto& [why, said] : {std::pair{why_not_judged(judgement), "not judged"},
                                  {why_no_advice(judgement), "no advice"},
                                  {caveat_of(judgement), "note"}})
    if (!why.empty()) print(fmt::format("  {}: {}\n", said, make_valid_utf8(why)));
}

int list_judges(const App& app) {
  for (const loop::JudgeKind* kind : loop::judge_kinds()) {
    if (app.json) {
      Json options = Json::array();
      for (const OptionSpec& spec : kind->options)
        options.push_back({{"name", spec.name}, {"default", spec.fallback}, {"help", spec.help}});
      print_json({{"name", kind->name},
                  {"summary", kind->summary},
                  {"stage", loop::stage_name(kind->stage)},
                  {"whole", kind->can_whole},
                  {"options", std::move(options)}});
      continue;
    }
    print(fmt::format("{}: {}\n", kind->name, kind->summary));
    for (const OptionSpec& spec : kind->options)
      print(fmt::format("    {:<18} {}{}\n", spec.name, spec.help,
                        spec.fallback == kMustBeGiven ? " (required)"
                        : spec.fallback.empty()       ? ""
                                                : fmt::format(" (default {})", spec.fallback)));
  }
  return kExitPassed;
}

int run_judge(const App& app, const JudgeFlags& flags) {
  const auto bench = JudgeBench::make(app, flags);
  if (!bench) return report_error(app, bench.error());
  const auto bytes = read_file(flags.file);
  if (!bytes) return report_error(app, bytes.error());
  const loop::Judgement judgement =
      (*bench)->judge(*bytes, std::string(media_type_of_name(flags.file)),
                      {fs::path(flags.file).filename().string(), "", Json::object()});
  print_judgement(app, judgement);
  return exit_code(judgement.outcome);
}

std::string percent(const Json& rate) {
  if (!rate.is_object()) return "no such labels";
  const Json& interval = json_at(rate, "interval");
  return fmt::format("{:.1f} % of {} ({:.1f} to {:.1f})", 100 * json_number(rate, "rate", 0),
                     json_int(rate, "of", 0), 100 * interval[0].get<double>(),
                     100 * interval[1].get<double>());
}

std::string kappa_text(const Json& record) {
  if (json_at(record, "kappa").is_null())
    return "cannot be told: all labels, or all verdicts, are the same";
  const Json& interval = json_at(record, "kappa_interval");
  return fmt::format("{:.2f} ({:.2f} to {:.2f})", json_number(record, "kappa", 0),
                     interval[0].get<double>(), interval[1].get<double>());
}

// Out of the file, or of the run.
Result<std::vector<LabelledTake>> takes_of(const App& app, const JudgeFlags& flags) {
  if (flags.file.empty() == flags.labels_of.empty())
    return invalid("give either a file of labels or --labels-of RUN");
  if (!flags.labels_of.empty()) return labelled_takes(app, flags.labels_of);
  LATHE_TRY(std::vector<loop::Label> labels, loop::read_labels(flags.file));
  std::vector<LabelledTake> takes;
  for (loop::Label& label : labels) {
    LabelledTake& take = takes.emplace_back();
    take.media_type = media_type_of_name(label.name);
    take.unit = {label.name, label.source, Json::object()};
    take.label = std::move(label);
  }
  return takes;
}

int calibrate(const App& app, const JudgeFlags& flags) {
  if (!flags.out.empty())
    if (const auto fine = check_output(flags.out, {flags.file}, flags.force); !fine)
      return report_error(app, fine.error());
  const auto bench = JudgeBench::make(app, flags);
  if (!bench) return report_error(app, bench.error());
  const auto takes = takes_of(app, flags);
  if (!takes) return report_error(app, takes.error());
  loop::CalibrationTable table;
  for (const auto& [label, media_type, unit] : *takes) {
    const loop::Judgement judgement = (*bench)->judge(label.bytes, media_type, unit);
    if (app.stop->raised())
      return report_error(app, {ErrorKind::kCancelled, "stopped before all labels were judged"});
    const auto verdict = loop::verdict_of(judgement);
    table.add(label.pass, verdict);
    if (!app.json && verdict != label.pass)
      print(fmt::format(
          "  {}: a person says {}, the judge {}\n", label.name, label.pass ? "pass" : "fail",
          verdict ? (*verdict ? "pass" : "fail")
                  : "could not tell: " + why_not_judged(judgement) + why_no_advice(judgement)));
  }
  const auto record = (*bench)->calibrate(takes->size(), table);
  if (!record) return report_error(app, record.error());
  if (!flags.out.empty())
    if (auto written = write_file_atomic(flags.out, dump_json(*record, 1) + "\n"); !written)
      return report_error(app, written.error());
  if (app.json) {
    print_json(*record);
  } else {
    print(fmt::format("{} labels, {} judged\nkappa       {}\nfalse pass  {}\nfalse fail  {}\n",
                      takes->size(), table.judged(), kappa_text(*record),
                      percent(json_at(*record, "false_pass_rate")),
                      percent(json_at(*record, "false_fail_rate"))));
    if (!flags.out.empty())
      print("written to " + flags.out + ": name it as `calibration` in a recipe\n");
  }
  return table.judged() > 0 ? kExitPassed : kExitNotJudged;
}

}  // namespace

void add_judge(CLI::App& cli, App& app, Action& action) {
  CLI::App* command = cli.add_subcommand("judge", "List judges, judge a file, calibrate a judge");
  command->require_subcommand(1);
  command->add_subcommand("list", "The judges and their options")->callback([&] {
    action = [&] { return list_judges(app); };
  });
  const auto add = [&](const char* verb, const char* help, const char* what, auto run) {
    auto flags = std::make_shared<JudgeFlags>();
    CLI::App* sub = command->add_subcommand(verb, help);
    sub->add_option("judge", flags->judge, "Its name: `lathe judge list`")->required();
    sub->add_option("file", flags->file, what)->required();
    sub->add_option("--set", flags->set, "An option of the judge: --set key=value")->take_all();
    sub->add_option("--tree", flags->tree, "Source tree that a candidate's changes are for");
    sub->add_option("--time", flags->time, "At most this long per file")->capture_default_str();
    add_drive_flags(*sub, flags->drive);
    sub->callback(
        [&app, &action, flags, run] { action = [&app, flags, run] { return run(app, *flags); }; });
    return std::pair{sub, flags};
  };
  add("run", "Judge one file; exit code 0 pass, 1 fail, 3 not judged", "The file to judge",
      run_judge);
  auto run = std::make_shared<std::string>();
  CLI::App* label = command->add_subcommand(
      "label", "Judge a run's takes yourself, without knowing what its judges say");
  label->add_option("run", *run, "Its id, the beginning of it, or \"last\"")->required();
  label->callback([&app, &action, run] { action = [&app, run] { return label_run(app, *run); }; });
  const auto [sub, flags] = add("calibrate", "Measure how far a judge agrees with people",
                                "Labels: JSONL or TSV", calibrate);
  sub->get_option("file")->required(false);
  sub->add_option("--labels-of", flags->labels_of,
                  "Instead of a file: the takes of a run, as people labelled them");
  sub->add_option("--out", flags->out, "Write the calibration record here, for a recipe");
  add_force_flag(*sub, flags->force);
}

}  // namespace lathe::app
