// Another server as a host: a lathe on another box, or any server of OpenAI's API. Its models are
// looked at again and again; while it does not answer they are failed ones, with the reason, and
// what is asked of them is refused. Nothing leaves for a place beyond `allowed`: not a byte, not a
// DNS query. Any thread, as with every host; callbacks come from a thread of the request.
//
// Asked of another server are talks and texts with one answer each, embeddings, transcripts (whose
// segments come at their end), texts to be spoken, tokens, load and unload. What it cannot be asked
// for is refused with the host's codes: more than one candidate, log probabilities of a prompt. A
// prompt's length is not known before its answer ends.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "serve/hosts/remote_words.h"
#include "serve/net/http_call.h"
#include "serve/net/sse.h"

namespace lathe::serve {

struct RemoteHostConfig {
  std::string name;          // as messages say it
  std::string url;           // "http://box:8080"; without a path, "/v1" is added
  std::string api_key = {};  // sent as a bearer token; never shown
  Reach allowed = Reach::kLocal;
  ContactLog* contacts = nullptr;  // null: nobody beyond loopback is asked
  std::string allowed_by = {};     // in the words of who allowed it
  std::size_t at_once = 256;       // requests; more are refused (queue_full)
  Milliseconds look_again{2'000};
  Milliseconds connect_limit{5'000};
  Milliseconds idle_limit{300'000};  // without a byte: reading a long prompt takes a while
  // Is told when the server stops answering, and when it answers again; may be empty.
  std::function<void(const std::string&)> log = {};
  ConsentGate consent = {};  // of what goes to a cloud; empty: nothing goes there
};

class RemoteHost : public ModelHost {
 public:
  // Looks at its models once. Errors: a URL that can be none, one beyond `allowed`. A server that
  // does not answer is none: it is looked at again.
  static Result<std::unique_ptr<RemoteHost>> open(RemoteHostConfig config);
  ~RemoteHost() override;

  const std::string& url() const { return endpoint_.url; }
  Reach reach() const { return endpoint_.reach; }

  HostStatus status() const override;
  Result<std::string> find(std::string_view asked) const override;
  Result<std::string> resolve(std::string_view asked) const override { return find(asked); }
  Id submit(const std::string& model, HostRequest request, OnDelta on_delta,
            OnReplies on_replies) override;
  Id embed(const std::string& model, std::vector<TextInput> inputs, bool cut, Asker asker,
           OnEmbeddings on_embeddings) override;
  Id rank(const std::string& model, std::string query, std::vector<std::string> documents,
          Asker asker, OnRelevance on_relevance) override;
  Id transcribe(const std::string& model, SoundRequest request, Asker asker, OnSegment on_segment,
                OnTranscript on_transcript) override;
  Id speak(const std::string& model, SpeechRequest request, Asker asker, OnSamples on_samples,
           OnSpeech on_speech) override;
  Id tokenize(const std::string& model, std::string text, bool add_special, bool parse_special,
              OnTokens on_tokens) override;
  Id prompt_of(const std::string& model, Request request, OnTokens on_tokens) override;
  void cancel(Id id) override;
  Result<std::string> detokenize(const std::string& model, const std::vector<std::int32_t>& ids,
                                 bool special) override;
  Status load(const std::string& model) override;
  Status unload(const std::string& model) override;

 private:
  struct Job {
    StopFlag stop;
    std::thread thread;
    bool over = false;  // under mutex_
  };

  RemoteHost(RemoteHostConfig config, Endpoint endpoint);
  HttpCall call_of(std::string_view path, const Json& body, Milliseconds limit) const;
  Result<Json> ask(std::string_view path, const Json& body, Milliseconds limit,
                   const StopFlag& stop);
  Result<HostReply> answer(const std::string& model, const HostRequest& request,
                           const OnDelta& on_delta, const StopFlag& stop);
  template <class Stream>
  Result<HostReply> streamed(std::string_view path, const Json& body, Stream stream,
                             Milliseconds limit, const StopFlag& stop);
  // Hands the events of the answer to `event`, as long as `done` is false.
  Status events_of(HttpCall call, const SseReader::OnData& event, const std::function<bool()>& done,
                   const StopFlag& stop);
  // The answer to a call as JSON, or why there is none.
  Result<Json> answer_to(const HttpCall& call, const StopFlag& stop);
  Error missed(Error error);
  void set_problem(const std::string& problem);
  PeerKind peer() const;
  void look();
  void keep_looking();
  // Has `work` done by a thread of its own, and hands over what comes of it.
  template <class Value>
  Id start(const std::string& model, std::function<Result<Value>(const StopFlag&)> work,
           std::function<void(Result<Value>)> done);
  void join_finished();

  const RemoteHostConfig config_;
  const Endpoint endpoint_;
  StopFlag ending_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<ModelInfo> models_;
  std::string problem_;  // why it does not answer; empty: it does
  bool lathe_ = false;
  HostCounters counters_;
  std::map<std::string, int, std::less<>> under_way_;  // requests from here, by model
  std::map<Id, std::shared_ptr<Job>> jobs_;
  Id next_id_ = 1;
  std::thread looking_;
};

}  // namespace lathe::serve
