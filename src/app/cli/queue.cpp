// lathe queue add | list | rm | pause | resume | run: loops that are worked on in the background,
// one after the other, by whoever has time.
#include <thread>

#include "app/cli/journals.h"
#include "app/cli/loop.h"
#include "app/cli/opened_run.h"
#include "app/cli/queue_plan.h"
#include "app/cli/retention.h"
#include "ground/base/plural.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kQueueLookEvery{1'000};
constexpr Milliseconds kErasesEvery{3'600'000};

int list_queue(const App& app) {
  const auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  const auto queue = journal->queue();
  const auto runs = journal->runs();
  for (const Error* error : {queue ? nullptr : &queue.error(), runs ? nullptr : &runs.error()})
    if (error) return report_error(app, *error);
  if (queue->empty() && !app.json) print("the queue is empty\n");
  for (const books::QueuedRun& row : *queue) {
    const auto run = std::ranges::find(*runs, row.run, &books::RunRow::id);
    if (run == runs->end()) continue;
    const std::string state = run->state != "open" ? run->state
                              : run->live          ? "running"
                              : row.paused         ? "paused"
                                                   : "waiting";
    if (app.json)
      print_json({{"id", row.run},
                  {"recipe", run->recipe},
                  {"title", run->title},
                  {"state", state},
                  {"added", format_utc(row.added_ms)}});
    else
      print(fmt::format("{:<44} {:<11} {}  {}\n", row.run, state, format_utc(row.added_ms),
                        run->title));
  }
  return kExitPassed;
}

// One of the queue, or where none is named, each.
Result<std::vector<std::string>> named(const books::Journal& journal, const std::string& name) {
  LATHE_TRY(const auto queue, journal.queue());
  std::vector<std::string> runs;
  for (const books::QueuedRun& row : queue) runs.push_back(row.run);
  if (name.empty()) return runs;
  LATHE_TRY(std::string run, journal.find_run(name));
  if (std::ranges::find(runs, run) == runs.end())
    return fail(ErrorKind::kNotFound, "run {} is not in the queue; `lathe queue list` shows it",
                run);
  return std::vector{std::move(run)};
}

int change_queue(const App& app, const std::string& name, std::string_view done,
                 const std::function<Status(books::Journal&, const std::string&)>& change) {
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  const auto runs = named(*journal, name);
  if (!runs) return report_error(app, runs.error());
  for (const std::string& run : *runs) {
    if (auto changed = change(*journal, run); !changed) return report_error(app, changed.error());
    if (app.json)
      print_json({{"id", run}, {"queue", done}});
    else
      print(fmt::format("{}: {}\n", run, done));
  }
  return kExitPassed;
}

// Whether it is still to be worked on.
bool wanted(const books::Journal& journal, const std::string& run) {
  const auto queue = journal.queue();
  return !queue || std::ranges::any_of(*queue, [&](const books::QueuedRun& row) {
    return row.run == run && !row.paused;
  });
}

// Ends the work on a run when a person stops all of it, or takes the run out of the queue or lets
// it rest there.
class Watch {
 public:
  Watch(const App& app, std::string run, StopFlag& stop)
      : thread_([this, &app, run = std::move(run), &stop] { look(app, run, stop); }) {}
  ~Watch() {
    over_.raise();
    thread_.join();
  }

 private:
  void look(const App& app, const std::string& run, StopFlag& stop) const {
    const auto journal = open_journal(app);
    Milliseconds looked{0};
    while (!over_.raised() && !stop.raised()) {
      const Milliseconds now = system_clock().monotonic();
      if (app.stop->raised() ||
          (now - looked >= kQueueLookEvery && journal && !wanted(*journal, run)))
        stop.raise();
      if (now - looked >= kQueueLookEvery) looked = now;
      std::this_thread::sleep_for(Milliseconds(50));
    }
  }

  StopFlag over_;
  std::thread thread_;
};

// As `lathe resume` does, as work that gives way to people.
int work_on(const App& app, const std::string& run, const ResumeFlags& flags) {
  App here = app;
  StopFlag stop;
  here.stop = &stop;
  const Watch watch(app, run, stop);
  ResumeFlags mine = flags;
  mine.run = run;
  mine.drive.workers.background = true;
  return resume_run(here, std::move(mine));
}

struct WorkFlags {
  std::string run;  // this one alone
  bool until_empty = false;
  ResumeFlags each;
};

// Once: whoever asks for it tries again.
int work_on_one(const App& app, const WorkFlags& flags) {
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  const auto runs = named(*journal, flags.run);
  if (!runs) return report_error(app, runs.error());
  const std::string& run = runs->front();
  const int code = wanted(*journal, run) ? work_on(app, run, flags.each) : kExitStopped;
  const auto rows = journal->runs();
  if (!rows) return report_error(app, rows.error());
  const auto row = std::ranges::find(*rows, run, &books::RunRow::id);
  if (row == rows->end() || row->state != "open")
    if (auto left = journal->dequeue(run); !left) return report_error(app, left.error());
  return code;
}

int work_through(const App& app, const WorkFlags& flags) {
  if (!flags.run.empty()) return work_on_one(app, flags);
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  Setbacks setbacks;
  std::optional<Milliseconds> erased;
  while (!app.stop->raised()) {
    const Milliseconds now = system_clock().monotonic();
    if (!erased || now - *erased >= kErasesEvery) {
      if (auto kept = erase_old_runs(app, *journal); !kept) return report_error(app, kept.error());
      erased = now;
    }
    const auto queue = journal->queue();
    const auto runs = journal->runs();
    if (!queue) return report_error(app, queue.error());
    if (!runs) return report_error(app, runs.error());
    const QueuePlan plan = plan_queue(*queue, *runs, setbacks, now);
    for (const std::string& run : plan.finished)
      if (auto left = journal->dequeue(run); !left) return report_error(app, left.error());
    if (plan.next) {
      work_on(app, *plan.next, flags.each);
      // Where it has not ended and nobody stopped it, it could not be gone on with.
      if (wanted(*journal, *plan.next))
        setbacks[*plan.next] = after_setback(setbacks[*plan.next], system_clock().monotonic());
    } else if (flags.until_empty && plan.waiting == 0) {
      return kExitPassed;
    } else {
      std::this_thread::sleep_for(kQueueLookEvery);
    }
  }
  return kExitStopped;
}

void add_named(CLI::App& queue, const App& app, Action& action, const char* command,
               const char* help, bool each, std::string_view done,
               Status (*change)(books::Journal& journal, const std::string& run)) {
  auto name = std::make_shared<std::string>();
  CLI::App* sub = queue.add_subcommand(command, help);
  sub->add_option(
         "run", *name,
         each ? "Its id, or the beginning of it (default: each)" : "Its id, or the beginning of it")
      ->required(!each);
  sub->callback([&app, &action, name, done, change] {
    action = [&app, name, done, change] { return change_queue(app, *name, done, change); };
  });
}

}  // namespace

void add_queue(CLI::App& cli, App& app, Action& action) {
  CLI::App* queue = cli.add_subcommand("queue", "Loops that are worked on in the background");
  queue->require_subcommand(1);

  auto loop = std::make_shared<LoopFlags>();
  loop->background = true;
  CLI::App* add =
      queue->add_subcommand("add", "Put a recipe in the queue: `lathe loop --background`");
  add->add_option("recipe", loop->recipe, "A shipped recipe's name, or a path")->required();
  add->add_option("--input", loop->input,
                  "The file (or source tree) to work on, instead of the recipe's own");
  add_loop_flags(*add, *loop);
  add->callback([&app, &action, loop] { action = [&app, loop] { return run_loop(app, *loop); }; });

  queue->add_subcommand("list", "What waits, rests and is worked on")->callback([&app, &action] {
    action = [&app] { return list_queue(app); };
  });
  add_named(*queue, app, action, "rm", "Take a run out of the queue; it stays in the journal",
            false, "is out of the queue",
            [](books::Journal& journal, const std::string& run) { return journal.dequeue(run); });
  add_named(*queue, app, action, "pause", "Let a run rest in the queue", true, "rests",
            [](books::Journal& journal, const std::string& run) {
              return journal.enqueue(run, system_clock().unix_ms(), true);
            });
  add_named(*queue, app, action, "resume", "Have a run worked on that rests", true, "waits",
            [](books::Journal& journal, const std::string& run) {
              return journal.enqueue(run, system_clock().unix_ms());
            });

  auto flags = std::make_shared<WorkFlags>();
  CLI::App* run = queue->add_subcommand("run", "Work through the queue, for as long as it runs");
  run->add_option("run", flags->run,
                  "Its id, or the beginning of it: this one alone, once (default: each)");
  run->add_flag("--until-empty", flags->until_empty, "End when nothing waits any more");
  add_drive_flags(*run, flags->each.drive);
  run->callback(
      [&app, &action, flags] { action = [&app, flags] { return work_through(app, *flags); }; });
}

}  // namespace lathe::app
