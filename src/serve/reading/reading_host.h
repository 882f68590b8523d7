// A host that reads the documents of requests before the host behind it gets them, as texts and
// pictures at their places. What holds none goes through as it is.
#pragma once

#include <map>

#include "serve/reading/document_desk.h"
#include "work/model_host.h"

namespace lathe::serve {

class ReadingHost final : public ModelHost {
 public:
  // The desk ends before `host` does: what it still reads is given to it.
  ReadingHost(ModelHost& host, DocumentDesk& desk);

  HostStatus status() const override { return host_.status(); }
  Result<std::string> find(std::string_view asked) const override { return host_.find(asked); }
  Result<std::string> resolve(std::string_view asked) const override {
    return host_.resolve(asked);
  }
  Id submit(const std::string& model, HostRequest request, OnDelta on_delta,
            OnReplies on_replies) override;
  Id embed(const std::string& model, std::vector<TextInput> inputs, bool cut, Asker asker,
           OnEmbeddings on_embeddings) override;
  Id rank(const std::string& model, std::string query, std::vector<std::string> documents,
          Asker asker, OnRelevance on_relevance) override;
  Id transcribe(const std::string& model, SoundRequest request, Asker asker, OnSegment on_segment,
                OnTranscript on_transcript) override;
  Id tokenize(const std::string& model, std::string text, bool add_special, bool parse_special,
              OnTokens on_tokens) override;
  Id prompt_of(const std::string& model, Request request, OnTokens on_tokens) override;
  void cancel(Id id) override;
  Result<std::string> detokenize(const std::string& model, const std::vector<std::int32_t>& ids,
                                 bool special) override {
    return host_.detokenize(model, ids, special);
  }
  Status load(const std::string& model) override { return host_.load(model); }
  Status unload(const std::string& model) override { return host_.unload(model); }

 private:
  struct Read;  // a request whose documents are read
  struct Core;  // outlives this for as long as requests are under way
  // Ids of such requests are even, those of the others odd: no table for these.
  static Id other_id(Id id) { return id * 2 + 1; }

  // `ask` gives the request to the host; `done` tells who asked.
  template <class Asked, class Value>
  Id read_first(Asked request,
                std::function<Id(Asked request, std::function<void(Result<Value>)> done)> ask,
                std::function<void(Result<Value>)> done);

  ModelHost& host_;
  DocumentDesk& desk_;
  std::shared_ptr<Core> core_;
};

}  // namespace lathe::serve
