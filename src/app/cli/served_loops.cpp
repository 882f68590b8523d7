// Children of the server that begin runs and work on them.
#include "app/cli/served_loops.h"

#include <unistd.h>

#include "app/cli/journals.h"
#include "ground/base/text.h"
#include "ground/sys/subprocess.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostChildren = 2, kMostBeginnings = 4;
constexpr Milliseconds kChildLookEvery{200}, kGrace{10'000};
constexpr Milliseconds kLongestBeginning{600'000};  // tests say first which of them fail

// The row of the queue that lets a run be worked on; nothing: it is not to be.
Result<bool> is_wanted(const App& app, const std::string& run) {
  LATHE_TRY(const books::Journal journal, open_ledger(app));
  LATHE_TRY(const auto queue, journal.queue());
  LATHE_TRY(const auto runs, journal.runs());
  const auto row = std::ranges::find(queue, run, &books::QueuedRun::run);
  const auto head = std::ranges::find(runs, run, &books::RunRow::id);
  return row != queue.end() && !row->paused && head != runs.end() && head->state == "open";
}

// What `lathe --json loop` printed: the run, or why there is none.
Result<std::string> run_in(const Exit& exit) {
  std::string error;
  for (const std::string_view line : split_lines(exit.out)) {
    const auto json = parse_json(line);
    if (!json || !json->is_object()) continue;
    if (json_string(*json, "kind") == "queued") return json_string(*json, "run");
    error = json_string(*json, "error", error);
  }
  if (exit.timed_out || exit.stopped || exit.code == kExitNotJudged)
    return fail(ErrorKind::kUnavailable, "the run could not be begun: {}",
                error.empty() ? exit.describe() : error);
  return invalid("the run could not be begun: {}", error.empty() ? exit.describe() : error);
}

}  // namespace

ServedLoops::ServedLoops(const App& app, std::string owner_key, fs::path directory)
    : app_(app), owner_key_(std::move(owner_key)), directory_(std::move(directory)) {
  thread_ = std::thread([this] { look(); });
}

ServedLoops::~ServedLoops() {
  stop_.raise();
  thread_.join();
  for (Beginning& each : beginnings_) each.thread.join();
  for (auto& [run, child] : children_) child.process->terminate();
  const Milliseconds end = system_clock().monotonic() + kGrace;
  for (auto& [run, child] : children_)
    child.process->ended(std::max(Milliseconds(0), end - system_clock().monotonic()));
}

serve::RunStarter ServedLoops::starter() {
  serve::RunStarter starter;
  starter.begin = [this](serve::WantedRun wanted, std::function<void(Result<std::string>)> done) {
    begin(std::move(wanted), std::move(done));
  };
  starter.work = [this](const std::string& run, const std::string& secret) { work(run, secret); };
  starter.problem = [this](const std::string& run) { return problem(run); };
  return starter;
}

void ServedLoops::take_up_again(std::string_view by) {
  const std::lock_guard lock(mutex_);
  const auto journal = open_ledger(app_);
  const auto queue = journal ? journal->queue() : std::unexpected(journal.error());
  if (!queue) return;
  for (const books::QueuedRun& row : *queue) {
    if (row.paused) continue;
    const auto first = journal->records(row.run, "run");
    if (!first || first->empty()) continue;
    if (json_string(json_at(first->front().body, "extra"), "by") == by)
      waiting_.push_back({row.run, ""});
  }
}

void ServedLoops::begin(serve::WantedRun wanted, std::function<void(Result<std::string>)> done) {
  const std::lock_guard lock(mutex_);
  beginnings_.remove_if([](Beginning& each) {
    if (each.over->load()) each.thread.join();
    return !each.thread.joinable();
  });
  if (stop_.raised() || beginnings_.size() >= kMostBeginnings)
    return done(fail(ErrorKind::kUnavailable, "{} runs are being begun already; try again later",
                     beginnings_.size()));
  Beginning& beginning = beginnings_.emplace_back();
  beginning.thread = std::thread(
      [this, wanted = std::move(wanted), done = std::move(done), over = beginning.over] {
        auto run = begin_now(wanted);
        if (run) work(*run, wanted.secret);
        done(std::move(run));
        over->store(true);
      });
}

Result<std::string> ServedLoops::begin_now(const serve::WantedRun& wanted) const {
  Command command;
  command.argv = {
      app_.program.string(), "--json",       "--journal",        journal_argument(app_), "loop",
      wanted.recipe,         "--background", "--by=" + wanted.by};
  if (!wanted.apply) command.argv.push_back("--no-apply");
  for (const auto& [name, value] : wanted.set)
    command.argv.push_back(fmt::format("--set={}={}", name, dump_json(value)));
  for (const auto& [name, where] : wanted.workers)
    command.argv.push_back(fmt::format("--worker={}={}", name, where));
  std::optional<TempDir> text;
  std::error_code ignored;
  if (!wanted.input_text.empty()) {
    LATHE_TRY(text, TempDir::make("lathe-input"));
    const fs::path file = text->path() / "input.txt";
    LATHE_TRY_STATUS(write_file_atomic(file, wanted.input_text));
    command.argv.push_back("--input=" + file.string());
  } else if (!wanted.input_path.empty()) {
    command.argv.push_back("--input=" + fs::absolute(wanted.input_path, ignored).string());
  }
  for (const std::string& entry : environment(wanted.secret))
    command.env.emplace(entry.substr(0, entry.find('=')), entry.substr(entry.find('=') + 1));
  command.cwd = directory_;
  command.time_limit = kLongestBeginning;
  LATHE_TRY(const Exit exit, run_command(command, stop_));
  return run_in(exit);
}

// This process's, with the key that the run asks this server with.
std::vector<std::string> ServedLoops::environment(const std::string& secret) const {
  constexpr std::string_view kKey = "LATHE_API_KEY=";
  const std::string& key = secret.empty() ? owner_key_ : secret;
  std::vector<std::string> all;
  for (char** entry = ::environ; *entry != nullptr; ++entry)
    if (key.empty() || !std::string_view(*entry).starts_with(kKey)) all.emplace_back(*entry);
  if (!key.empty()) all.push_back(std::string(kKey) + key);
  return all;
}

void ServedLoops::work(const std::string& run, const std::string& secret) {
  const std::lock_guard lock(mutex_);
  setbacks_.erase(run);
  problems_.erase(run);
  if (std::ranges::find(waiting_, run, &Waiting::run) == waiting_.end())
    waiting_.push_back({run, secret});
}

std::string ServedLoops::problem(const std::string& run) {
  const std::lock_guard lock(mutex_);
  const auto found = problems_.find(run);
  return found == problems_.end() ? "" : found->second;
}

void ServedLoops::look() {
  while (!stop_.raised()) {
    {
      const std::lock_guard lock(mutex_);
      reap();
      start_next();
    }
    std::this_thread::sleep_for(kChildLookEvery);
  }
}

// A run that still waits could not be gone on with: it is tried again, less and less often. One
// that was stopped and asked for anew while its child was ending waits because it was asked for.
void ServedLoops::reap() {
  for (auto child = children_.begin(); child != children_.end();) {
    const auto end = child->second.process->ended(Milliseconds(0));
    if (!end) {
      ++child;
      continue;
    }
    const std::string run = child->first;
    const bool asked_anew = std::ranges::find(waiting_, run, &Waiting::run) != waiting_.end();
    if (!asked_anew && is_wanted(app_, run).value_or(false)) {
      setbacks_[run] = after_setback(setbacks_[run], system_clock().monotonic());
      problems_[run] = fmt::format(
          "it could not be gone on with ({}) and is tried again later; `lathe resume {}` says why",
          *end, run);
      waiting_.push_back({run, child->second.secret});
    } else {
      setbacks_.erase(run);
      problems_.erase(run);
    }
    child = children_.erase(child);
  }
}

void ServedLoops::start_next() {
  const Milliseconds now = system_clock().monotonic();
  for (auto next = waiting_.begin(); next != waiting_.end() && children_.size() < kMostChildren;) {
    const auto setback = setbacks_.find(next->run);
    const bool may = setback == setbacks_.end() || setback->second.again <= now;
    // One that was told to stop is given time to end before it is started again.
    if (!may || children_.contains(next->run)) {
      ++next;
      continue;
    }
    const Waiting waiting = std::exchange(*next, {});
    next = waiting_.erase(next);
    if (!is_wanted(app_, waiting.run).value_or(false)) continue;
    GuardedCommand command;
    command.guard = app_.program;
    command.argv = {app_.program.string(),
                    "--json",
                    "--journal",
                    journal_argument(app_),
                    "queue",
                    "run",
                    waiting.run};
    command.env = environment(waiting.secret);
    command.cwd = directory_;
    command.log = "/dev/null";  // what it says stands in the journal
    if (auto started = GuardedProcess::start(command))
      children_[waiting.run] = {waiting.secret, *std::move(started)};
    else
      problems_[waiting.run] = started.error().message;
  }
}

}  // namespace lathe::app
