#include "serve/net/http_worker.h"

#include <algorithm>
#include <thread>

#include "ground/base/text.h"
#include "serve/net/chat_stream.h"
#include "serve/net/sse.h"

namespace lathe {
namespace {

constexpr int kRetries = 2;
constexpr Milliseconds kMaxBackOff{8'000};
constexpr Milliseconds kMaxWait{60'000};  // a server that asks for more is not waited for

bool may_retry(int status) {
  return status == 408 || status == 409 || status == 429 || status >= 500;
}

}  // namespace

struct HttpWorker::Call {
  const StopFlag& stop;
  Milliseconds deadline;
  Milliseconds left() const {
    return std::max(deadline - system_clock().monotonic(), Milliseconds(1));
  }
};

struct HttpWorker::Retry {
  bool worth = false;
  Milliseconds asked{-1};  // what the server asks for; -1: nothing
};

HttpWorker::HttpWorker(HttpWorkerConfig config, Endpoint endpoint)
    : config_(std::move(config)), endpoint_(std::move(endpoint)) {}

Result<std::unique_ptr<HttpWorker>> HttpWorker::make(HttpWorkerConfig config) {
  auto endpoint = parse_endpoint(config.base_url);
  if (!endpoint) return at("worker " + config.name, std::move(endpoint).error());
  if (config.api_key.find_first_of("\r\n") != std::string::npos)
    return invalid("worker {}: its API key holds a line break", config.name);
  return std::unique_ptr<HttpWorker>(new HttpWorker(std::move(config), *std::move(endpoint)));
}

WorkerInfo HttpWorker::info() const {
  return {config_.name, config_.model, endpoint_.url, endpoint_.reach};
}

std::string HttpWorker::redacted(std::string text) const {
  return config_.api_key.empty() ? text : replace_all(text, config_.api_key, "[key]");
}

Status HttpWorker::check_reach() const {
  if (endpoint_.reach <= config_.allowed) return {};
  return fail(ErrorKind::kDenied,
              "{} is reached by '{}', but only '{}' is allowed, so nothing was sent; to allow it, "
              "set privacy = \"{}\" in the recipe and give --allow {}",
              endpoint_.url, reach_name(endpoint_.reach), reach_name(config_.allowed),
              reach_name(endpoint_.reach), reach_name(endpoint_.reach));
}

Result<std::vector<std::string>> HttpWorker::list_models(const Call& call) const {
  HttpCall http{.url = endpoint_.url + "/models",
                .body = {},
                .headers = {},
                .allowed = config_.allowed,
                .connect_limit = config_.connect_limit,
                .idle_limit = std::min(config_.idle_limit, Milliseconds(10'000)),
                .total_limit = std::min(call.left(), Milliseconds(10'000)),
                .max_body = 4 << 20};
  if (!config_.api_key.empty()) http.headers = {"Authorization: Bearer " + config_.api_key};
  LATHE_TRY(const HttpAnswer answer, http_call(http, call.stop));
  const auto json = parse_json(answer.body);
  if (answer.status != 200 || !json)
    return fail(ErrorKind::kUnavailable, "{}: does not list its models (status {})", http.url,
                answer.status);
  std::vector<std::string> names;
  for (const Json& model : json_at(*json, "data"))
    if (std::string id = json_string(model, "id"); !id.empty()) names.push_back(std::move(id));
  return names;
}

Result<std::string> HttpWorker::model_name(const Call& call) {
  if (!config_.model.empty()) return config_.model;
  {
    const std::scoped_lock lock(mutex_);
    if (!served_model_.empty()) return served_model_;
  }
  LATHE_TRY(const std::vector<std::string> names, list_models(call));
  if (names.size() != 1)
    return invalid("{} serves {} models: say which one with {}={}#MODEL{}{}", endpoint_.url,
                   names.size(), config_.name, endpoint_.url, names.empty() ? "" : "; it has ",
                   clip_utf8(join(names, ", "), 500));
  const std::scoped_lock lock(mutex_);
  served_model_ = names.front();
  return served_model_;
}

// What a person is told about an answer that is no reply.
Error HttpWorker::error_of(const HttpAnswer& answer, const Call& call) const {
  const std::string said = error_message_of(answer.body);
  const auto error = [&](ErrorKind kind, std::string_view what) {
    return Error{kind, redacted(fmt::format("{}: {} (status {}){}{}", endpoint_.url, what,
                                            answer.status, said.empty() ? "" : ": ", said))};
  };
  const int status = answer.status;
  if (status == 200)
    return {ErrorKind::kInvalid,
            fmt::format("{}: answered with '{}', not with an event stream; is it an "
                        "OpenAI-compatible endpoint?",
                        endpoint_.url, clip_utf8(answer.content_type, 60))};
  if (status >= 300 && status < 400)
    return error(ErrorKind::kInvalid,
                 "redirects elsewhere, which is not followed; correct the URL");
  if (status == 401 || status == 403)
    return error(ErrorKind::kDenied, "the API key was refused; check the worker's key");
  if (status == 404) {
    Error unknown = error(ErrorKind::kNotFound,
                          fmt::format("knows no model '{}' or no such path", config_.model));
    // Best effort: the names help, their absence changes nothing.
    if (!call.stop.raised() && !config_.model.empty())
      if (const auto names = list_models(call); names && !names->empty())
        unknown.message += "; it has " + clip_utf8(join(*names, ", "), 500);
    return unknown;
  }
  if (status == 429) return error(ErrorKind::kUnavailable, "has too much to do; try again later");
  if (status >= 500) return error(ErrorKind::kUnavailable, "failed");
  return error(ErrorKind::kInvalid, "refused the request");
}

Result<Reply> HttpWorker::attempt(const std::string& body, const Call& call,
                                  const std::function<void(const Delta&)>& on_delta,
                                  Retry& retry) const {
  ChatStream stream(on_delta);
  Status status;
  SseReader reader([&](std::string_view data) { return stream.event(data); });
  HttpCall http{.url = endpoint_.url + "/chat/completions",
                .body = body,
                .headers = {"Accept: text/event-stream"},
                .allowed = config_.allowed,
                .connect_limit = config_.connect_limit,
                .idle_limit = config_.idle_limit,
                .total_limit = call.left()};
  if (!config_.api_key.empty()) http.headers.push_back("Authorization: Bearer " + config_.api_key);
  http.on_stream = [&](std::string_view bytes) {
    status = reader.feed(bytes);
    return status.has_value() && !stream.done();
  };
  if (config_.on_outgoing) config_.on_outgoing(body);
  const Result<HttpAnswer> answer = http_call(http, call.stop);
  if (!status) return at(endpoint_.url, {status.error().kind, redacted(status.error().message)});
  if (!answer) {
    retry.worth = answer.error().kind == ErrorKind::kUnavailable && !stream.begun();
    return std::unexpected(answer.error());
  }
  if (answer->streamed) {
    auto reply = std::move(stream).finish();
    if (!reply) return at(endpoint_.url, std::move(reply).error());
    return reply;
  }
  retry = {may_retry(answer->status) && !answer->never_retry, answer->retry_after};
  return std::unexpected(error_of(*answer, call));
}

Result<Reply> HttpWorker::complete(const Request& request, const StopFlag& stop,
                                   const std::function<void(const Delta&)>& on_delta) {
  const std::string place = "worker " + config_.name;
  if (auto status = check_reach(); !status) return at(place, std::move(status).error());
  const Milliseconds start = system_clock().monotonic();
  const Call call{stop, start + request.time_limit};
  const auto model = model_name(call);
  if (!model) return at(place, model.error());
  const std::string body = chat_request_body(request, *model, endpoint_.reach != Reach::kAny);
  for (int tries = 1;; ++tries) {
    Retry retry;
    auto reply = attempt(body, call, on_delta, retry);
    if (reply) {
      reply->usage.wall = system_clock().monotonic() - start;
      reply->usage.calls = tries;
      if (reply->model.empty()) reply->model = *model;
      return reply;
    }
    const Milliseconds wait = retry.asked.count() >= 0
                                  ? retry.asked
                                  : std::min(config_.retry_delay * (1 << (tries - 1)), kMaxBackOff);
    if (!retry.worth || tries > kRetries || wait > kMaxWait || wait >= call.left())
      return at(tries > 1 ? fmt::format("{} (tried {} times)", place, tries) : place,
                std::move(reply).error());
    const Milliseconds until = system_clock().monotonic() + wait;
    while (system_clock().monotonic() < until && !stop.raised())
      std::this_thread::sleep_for(Milliseconds(20));
    if (stop.raised()) return fail(ErrorKind::kCancelled, "{}: the call was cancelled", place);
  }
}

}  // namespace lathe
