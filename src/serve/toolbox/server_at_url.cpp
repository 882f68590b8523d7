// Speaks with servers at URLs: a POST a message, each question on a thread of its own.
#include "serve/toolbox/server_at_url.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "ground/base/text.h"
#include "serve/net/sse.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kAsLongAsAsked{24LL * 3600 * 1000};  // who asks says when it is too long
constexpr Milliseconds kFarewell{2'000};
constexpr std::size_t kMaxSessionBytes = 1000, kMaxShownBytes = 200;

// Whether an answer without the protocol's own words says that it knows nothing of discovery, and
// may know what was before.
bool may_be_of_before(int status) {
  return status >= 400 && status != 401 && status != 403;
}

class UrlWire final : public Wire {
 public:
  UrlWire(const ToolServer& server, Endpoint endpoint, UrlTerms terms)
      : name_(server.name),
        privacy_(server.privacy),
        endpoint_(std::move(endpoint)),
        terms_(std::move(terms)) {}
  ~UrlWire() override {
    leave();
    end_session();
  }

  bool tells_changes() const override { return false; }  // but where a call is being answered

  Status say(std::string_view line, Milliseconds limit, const StopFlag& stop) override {
    LATHE_TRY(Json message, parse_json(line));
    LATHE_TRY(HttpCall call, call_of(message, line, stop));
    if (!message.contains("method") || !message.contains("id")) {
      call.total_limit = limit;
      LATHE_TRY(const HttpAnswer answer, http_call(call, stop));
      return answer.status < 300 ? Status() : std::unexpected(refusal(answer));
    }
    leave();  // who asks anew waits for nothing else any more
    lines_.clear();
    failed_.reset();
    left_ = std::make_unique<StopFlag>();
    thread_ = std::thread([this, call = std::move(call), message = std::move(message),
                           body = std::string(line)] { ask(call, message, body); });
    return {};
  }

  Result<std::optional<std::string>> hear(Milliseconds wait, const StopFlag& stop) override {
    if (stop.raised()) {
      leave();
      return fail(ErrorKind::kCancelled, "stopped");
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [this] { return !lines_.empty() || failed_; });
    if (lines_.empty() && failed_) return std::unexpected(*failed_);
    if (lines_.empty()) return std::optional<std::string>();
    std::optional<std::string> line = std::move(lines_.front());
    lines_.pop_front();
    return line;
  }

 private:
  // Closing the exchange is how the protocol cancels what was asked.
  void leave() {
    if (!thread_.joinable()) return;
    left_->raise();
    thread_.join();
  }

  // A server of before keeps a session until it is told that nobody wants it any more. It may
  // refuse, and need not answer: nothing hangs on it.
  void end_session() {
    if (session_.empty()) return;
    HttpCall call = call_to_server();
    call.method = "DELETE";
    add_session(call);
    call.connect_limit = call.idle_limit = call.total_limit = kFarewell;
    static_cast<void>(http_call(call, StopFlag()));
  }

  void add_session(HttpCall& call) {
    const std::scoped_lock lock(mutex_);
    if (!version_.empty()) call.headers.push_back("MCP-Protocol-Version: " + version_);
    if (!session_.empty()) call.headers.push_back("Mcp-Session-Id: " + session_);
  }

  HttpCall call_to_server() const {
    HttpCall call;
    call.url = endpoint_.url;
    call.allowed = privacy_;
    call.contacts = terms_.contacts;
    call.allowed_by = terms_.allowed_by;
    call.labels = {{"tool_server", name_}};
    if (!terms_.token.empty()) call.headers.push_back("Authorization: Bearer " + terms_.token);
    return call;
  }

  Result<HttpCall> call_of(const Json& message, std::string_view body, const StopFlag& stop) {
    HttpCall call = call_to_server();
    call.body = body;
    call.total_limit = call.idle_limit = kAsLongAsAsked;
    call.max_body = kMaxRpcBytes;
    call.headers.push_back("Accept: application/json, text/event-stream");
    const Json& params = json_at(message, "params");
    const std::string version = json_string(json_at(params, "_meta"), kVersionKey);
    const std::string method = json_string(message, "method");
    if (!version.empty()) {
      call.headers.push_back("MCP-Protocol-Version: " + version);
      call.headers.push_back("Mcp-Method: " + method);
      if (method == "tools/call")
        call.headers.push_back("Mcp-Name: " + json_string(params, "name"));
    } else if (method != "initialize") {
      add_session(call);
    }
    // What waits for a person takes none of the time that the server has.
    if (privacy_ == Reach::kAny && endpoint_.reach == Reach::kAny && terms_.consent) {
      LATHE_TRY(const UrlParts parts, parts_of(endpoint_.url));
      LATHE_TRY(std::string words, terms_.consent({.bytes = call.body,
                                                   .destination = parts.origin + parts.path,
                                                   .model = "",
                                                   .labels = call.labels},
                                                  stop));
      call.consent = [words = std::move(words)](const CloudBody&, const StopFlag&) {
        return Result<std::string>(words);
      };
    }
    return call;
  }

  void ask(HttpCall call, const Json& message, const std::string& body) {
    call.body = body;
    const std::string method = json_string(message, "method");
    const Json& id = json_at(message, "id");
    std::vector<std::string> held;  // until the session is known
    bool answered = false;
    std::optional<Error> broken;
    const auto take = [&](std::string line) {
      if (const auto json = parse_json(line, {.max_bytes = kMaxRpcBytes})) {
        const auto read = read_rpc_answer(*json);
        answered |= read && *read && (*read)->id == id;
      } else {
        broken = Error{ErrorKind::kUnavailable,
                       fmt::format("it answered with what is no message: {}", shown(line))};
        return;
      }
      if (method == "initialize")
        held.push_back(std::move(line));
      else
        push(std::move(line));
    };
    SseReader events(
        [&](std::string_view data) {
          take(std::string(data));
          return broken ? Status(std::unexpected(*broken)) : Status();
        },
        kMaxRpcBytes);
    call.on_stream = [&](std::string_view bytes) {
      if (auto fed = events.feed(bytes); !fed && !broken) broken = fed.error();
      return !broken && !answered;
    };
    auto answer = http_call(call, *left_);
    if (!answer && answer.error().kind == ErrorKind::kInvalid)  // too much of it: not our mistake
      return end({ErrorKind::kUnavailable, answer.error().message});
    if (!answer) return end(answer.error());
    if (!answer->streamed && answer->status == 200 &&
        answer->content_type.starts_with("application/json"))
      take(answer->body);
    if (broken) return end(*broken);
    if (answer->status >= 300) return refused(*answer, method, id);
    if (!answer->streamed && !answer->content_type.starts_with("application/json"))
      return end({ErrorKind::kUnavailable,
                  fmt::format("it answered with status {} and neither JSON nor a stream of events",
                              answer->status)});
    if (!answered && answer->streamed)
      return end({ErrorKind::kUnavailable, "its stream ended before the answer"});
    if (method == "initialize" && !begin_session(*answer, held)) return;
    for (std::string& line : held) push(std::move(line));
  }

  bool begin_session(const HttpAnswer& answer, const std::vector<std::string>& lines) {
    const std::string session = answer.header("mcp-session-id");
    if (session.size() > kMaxSessionBytes ||
        !std::ranges::all_of(session, [](char c) { return c > ' ' && c < 127; })) {
      end({ErrorKind::kUnavailable, "its session id is none"});
      return false;
    }
    const auto begun = lines.empty() ? Json() : parse_json(lines.back()).value_or(Json());
    const std::string version = json_string(json_at(begun, "result"), "protocolVersion");
    const std::scoped_lock lock(mutex_);
    session_ = session;
    version_ = is_legacy_mcp_version(version) ? version : "";
    return true;
  }

  // A status that is an error: the protocol's own words are passed on.
  void refused(const HttpAnswer& answer, const std::string& method, const Json& id) {
    if (const auto json = parse_json(answer.body)) {
      const auto read = read_rpc_answer(*json);
      if (read && *read && (*read)->id == id) return push(answer.body);
    }
    if (method == "server/discover" && may_be_of_before(answer.status))
      return push(dump_json(
          rpc_error(id, {RpcCode::kMethodNotFound, fmt::format("status {}", answer.status)})));
    end(refusal(answer));
  }

  Error refusal(const HttpAnswer& answer) const {
    const std::string status = fmt::format("it answered with status {}", answer.status);
    if (answer.status == 401 || answer.status == 403)
      return {ErrorKind::kDenied,
              fmt::format("{}: it wants {} token (token_env or token_file in [[tool]])", status,
                          terms_.token.empty() ? "a" : "another")};
    if (answer.status >= 300 && answer.status < 400)
      return {ErrorKind::kUnavailable, status + ": it sends us elsewhere, which is not followed"};
    return {ErrorKind::kUnavailable, fmt::format("{}: {}", status, shown(answer.body))};
  }

  std::string shown(std::string_view foreign) const {
    std::string text = make_valid_utf8(foreign);
    if (!terms_.token.empty()) text = replace_all(text, terms_.token, "…");
    return "'" + escaped_text(clip_utf8(text, kMaxShownBytes)) + "'";
  }

  void push(std::string line) {
    const std::scoped_lock lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  void end(Error why) {
    const std::scoped_lock lock(mutex_);
    failed_ = std::move(why);
    changed_.notify_all();
  }

  const std::string name_;
  const Reach privacy_;
  const Endpoint endpoint_;
  const UrlTerms terms_;
  std::unique_ptr<StopFlag> left_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  std::optional<Error> failed_;
  std::string session_, version_;  // of a server of before
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Wire>> connect_server(const ToolServer& server, UrlTerms terms) {
  LATHE_TRY(Endpoint endpoint, parse_base_url(server.url));
  if (endpoint.reach > server.privacy)
    return fail(ErrorKind::kDenied,
                "{} is farther away than privacy = \"{}\" allows; \"{}\" would, if the recipe's "
                "own and --allow reach as far",
                endpoint.url, reach_name(server.privacy), reach_name(endpoint.reach));
  return std::unique_ptr<Wire>(
      std::make_unique<UrlWire>(server, std::move(endpoint), std::move(terms)));
}

}  // namespace lathe::serve
