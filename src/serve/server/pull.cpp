// Fetches models for clients, and tells them how far it is.
#include "serve/server/pull.h"

#include <atomic>
#include <list>
#include <mutex>
#include <thread>

#include "ground/base/clock.h"
#include "serve/server/endpoints.h"
#include "serve/server/fields.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostPulls = 4;
constexpr Milliseconds kBetweenLines{100};

std::string line(const Json& json) {
  return dump_json(json) + "\n";
}

// One client's pull, as it is told.
class Told {
 public:
  Told(std::shared_ptr<HttpExchange> exchange, bool stream)
      : exchange_(std::move(exchange)), stream_(stream) {
    if (!stream_) return;
    exchange_->begin({"application/x-ndjson", {{"Cache-Control", "no-cache"}}});
    exchange_->send(line({{"status", "pulling manifest"}}));
  }

  void step(const PullStep& step) {
    const Milliseconds now = system_clock().monotonic();
    if (!stream_ || (step.done < step.bytes && now - told_ < kBetweenLines)) return;
    told_ = now;
    exchange_->send(line({{"status", "pulling " + step.sha256.substr(0, 12)},
                          {"digest", "sha256:" + step.sha256},
                          {"total", step.bytes},
                          {"completed", step.done}}));
  }

  void end(const Status& status) {
    if (!status) {
      const ApiError error = api_error(status.error());
      const Json json = error_json(Dialect::kOllama, error);
      return exchange_->finish({error.status, dump_json(json)}, line(json));
    }
    const Json success = {{"status", "success"}};
    if (!stream_) return exchange_->reply(json_reply(success));
    for (const char* done : {"verifying sha256 digest", "writing manifest"})
      exchange_->send(line({{"status", done}}));
    exchange_->send(line(success));
    exchange_->end();
  }

 private:
  const std::shared_ptr<HttpExchange> exchange_;
  const bool stream_;
  Milliseconds told_{-1'000};
};

class Puller {
 public:
  Puller(ModelHost& host, PullModel pull) : host_(host), pull_(std::move(pull)) {}
  ~Puller() {
    for (Job& job : jobs_) job.stop->raise();
    for (Job& job : jobs_) job.thread.join();
  }

  Handled answer(Call& call) {
    std::string name = json_string(call.body, "model", json_string(call.body, "name"));
    if (name.empty()) return refuse("'model' is missing", "model");
    const bool stream = json_bool(call.body, "stream", true);
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
    job.thread = std::thread([this, name = std::move(name), stream, exchange = call.exchange,
                              stop = job.stop, over = job.over] {
      Told told(exchange, stream);
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
  table.rows.push_back(
      {"POST", "/api/pull", [puller](Call& call) { return puller->answer(call); }});
  return table;
}

}  // namespace lathe::serve
