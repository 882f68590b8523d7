// A worker behind any OpenAI-compatible endpoint: llama-server, vLLM, Ollama, a cloud; or behind
// Anthropic's or Google's API. One POST per call, streamed. Nothing leaves for a place beyond
// `allowed`: not a byte, not a DNS query. Nothing leaves for a cloud without `consent` to the exact
// bytes, and nothing else is asked of it, not even its list of models. complete() may be called
// from several threads at once.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "serve/net/api_dialect.h"
#include "serve/net/http_call.h"
#include "work/work.h"

namespace lathe::serve {

struct HttpWorkerConfig {
  std::string name;          // as recipes say it
  std::string base_url;      // "http://127.0.0.1:8080/v1"; without a path, "/v1" is added
  std::string model;         // empty: the one that the endpoint serves
  std::int64_t context = 0;  // tokens that it takes; 0: as the endpoint says
  std::string api_key;       // sent as a bearer token; never shown
  Reach allowed = Reach::kLocal;
  ContactLog* contacts = nullptr;  // null: nobody beyond loopback is asked
  std::string allowed_by = {};     // in the words of who allowed it
  // Tells a server that `allowed` holds for where it sends the prompt on, too: a lathe keeps to it.
  bool holds_beyond = false;
  bool background = false;  // a lathe is told that this gives way to people
  // Gets the exact body that leaves, a sound in it by its size and hash, each time before it does;
  // may be empty.
  std::function<void(std::string_view)> on_outgoing = {};
  Milliseconds connect_limit{10'000};
  Milliseconds idle_limit{300'000};  // without a byte: reading a long prompt takes a while
  Milliseconds retry_delay{500};     // before the first retry; doubles, up to 8 s
  const ApiDialect* api = nullptr;   // null: OpenAI's
  // It is a cloud, and held to what holds for one, wherever its address is.
  bool cloud = false;
  ConsentGate consent = {};  // of what goes to a cloud; empty: nothing goes there
};

class HttpWorker : public Worker {
 public:
  // Errors: a URL that can't be one of an endpoint. No connection is made.
  static Result<std::unique_ptr<HttpWorker>> make(HttpWorkerConfig config);

  WorkerInfo info() const override;
  Status ready(const StopFlag& stop) override;
  std::int64_t context() const override;
  // Retries 408, 409, 429, 5xx, failed connections, pages that are no answer and answers that break
  // off, twice, and a server that says it is loading until the time is up; nothing once a delta was
  // heard. Fields that a 400 names as unknown are left out
  // from then on.
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override;
  // By one POST to {base_url}/completions with "echo" and "logprobs", which not every endpoint has.
  Result<Likelihood> likelihood(const Continuation& asked, const StopFlag& stop) override;
  // By one POST to {base_url}/audio/transcriptions. A server that knows texts alone gives no times.
  Result<Transcription> transcribe(const SoundRequest& asked, const StopFlag& stop) override;
  // By one POST to {base_url}/images/generations, or /images/edits for a picture that is changed.
  // Where the answer is a URL of the same scheme, host and port, and no cloud's, by one GET of
  // that; no other is asked for.
  Result<Painted> paint(const PictureRequest& asked, const StopFlag& stop) override;
  // By one POST to {base_url}/audio/speech. Retries as complete() does, and sounds that break off.
  Result<SpokenFile> speak(const SpeechRequest& asked, const StopFlag& stop) override;

 private:
  struct Call;   // one complete(): its deadline, its stop flag
  struct Retry;  // whether and when a failed attempt is worth another

  HttpWorker(HttpWorkerConfig config, Endpoint endpoint);
  Status check_reach() const;
  bool is_cloud() const;
  std::vector<std::string> headers() const;
  Result<std::string> model_name(const Call& call);
  // The list of GET /models; other errors than a failed connection name the status.
  Result<Json> list_models(const Call& call) const;
  Result<Json> weigh(const Continuation& asked, const Call& call);
  Result<Transcription> hear(const SoundRequest& asked, const Call& call);
  Result<Painted> painted(const PictureRequest& asked, Call& call);
  Result<HttpAnswer> ask_for_picture(const PictureRequest& asked, const Call& call);
  Error picture_error(const HttpAnswer& answer, const PictureRequest& asked,
                      const Call& call) const;
  Result<std::string> fetch_picture(const std::string& from, const std::string& url,
                                    const Call& call) const;
  Result<SpokenFile> attempt_speech(const std::string& body, const Call& call, Retry& retry) const;
  // Asks with these fields until there is an answer or none is to be hoped for; `calls`: how often.
  template <class Value>
  Result<Value> persist(Json fields, const Call& call, int& calls,
                        const std::function<Result<Value>(const std::string& body, Retry&)>& ask);
  // What the status of an answer means for another attempt.
  static Retry retry_after(const HttpAnswer& answer);
  // Before another attempt; one that met a server still loading is not counted. False: there is to
  // be none.
  bool wait_to_retry(const Retry& retry, int& tries, const Call& call) const;
  PeerKind peer(const Request& request, const Call& call);
  HttpCall post(std::string_view path, const std::string& body, const Call& call) const;
  // `shown`: what a person is shown of it. What waits for consent takes none of the call's time.
  Result<HttpAnswer> send(HttpCall http, const std::string& shown, const Call& call) const;
  // The model to ask for what other APIs than OpenAI's do not have.
  Result<std::string> openai_model(const Call& call);
  Result<Reply> attempt(const std::string& body, const Call& call,
                        const std::function<void(const Delta&)>& on_delta, Retry& retry) const;
  Error error_of(const HttpAnswer& answer, const Call& call) const;
  std::string redacted(std::string text) const;

  HttpWorkerConfig config_;
  Endpoint endpoint_;
  mutable std::mutex mutex_;
  std::string served_model_;       // found out when config_.model is empty
  std::int64_t context_ = 0;       // as the list of models has it
  std::optional<bool> own_;        // a lathe answers there; nullopt: not asked yet
  std::set<std::string> refused_;  // fields that this endpoint does not know
};

}  // namespace lathe::serve
