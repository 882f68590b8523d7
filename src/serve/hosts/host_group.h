// Several hosts as one: the pool of this process and other servers. A name means the model of the
// first that has it, and at others the same where its file is as large, of as many parameters and
// quantized alike; a request goes to one of those, which choose_host() names. What is said of a
// model that more than one has: the file as the first has it, the state of the best, the sums of
// what runs and waits. Any thread, as with every host.
#pragma once

#include <vector>

#include "work/model_host.h"

namespace lathe::serve {

class HostGroup : public ModelHost {
 public:
  // At least one; they outlive the group. Aliases and defaults are asked for in this order.
  explicit HostGroup(std::vector<ModelHost*> hosts);

  HostStatus status() const override;
  Result<std::string> find(std::string_view asked) const override;
  Result<std::string> resolve(std::string_view asked) const override;
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
  // The number of the host that a request for this model goes to; of a model that none knows: 0,
  // whose error it is.
  std::size_t host_of(const std::string& model) const;
  // An id of the group says whose it is: no table, and a callback may come before submit() returns.
  Id group_id(std::size_t host, Id id) const { return id * hosts_.size() + host; }

  std::vector<ModelHost*> hosts_;
};

}  // namespace lathe::serve
