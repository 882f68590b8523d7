// The program that talks to Chromium, inside the sandbox: over its debugging pipe, in messages of
// JSON that end with a NUL.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <set>

#include "ground/base/base64.h"
#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "loop/senses/page.h"
#include "loop/senses/page_survey.h"

namespace lathe::loop {
namespace {

constexpr Milliseconds kStartLimit{15'000};
constexpr Milliseconds kLoadLimit{8'000};
constexpr Milliseconds kAnswerLimit{5'000};
constexpr Milliseconds kWayOutLimit{2'000};
constexpr Milliseconds kRestLimit{10'000};  // for all that a page does of itself once it is there
constexpr Milliseconds kTurnLimit{2'000};   // the same after its window has changed
constexpr Milliseconds kRestLook{100};
constexpr double kStill = 400;   // ms without a change: what was to come is there
constexpr double kIdle = 2'500;  // the same while timers go on and on
constexpr Milliseconds kBusyOver{1'000};
constexpr double kBusy = 0.6;  // of that time
constexpr std::size_t kMaxMessage = std::size_t{96} << 20;
constexpr std::size_t kMostNotes = 50;
constexpr std::string_view kPageUrl = "http://page.invalid/";

Json every_request() {
  return {{"patterns", Json::array({{{"urlPattern", "*"}}})}};
}
// Workers are held until they are watched.
Json attach_workers() {
  return {{"autoAttach", true},
          {"waitForDebuggerOnStart", true},
          {"flatten", true},
          {"filter", Json::array({{{"type", "worker"}}, {{"type", "shared_worker"}}})}};
}

struct Rest {
  bool quiet = false;  // nothing more is to come
  bool burns = false;  // its scripts never leave the processor alone
};
// What a page's threads have done so far, in seconds.
struct Work {
  Milliseconds at{};
  double main = 0, workers = 0;
};

class Chromium {
 public:
  explicit Chromium(std::string html) : html_(std::move(html)) {}
  Chromium(const Chromium&) = delete;
  Chromium& operator=(const Chromium&) = delete;
  ~Chromium() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
  }

  Status start(const std::string& program) {
    std::array<int, 2> to{}, from{};
    if (::pipe2(to.data(), O_CLOEXEC) != 0 || ::pipe2(from.data(), O_CLOEXEC) != 0)
      return fail(ErrorKind::kUnavailable, "pipe: {}", std::strerror(errno));
    // Its ends must not be 3 or 4 already, or dup2 would leave them to be closed at exec.
    const int its_in = ::fcntl(to[0], F_DUPFD_CLOEXEC, 10);
    const int its_out = ::fcntl(from[1], F_DUPFD_CLOEXEC, 10);
    ::close(to[0]);
    ::close(from[1]);
    in_ = ::fcntl(to[1], F_DUPFD_CLOEXEC, 10);
    out_ = ::fcntl(from[0], F_DUPFD_CLOEXEC, 10);
    ::close(to[1]);
    ::close(from[0]);
    std::vector<std::string> args{
        program, "--headless",
        "--no-sandbox",  // it has ours
        "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", "--disable-breakpad",
        "--disable-background-networking", "--disable-component-update", "--disable-extensions",
        "--disable-sync",
        // One process for all frames: their work is the page's.
        "--disable-site-isolation-trials",
        "--disable-features=IsolateSandboxedIframes,IsolateOrigins", "--block-new-web-contents",
        "--mute-audio", "--no-first-run", "--hide-scrollbars", "--force-color-profile=srgb",
        "--font-render-hinting=none", "--user-data-dir=/tmp/profile", "--remote-debugging-pipe"};
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, its_in, 3);
    posix_spawn_file_actions_adddup2(&actions, its_out, 4);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const int failed =
        ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(its_in);
    ::close(its_out);
    if (failed != 0)
      return fail(ErrorKind::kUnavailable, "cannot start {}: {}", program, std::strerror(failed));
    return {};
  }

  // Sends a command and handles what happens until its answer is there.
  Result<Json> ask(const std::string& method, Json params, Milliseconds limit = kAnswerLimit) {
    const int id = send(method, std::move(params), session_);
    const Milliseconds end = system_clock().monotonic() + limit;
    for (;;) {
      LATHE_TRY(const Json message, next(end));
      if (json_int(message, "id", 0) != id) continue;
      if (message.contains("error"))
        return fail(ErrorKind::kUnavailable, "{}: {}", method,
                    json_string(json_at(message, "error"), "message"));
      return json_at(message, "result");
    }
  }

  void wait(Milliseconds time) {
    const Milliseconds end = system_clock().monotonic() + time;
    while (next(end)) {
    }
  }
  bool wait_for_load(Milliseconds limit) {
    const Milliseconds end = system_clock().monotonic() + limit;
    const Milliseconds patience = system_clock().monotonic() + kWayOutLimit;
    while (!loaded_ && next(outside_.empty() ? end : std::min(end, patience))) {
    }
    // One that is on its way out may never end loading: it is kept where it is.
    if (!loaded_ && !outside_.empty()) send("Page.stopLoading", Json::object(), session_);
    return loaded_ || !outside_.empty();
  }

  void use_session(std::string session) { session_ = std::move(session); }
  void use_frame(std::string frame) { frame_ = std::move(frame); }
  const std::string& frame() const { return frame_; }

  Json notes() const {
    return {{"errors", errors_}, {"outside", outside_}, {"intrusions", intrusions_}};
  }
  // What the page does to get out: the same place is noted once.
  void note_outside(std::string_view what, const std::string& place) {
    if (places_.insert(place).second) note(outside_, fmt::format("{} {}", what, place));
  }

 private:
  int send(const std::string& method, Json params, const std::string& session) {
    Json message = {{"id", ++last_id_}, {"method", method}, {"params", std::move(params)}};
    if (!session.empty()) message["sessionId"] = session;
    std::string bytes = dump_json(message);
    bytes += '\0';
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = ::write(in_, bytes.data() + sent, bytes.size() - sent);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;  // reading will say that it is gone
      sent += static_cast<std::size_t>(n);
    }
    return last_id_;
  }

  // The next message; events are dealt with on the way.
  Result<Json> next(Milliseconds end) {
    for (;;) {
      if (const auto nul = buffer_.find('\0', searched_); nul != buffer_.npos) {
        const std::string text = buffer_.substr(0, nul);
        buffer_.erase(0, nul + 1);
        searched_ = 0;
        auto message = parse_json(text, {.max_bytes = kMaxMessage});
        if (!message) continue;
        handle(*message);
        return message;
      }
      searched_ = buffer_.size();
      const auto left = end - system_clock().monotonic();
      if (left <= Milliseconds(0)) return fail(ErrorKind::kTimeout, "no answer in time");
      pollfd readable{out_, POLLIN, 0};
      const int ready = ::poll(&readable, 1, static_cast<int>(left.count()));
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return fail(ErrorKind::kTimeout, "no answer in time");
      std::array<char, 65536> bytes;
      const ssize_t n = ::read(out_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0 || buffer_.size() > kMaxMessage)
        return fail(ErrorKind::kUnavailable, "it ended early");
      buffer_.append(bytes.data(), static_cast<std::size_t>(n));
    }
  }

  static void note(std::vector<std::string>& notes, std::string text) {
    if (notes.size() < kMostNotes && std::ranges::find(notes, text) == notes.end())
      notes.push_back(clip_utf8(text, 300));
  }

  void handle(const Json& message) {
    const std::string method = json_string(message, "method");
    const std::string session = json_string(message, "sessionId");
    const Json& params = json_at(message, "params");
    if (method == "Page.loadEventFired") {
      loaded_ = true;
    } else if (method == "Fetch.requestPaused") {
      answer_request(params, session);
    } else if (method == "Target.attachedToTarget") {
      watch_worker(params);
    } else if (method == "Runtime.exceptionThrown") {
      const Json& details = json_at(params, "exceptionDetails");
      const std::string what =
          json_string(json_at(details, "exception"), "description", json_string(details, "text"));
      note(errors_, fmt::format("line {}: {}", json_int(details, "lineNumber", 0) + 1,
                                what.substr(0, what.find('\n'))));
    } else if (method == "Runtime.consoleAPICalled" && json_string(params, "type") == "error") {
      std::string text;
      for (const Json& arg : json_at(params, "args"))
        text += (text.empty() ? "" : " ") +
                json_string(arg, "value", json_string(arg, "description", "…"));
      note(errors_, text);
    } else if (method == "Page.javascriptDialogOpening") {
      note(intrusions_, fmt::format("a dialog: {}", json_string(params, "message")));
      send("Page.handleJavaScriptDialog", {{"accept", false}}, session);
    } else {
      see_way_out(method, params);
    }
  }

  // The ways out of a page besides plain requests.
  void see_way_out(const std::string& method, const Json& params) {
    const std::string url = json_string(params, "url");
    if (method == "Page.frameScheduledNavigation") {
      const bool whole = json_string(params, "frameId") == frame_;
      const bool within =
          url.starts_with(std::string(kPageUrl) + "#") || url.starts_with("javascript:") ||
          (!whole &&
           (url.starts_with("about:") || url.starts_with("data:") || url.starts_with("blob:")));
      if (!within) note_outside("goes to", shown(url));
    } else if (method == "Page.downloadWillBegin") {
      note_outside("starts a download of",
                   json_string(params, "suggestedFilename", url.substr(0, 100)));
    } else if (method == "Page.windowOpen") {
      note_outside("opens a window for", url.empty() ? "about:blank" : shown(url));
    } else if (method == "Network.webSocketCreated" || method == "Network.webTransportCreated") {
      note_outside("asks for", url);
    } else if (method == "Log.entryAdded") {
      constexpr std::string_view kRefused = "Not allowed to load local resource: ";
      const std::string text = json_string(json_at(params, "entry"), "text");
      if (text.starts_with(kRefused)) note_outside("asks for", text.substr(kRefused.size()));
    }
  }

  static std::string shown(const std::string& url) {
    if (url.starts_with("blob:")) return "blob:";  // the rest of it is by chance
    return url.starts_with(kPageUrl) ? url.substr(kPageUrl.size() - 1) : url;
  }

  // The page itself is handed over; nothing else exists.
  void answer_request(const Json& params, const std::string& session) {
    const std::string url = json_string(json_at(params, "request"), "url");
    const std::string id = json_string(params, "requestId");
    const bool document = json_string(params, "resourceType") == "Document" &&
                          json_string(params, "frameId") == frame_;
    if (url == kPageUrl && !served_) {
      served_ = true;
      send("Fetch.fulfillRequest",
           {{"requestId", id},
            {"responseCode", 200},
            {"responseHeaders",
             Json::array({{{"name", "Content-Type"}, {"value", "text/html; charset=utf-8"}}})},
            {"body", to_base64(html_)}},
           session);
      return;
    }
    if (!url.ends_with("/favicon.ico")) note_outside("asks for", shown(url));
    // "No content" leaves the page where it is: it is judged all the same.
    if (document)
      send("Fetch.fulfillRequest", {{"requestId", id}, {"responseCode", 204}}, session);
    else
      send("Fetch.failRequest", {{"requestId", id}, {"errorReason", "BlockedByClient"}}, session);
  }

  // A worker of the page starts under the same watch.
  void watch_worker(const Json& params) {
    const std::string session = json_string(params, "sessionId");
    if (json_string(json_at(params, "targetInfo"), "type") == "page") return;
    send("Network.enable", Json::object(), session);
    send("Fetch.enable", every_request(), session);
    send("Runtime.enable", Json::object(), session);
    send("Target.setAutoAttach", attach_workers(), session);
    send("Runtime.runIfWaitingForDebugger", Json::object(), session);
  }

  std::string html_;
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  int last_id_ = 0;
  bool loaded_ = false, served_ = false;
  std::string session_, frame_, buffer_;
  std::size_t searched_ = 0;
  std::vector<std::string> errors_, outside_, intrusions_;
  std::set<std::string> places_;
};

Result<Json> evaluated(Chromium& chromium, std::int64_t world, std::string_view expression) {
  LATHE_TRY(const Json answer, chromium.ask("Runtime.evaluate", {{"expression", expression},
                                                                 {"contextId", world},
                                                                 {"returnByValue", true},
                                                                 {"timeout", 3000}}));
  return answer;
}

// What the threads of workers ran and waited for a core: a busy machine hides nobody.
double worker_seconds() {
  double seconds = 0;
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    std::error_code none;  // it may be gone, and not all that is there is a process
    for (const auto& thread : fs::directory_iterator(process.path() / "task", none)) {
      std::string name;
      std::getline(std::ifstream(thread.path() / "comm"), name);
      if (!name.starts_with("DedicatedWork") && !name.starts_with("SharedWork")) continue;
      double ran = 0, waited = 0;
      if (std::ifstream(thread.path() / "schedstat") >> ran >> waited)
        seconds += (ran + waited) / 1e9;
    }
  }
  return seconds;
}

Result<Work> work_of(Chromium& chromium) {
  LATHE_TRY(const Json answer, chromium.ask("Performance.getMetrics", Json::object()));
  Work work{system_clock().monotonic(), 0, worker_seconds()};
  for (const Json& metric : json_at(answer, "metrics"))
    if (json_string(metric, "name") == "TaskDuration") work.main = json_number(metric, "value", 0);
  return work;
}

bool at_rest(const Json& state) {
  const double changed = json_number(state, "changed", 0);
  return changed >= kStill &&
         json_number(state, "due", 1e9) > static_cast<double>(kRestLimit.count()) &&
         !json_bool(state, "loading", false) &&
         (changed >= kIdle || !json_bool(state, "repeats", false));
}

// Waits until nothing more is to come of the page, at most `limit`.
Result<Rest> wait_for_rest(Chromium& chromium, Milliseconds limit) {
  const Milliseconds end = system_clock().monotonic() + limit;
  std::deque<Work> past;
  for (;;) {
    LATHE_TRY(const Work now, work_of(chromium));
    past.push_back(now);
    while (past.size() > 2 && now.at - past[1].at >= kBusyOver) past.pop_front();
    const double seconds = std::chrono::duration<double>(now.at - past.front().at).count();
    const bool busy = seconds > 0 && std::max(now.main - past.front().main,
                                              now.workers - past.front().workers) > kBusy * seconds;
    if (now.at >= end) return Rest{false, busy};
    LATHE_TRY(const Json answer, chromium.ask("Runtime.evaluate", {{"expression", rest_question()},
                                                                   {"returnByValue", true}}));
    const Json& state = json_at(json_at(answer, "result"), "value");
    if (const Json& calls = json_at(state, "calls"); calls.is_array())
      for (const Json& call : calls)
        if (call.is_string()) chromium.note_outside("asks for", call.get<std::string>());
    if (!busy && past.size() > 1 && at_rest(state)) return Rest{true, false};
    chromium.wait(kRestLook);
  }
}

// Opens the page. Nothing: it never finished.
Result<std::optional<Rest>> opened(Chromium& chromium) {
  LATHE_TRY(const Json target,
            chromium.ask("Target.createTarget", {{"url", "about:blank"}}, kStartLimit));
  const std::string id = json_string(target, "targetId");
  LATHE_TRY(const Json attached,
            chromium.ask("Target.attachToTarget", {{"targetId", id}, {"flatten", true}}));
  LATHE_TRY_STATUS(chromium.ask("Browser.setDownloadBehavior", {{"behavior", "deny"}}));
  LATHE_TRY_STATUS(chromium.ask("Target.setAutoAttach", attach_workers()));
  chromium.use_session(json_string(attached, "sessionId"));
  for (const char* domain :
       {"Page.enable", "Runtime.enable", "Network.enable", "Log.enable", "Performance.enable"})
    LATHE_TRY_STATUS(chromium.ask(domain, Json::object()));
  LATHE_TRY(const Json tree, chromium.ask("Page.getFrameTree", Json::object()));
  chromium.use_frame(json_string(json_at(json_at(tree, "frameTree"), "frame"), "id"));
  LATHE_TRY_STATUS(chromium.ask("Fetch.enable", every_request()));
  LATHE_TRY_STATUS(chromium.ask("Target.setAutoAttach", attach_workers()));
  LATHE_TRY_STATUS(
      chromium.ask("Page.addScriptToEvaluateOnNewDocument", {{"source", rest_watch()}}));
  const auto went = chromium.ask("Page.navigate", {{"url", kPageUrl}}, kLoadLimit);
  if (!went || !chromium.wait_for_load(kLoadLimit)) return std::nullopt;
  const auto rest = wait_for_rest(chromium, kRestLimit);
  return rest ? std::optional(*rest) : std::nullopt;
}

Status save_view(Chromium& chromium, int width, int height, std::size_t index, Json& facts) {
  LATHE_TRY_STATUS(chromium.ask(
      "Emulation.setDeviceMetricsOverride",
      {{"width", width}, {"height", height}, {"deviceScaleFactor", 1}, {"mobile", false}}));
  LATHE_TRY_STATUS(wait_for_rest(chromium, kTurnLimit));
  LATHE_TRY(const Json made,
            chromium.ask("Page.createIsolatedWorld", {{"frameId", chromium.frame()}}));
  const std::int64_t world = json_int(made, "executionContextId", 0);
  LATHE_TRY(const Json answer, evaluated(chromium, world, page_survey()));
  LATHE_TRY(const Json survey, parse_json(json_string(json_at(answer, "result"), "value", "{}")));
  const auto tall =
      std::clamp<std::int64_t>(json_int(survey, "height", height), height, kMaxPageHeight);
  // Twice as sharp where that can be opened: small letters are read far better.
  const int scale = 4 * tall * width <= kMaxPicturePixels ? 2 : 1;
  LATHE_TRY(
      const Json shot,
      chromium.ask(
          "Page.captureScreenshot",
          {{"format", "png"},
           {"captureBeyondViewport", true},
           {"clip", {{"x", 0}, {"y", 0}, {"width", width}, {"height", tall}, {"scale", scale}}}},
          2 * kAnswerLimit));
  LATHE_TRY_STATUS(
      write_file_atomic(fmt::format("view{}.png", index), from_base64(json_string(shot, "data"))));
  facts.push_back(survey);
  return {};
}

Result<Json> claims_checked(Chromium& chromium, const Json& claims) {
  Json checked = Json::array();
  if (claims.empty()) return checked;
  LATHE_TRY(const Json made,
            chromium.ask("Page.createIsolatedWorld", {{"frameId", chromium.frame()}}));
  for (const Json& claim : claims) {
    LATHE_TRY(const Json answer, evaluated(chromium, json_int(made, "executionContextId", 0),
                                           json_string(claim, "expression")));
    const Json& value = json_at(json_at(answer, "result"), "value");
    std::string got = dump_json(value);
    if (answer.contains("exceptionDetails"))
      got = json_string(json_at(answer["exceptionDetails"], "exception"), "description");
    checked.push_back({{"holds", value.is_boolean() && value.get<bool>()}, {"got", got}});
  }
  return checked;
}

Result<Json> visited(const std::string& program, const Json& request, const std::string& html) {
  Chromium chromium(html);
  LATHE_TRY_STATUS(chromium.start(program));
  LATHE_TRY(const std::optional<Rest> rest, opened(chromium));
  // A page that never leaves the processor alone is not looked at further: it would take all day.
  const bool loaded = rest && !rest->burns;
  Json seen = {{"finished", rest.has_value()},
               {"burns", rest && rest->burns},
               {"restless", loaded && !rest->quiet},
               {"facts", Json::array()},
               {"claims", Json::array()}};
  const Json& widths = json_at(request, "widths");
  const int height = static_cast<int>(json_int(request, "height", 800));
  Status well{};
  for (std::size_t i = 0; loaded && well && i < widths.size(); ++i)
    well = save_view(chromium, widths[i].get<int>(), height, i, seen["facts"]);
  if (loaded && well) {
    auto claims = claims_checked(chromium, json_at(request, "claims"));
    if (claims)
      seen["claims"] = *std::move(claims);
    else
      well = std::unexpected(claims.error());
  }
  // A page that stops answering is at fault itself.
  if (!well) seen["finished"] = false;
  seen.update(chromium.notes());
  return seen;
}

}  // namespace

int page_driver_main(const std::string& chromium) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto request_text = read_file("request.json"), html = read_file("page.html");
  if (!request_text || !html) return 2;
  const auto request = parse_json(*request_text);
  if (!request) return 2;
  auto seen = visited(chromium, *request, *html);
  const Json result = seen ? *seen : Json{{"error", seen.error().message}};
  return write_file_atomic("seen.json", dump_json(result)) ? 0 : 1;
}

}  // namespace lathe::loop
