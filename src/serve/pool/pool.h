// The family of models of one process, in one memory budget: the ModelHost behind `lathe serve`,
// `lathe run` and loops. Requests are prepared on the caller's thread; one thread of the pool's own
// (PoolLoop) books, steps the engines in turn and delivers; weights are read on a thread of their
// own, so that nobody waits for a load but those who asked for that model.
#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "serve/pool/pool_loop.h"

namespace lathe {

class Pool final : public ModelHost {
 public:
  // Pinned models begin to load.
  Pool(Catalog catalog, PoolOptions options);
  // Ends every request with "shutting_down" and writes snapshots.
  ~Pool() override;

  HostStatus status() const override;
  Result<std::string> find(std::string_view asked) const override;
  Result<std::string> resolve(std::string_view asked) const override;
  Id submit(const std::string& model, Request request, OnDelta on_delta,
            OnReplies on_replies) override;
  Id embed(const std::string& model, std::vector<TextInput> inputs,
           OnEmbeddings on_embeddings) override;
  void cancel(Id id) override;
  Result<std::vector<std::int32_t>> tokenize(const std::string& model, std::string_view text,
                                             bool add_special, bool parse_special) override;
  Result<std::string> detokenize(const std::string& model, const std::vector<std::int32_t>& ids,
                                 bool special) override;
  Result<std::vector<std::int32_t>> prompt_of(const std::string& model,
                                              const Request& request) override;
  Status load(const std::string& model) override;
  Status unload(const std::string& model) override;

 private:
  using Facts = std::map<std::string, Result<ModelInfo>>;

  void run();
  void post(std::function<void()> task);
  // What others may know of the loop, as it is now; on the loop's thread.
  void publish();
  std::unexpected<Error> no_model(std::string_view asked) const;
  // The file's head, read when it is first needed.
  Result<std::shared_ptr<const ModelFront>> front(const std::string& model);
  Result<std::unique_ptr<PoolJob>> prepare(const std::string& model, const Request& request);
  // A job that only wants the model to be there.
  Result<std::unique_ptr<PoolJob>> wish(const std::string& model,
                                        std::function<void(Status)> on_loaded);
  void enqueue(std::unique_ptr<PoolJob> job);

  const Catalog catalog_;
  const PoolOptions options_;
  mutable std::mutex fronts_mutex_;
  std::map<std::string, std::shared_ptr<const ModelFront>> fronts_;
  std::map<std::string, std::string> problems_;  // of models whose file could not be opened
  std::atomic<Id> next_id_{1};

  std::shared_future<Facts> facts_;  // what the files say of models that were never loaded

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> inbox_;
  bool stopping_ = false;
  HostStatus status_;
  PoolLoop loop_;  // touched by the thread alone
  std::thread thread_;
};

}  // namespace lathe
