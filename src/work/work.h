// The waist: what is asked of a worker and what comes back. An HTTP request and a recipe step are
// the same thing: "some worker, please do this". Nothing above this line knows tensors; nothing
// below it knows JSON, HTTP or prices.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe {

struct Message {
  std::string role;  // system | user | assistant
  std::string content;
};

struct Request {
  std::vector<Message> messages;
  int max_tokens = 4096;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  std::optional<Json> schema;  // the reply must be JSON under this schema (constrained output)
  int top_logprobs = 0;        // 0: no log probabilities wanted
  int n_index =
      0;  // which of N samples this is: part of the call key, so no two samples share one answer
  // Where in the loop this is asked: for people and for scripted workers, never sent anywhere.
  std::string purpose;  // "make", "rubric", …
  int lap = 0;
  int attempt = 0;  // 1: a mechanical retry, because the first answer could not be used
  Milliseconds time_limit{600'000};
};

struct Usage {
  std::int64_t prompt_tokens = 0;  // the cached ones included
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  Milliseconds wall{0};  // wall time of the call, retries included
  int calls = 0;         // requests that reached the worker
  bool counted = false;  // false: the worker did not say how many tokens it used

  Usage& operator+=(const Usage& other);
};

enum class FinishReason { kStop, kLength, kToolCalls, kContentFilter };

struct TokenLogprob {
  std::string token;
  double logprob = 0;
  std::vector<std::pair<std::string, double>> top;
};

struct Reply {
  std::string text;
  std::string reasoning;  // thinking text, kept apart
  FinishReason finish = FinishReason::kStop;
  Usage usage;
  std::string model;  // as the worker named it
  std::vector<TokenLogprob> logprobs;
};

struct Delta {
  std::string text;
  std::string reasoning;
};

// How far a request travels. A recipe's `privacy` and the command line's --allow must both reach as
// far as the worker.
enum class Reach { kLocal, kLan, kAny };
std::string_view reach_name(Reach reach);  // "local" | "lan" | "any"
std::optional<Reach> parse_reach(std::string_view name);

struct WorkerInfo {
  std::string name;  // as recipes say it
  std::string model;
  std::string where;  // a URL without secrets, "script:…", …
  Reach reach = Reach::kLocal;
};

// complete() may be called from several threads at once.
class Worker {
 public:
  virtual ~Worker() = default;
  virtual WorkerInfo info() const = 0;
  virtual Result<Reply> complete(const Request& request, const StopFlag& stop,
                                 const std::function<void(const Delta&)>& on_delta) = 0;
};

Json to_json(const Usage& usage);
Usage usage_from_json(const Json& json);
// Everything that decides the answer, for hashing into the call key.
Json to_json(const Request& request);

}  // namespace lathe
