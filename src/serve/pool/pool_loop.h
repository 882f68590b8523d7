// What the pool's one thread does: keeps the queue, carries out the residency plan, steps the
// engines in turn, delivers what comes of it. No locks: everything here runs on that thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "ground/base/stop.h"
#include "ground/sys/energy.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/link/linked_executor.h"
#include "serve/pool/answer_builder.h"
#include "serve/pool/fair_queue.h"
#include "serve/pool/listener.h"
#include "serve/pool/memory_budget.h"
#include "serve/pool/program_call.h"
#include "serve/pool/residency.h"
#include "serve/pool/speaker.h"
#include "serve/programs/program.h"

namespace lathe::serve {

struct PoolOptions {
  std::uint64_t memory = 0;  // for weights, scratch and KV of all models
  int threads = 1;
  std::size_t queue = 256;     // requests that wait, at most
  int max_tokens = 8192;       // of an answer whose request names no limit
  std::size_t sequences = 32;  // of one model at once
  const infer::KernelTable* kernels = nullptr;
  // One for each model, of a device beside the processor; empty: there is none.
  std::function<std::unique_ptr<infer::Multiplier>()> multiplier = {};
  fs::path snapshots;                                     // a directory; empty: none are kept
  std::uint64_t snapshot_bytes = std::uint64_t{2} << 30;  // of one model, at most
  bool speculate = true;
  ProgramPlaces programs = {};  // for models that programs serve
  fs::path program = {};        // this one: its children decode files (ground/media/decoders.h)
  std::function<void(const std::string&)> log = {};  // a line; any thread
  // Before a machine with the rest of a model is called: its address. An error: it is not.
  std::function<Status(const std::string&)> on_link = {};
  // The share of time that something waits for memory (PSI); a stand-in in tests.
  std::function<std::optional<double>()> pressure = {};
  fs::path energy = "/";  // where the machine's counters are (EnergyMeter); for tests
};

// What a model of sounds has in memory; the others have neither.
struct SoundMakers {
  std::shared_ptr<Listener> listener;  // of a Whisper model
  std::shared_ptr<Speaker> speaker;    // of a talker
};

// One request on its way. It is delivered to exactly once.
struct PoolJob {
  ModelHost::Id id = 0;
  std::string model;
  std::shared_ptr<const ModelFront> front;
  std::uint64_t arrived = 0;   // a count
  std::uint64_t kv_bytes = 0;  // its worst case
  Asker asker;
  // What it took so far, in seconds of one clock; what is absent has not come yet.
  double came = 0;
  std::optional<double> first_step = {}, first_token = {};
  double busy = 0;          // its share of steps
  double joules = 0;        // of their energy
  double ahead = 0;         // charged to its client, and not yet busy
  bool resting = false;     // others' turn
  bool lacks_room = false;  // the engine could not admit it
  bool cancelled = false;
  std::uint64_t last_step = 0;  // that it took part in: a count
  // What is still to be prepared once the model's encoder is in memory: a talk with pictures or
  // sounds.
  std::function<Status(PoolJob&, Senses&, const StopFlag&)> look;
  std::size_t media_encoded = 0, media_remembered = 0;
  // A talk, …
  Prepared prepared;
  std::unique_ptr<AnswerBuilder> answer;
  ModelHost::OnDelta on_delta;
  ModelHost::OnReplies on_replies;
  infer::SequenceId sequence = 0;  // in the engine
  // … or texts to embed or to rank, …
  std::vector<std::vector<infer::TokenId>> texts;
  ModelHost::OnEmbeddings on_embeddings;
  Embeddings embeddings;
  // Of texts to embed, the first one that is not done before; or of a prompt to score.
  std::deque<std::unique_ptr<infer::Engine::Reading>> readings;
  // … or a sound to be written down, …
  std::shared_ptr<const ListenerFile> listener;
  ModelHost::OnTranscript on_transcript;
  Transcription transcription;
  // … or a text to be spoken: either is done beside the steps, by what is in memory for it, …
  std::shared_ptr<const SpeakerFile> speaker;
  ModelHost::OnSpeech on_speech;
  Speech speech;
  std::function<Status(PoolJob&, const SoundMakers&, const StopFlag&)> aside;
  // … or just a wish for the model to be there, …
  std::function<void(Status)> on_loaded;
  // … or what a program is asked.
  std::optional<ProgramCall> program_call;

  void fail(Error error);
  bool same_client(const PoolJob& other) const {
    return asker.caller.key == other.asker.caller.key && background() == other.background();
  }
  // Its tokens are read before, or instead of, an answer.
  bool reads() const { return on_embeddings || prepared.score; }
  bool background() const { return asker.caller.call_class == CallClass::kBackground; }
};

class PoolLoop {
 public:
  static constexpr std::size_t kStepTokens = 512;
  // A step of fewer tokens of prompts says little of what one costs.
  static constexpr std::size_t kLeastPromptTokens = 16;
  static constexpr double kRateWindow = 5;  // seconds over which tokens a second are shown

  // Has PoolJob::look done elsewhere, and then looked() called.
  using OnLook = std::function<void(std::unique_ptr<PoolJob>, std::shared_ptr<Senses>)>;
  // Has PoolJob::aside done elsewhere, and then done_aside() called.
  using OnAside = std::function<void(std::unique_ptr<PoolJob>, SoundMakers)>;
  // `post` hands a task to this loop's thread.
  PoolLoop(const Catalog& catalog, const PoolOptions& options,
           std::function<void(std::function<void()>)> post, OnLook on_look, OnAside on_aside);
  ~PoolLoop();

  void add_model(const CatalogModel& model);
  void add(std::unique_ptr<PoolJob> job);
  // What was counted as waiting comes to nothing.
  void refuse(std::unique_ptr<PoolJob> job, Error error);
  // It was looked at the job's pictures and sounds, or it was not, and why.
  void looked(std::unique_ptr<PoolJob> job, const Status& status);
  // It was worked on aside from `start` on (seconds_now()), or it was not, and why.
  void done_aside(std::unique_ptr<PoolJob> job, const Status& status, double start);
  void cancel(ModelHost::Id id);
  Status unload(const std::string& model);
  // One round: residency, then one step of one model. False: there is nothing to do until a task
  // comes.
  bool turn();
  void idle();  // called when there was nothing to do for a while
  // Ends every job and takes everything out of memory, with snapshots.
  void stop();
  HostStatus status() const;
  // The host in front of a program that is ready, and how it calls its model; null: it is none, or
  // is not. Any thread; who holds it lets it go soon.
  std::shared_ptr<ModelHost> program_host(const std::string& model, std::string& name) const;
  // Of requests that wait, read from any thread.
  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  // Whoever posts add() has counted the job before.
  void count_waiting() { waiting_.fetch_add(1, std::memory_order_relaxed); }
  void count_refused() { refused_.fetch_add(1, std::memory_order_relaxed); }

  // Bytes that a model's weights and scratch will take; how its KV is laid out; and how much of it
  // a request, or a text to be read, may come to take.
  static Result<infer::Footprint> footprint_of(const ModelFront& front, const PoolOptions& options);
  // … and those of its encoders: 0 where it has none.
  static Result<std::uint64_t> media_bytes_of(const ModelFront& front, const PoolOptions& options);
  // The same of a Whisper model and of a talker, sounds and all.
  static Result<BookedBytes> bytes_of(const ListenerFile& file, const PoolOptions& options);
  static Result<BookedBytes> bytes_of(const SpeakerFile& file, const PoolOptions& options);
  static infer::MemoryLayout memory_of(const ModelFront& front, const PoolOptions& options);
  static std::uint64_t worst_case_of(const ModelFront& front, const PoolOptions& options,
                                     const infer::GenerationRequest& request);
  static std::uint64_t worst_case_of(const ModelFront& front, const PoolOptions& options,
                                     std::size_t tokens);
  static const infer::KernelTable& kernels_of(const PoolOptions& options);
  static double seconds_now();  // of a clock that never goes back

 private:
  struct Place;  // one model of the catalog
  struct LoadedWeights {
    std::unique_ptr<infer::Model> model;
    std::unique_ptr<infer::Model> draft;            // null: nothing guesses for it
    std::shared_ptr<Senses> senses;                 // null: it reads texts alone
    SoundMakers sounds;                             // of a model that has nothing else
    std::unique_ptr<infer::LinkedPartner> partner;  // null: all of it is here
  };
  static Result<LoadedWeights> load(const ModelFront& front, const PoolOptions& pool,
                                    infer::ThreadTeam& team, infer::LoadOptions options);
  void refuse_waiting(Place& place, const Error& error);
  ResidencyState residency() const;
  void plan_memory();
  void end_idle();
  void set_kv_limit();
  void start_load(Place& place);
  static Result<LoadedWeights> load_sounds(const Place& place, const PoolOptions& pool,
                                           const infer::LoadOptions& options);
  Status open(Place& place, LoadedWeights weights);
  void finish_load(Place& place, Result<LoadedWeights> weights);
  void evict(Place& place);
  void leave_memory(Place& place);
  void lose(Place& place, const Error& why);
  void save(Place& place);
  std::string identity(const Place& place) const;
  // Turns: pool_turns.cpp.
  void wait(Place& place, std::unique_ptr<PoolJob> job);
  std::unique_ptr<PoolJob> take_waiting(Place& place, std::size_t index);
  std::optional<std::size_t> next_waiting(const Place& place) const;
  void charge_ahead(Place& place, PoolJob& job);
  void plan_classes();
  void rest(bool rests);
  static void set_rest(Place& place, PoolJob& job, bool rests);
  double choose_parts(Place& place, double prompt_seconds);
  static bool lacks_room(const Place& place, const PoolJob& job);
  static bool has_another_running(const Place& place, const PoolJob& job);
  void make_way();
  void start(Place& place, std::unique_ptr<PoolJob> job);
  void hand_over(Place& place);
  Place* next_place();
  void step(Place& place);
  // What steps read, write and take: pool_steps.cpp.
  Result<bool> open_readings(Place& place, PoolJob& job);
  bool read_on(Place& place);
  bool score_on(Place& place);
  void deliver(Place& place, infer::TokenEvent event);
  void share(Place& place, PoolJob& job, double start, double seconds);
  void share_step(Place& place, double start, double seconds);
  PoolJob* job_of(Place& place, infer::SequenceId sequence);
  void note_costs(Place& place, double seconds);
  void read_energy();
  void end(Place& place, std::unique_ptr<PoolJob> job, std::optional<Error> error = {});
  void tell_ends();
  void tell(Place& place, std::unique_ptr<PoolJob> job, std::optional<Error> error);
  Usage usage_of(const PoolJob& job) const;
  void ended(Place& place, std::unique_ptr<PoolJob> job, const Error* error);
  void watch_pressure();
  // Of models that programs serve: pool_programs.cpp.
  void add_program(Place& place);
  void program_ready(Place& place, const ModelInfo& said);
  void program_gone(Place& place, const std::optional<Error>& why);
  void program_uses(Place& place, std::uint64_t bytes);
  void leave(Place& place);
  void stop_outgrown(Place& place);
  void ask_program(Place& place);
  void cancel_asked(Place& place, ModelHost::Id id);
  void answered(Place& place, ModelHost::Id id, std::optional<ErrorKind> error, const Usage& usage);
  void stop_programs();
  static ModelInfo program_info(const Place& place);
  void log(const std::string& line) const;

  const PoolOptions& options_;
  std::function<void(std::function<void()>)> post_;
  OnLook on_look_;
  OnAside on_aside_;
  infer::ThreadTeam team_;
  MemoryBudget memory_;
  std::uint64_t adapter_bytes_ = 0;  // of all fronts
  infer::KvBudget kv_;               // of the host's memory, where all KV stands
  std::map<std::string, std::unique_ptr<Place>> places_;
  std::uint64_t uses_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex programs_mutex_;
  std::map<std::string, Program*> programs_;   // of the places; under that mutex
  std::uint64_t pressure_limit_ = UINT64_MAX;  // of KV, while memory is short
  Milliseconds pressure_read_{0};
  HostCounters counters_;
  ClassTurns classes_;
  bool background_rests_ = false;
  bool stuck_ = false;  // the last step moved nothing
  double step_seconds_ = 0, recomputed_seconds_ = 0;
  EnergyMeter energy_;
  std::optional<double> energy_read_;       // joules, when it was last read
  double energy_read_at_ = 0;               // … in seconds
  std::map<std::uint64_t, double> shares_;  // seconds since then, by PoolJob::arrived
  struct End {
    Place* place;
    std::unique_ptr<PoolJob> job;
    std::optional<Error> error;
  };
  std::vector<End> ends_;  // of this step, not told yet
  std::atomic<std::size_t> waiting_{0};
  std::atomic<std::int64_t> refused_{0};
};

}  // namespace lathe::serve
