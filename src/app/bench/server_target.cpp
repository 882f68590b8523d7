// A server over HTTP as what is measured: a connection and a thread a request, nothing tried again.
#include <algorithm>
#include <map>
#include <thread>

#include "app/bench/live_target.h"
#include "ground/base/text.h"
#include "serve/net/chat_stream.h"
#include "serve/net/http_call.h"
#include "serve/net/sse.h"

namespace lathe::app {
namespace {

class ServerTarget final : public Target {
 public:
  explicit ServerTarget(ServerPlace place) : place_(std::move(place)) {}
  ~ServerTarget() override {
    stop_.raise();
    for (auto& [id, thread] : threads_) thread.join();
  }
  std::string where() const override { return place_.url + "#" + place_.model; }
  std::int64_t now_us() const override { return EventQueue::now_us(); }

  void ask(std::uint64_t id, const Request& request) override {
    const std::string body = dump_json(serve::request_json(
        request, place_.model,
        place_.allowed == Reach::kAny ? serve::PeerKind::kCloud : serve::PeerKind::kLocal));
    threads_[id] = std::thread(
        [this, id, body, limit = request.time_limit] { events_.push(exchange(id, body, limit)); });
  }

  std::optional<TargetEvent> next(std::int64_t until_us) override {
    auto event = events_.next(until_us);
    if (event && event->kind == TargetEvent::Kind::kEnd) {
      // The end is the last that a thread does.
      const auto thread = threads_.find(event->id);
      thread->second.join();
      threads_.erase(thread);
    }
    return event;
  }

  // For good: a target that was stopped is asked nothing any more.
  void cancel() override { stop_.raise(); }

 private:
  TargetEvent exchange(std::uint64_t id, const std::string& body, Milliseconds limit) {
    Status status;
    bool text = false;  // of the event that is being read
    std::string answer;
    serve::ChatStream stream([&](const Delta& delta) {
      text = text || !delta.text.empty() || !delta.reasoning.empty();
      answer += delta.reasoning + delta.text;
    });
    serve::SseReader reader([&](std::string_view data) -> Status {
      text = false;
      LATHE_TRY_STATUS(stream.event(data));
      if (!stream.done())
        events_.push({.id = id,
                      .at_us = now_us(),
                      .kind = text ? TargetEvent::Kind::kText : TargetEvent::Kind::kEmpty});
      return {};
    });
    serve::HttpCall call{.url = place_.url + "/chat/completions",
                         .body = body,
                         .headers = {"Accept: text/event-stream"},
                         .allowed = place_.allowed,
                         .contacts = place_.contacts,
                         .allowed_by = place_.allowed_by,
                         .idle_limit = place_.idle_limit,
                         .total_limit = limit,
                         .consent = place_.consent,
                         .model = place_.model,
                         .prompt_tokens = static_cast<std::int64_t>(body.size()) / 3,
                         .answer_tokens = -1};
    if (!place_.api_key.empty()) call.headers.push_back("Authorization: Bearer " + place_.api_key);
    call.on_stream = [&](std::string_view bytes) {
      status = reader.feed(bytes);
      return status.has_value() && !stream.done();
    };
    const Result<serve::HttpAnswer> http = serve::http_call(call, stop_);
    TargetEvent event{.id = id, .at_us = now_us()};
    if (!http) {
      event.error = http.error().message;
    } else if (http->status != 200 || !http->streamed) {
      event.error = fmt::format("status {}, no stream: {}", http->status,
                                serve::error_message_of(http->body));
    } else if (!status) {
      event.error = status.error().message;
    } else if (Result<Reply> reply = std::move(stream).finish()) {
      event.usage = reply->usage;
      event.finish = reply->finish;
      event.text = std::move(answer);
    } else {
      event.error = reply.error().message;
    }
    if (!place_.api_key.empty()) event.error = replace_all(event.error, place_.api_key, "[key]");
    return event;
  }

  const ServerPlace place_;
  StopFlag stop_;
  EventQueue events_;
  std::map<std::uint64_t, std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Target>> server_target(ServerPlace place, const StopFlag& stop) {
  LATHE_TRY(const serve::Endpoint endpoint, serve::parse_endpoint(place.url));
  if (endpoint.reach > place.allowed)
    return fail(ErrorKind::kDenied,
                "{} is reached by '{}', but only '{}' is allowed, so nothing was sent; to allow "
                "it, give --allow {}",
                endpoint.url, reach_name(endpoint.reach), reach_name(place.allowed),
                reach_name(endpoint.reach));
  place.url = endpoint.url;
  if (place.model.empty()) {
    serve::HttpCall call{.url = place.url + "/models",
                         .body = {},
                         .headers = {},
                         .allowed = place.allowed,
                         .contacts = place.contacts,
                         .allowed_by = place.allowed_by,
                         .total_limit = Milliseconds(10'000),
                         .max_body = 4 << 20};
    if (!place.api_key.empty()) call.headers.push_back("Authorization: Bearer " + place.api_key);
    LATHE_TRY(const serve::HttpAnswer answer, serve::http_call(call, stop));
    const auto json = parse_json(answer.body);
    std::vector<std::string> names;
    if (json)
      for (const Json& model : json_at(*json, "data")) names.push_back(json_string(model, "id"));
    if (names.size() != 1)
      return fail(ErrorKind::kNotFound, "{} lists {} models{}{}: say which one as URL#MODEL",
                  place.url, names.size(), names.empty() ? "" : ", ",
                  clip_utf8(join(names, ", "), 500));
    place.model = names.front();
  }
  return std::make_unique<ServerTarget>(std::move(place));
}

}  // namespace lathe::app
