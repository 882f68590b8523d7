// A host whose every call becomes a row of the ledger, whatever API it came by and however it ends:
// answered, streamed, cancelled, failed, refused. It stands before one family, so that the rows add
// up to what that family counts. Tokens that are only counted, and templates that are only filled
// in, are no calls of a model.
#pragma once

#include <map>

#include "books/prices/price.h"
#include "serve/account/bookkeeper.h"
#include "work/model_host.h"

namespace lathe::serve {

// What stands behind it.
struct AccountedFamily {
  std::string where = "this process";  // or a server's URL
  Reach reach = Reach::kLocal;
  std::string engine = {};  // the program that writes the rows, with its build
  // What a model that is paid for asks; for a reach of any.
  std::function<std::optional<books::Price>(const std::string& model)> price = {};
};

class AccountHost final : public ModelHost {
 public:
  // `books` outlives the host, `host` outlives this and comes to its end before `books` does.
  AccountHost(ModelHost& host, Bookkeeper& books, AccountedFamily family);
  // Nothing is begun any more; calls under way end by themselves.
  ~AccountHost() override;

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
  Id speak(const std::string& model, SpeechRequest request, Asker asker, OnSamples on_samples,
           OnSpeech on_speech) override;
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
  struct Served;  // a call
  struct Core;    // outlives this for as long as calls are under way
  // Ids of calls that are accounted for are even, those of the others odd: no table for these.
  static Id other_id(Id id) { return id * 2 + 1; }

  // `ask` gives the call to the host; `done` tells who asked.
  template <class Value>
  Id serve(std::string_view purpose, const std::string& model, Asker asker,
           std::function<Id(Asker asker, std::function<void(Result<Value>)> done)> ask,
           std::function<void(Result<Value>)> done);

  ModelHost& host_;
  std::shared_ptr<Core> core_;
};

}  // namespace lathe::serve
