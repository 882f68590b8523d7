// Runs a program: the effects of its phases.
#include "serve/programs/program.h"

#include <algorithm>
#include <cctype>
#include <fstream>

#include "ground/base/text.h"
#include "ground/sys/port_holder.h"
#include "ground/sys/process_tree.h"
#include "serve/hosts/remote_host.h"
#include "serve/net/http_call.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kLetGo{2};
constexpr Milliseconds kTick{50};          // how soon what is wished for is seen
constexpr Milliseconds kLookAgain{100};    // while it starts
constexpr Milliseconds kLookLater{2'000};  // while it is ready
constexpr Milliseconds kLookLimit{2'000};  // of one look
constexpr Milliseconds kMeasureAgain{1'000};
constexpr int kMeasureShare = 50;  // one part of so many of the time, at most, goes into measuring
constexpr std::uint64_t kMaxLog = std::uint64_t{16} << 20;
constexpr std::size_t kLastWords = 600, kLastLines = 8;

// Of a name, what every file system takes.
std::string file_name(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') c = '_';
  return clip_utf8(name, 100);
}

ProgramRules rules_of(const ProgramSpec& spec, const ProgramPlaces& places) {
  ProgramRules rules;
  rules.ready_timeout = spec.ready_timeout;
  rules.grace = places.grace;
  return rules;
}

}  // namespace

Program::Program(std::string name, ProgramSpec spec, ProgramPlaces places, ProgramEvents events)
    : name_(std::move(name)),
      spec_(std::move(spec)),
      places_(std::move(places)),
      events_(std::move(events)),
      rules_(rules_of(spec_, places_)),
      log_(places_.logs / (file_name(name_) + ".log")) {
  thread_ = std::thread([this] { run(); });
}

Program::~Program() {
  stop();
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Program::start() {
  {
    const std::scoped_lock lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_all();
}

void Program::stop(std::string why) {
  {
    const std::scoped_lock lock(mutex_);
    wanted_ = false;
    unwanted_ = std::move(why);
    hurry_.raise();
  }
  changed_.notify_all();
}

std::shared_ptr<ModelHost> Program::host() const {
  const std::scoped_lock lock(mutex_);
  return state_.phase == ProgramPhase::kReady ? host_ : nullptr;
}

std::string Program::model() const {
  const std::scoped_lock lock(mutex_);
  return model_;
}

std::optional<Error> Program::how_it_ended(Milliseconds wait) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, wait, [&] { return state_.phase != ProgramPhase::kReady; });
  if (state_.phase == ProgramPhase::kReady || state_.problem.empty()) return std::nullopt;
  return error();
}

void Program::log(const std::string& line) const {
  if (events_.log) events_.log(line);
}

// What a client is told; where the log lies is this machine's business. Under the lock.
Error Program::error() const {
  std::string message = fmt::format("the program '{}' does not run: {}", name_, state_.problem);
  if (!end_.empty()) message += "; its last words: " + end_;
  const Milliseconds until = state_.rests_until(rules_, now());
  if (until > now())
    message += fmt::format(
        "; that was {} times in a row, and it is started again in {} at the "
        "earliest",
        state_.failures.size(), format_duration(until - now()));
  return {ErrorKind::kUnavailable, std::move(message), {}};
}

void Program::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (state_.phase == ProgramPhase::kOff) {
        changed_.wait(lock, [&] { return wanted_ || ending_; });
        if (!wanted_) return;
        wanted_ = false;
        unwanted_.reset();
        hurry_.clear();
        lock.unlock();
        take(ProgramWanted());
        continue;
      }
      if (const auto why = std::exchange(unwanted_, std::nullopt)) {
        lock.unlock();
        take(ProgramUnwanted{*why});
      }
    }
    if (!process_) continue;
    if (const auto end = process_->ended(kTick)) {
      take(ProgramEnded{*end});
      continue;
    }
    take(ProgramTick());
    const ProgramPhase phase = state_.phase;  // nobody else writes it
    if (phase == ProgramPhase::kStopping) continue;
    if (now() >= look_at_) look(phase);
    measure();
  }
}

void Program::take(const ProgramEvent& event) {
  ProgramAct what = ProgramAct::kNothing;
  {
    const std::scoped_lock lock(mutex_);
    const bool off = state_.phase == ProgramPhase::kOff;
    ProgramStep step = next_step(std::move(state_), event, rules_, now());
    state_ = std::move(step.state);
    what = step.act;
    if (what == ProgramAct::kTellFailed && !off) end_ = last_words();
    if (what == ProgramAct::kStart) end_.clear();
  }
  changed_.notify_all();
  act(what);
}

void Program::act(ProgramAct what) {
  switch (what) {
    case ProgramAct::kNothing:
      return;
    case ProgramAct::kStart:
      if (const Status started = launch(); !started) take(ProgramEnded{started.error().message});
      return;
    case ProgramAct::kOpen:
      return open_host();
    case ProgramAct::kTerminate:
      return process_->terminate();
    case ProgramAct::kKill:
      log(fmt::format("'{}' did not end within {} of SIGTERM, and is killed", name_,
                      format_duration(rules_.grace)));
      return process_->kill();
    case ProgramAct::kTellGone:
    case ProgramAct::kTellFailed:
      close_host();
      process_.reset();
      if (what == ProgramAct::kTellGone) return events_.on_gone(std::nullopt);
      std::unique_lock lock(mutex_);
      Error why = error();
      lock.unlock();
      log(fmt::format("{} ({})", why.message, log_.string()));
      return events_.on_gone(std::move(why));
  }
}

Status Program::launch() {
  std::error_code error;
  port_ = spec_.port;
  if (port_ == 0) {
    LATHE_TRY(port_, free_port());
  } else if (const auto holder = find_port_holder(port_)) {
    return fail(ErrorKind::kUnavailable,
                "its port {} is taken by {} (process {}); end that, or give it another port", port_,
                holder->program, holder->process);
  }
  LATHE_TRY_STATUS(make_directories(places_.logs));
  fs::rename(log_, fs::path(log_) += ".1", error);  // what it said the last time is kept
  look_at_ = measure_at_ = Milliseconds(0);
  LATHE_TRY(process_, GuardedProcess::start({.guard = places_.guard,
                                             .argv = spec_.command_at(port_),
                                             .env = places_.env,
                                             .cwd = spec_.directory,
                                             .log = log_}));
  log(fmt::format("starting the program '{}' on port {}; what it prints is in {}", name_, port_,
                  log_.string()));
  return {};
}

// Who answers must be the program: between the choice of a port and its use another may take it.
Status Program::check_port() {
  const auto holder = find_port_holder(port_);
  if (!holder) return {};  // /proc does not say
  const std::vector<pid_t> own = process_->processes();
  if (std::ranges::find(own, holder->process) != own.end()) return {};
  return fail(ErrorKind::kUnavailable,
              "its port {} is answered by {} (process {}), which is not "
              "of it",
              port_, holder->program, holder->process);
}

// Whether it can be asked. One that is busy may not say: only what it says of itself counts.
void Program::look(ProgramPhase phase) {
  const bool starts = phase == ProgramPhase::kStarting;
  look_at_ = now() + (starts ? kLookAgain : kLookLater);
  const int status = says();
  if (status >= 500) return take(ProgramUnwell{status});
  if (status != 200) return;
  if (starts) {
    measure_at_ = Milliseconds(0);  // what is told of it then is new
    measure();
    if (const Status own = check_port(); !own) return take(ProgramUnwanted{own.error().message});
  }
  take(ProgramAnswered());
}

// The status of what it answers; 0: it does not.
int Program::says() {
  const auto answer = http_call({.url = fmt::format("http://127.0.0.1:{}{}", port_, spec_.ready),
                                 .body = {},
                                 .headers = {},
                                 .connect_limit = kLookLimit,
                                 .idle_limit = kLookLimit,
                                 .total_limit = kLookLimit,
                                 .max_body = std::size_t{1} << 20},
                                hurry_);
  return answer ? answer->status : 0;
}

void Program::open_host() {
  RemoteHostConfig config;
  config.name = name_;
  config.url = fmt::format("http://127.0.0.1:{}{}", port_, spec_.api);
  config.look_again = std::chrono::hours(24);  // its end is seen without asking
  auto opened = RemoteHost::open(std::move(config));
  LATHE_CHECK(opened.has_value());  // a URL of our own making, on loopback
  ModelInfo said;
  if (const HostStatus status = (*opened)->status(); !status.models.empty()) {
    const auto named = std::ranges::find(status.models, spec_.model, &ModelInfo::name);
    said = named == status.models.end() ? status.models.front() : *named;
  }
  {
    const std::scoped_lock lock(mutex_);
    host_ = std::move(*opened);
    model_ = !spec_.model.empty() ? spec_.model : said.name.empty() ? name_ : said.name;
  }
  events_.on_ready(said);
}

// Ends what is asked of it, too. It goes here and nowhere else: on a thread of its own it could not
// wait for that one.
void Program::close_host() {
  std::shared_ptr<ModelHost> host;
  {
    const std::scoped_lock lock(mutex_);
    host.swap(host_);
  }
  while (host.use_count() > 1) std::this_thread::sleep_for(kLetGo);
}

void Program::measure() {
  const Milliseconds start = now();
  if (start < measure_at_) return;
  const auto bytes = memory_of_processes(process_->processes());
  if (bytes) events_.on_memory(*bytes);
  cut_log();
  const Milliseconds end = now();
  measure_at_ = end + std::max(kMeasureAgain, kMeasureShare * (end - start));
}

void Program::cut_log() {
  std::error_code error;
  const auto size = fs::file_size(log_, error);
  if (error || size <= kMaxLog) return;
  const auto kept = read_file(log_, 2 * kMaxLog);
  if (kept) std::ofstream(fs::path(log_) += ".1", std::ios::binary) << *kept;
  fs::resize_file(log_, 0, error);  // who adds to it goes on at its new end
}

// The end of what it printed, as text of one line.
std::string Program::last_words() const {
  std::ifstream file(log_, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const auto size = static_cast<std::size_t>(file.tellg());
  std::string text(std::min<std::size_t>(size, 4 * kLastWords), '\0');
  file.seekg(static_cast<std::streamoff>(size - text.size()));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  std::vector<std::string> lines;
  for (const std::string& line : split(make_valid_utf8(text), '\n'))
    if (!trim(line).empty()) lines.emplace_back(trim(line));
  std::string words;
  for (std::size_t i = lines.size(); i-- > 0 && i + kLastLines >= lines.size();) {
    if (words.size() + lines[i].size() > kLastWords && !words.empty()) break;
    words = lines[i] + (words.empty() ? "" : " | ") + words;
  }
  return clip_utf8(words, kLastWords);
}

}  // namespace lathe::serve
