// Targets that are there: the models of this process, and any OpenAI-compatible server. Times are
// the steady clock's, taken where an event comes in.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "app/bench/target.h"
#include "serve/net/http_call.h"
#include "work/model_host.h"

namespace lathe::app {

// `host` must outlive it; nothing of it may be called after it.
std::unique_ptr<Target> host_target(ModelHost& host, std::string model);

struct ServerPlace {
  std::string url = {};    // "http://127.0.0.1:8080/v1"; without a path, "/v1" is added
  std::string model = {};  // "": the only one that it lists
  std::string api_key = {};
  Reach allowed = Reach::kLocal;
  serve::ContactLog* contacts = nullptr;  // null: no address beyond loopback
  std::string allowed_by = {};            // in the words of who allowed it
  Milliseconds idle_limit{300'000};       // without a byte
  serve::ConsentGate consent = {};        // of what goes to a cloud; empty: nothing goes there
};
// Errors: a URL that is none or is not allowed, a server that does not say what it serves.
Result<std::unique_ptr<Target>> server_target(ServerPlace place, const StopFlag& stop);

// What both are made of: events from any thread, fetched by one.
class EventQueue {
 public:
  void push(TargetEvent event);
  std::optional<TargetEvent> next(std::int64_t until_us);
  static std::int64_t now_us();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<TargetEvent> events_;
};

}  // namespace lathe::app
