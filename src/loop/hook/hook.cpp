// The steps of a hook, and the one loop over them; time is kept by a thread that raises the judges'
// stop flag when it is over.
#include "loop/hook/hook.h"

#include <condition_variable>
#include <mutex>
#include <sstream>
#include <thread>

#include "ground/base/clock.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/toml.h"

namespace lathe::loop {
namespace {

constexpr std::string_view kRules = "rules:", kCommand = "command:", kJudge = "judge:";
constexpr std::size_t kMaxJudgeFile = std::size_t{1} << 20, kMaxWhy = 300;

// Raised when the time is over, or when somebody stops the work.
class Deadline {
 public:
  Deadline(Milliseconds budget, const StopFlag& stop)
      : end_(std::chrono::steady_clock::now() + budget), thread_([this, &stop] { watch(stop); }) {}
  ~Deadline() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  const StopFlag& flag() const { return flag_; }
  Milliseconds left() const {
    return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(
                                         end_ - std::chrono::steady_clock::now()));
  }

 private:
  void watch(const StopFlag& stop) {
    std::unique_lock lock(mutex_);
    while (!over_ && !stop.raised() && std::chrono::steady_clock::now() < end_)
      changed_.wait_for(lock, std::min(Milliseconds(20), left() + Milliseconds(1)));
    if (!over_) flag_.raise();
  }

  const std::chrono::steady_clock::time_point end_;
  StopFlag flag_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

Result<HookStep> step_of(std::string name, const std::string& kind, const Json& given) {
  HookStep step{.name = std::move(name), .kind = find_judge(kind)};
  if (!step.kind) {
    std::vector<std::string> names;
    for (const JudgeKind* each : judge_kinds()) names.emplace_back(each->name);
    return invalid("there is no judge '{}'{}; `lathe judge list` shows them", clip_utf8(kind, 60),
                   did_you_mean(kind, names));
  }
  auto options = check_options(given, step.kind->options);
  if (!options) return invalid("{}: {}", options.error().key, options.error().message);
  step.options = *std::move(options);
  if (step.kind->check) LATHE_TRY_STATUS(step.kind->check(step.options));
  if (step.kind->advises && step.kind->advises(step.options))
    return invalid("judge {} only advises with these options, and would hold everything back",
                   step.kind->name);
  return step;
}

Result<HookStep> rules_step(const std::string& name) {
  if (name != "rules:no_secrets") return invalid("there is only rules:no_secrets");
  return step_of(name, "secrets", Json::object());
}

Result<HookStep> command_step(const std::string& name, const fs::path& directory) {
  Json command = Json::array(), files = Json::array();
  for (const std::string& word : split(name.substr(kCommand.size()), ' ')) {
    if (word.empty()) continue;
    command.push_back(word);
    const std::string file = word.starts_with("./") ? word.substr(2) : word;
    std::error_code ignored;
    if (is_safe_relative(file) && fs::is_regular_file(directory / file, ignored))
      files.push_back(file);
  }
  return step_of(name, "command", {{"command", std::move(command)}, {"files", std::move(files)}});
}

Result<HookStep> judge_step(const std::string& name, const fs::path& directory) {
  LATHE_TRY(const std::string text,
            read_file(directory / name.substr(kJudge.size()), kMaxJudgeFile));
  LATHE_TRY(const toml::table toml, parse_toml(text, name.substr(kJudge.size())));
  std::ostringstream json;
  json << toml::json_formatter(toml);
  LATHE_TRY(Json table, parse_json(json.str()));
  const std::string kind = json_string(table, "kind");
  if (kind.empty()) return invalid("it names no judge: kind = \"…\"");
  table.erase("kind");
  return step_of(name, kind, table);
}

Result<HookStep> parse_step(const std::string& name, const fs::path& directory) {
  if (name.starts_with(kRules)) return rules_step(name);
  if (name.starts_with(kCommand)) return command_step(name, directory);
  if (name.starts_with(kJudge)) return judge_step(name, directory);
  return invalid("is neither rules:no_secrets nor command:PROGRAM nor judge:FILE.toml");
}

// Why the text does not pass this step; "": it does.
std::string why_not(const HookStep& step, const std::string& text, const HookContext& context,
                    const Deadline& deadline, Usage& usage) {
  JudgeTask task{step.options};
  const Unit unit{.key = "text", .text = text, .data = {}};
  task.units = std::span(&unit, 1);
  task.all_units = task.units;
  task.candidate = sha256_hex(text);
  task.bytes = text;
  task.media_type = "text/plain";
  const std::string name = option_string(step.options, "worker");
  JudgeContext judge{.place = context.place, .stop = deadline.flag()};
  judge.worker = step.kind->needs_worker && context.worker ? context.worker(name) : nullptr;
  judge.time_limit = deadline.left();
  const Judgement judgement = judge_closed(*step.kind, task, judge);
  usage += judgement.usage;
  if (judgement.outcome == Outcome::kPass) return "";
  if (const std::string why = why_not_judged(judgement); !why.empty())
    return clip_utf8(why, kMaxWhy);
  if (!judgement.critiques.empty()) return clip_utf8(judgement.critiques.front().claim, kMaxWhy);
  return std::string(outcome_name(judgement.outcome));
}

}  // namespace

Result<Hook> parse_hook(std::span<const std::string> steps, const fs::path& directory) {
  Hook hook;
  for (const std::string& name : steps) {
    auto step = parse_step(name, directory);
    if (!step) return at("hook '" + clip_utf8(name, 100) + "'", step.error());
    hook.steps.push_back(*std::move(step));
  }
  return hook;
}

HookAnswer ask_hook(const Hook& hook, const std::string& text, const HookContext& context) {
  HookAnswer answer;
  const Milliseconds begun = system_clock().monotonic();
  const Deadline deadline(hook.budget, context.stop);
  for (const HookStep& step : hook.steps) {
    answer.why = why_not(step, text, context, deadline, answer.usage);
    // What comes too late counts for nothing, whatever it says.
    if (context.stop.raised() || deadline.flag().raised() || deadline.left() == Milliseconds(0))
      answer.why = context.stop.raised()
                       ? "stopped"
                       : fmt::format("took longer than {} ms", hook.budget.count());
    if (answer.why.empty()) continue;
    answer.by = step.name;
    break;
  }
  answer.passed = answer.by.empty();
  answer.took = system_clock().monotonic() - begun;
  return answer;
}

}  // namespace lathe::loop
