// Fetches models for clients, and tells them how far it is.
#include "serve/server/pull.h"

#include <atomic>
#include <list>
#include <mutex>
#include <thread>

#include "ground/base/clock.h"
#include "serve/server/answer.h"
#include "serve/server/endpoints.h"
#include "serve/server/fields.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostPulls = 4;
constexpr Milliseconds kBetweenLines{100};

std::string line(const Json& json) {
  return dump_json(json) + "\n";
}

// How a client is told of its pull.
enum class PullForm { kAtOnce, kLines, kEvents };

// One client's pull, as it is told.
class Told {
 public:
  Told(std::shared_ptr<HttpExchange> exchange, PullForm form)
      : exchange_(std::move(exchange)), form_(form) {
    if (form_ == PullForm::kLines) {
      exchange_->begin({"application/x-ndjson", {{"Cache-Control", "no-cache"}}});
      exchange_->send(line({{"status", "pulling manifest"}}));
    } else if (form_ == PullForm::kEvents) {
      exchange_->begin(event_stream());
      exchange_->send(sse_data({{"words", "looking it up"}, {"done", 0}, {"total", 0}}));
    }
  }

  void step(const PullStep& step) {
    const Milliseconds now = system_clock().monotonic();
    if (form_ == PullForm::kAtOnce || (step.done < step.bytes && now - told_ < kBetweenLines))
      return;
    told_ = now;
    const std::string words = "pulling " + step.sha256.substr(0, 12);
    exchange_->send(form_ == PullForm::kEvents
                        ? sse_data({{"words", words}, {"done", step.done}, {"total", step.bytes}})
                        : line({{"status", words},
                                {"digest", "sha256:" + step.sha256},
                                {"total", step.bytes},
                                {"completed", step.done}}));
  }

  void end(const Status& status) {
    if (form_ == PullForm::kEvents) {
      exchange_->send(status ? sse_event("end", Json::object())
                             : sse_event("error", {{"message", status.error().message}}));
      return exchange_->end();
    }
    if (!status) {
      const ApiError error = api_error(status.error());
      const Json json = error_json(Dialect::kOllama, error);
      return exchange_->finish({error.status, dump_json(json)}, line(json));
    }
    const Json success = {{"status", "success"}};
    if (form_ == PullForm::kAtOnce) return exchange_->reply(json_reply(success));
    for (const char* done : {"verifying sha256 digest", "writing manifest"})
      exchange_->send(line({{"status", done}}));
    exchange_->send(line(success));
    exchange_->end();
  }

 private:
  const std::shared_ptr<HttpExchange> exchange_;
  const PullForm form_;
  Milliseconds told_{-1'000};
};

// As Ollama's clients write what a person would write to `lathe pull`.
std::string ollama_name(const std::string& text) {
  for (const char* start : {"ollama:", "hf.co/", "huggingface.co/", "https://", "http://"})
    if (text.starts_with(start)) return text;
  return "hf.co/" + text;
}

class Puller {
 public:
  Puller(ModelHost& host, PullModel pull) : host_(host), pull_(std::move(pull)) {}
  ~Puller() {
    for (Job& job : jobs_) job.stop->raise();
    for (Job& job : jobs_) job.thread.join();
  }

  Handled answer(Call& call, PullForm form) {
    std::string name = json_string(call.body, "model", json_string(call.body, "name"));
    if (name.empty()) return refuse("'model' is missing", "model");
    if (form == PullForm::kEvents && !host_.find(name)) name = ollama_name(name);
    const std::scoped_lock lock(mutex_);
    jobs_.remove_if([](Job& job) {
      if (job.over->load()) job.thread.join();
      return !job.thread.joinable();
    });
    if (!call.owner && !host_.find(name))
      return std::unexpected(
          ApiError{403, "models are fetched for whoever runs the server: with the owner's key"});
    if (jobs_.size() == kMostPulls)
      return std::unexpected(ApiError{
          429, fmt::format("{} models are being pulled already; try again later", kMostPulls)});
    Job& job = jobs_.emplace_back();
    call.exchange->on_gone([stop = job.stop](HttpGone) { stop->raise(); });
    job.thread = std::thread([this, name = std::move(name), form, exchange = call.exchange,
                              stop = job.stop, over = job.over] {
      Told told(exchange, form);
      const bool here = host_.find(name).has_value();
      told.end(here ? Status()
                    : pull_(
                          name, [&](const PullStep& step) { told.step(step); }, *stop));
      over->store(true);
    });
    return std::nullopt;
  }

 private:
  struct Job {
    std::shared_ptr<StopFlag> stop = std::make_shared<StopFlag>();
    std::shared_ptr<std::atomic<bool>> over = std::make_shared<std::atomic<bool>>(false);
    std::thread thread;
  };

  ModelHost& host_;
  const PullModel pull_;
  std::mutex mutex_;
  std::list<Job> jobs_;
};

}  // namespace

RouteTable pull_routes(ModelHost& host, PullModel pull) {
  auto puller = std::make_shared<Puller>(host, std::move(pull));
  RouteTable table;
  table.rows.push_back({"POST", "/api/pull", [puller](Call& call) {
                          const bool stream = json_bool(call.body, "stream", true);
                          return puller->answer(call,
                                                stream ? PullForm::kLines : PullForm::kAtOnce);
                        }});
  Route events{"POST", "/catalog/pull",
               [puller](Call& call) { return puller->answer(call, PullForm::kEvents); }};
  events.change = true;
  table.rows.push_back(std::move(events));
  return table;
}

}  // namespace lathe::serve
