// A family of models that answers from a script: the stand-in for the pool in tests of what stands
// in front of it. One token is one byte of a prompt, and one delta of an answer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "work/model_host.h"

namespace lathe::testing {

class ScriptedHost : public ModelHost {
 public:
  struct Line {
    std::string when;  // the line for requests whose last text contains this; first wins
    std::vector<Delta> deltas = {};  // of every candidate
    FinishReason finish = FinishReason::kStop;
    std::string stopped_by = {};
    Milliseconds prefill{0};          // before the first delta
    Milliseconds between{0};          // before each further one, and before the end
    bool endless = false;             // the deltas come again and again
    std::optional<Error> error = {};  // the request fails, after the deltas
  };

  // Without a line: tools are called if there are any, a schema is met by {"name": "Ada", "age":
  // 36}, and all else is answered by "You said: " and the last text.
  ScriptedHost(std::vector<ModelInfo> models, std::vector<Line> lines);
  ~ScriptedHost() override;

  HostStatus status() const override;
  Result<std::string> find(std::string_view asked) const override;
  // Names of clouds stand for the first model.
  Result<std::string> resolve(std::string_view asked) const override;
  Id submit(const std::string& model, HostRequest request, OnDelta on_delta,
            OnReplies on_replies) override;
  Id embed(const std::string& model, std::vector<TextInput> inputs, bool cut, Asker asker,
           OnEmbeddings on_embeddings) override;
  // The more often a document has the query's first letter, the better.
  Id rank(const std::string& model, std::string query, std::vector<std::string> documents,
          Asker asker, OnRelevance on_relevance) override;
  // The file is what is said in it, a word a second; one that begins with "bad" is no sound.
  Id transcribe(const std::string& model, SoundRequest request, Asker asker, OnSegment on_segment,
                OnTranscript on_transcript) override;
  Id tokenize(const std::string& model, std::string text, bool add_special, bool parse_special,
              OnTokens on_tokens) override;
  Id prompt_of(const std::string& model, Request request, OnTokens on_tokens) override;
  void cancel(Id id) override;
  Result<std::string> detokenize(const std::string& model, const std::vector<std::int32_t>& ids,
                                 bool special) override;
  Status load(const std::string& model) override;
  Status unload(const std::string& model) override;

  // What happened, for tests.
  std::vector<HostRequest> seen() const;
  int running() const;
  int cancelled() const;  // requests that ended because of cancel()
  void set_state(const std::string& model, ModelState state);

 private:
  struct Job;
  using Time = std::chrono::steady_clock::time_point;

  Line line_for(const Request& request) const;
  ModelInfo* info_of(const std::string& model);
  void run();
  // What only takes its turn: `what` is called, and that is all.
  Id add(std::function<void()> what);
  // One delta, or the end; false: it was the end.
  bool step(Job& job);
  void tell_usage(Job& job);
  void count(const Usage& usage);

  std::vector<Line> lines_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<ModelInfo> models_;
  std::map<Id, std::shared_ptr<Job>> jobs_;
  std::vector<HostRequest> seen_;
  HostCounters counters_;
  Id next_id_ = 1;
  int cancelled_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

// The family that the tests of the server use: "small" (alias "tiny"), with a context of 4096, and
// "large", whose vectors may be shortened.
std::vector<ModelInfo> scripted_family();

}  // namespace lathe::testing
