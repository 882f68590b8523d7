// The waist: what is asked of a worker and what comes back. An HTTP request and a recipe step are
// the same thing: "some worker, please do this". Nothing below knows HTTP, prices or whose API a
// request came by; of what stands above, only the family that answers knows tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "work/content.h"
#include "work/transcript.h"

namespace lathe {

struct FunctionCall {
  std::string id;
  std::string name;
  std::string arguments;  // a JSON object, as text

  bool operator==(const FunctionCall&) const = default;
};

struct Message {
  std::string role;  // system | user | assistant | tool
  Content content;
  std::string reasoning = {};            // of an assistant: its thinking
  std::vector<FunctionCall> calls = {};  // of an assistant
  std::string call_id = {}, name = {};   // of a tool: the call it answers, and its function

  bool operator==(const Message&) const = default;
};

// A function that the model may call.
struct Tool {
  std::string name;
  std::optional<std::string> description = {};
  Json parameters = {};             // a JSON schema of its arguments; null: nothing is known
  std::optional<bool> strict = {};  // whether calls must keep to that schema; nullopt: not said

  bool operator==(const Tool&) const = default;
};

// Which tools the answer calls: what it likes, none, or one that it has to.
struct MayCall {
  bool operator==(const MayCall&) const = default;
};
struct NoCall {
  bool operator==(const NoCall&) const = default;
};
struct MustCall {
  std::string tool = {};  // empty: any of them
  bool operator==(const MustCall&) const = default;
};
using ToolChoice = std::variant<MayCall, NoCall, MustCall>;

// The three ways to ask: a talk that is answered, …
struct Talk {
  std::vector<Message> messages = {};
  std::vector<Tool> tools = {};
  ToolChoice tool_choice = {};
  bool parallel_calls = true;
  Json template_variables = {};  // enable_thinking, reasoning_effort …: an object, or null

  bool operator==(const Talk&) const = default;
};
// … a text that is gone on with as it is, and where there is a suffix, up to that, …
struct TextPrompt {
  std::string text;
  std::string suffix = {};  // empty: none

  bool operator==(const TextPrompt&) const = default;
};
// … and tokens that are gone on with.
struct TokenPrompt {
  std::vector<std::int32_t> ids;

  bool operator==(const TokenPrompt&) const = default;
};
using Ask = std::variant<Talk, TextPrompt, TokenPrompt>;

// What the answer is held to while it is written: nothing, …
struct FreeForm {
  bool operator==(const FreeForm&) const = default;
};
// … being a JSON object, …
struct AnyJsonForm {
  bool operator==(const AnyJsonForm&) const = default;
};
// … being JSON under a schema, …
struct SchemaForm {
  Json schema;
  bool strict = false;  // what cannot be kept while it is written is refused

  bool operator==(const SchemaForm&) const = default;
};
// … or a grammar in GBNF.
struct GrammarForm {
  std::string gbnf;

  bool operator==(const GrammarForm&) const = default;
};
using AnswerForm = std::variant<FreeForm, AnyJsonForm, SchemaForm, GrammarForm>;

// How tokens are drawn. What is absent is the worker's default.
struct Sampling {
  std::optional<double> temperature, top_p, min_p, typical_p;
  std::optional<int> top_k;
  std::optional<double> repeat_penalty, frequency_penalty, presence_penalty;
  std::optional<std::int64_t> seed;
  std::map<int, double> logit_bias;  // token id → bias
};

struct Request {
  Ask ask;
  AnswerForm form;
  // 0: as many as the worker gives at most.
  int max_tokens = 4096;
  Sampling sampling;
  std::vector<std::string> stop;
  // -1: no log probabilities wanted; 0: only of the chosen tokens; else also of that many others.
  int top_logprobs = -1;
  // A text that the answer will probably repeat in large parts (the previous draft): makes it
  // faster, never different.
  std::string prediction;
  bool keep_prefix = false;  // what was computed of this prompt is kept beside other traffic
  int candidates = 1;        // that many answers to one prompt
  // Who asks and what for, in the asker's own words ("purpose": "make"): for people and for workers
  // that answer from a script. Nobody else looks at them, and they are sent nowhere.
  std::map<std::string, std::string> labels;
  Milliseconds time_limit{600'000};

  const Talk* talk() const { return std::get_if<Talk>(&ask); }  // null: it is none
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
  // Absent: the worker cannot tell. Microseconds from the request's arrival to its first step and
  // to its first token, and its share of the steps that it was part of.
  std::optional<std::int64_t> queued_us = {}, first_token_us = {}, busy_us = {};
  // Its share of the energy of those steps, and what that covers (EnergyScope's name).
  std::optional<std::int64_t> millijoules = {};
  std::string energy_scope = {};

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

// A text behind another, to be weighed.
struct Continuation {
  std::string context, text;                       // neither is empty
  std::map<std::string, std::string> labels = {};  // as of a Request
  Milliseconds time_limit{600'000};
};

// A token of the context and the text together: how long it is, and its log probability.
struct WeighedToken {
  std::size_t bytes = 0;
  double logprob = 0;  // NaN: not known
};

struct Likelihood {
  double log_likelihood = 0;  // Σ log p of the text's tokens
  std::int64_t tokens = 0;
  Usage usage = {};
};
// The text's tokens are those that end behind the context: a token that begins in the context and
// ends in the text is one of them. Errors: tokens that are not those of the two texts, or of which
// nothing is known. The blank that some vocabularies put before a text counts nothing.
Result<Likelihood> likelihood_of(const Continuation& asked, std::span<const WeighedToken> tokens);

inline constexpr double kSoundRowsASecond = 50;  // of Whisper's encoder

// A sound file to be written down. It stays where it is for as long as its owner is held.
struct SoundRequest {
  std::string_view file;
  std::shared_ptr<const void> owner;
  TranscriptOptions options;
  std::map<std::string, std::string> labels = {};  // as of a Request
  Milliseconds time_limit{600'000};
};

struct Transcription {
  Transcript transcript;
  // Prompt tokens: so many rows of the sound as are made of each second.
  Usage usage = {};
};

// A picture to be made or, where one is given, changed.
struct PictureRequest {
  std::string prompt;
  int width = 0, height = 0;  // 0: as the worker likes
  std::optional<std::int64_t> seed = {};
  // The file that is changed, and a PNG of its size: transparent where it may be.
  std::string picture = {}, mask = {};
  std::map<std::string, std::string> labels = {};  // as of a Request
  Milliseconds time_limit{600'000};
};

// As it came, not decoded: what its bytes are is told by the first of them alone.
struct Painted {
  Media picture;
  std::string model = {};  // as the worker names it
  Usage usage = {};
};

// Codes of errors: the worker's rules forbid the picture; it changes no pictures.
inline constexpr const char* kContentRefused = "content_refused";
inline constexpr const char* kChangesNoPictures = "changes_no_pictures";

// A text to be spoken.
struct SpeechRequest {
  std::string text;
  std::string voice = {};     // as the worker calls it; "": its own
  std::string language = {};  // as a model calls it; "": it finds out
  double speed = 1;
  std::optional<std::int64_t> seed = {};
  std::map<std::string, std::string> labels = {};  // as of a Request
  Milliseconds time_limit{600'000};
};

// A sound file as it came, not decoded.
struct SpokenFile {
  std::string file;
  int raw_rate = 0;        // of samples without a head: 16 bit, mono; 0: it has one
  std::string model = {};  // as the worker names it
  Usage usage = {};
};

// All but info() may be called from several threads at once.
class Worker {
 public:
  virtual ~Worker() = default;
  virtual WorkerInfo info() const = 0;
  // Whether a call could be made now, as far as that can be told without making one.
  virtual Status ready(const StopFlag&) { return {}; }
  // Whether its model is known to read pictures: false: nobody can say; refused: it is known to
  // read none. Makes no call.
  virtual Result<bool> sees() const { return false; }
  // How many tokens its model takes, a prompt and its answer together; 0: nobody can say. Makes no
  // call: what a server says of it is known once ready() has asked there.
  virtual std::int64_t context() const { return 0; }
  virtual Result<Reply> complete(const Request& request, const StopFlag& stop,
                                 const std::function<void(const Delta&)>& on_delta) = 0;
  // How likely the model holds the text behind the context, both taken as they are: no template.
  // Not every worker can say.
  virtual Result<Likelihood> likelihood(const Continuation& asked, const StopFlag& stop);
  // What is said in a sound. Not every worker hears.
  virtual Result<Transcription> transcribe(const SoundRequest& asked, const StopFlag& stop);
  // Not every worker makes pictures. kInvalid: it answered, and not with a picture; another prompt
  // or seed may help.
  virtual Result<Painted> paint(const PictureRequest& asked, const StopFlag& stop);
  // Not every worker speaks. kInvalid: it answered, and not with a sound; another voice or seed may
  // help.
  virtual Result<SpokenFile> speak(const SpeechRequest& asked, const StopFlag& stop);
};

Json to_json(const Usage& usage);
Usage usage_from_json(const Json& json);

// {"type": "function", "function": {…}}: as OpenAI's API has it, and as chat templates want it.
Json to_json(const Tool& tool);

}  // namespace lathe
