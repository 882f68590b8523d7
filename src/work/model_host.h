// A family of models behind one door: what a server needs of them. The pool is one; tests have a
// scripted one. Any thread may call anything. Errors carry a `code` where a client acts on it:
// "model_not_found" "model_load_failed" "context_length_exceeded" "queue_full" "does_not_fit"
// "shutting_down" "model_lost", or which part of a request cannot be: "unsupported_messages"
// "…_schema" "…_tools" "…_grammar" "…_bias" "…_candidates" "…_suffix" "…_sound" "…_language"
// "…_voice" "…_text", else "unsupported_value".
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/device_bytes.h"
#include "work/caller.h"
#include "work/work.h"

namespace lathe {

enum class ModelState { kCold, kLoading, kReady, kFailed };
std::string_view model_state_name(ModelState state);  // "cold" "loading" "ready" "failed"

struct ModelInfo {
  std::string name;
  std::vector<std::string> aliases;
  // From the file's header.
  std::string architecture, quantization;
  std::uint64_t file_bytes = 0, parameters = 0;
  std::int64_t modified = 0;  // of the file, Unix seconds
  std::size_t context = 0;    // tokens that one request may come to here
  std::size_t trained_context = 0;
  std::size_t embedding = 0;  // numbers of a vector
  bool shortens = false;      // whose first ones are a vector, too
  std::string chat_template;
  bool tools = false, thinking = false;  // whether the template knows of them
  bool vision = false;                   // whether it reads pictures, …
  bool audio = false;                    // … and sounds
  bool transcribes = false;              // it writes sounds down, and does nothing else
  bool speaks = false;                   // it speaks texts, and does nothing else
  std::vector<std::string> voices = {}, languages = {};  // … in these, beside its own voice
  Sampling sampling = {};  // where a request says nothing; no seed: a random one

  ModelState state = ModelState::kCold;
  std::string problem;  // why it failed
  bool pinned = false;  // is never evicted
  double loaded = 0;    // the share of its weights that is in memory
  double load_seconds = 0;
  // Bytes booked now.
  std::uint64_t weights = 0, kv = 0, prefix = 0, scratch = 0;
  std::uint64_t media = 0;                 // for its encoders and what they remember
  std::uint64_t program = 0;               // for another program that serves it
  DeviceBytes devices;                     // all six, by the device that has them
  std::optional<std::uint64_t> used = {};  // that this program really uses, where that is known
  int running = 0, waiting = 0;            // requests
  double tokens_per_second = 0;            // written, over the last seconds

  // By Ollama's words: "completion" "tools" "thinking" "vision" "audio"; or "transcription" or
  // "speech" alone.
  std::vector<std::string> capabilities() const;
  // What this says of the file, and what `other` says of the moment.
  ModelInfo with_state_of(const ModelInfo& other) const;
};

// Sums since the start.
struct HostCounters {
  std::int64_t requests = 0, failed = 0, cancelled = 0, refused = 0;
  std::int64_t of_people = 0;  // of the requests: not background work
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  std::int64_t accepted_tokens = 0, rejected_tokens = 0;
  std::int64_t loads = 0, evictions = 0;
  // Pictures of requests that were encoded, and those that were known already.
  std::int64_t media_encoded = 0, media_remembered = 0;
  // Background requests that gave way to interactive ones, and tokens computed again for that.
  std::int64_t preemptions = 0, recomputed_tokens = 0;
  // Microseconds that steps took, those of them that ended requests were busy, and those in which
  // something was computed again, which is nobody's usage.
  std::int64_t step_us = 0, busy_us = 0, recomputed_us = 0;
  // Of ended requests; absent: it cannot be read here.
  std::optional<std::int64_t> millijoules = {};
};

struct HostStatus {
  std::vector<ModelInfo> models;  // by name
  DeviceBytes limits, booked;     // for models, by device
  std::uint64_t resident = 0;     // of the process
  int queued = 0;
  int interactive = 0;  // requests of people, under way and waiting: not background work
  HostCounters counters;
};

struct Embeddings {
  std::vector<std::vector<float>> vectors;  // one an input
  Usage usage = {};
  std::size_t cut = 0;  // inputs whose end was left out
};

// A text, or token ids.
struct TextInput {
  std::string text;
  std::vector<std::int32_t> ids;  // counts where `text` is empty
};

// How relevant each document is to a query, in [0, 1].
struct Relevance {
  std::vector<double> scores;
  Usage usage = {};
};

// What came of a text that was spoken.
struct Speech {
  bool ended = false;  // the model came to its end; else it was cut off
  // Prompt tokens: the text's. Completion tokens: frames.
  Usage usage = {};
};

// Is told what a request took, however it ended: once, before its answer; never, where it was
// refused before it came to a model.
using OnUsage = std::function<void(const Usage&)>;

struct Asker {
  Caller caller = {};
  OnUsage on_usage = {};
};

// A request, and what only servers are asked.
struct HostRequest : Request {
  HostRequest(Request request = {}) : Request(std::move(request)) {}
  // With top_logprobs: those of the prompt's tokens too. A prompt that is given as a text or as
  // ids.
  bool prompt_logprobs = false;
  bool no_answer = false;  // the prompt's alone
  Caller caller = {};
  OnUsage on_usage = {};
};

struct HostReply : Reply {
  // A token each; in the first reply alone. Of the first nothing is known: NaN.
  std::vector<LogprobEntry> prompt_logprobs = {};
  // What the client cannot see by itself: that the answer is not what it asked for, and how.
  std::vector<std::string> warnings = {};
};

// Of what a host says; tokens of texts say nothing of it.
Usage usage_of_answer(const std::vector<HostReply>& replies);
Usage usage_of_answer(const std::vector<std::int32_t>& tokens);
inline Usage usage_of_answer(const Embeddings& read) {
  return read.usage;
}
inline Usage usage_of_answer(const Relevance& read) {
  return read.usage;
}
inline Usage usage_of_answer(const Transcription& heard) {
  return heard.usage;
}
// Half of what was to be said is no sound of it: the error where the model was cut off.
Status whole_speech(const Result<Speech>& spoken, std::string_view model);

inline Usage usage_of_answer(const Speech& spoken) {
  return spoken.usage;
}

// `done`, once `on_usage` has been told of an answer: for hosts that know no more of a failure.
template <class Value>
std::function<void(Result<Value>)> with_usage(OnUsage on_usage,
                                              std::function<void(Result<Value>)> done) {
  if (!on_usage) return done;
  return [on_usage = std::move(on_usage), done = std::move(done)](Result<Value> value) {
    if (value) on_usage(usage_of_answer(*value));
    done(std::move(value));
  };
}

inline constexpr int kSpeechRate = 24000;  // samples a second

class ModelHost {
 public:
  using Id = std::uint64_t;
  using OnDelta = std::function<void(const Delta&)>;
  using OnReplies = std::function<void(Result<std::vector<HostReply>>)>;
  using OnEmbeddings = std::function<void(Result<Embeddings>)>;
  using OnRelevance = std::function<void(Result<Relevance>)>;
  using OnSegment = std::function<void(const TranscriptSegment&)>;
  using OnTranscript = std::function<void(Result<Transcription>)>;
  // Samples at kSpeechRate, mono.
  using OnSamples = std::function<void(std::span<const std::int16_t>)>;
  using OnSpeech = std::function<void(Result<Speech>)>;
  using OnTokens = std::function<void(Result<std::vector<std::int32_t>>)>;

  virtual ~ModelHost() = default;
  virtual HostStatus status() const = 0;
  // The name that `asked` stands for: a model's own, or what an alias names.
  virtual Result<std::string> find(std::string_view asked) const = 0;
  // The same; where nothing is found, a default may answer. For what only wants an answer.
  virtual Result<std::string> resolve(std::string_view asked) const = 0;

  // Never blocks for long. The callbacks come from the host's threads, in order, and must not
  // block; `on_replies` comes exactly once, last: one reply a candidate, prompt tokens counted in
  // the first, or the error. It may come before submit() returns.
  virtual Id submit(const std::string& model, HostRequest request, OnDelta on_delta,
                    OnReplies on_replies) = 0;
  // `cut`: what the context has no room for is left out at the end of a text.
  virtual Id embed(const std::string& model, std::vector<TextInput> inputs, bool cut, Asker asker,
                   OnEmbeddings on_embeddings) = 0;
  // What the context has no room for is refused.
  virtual Id rank(const std::string& model, std::string query, std::vector<std::string> documents,
                  Asker asker, OnRelevance on_relevance) = 0;
  // Each segment as it is done, where the host knows it before the end.
  virtual Id transcribe(const std::string& model, SoundRequest request, Asker asker,
                        OnSegment on_segment, OnTranscript on_transcript) = 0;
  // The samples as they come. Not every host speaks.
  virtual Id speak(const std::string& model, SpeechRequest request, Asker asker,
                   OnSamples on_samples, OnSpeech on_speech);
  virtual Id tokenize(const std::string& model, std::string text, bool add_special,
                      bool parse_special, OnTokens on_tokens) = 0;
  // The prompt that a request comes to.
  virtual Id prompt_of(const std::string& model, Request request, OnTokens on_tokens) = 0;
  // Ends it soon, with kCancelled. Nothing happens when it has ended.
  virtual void cancel(Id id) = 0;

  // These may block for a while: a vocabulary may have to be read.
  // `special`: control tokens by their names too, not as nothing.
  virtual Result<std::string> detokenize(const std::string& model,
                                         const std::vector<std::int32_t>& ids,
                                         bool special = false) = 0;
  // Brings a model in, or lets it go when it has nothing to do.
  virtual Status load(const std::string& model) = 0;
  virtual Status unload(const std::string& model) = 0;
};

}  // namespace lathe
