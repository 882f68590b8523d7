// lathe judge label RUN: a person judges a run's takes, blind.
#include "app/cli/judge_label.h"

#include <iostream>

#include "app/cli/opened_run.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "show/run/takes.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostShown = 4000, kMostReason = 4096;

// What is asked of a take, by the judges that ask questions.
void print_rubric(const loop::Recipe& recipe) {
  for (const loop::JudgeSpec& judge : recipe.judges) {
    print(fmt::format("'{}' goes by: {}\n", judge.name, judge.kind->summary));
    int number = 0;
    for (const std::string& question : option_strings(judge.options, "criteria"))
      print(fmt::format("  {}. {}\n", ++number, question));
  }
}

// Texts are shown; what is to be heard or seen lies in a file.
Status print_take(const OpenedRun& run, const show::Take& take, const TempDir& directory) {
  LATHE_TRY(const std::string bytes, run.journal.blob(take.blob));
  const loop::Track& track = run.state.tracks[take.index];
  const std::string& source = run.state.units[track.units.front()].text;
  print(fmt::format("\n{}: {}\n", take.unit, clip_utf8(source, kMostShown)));
  const std::string extension = take.extension.empty() ? "txt" : take.extension;
  const fs::path file = directory.path() / fmt::format("{}.{}", take.blob.substr(0, 12), extension);
  if (take.media_type.starts_with("text/") || take.media_type.ends_with("json"))
    print(fmt::format("---\n{}\n---\n", clip_utf8(make_valid_utf8(bytes), kMostShown)));
  LATHE_TRY_STATUS(write_file_atomic(file, bytes));
  print(fmt::format("{} ({})\n", file.string(), take.media_type));
  return {};
}

enum class Word { kAccept, kReject, kSkip, kQuit };

// "a", "r too fast": the reason follows.
struct PersonAnswer {
  Word word = Word::kQuit;
  std::string reason;
};

// Asks until it is one; the end of the input is the end of the work.
PersonAnswer ask(const App& app) {
  std::string line;
  while (!app.stop->raised()) {
    print("a accepts, r rejects (a reason may follow), s skips, q ends: ");
    if (!std::getline(std::cin, line)) return {};
    const std::string_view text = trim(line);
    const auto blank = text.find(' ');
    const std::string word = to_lower_ascii(std::string(text.substr(0, blank)));
    PersonAnswer answer;
    if (blank != text.npos) answer.reason = trim(text.substr(blank));
    if (answer.reason.size() > kMostReason ||
        find_invalid_utf8(answer.reason) != std::string::npos) {
      print(fmt::format("a reason is text of at most {} bytes\n", kMostReason));
      continue;
    }
    for (const auto& [name, each] : {std::pair("a", Word::kAccept),
                                     {"r", Word::kReject},
                                     {"s", Word::kSkip},
                                     {"q", Word::kQuit}})
      if (word == name) {
        answer.word = each;
        return answer;
      }
  }
  return {};
}

Result<std::size_t> label_takes(const App& app, OpenedRun& run, std::span<const show::Take> takes) {
  LATHE_TRY(const TempDir directory, TempDir::make("lathe-takes"));
  std::size_t labelled = 0;
  for (std::size_t i = 0; i < takes.size(); ++i) {
    const show::Take& take = takes[i];
    print(fmt::format("\n{} of {}", i + 1, takes.size()));
    LATHE_TRY_STATUS(print_take(run, take, directory));
    const PersonAnswer answer = ask(app);
    if (answer.word == Word::kQuit) break;
    if (answer.word == Word::kSkip) continue;
    books::TakeLabel label;
    label.run = run.id;
    label.unit = take.unit;
    label.blob = take.blob;
    label.accept = answer.word == Word::kAccept;
    label.reason = answer.reason;
    label.t_ms = system_clock().unix_ms();
    LATHE_TRY(const auto revision, run.journal.put_label(label));
    if (revision)
      ++labelled;
    else
      print("it has been labelled elsewhere meanwhile, and stays as it is there\n");
  }
  return labelled;
}

}  // namespace

int label_run(const App& app, const std::string& name) {
  auto run = open_run(app, name);
  if (!run) return report_error(app, run.error());
  const auto labels = run->journal.labels(run->id);
  if (!labels) return report_error(app, labels.error());
  std::vector<show::Take> takes = show::takes_of(run->state, run->id);
  const std::size_t all = takes.size();
  std::erase_if(takes, [&](const show::Take& take) {
    return std::ranges::any_of(*labels, [&](const books::TakeLabel& label) {
      return label.unit == take.unit && label.blob == take.blob;
    });
  });
  print(fmt::format("run {}: {}, {} to judge\n", run->id, counted(all, "take"), takes.size()));
  if (!takes.empty()) print_rubric(run->state.recipe);
  const auto labelled = label_takes(app, *run, takes);
  if (!labelled) return report_error(app, labelled.error());
  print(
      fmt::format("\n{} more, {} in all; `lathe judge calibrate JUDGE --labels-of {}` compares a "
                  "judge with them\n",
                  counted(*labelled, "label"), labels->size() + *labelled, run->id));
  return kExitPassed;
}

Result<std::vector<LabelledTake>> labelled_takes(const App& app, const std::string& name) {
  LATHE_TRY(const OpenedRun run, open_run(app, name));
  LATHE_TRY(const auto labels, run.journal.labels(run.id));
  std::vector<LabelledTake> taken;
  for (const show::Take& take : show::takes_of(run.state, run.id)) {
    const auto label = std::ranges::find_if(labels, [&](const books::TakeLabel& each) {
      return each.unit == take.unit && each.blob == take.blob;
    });
    if (label == labels.end()) continue;
    LabelledTake& one = taken.emplace_back();
    one.unit = run.state.units[run.state.tracks[take.index].units.front()];
    one.media_type = take.media_type;
    one.label.name = fmt::format("{} lap {}", take.unit, take.lap);
    LATHE_TRY(one.label.bytes, run.journal.blob(take.blob));
    one.label.source = one.unit.text;
    one.label.pass = label->accept;
  }
  if (taken.empty())
    return invalid("run {} has no labels; `lathe judge label {}` makes some", run.id, run.id);
  return taken;
}

}  // namespace lathe::app
