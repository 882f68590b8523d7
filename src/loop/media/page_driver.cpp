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

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "loop/media/page.h"

namespace lathe {
namespace {

constexpr Milliseconds kStartLimit{15'000};
constexpr Milliseconds kLoadLimit{8'000};
constexpr Milliseconds kAnswerLimit{5'000};
constexpr Milliseconds kSettle{300};  // for scripts that run once the page is there
constexpr std::size_t kMaxMessage = std::size_t{96} << 20;
constexpr std::size_t kMaxNotes = 50;
constexpr std::string_view kPageUrl = "http://page.invalid/";

// What stands where, in pixels of the whole page. Runs in a world of its own: scripts of the page
// cannot touch it.
constexpr std::string_view kSurvey = R"js((() => {
const root = document.scrollingElement || document.documentElement, W = innerWidth;
const short = s => (s || '').trim().replace(/\s+/g, ' ').slice(0, 80);
const box = r => [Math.round(r.left + scrollX), Math.round(r.top + scrollY), Math.round(r.width), Math.round(r.height)];
const out = {overflow: Math.max(root.scrollWidth, document.body ? document.body.scrollWidth : 0) - W,
  height: root.scrollHeight, faint: [], beyond: [], cut: [], links: [], images: [], text: '', words: []};
const parts = c => (c.match(/[\d.]+/g) || []).map(Number);
const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
// The contrast by the style sheets; 21 where a picture or half-transparency is behind the letters.
const contrast = e => {
  const ink = parts(getComputedStyle(e).color);
  if (ink.length > 3 && ink[3] < 1) return 21;
  for (let at = e; at; at = at.parentElement) {
    const style = getComputedStyle(at), ground = parts(style.backgroundColor);
    if (style.backgroundImage !== 'none' || (ground.length > 3 && ground[3] > 0 && ground[3] < 1)) return 21;
    if (ground.length === 3 || ground[3] === 1 || !at.parentElement) {
      const a = light(ink), b = light(ground.length === 3 || ground[3] === 1 ? ground : [255, 255, 255]);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }
  }
  return 21;
};
const add = (list, entry) => { if (list.length < 40) list.push(entry); };
out.text = (document.body ? document.body.innerText : '').slice(0, 20000);
for (const e of document.querySelectorAll('body *')) {
  const style = getComputedStyle(e), r = e.getBoundingClientRect();
  if (style.visibility === 'hidden' || style.display === 'none' || +style.opacity < 0.05) continue;
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  const big = r.width > 1 && r.height > 1;
  if (big && (own || e.tagName === 'IMG') && (r.right > W + 1 || r.left + scrollX < -1 || r.top + scrollY < -1))
    add(out.beyond, {text: short(e.innerText || e.alt || e.tagName), box: box(r)});
  if (big && own && /hidden|clip/.test(style.overflow + style.overflowX + style.overflowY) && style.textOverflow !== 'ellipsis'
      && (e.scrollWidth > e.clientWidth + 2 || e.scrollHeight > e.clientHeight + 2))
    add(out.cut, {text: short(e.innerText), box: box(r)});
  if (big && own && contrast(e) < 4.5)
    add(out.faint, {text: short(e.innerText), box: box(r), contrast: contrast(e), large: parseFloat(style.fontSize) >= 24});
  if (e.tagName === 'A') {
    const href = (e.getAttribute('href') || '').trim();
    const anchor = href.startsWith('#') && href.length > 1
      && href !== '#top' && !(document.getElementById(decodeURIComponent(href.slice(1))) || document.getElementsByName(href.slice(1)).length);
    if (href === '' || href === '#' || /^javascript:/i.test(href) || anchor)
      add(out.links, {text: short(e.innerText), href: short(href), box: box(r)});
  }
  if (e.tagName === 'IMG' && (!e.complete || e.naturalWidth === 0))
    add(out.images, {text: short(e.alt || e.getAttribute('src')), box: box(r)});
}
// Where the words of the page stand, as far as they are within it.
const walker = document.createTreeWalker(document.body || root, NodeFilter.SHOW_TEXT), range = document.createRange();
for (let n; (n = walker.nextNode()) && out.words.length < 3000;) {
  const style = n.parentElement && getComputedStyle(n.parentElement);
  if (!style || style.visibility === 'hidden' || +style.opacity < 0.05 || /^(SCRIPT|STYLE|NOSCRIPT)$/.test(n.parentElement.tagName)) continue;
  for (const m of n.data.matchAll(/\S+/g)) {
    range.setStart(n, m.index); range.setEnd(n, m.index + m[0].length);
    const r = range.getBoundingClientRect();
    if (r.width > 1 && r.height > 1 && r.left >= 0 && r.right <= W) out.words.push({text: m[0].slice(0, 80), box: box(r)});
    if (out.words.length >= 3000) break;
  }
}
return JSON.stringify(out);
})())js";

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) continue;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++count == 4) {
      out += {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8), static_cast<char>(bits)};
      count = 0;
    }
  }
  if (count >= 2) out += static_cast<char>(bits >> (6 * count - 8));
  if (count == 3) out += static_cast<char>(bits >> 2);
  return out;
}

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
    std::vector<std::string> args{program,
                                  "--headless",
                                  "--no-sandbox",  // it has ours
                                  "--no-zygote",
                                  "--disable-gpu",
                                  "--disable-dev-shm-usage",
                                  "--disable-breakpad",
                                  "--disable-background-networking",
                                  "--disable-component-update",
                                  "--disable-extensions",
                                  "--disable-sync",
                                  "--block-new-web-contents",
                                  "--mute-audio",
                                  "--no-first-run",
                                  "--hide-scrollbars",
                                  "--force-color-profile=srgb",
                                  "--font-render-hinting=none",
                                  "--user-data-dir=/tmp/profile",
                                  "--remote-debugging-pipe"};
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
    const int id = send(method, std::move(params));
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
    while (!loaded_ && next(end)) {
    }
    return loaded_;
  }

  void use_session(std::string session) { session_ = std::move(session); }

  Json notes() const {
    return {{"errors", errors_}, {"requests", requests_}, {"intrusions", intrusions_}};
  }

 private:
  int send(const std::string& method, Json params) {
    Json message = {{"id", ++last_id_}, {"method", method}, {"params", std::move(params)}};
    if (!session_.empty()) message["sessionId"] = session_;
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
    if (notes.size() < kMaxNotes && std::ranges::find(notes, text) == notes.end())
      notes.push_back(clip_utf8(text, 300));
  }

  void handle(const Json& message) {
    const std::string method = json_string(message, "method");
    const Json& params = json_at(message, "params");
    if (method == "Page.loadEventFired") {
      loaded_ = true;
    } else if (method == "Fetch.requestPaused") {
      answer_request(params);
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
      send("Page.handleJavaScriptDialog", {{"accept", false}});
    } else if (method == "Page.windowOpen") {
      note(intrusions_, fmt::format("a window for {}", json_string(params, "url")));
    } else if (method == "Network.webSocketCreated") {
      note(requests_, json_string(params, "url"));
    }
  }

  // The page itself is handed over; nothing else exists.
  void answer_request(const Json& params) {
    const Json& request = json_at(params, "request");
    const std::string url = json_string(request, "url");
    if (url == kPageUrl && !served_) {
      served_ = true;
      send("Fetch.fulfillRequest",
           {{"requestId", json_string(params, "requestId")},
            {"responseCode", 200},
            {"responseHeaders",
             Json::array({{{"name", "Content-Type"}, {"value", "text/html; charset=utf-8"}}})},
            {"body", to_base64(html_)}});
      return;
    }
    if (!url.ends_with("/favicon.ico"))
      note(requests_, url.starts_with(kPageUrl) ? url.substr(kPageUrl.size() - 1) : url);
    send("Fetch.failRequest",
         {{"requestId", json_string(params, "requestId")}, {"errorReason", "BlockedByClient"}});
  }

  std::string html_;
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  int last_id_ = 0;
  bool loaded_ = false, served_ = false;
  std::string session_, buffer_;
  std::size_t searched_ = 0;
  std::vector<std::string> errors_, requests_, intrusions_;
};

Result<Json> evaluated(Chromium& chromium, std::int64_t world, std::string_view expression) {
  LATHE_TRY(const Json answer, chromium.ask("Runtime.evaluate", {{"expression", expression},
                                                                 {"contextId", world},
                                                                 {"returnByValue", true},
                                                                 {"timeout", 3000}}));
  return answer;
}

// Opens the page. False: it never finished.
Result<bool> opened(Chromium& chromium) {
  LATHE_TRY(const Json target,
            chromium.ask("Target.createTarget", {{"url", "about:blank"}}, kStartLimit));
  LATHE_TRY(const Json attached,
            chromium.ask("Target.attachToTarget",
                         {{"targetId", json_string(target, "targetId")}, {"flatten", true}}));
  chromium.use_session(json_string(attached, "sessionId"));
  for (const char* domain : {"Page.enable", "Runtime.enable", "Network.enable"})
    LATHE_TRY_STATUS(chromium.ask(domain, Json::object()));
  LATHE_TRY_STATUS(
      chromium.ask("Fetch.enable", {{"patterns", Json::array({{{"urlPattern", "*"}}})}}));
  const auto went = chromium.ask("Page.navigate", {{"url", kPageUrl}}, kLoadLimit);
  const bool loaded = went && chromium.wait_for_load(kLoadLimit);
  if (loaded) chromium.wait(kSettle);
  return loaded;
}

Status save_view(Chromium& chromium, int width, int height, std::size_t index, Json& facts) {
  LATHE_TRY_STATUS(chromium.ask(
      "Emulation.setDeviceMetricsOverride",
      {{"width", width}, {"height", height}, {"deviceScaleFactor", 1}, {"mobile", false}}));
  chromium.wait(kSettle / 2);
  LATHE_TRY(const Json tree, chromium.ask("Page.getFrameTree", Json::object()));
  const std::string frame = json_string(json_at(json_at(tree, "frameTree"), "frame"), "id");
  LATHE_TRY(const Json made, chromium.ask("Page.createIsolatedWorld", {{"frameId", frame}}));
  const std::int64_t world = json_int(made, "executionContextId", 0);
  LATHE_TRY(const Json answer, evaluated(chromium, world, kSurvey));
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
  LATHE_TRY(const Json tree, chromium.ask("Page.getFrameTree", Json::object()));
  LATHE_TRY(
      const Json made,
      chromium.ask("Page.createIsolatedWorld",
                   {{"frameId", json_string(json_at(json_at(tree, "frameTree"), "frame"), "id")}}));
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
  LATHE_TRY(const bool loaded, opened(chromium));
  Json seen = {{"finished", loaded}, {"facts", Json::array()}, {"claims", Json::array()}};
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

}  // namespace lathe
