// The waist: what is asked of a worker and what comes back. An HTTP request and a recipe step are
// the same thing: "some worker, please do this". Nothing below knows HTTP, prices or whose API a
// request came by; of what stands above, only the family that answers knows tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe {

struct FunctionCall {
  std::string id;
  std::string name;
  std::string arguments;  // a JSON object, as text

  bool operator==(const FunctionCall&) const = default;
};

struct Message {
  std::string role;  // system | user | assistant | tool
  std::string content;
  std::string reasoning = {};            // of an assistant: its thinking
  std::vector<FunctionCall> calls = {};  // of an assistant
  std::string call_id = {}, name = {};   // of a tool: the call it answers, and its function
};

// How tokens are drawn. What is absent is the worker's default.
struct Sampling {
  std::optional<double> temperature, top_p, min_p, typical_p;
  std::optional<int> top_k;
  std::optional<double> repeat_penalty, frequency_penalty, presence_penalty;
  std::optional<std::int64_t> seed;
  std::map<int, double> logit_bias;  // token id → bias
};

enum class ToolChoice { kAuto, kNone, kRequired, kFunction };

// What is asked is a talk (`messages`), or a text that is gone on with as it is (`prompt`,
// `prompt_ids`).
struct Request {
  std::vector<Message> messages;
  std::optional<std::string> prompt;
  std::vector<std::int32_t> prompt_ids;
  std::string suffix;  // with `prompt`: what comes behind the gap that is to be filled
  // 0: as many as the worker gives at most.
  int max_tokens = 4096;
  Sampling sampling;
  std::vector<std::string> stop;
  std::optional<Json> schema;  // the reply must be JSON under this schema (constrained output)
  bool strict = false;         // … all of it: what cannot be kept while it is written is refused
  bool json_object = false;    // … any JSON object
  std::string grammar;         // … under this GBNF grammar
  // -1: no log probabilities wanted; 0: only of the chosen tokens; else also of that many others.
  int top_logprobs = -1;
  Json tools;  // OpenAI's shape: [{"type": "function", "function": {…}}, …]; null: none
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string tool_name;  // with kFunction
  bool parallel_calls = true;
  Json template_variables;  // for the chat template (enable_thinking, reasoning_effort …); or null
  // A text that the answer will probably repeat in large parts (the previous draft): makes it
  // faster, never different.
  std::string prediction;
  bool keep_prefix = false;  // what was computed of this prompt is kept beside other traffic
  int candidates = 1;        // that many answers to one prompt
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
  Milliseconds wall{0};               // wall time of the call, retries included
  int calls = 0;                      // requests that reached the worker
  bool counted = false;               // false: the worker did not say how many tokens it used
  std::int64_t reasoning_tokens = 0;  // of the completion: thinking
  // Of drafts that were checked: tokens that the answer took over, and those that it did not.
  std::int64_t accepted_tokens = 0, rejected_tokens = 0;

  Usage& operator+=(const Usage& other);
};

enum class FinishReason { kStop, kLength, kToolCalls, kContentFilter };

struct LogprobEntry {
  std::string token;  // its bytes: may be part of a character
  double logprob = 0;
  std::vector<std::pair<std::string, double>> top;
};

struct Reply {
  std::string text;
  std::string reasoning;  // thinking text, kept apart
  std::vector<FunctionCall> calls;
  FinishReason finish = FinishReason::kStop;
  Usage usage;
  std::string model;  // as the worker named it
  std::vector<LogprobEntry> logprobs;
  std::optional<std::int64_t> seed =
      {};                       // that the draws came from; nullopt: the worker does not say
  std::string stopped_by = {};  // with kStop: the text of Request::stop that ended it, if one did
};

// The deltas of a candidate put together are its reply. Texts are whole characters.
struct Delta {
  std::string text;
  std::string reasoning;
  std::vector<FunctionCall> calls = {};  // whole ones
  std::vector<LogprobEntry> logprobs = {};
  int candidate = 0;
  std::int64_t prompt_tokens = 0;  // of the request; 0: not known yet
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
  // Whether a call could be made now, as far as that can be told without making one.
  virtual Status ready(const StopFlag&) { return {}; }
  virtual Result<Reply> complete(const Request& request, const StopFlag& stop,
                                 const std::function<void(const Delta&)>& on_delta) = 0;
};

Json to_json(const Usage& usage);
Usage usage_from_json(const Json& json);
// Everything that decides the answer, for hashing into the call key.
Json to_json(const Request& request);

}  // namespace lathe
