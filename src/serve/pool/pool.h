// The family of models of one process, in one memory budget: the ModelHost behind `lathe serve`,
// `lathe run` and loops. Requests are prepared on threads of their own (SideWork), those with
// pictures or sounds in two parts, as their model's encoder must be in memory for the second;
// sounds are written down, one at a time, by threads that give way to steps, and texts spoken by
// others; one
// thread (PoolLoop) books, steps the engines in turn and delivers, errors too; weights are read on
// a thread of their own, so that nobody waits for a load but those who asked for that model.
#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "serve/pool/pool_loop.h"
#include "serve/pool/side_work.h"

namespace lathe::serve {

class Pool final : public ModelHost {
 public:
  // Pinned models begin to load.
  Pool(Catalog catalog, PoolOptions options);
  // Ends every request with "shutting_down" and writes snapshots.
  ~Pool() override;

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
  // One more model, from now on; of one that is there already, its aliases. Any thread; not once
  // the pool is being destroyed.
  Status add_model(CatalogModel model);
  // What the model takes at the very least while it is in memory, by its file's head or by what its
  // program is promised, and what there is for all models; 0: nobody can say. Any thread.
  struct Room {
    std::uint64_t takes = 0, has = 0;
    bool fits() const { return takes <= has; }
  };
  Room room_of(const std::string& model);
  // The models' files, by name; of those that programs serve there is none. Any thread.
  std::map<std::string, fs::path> files() const;

 private:
  using Facts = std::map<std::string, Result<ModelInfo>>;

  void run();
  void post(std::function<void()> task);
  // What others may know of the loop, as it is now; on the loop's thread.
  void publish();
  std::unexpected<Error> no_model(std::string_view asked) const;
  // The file's head, read when it is first needed.
  Result<std::shared_ptr<const ModelFront>> front(const std::string& model);
  // The same of a Whisper model.
  Result<std::shared_ptr<const ListenerFile>> listener(const std::string& model);
  // … and of a model that speaks.
  Result<std::shared_ptr<const SpeakerFile>> speaker(const std::string& model);
  // Why a model of sounds is asked for no answer.
  static Error answers_nothing(const CatalogModel& model);
  Error failed_file(const CatalogModel& model, Error error);
  // Fills in what the loop needs; on a thread of side_, or, with what its pictures and sounds
  // became, of looks_.
  Status prepare(PoolJob& job, const std::string& model, const HostRequest& request,
                 const Percepts& percepts, const StopFlag& stop);
  // Of a talk with pictures or sounds: what it takes to encode them first.
  Status prepare_look(PoolJob& job, const std::string& model,
                      std::shared_ptr<const HostRequest> request);
  void look(std::unique_ptr<PoolJob> job, std::shared_ptr<Senses> senses);
  void work_aside(std::unique_ptr<PoolJob> job, SoundMakers sounds);
  Status prepare(PoolJob& job, const std::string& model, std::vector<TextInput> inputs, bool cut,
                 const StopFlag& stop);
  Status prepare(PoolJob& job, const std::string& model, const std::string& query,
                 const std::vector<std::string>& documents, const StopFlag& stop);
  // Of a model without an adapter that is a reranker, or is none.
  Status check_reader(PoolJob& job, const std::string& model, bool ranks);
  // Prepares the job and gives it to the loop.
  Id add(const std::string& model, std::unique_ptr<PoolJob> job,
         std::function<Status(PoolJob&, const StopFlag&)> prepare);
  // Has tokens made, and tells.
  Id add(const std::string& model,
         std::function<Result<std::vector<std::int32_t>>(const StopFlag&)> make,
         OnTokens on_tokens);
  // Has the program that serves the model asked, and tells.
  Id ask(const std::string& model, ProgramCall call);
  bool is_program(const std::string& model) const;
  bool transcribes(const std::string& model) const;
  bool speaks(const std::string& model) const;
  // Without its adapter.
  std::string catalog_model(const std::string& model) const;
  // Checks the answer before it is told.
  OnReplies checked(const std::string& model, AnswerCheck check, OnReplies on_replies);
  bool queue_is_full();
  Error queue_full() const;
  Error stopped() const;
  // A job that only wants the model to be there.
  Result<std::unique_ptr<PoolJob>> wish(const std::string& model,
                                        std::function<void(Status)> on_loaded);
  void enqueue(std::unique_ptr<PoolJob> job);

  // The one that counts now. What was found in an earlier one stays where it is.
  const Catalog& catalog() const { return *catalog_.load(); }
  void set_catalog(Catalog catalog);

  std::mutex adding_;
  std::vector<std::unique_ptr<const Catalog>> catalogs_;  // all there were; the last one counts
  std::atomic<const Catalog*> catalog_{nullptr};
  const PoolOptions options_;
  mutable std::mutex fronts_mutex_;
  std::map<std::string, std::shared_ptr<const ModelFront>> fronts_;
  std::map<std::string, std::shared_ptr<const ListenerFile>> listeners_;
  std::map<std::string, std::shared_ptr<const SpeakerFile>> speakers_;
  std::map<std::string, std::string> problems_;  // of models whose file could not be opened
  std::atomic<Id> next_id_{1};

  std::shared_future<Facts> facts_;  // what the files say of models that were never loaded
  Facts late_facts_;                 // the same of those that were added; under fronts_mutex_

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> inbox_;
  bool stopping_ = false;
  std::atomic<bool> ending_ = false;
  HostStatus status_;
  PoolLoop loop_;  // touched by the thread alone
  std::thread thread_;
  SideWork side_;
  SideWork looks_;   // at pictures and sounds, one at a time
  SideWork hears_;   // sounds that are written down, one at a time
  SideWork speaks_;  // texts that are spoken, one at a time
};

}  // namespace lathe::serve
