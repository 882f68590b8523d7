// The loop that steps all engines of a pool and keeps its budget.
#include "serve/pool/pool_loop.h"

#include <algorithm>
#include <cmath>

#include "ground/base/clock.h"
#include "ground/base/units.h"
#include "ground/base/version.h"
#include "ground/sys/machine.h"
#include "ground/sys/priority.h"
#include "infer/cache/snapshot.h"
#include "infer/link/tcp_wire.h"
#include "serve/pool/pool_place.h"

namespace lathe::serve {
namespace {

// How often it is looked whether memory is short, what counts as short, and how fast the cache may
// grow again.
constexpr Milliseconds kPressureEvery{1000};
constexpr double kPressure = 0.1;
constexpr std::uint64_t kPressureStep = std::uint64_t{16} << 20;

infer::ExecutorOptions executor_options(const ModelFront& front) {
  const infer::ExecutorOptions options{
      .kv = front.kv(),
      .step_tokens = PoolLoop::kStepTokens,
      .context = front.context(),
      .keep_hidden = front.draft() != nullptr && front.draft()->reads_hidden()};
  return options.of(front.blueprint(), front.context());
}

// `memory`: that sequences may come to have.
infer::EngineOptions engine_options(const ModelFront& front, const PoolOptions& options,
                                    std::uint64_t memory) {
  infer::EngineOptions engine;
  engine.context = front.context();
  engine.sequences = options.sequences;
  // Addresses, not memory: as many as the whole budget could hold.
  const std::uint64_t block = PoolLoop::memory_of(front, options).block_bytes();
  engine.kv_tokens =
      static_cast<std::size_t>(memory / std::max<std::uint64_t>(1, block)) * infer::kChunk;
  return engine;
}

// What sequences may have on the other machine, without what an engine has for states beside.
std::uint64_t memory_there(const infer::LinkedPartner& partner, const infer::MemoryLayout& layout) {
  const std::uint64_t states = (2 + infer::kStateCheckpoints) * layout.state_bytes();
  return partner.ready().memory - std::min(partner.ready().memory, states);
}

// The machine with the rest of a model, which begins to load it.
Result<std::unique_ptr<infer::LinkedPartner>> call_partner(const ModelFront& front,
                                                           const PoolOptions& options) {
  constexpr Milliseconds kConnect{1500};
  const std::string& address = front.catalog().link;
  if (options.on_link) LATHE_TRY_STATUS(options.on_link(address));
  LATHE_TRY(const std::string identity, infer::link_identity(front.file()));
  LATHE_TRY(auto wire, infer::connect_tcp(address, kConnect));
  return infer::LinkedPartner::greet(std::move(wire), identity, executor_options(front),
                                     front.link());
}

}  // namespace

void PoolJob::fail(Error error) {
  if (program_call)
    program_call->refuse(std::move(error));
  else if (on_replies)
    on_replies(std::unexpected(std::move(error)));
  else if (on_embeddings)
    on_embeddings(std::unexpected(std::move(error)));
  else if (on_transcript)
    on_transcript(std::unexpected(std::move(error)));
  else if (on_speech)
    on_speech(std::unexpected(std::move(error)));
  else if (on_loaded)
    on_loaded(std::unexpected(std::move(error)));
}

PoolLoop::PoolLoop(const Catalog& catalog, const PoolOptions& options,
                   std::function<void(std::function<void()>)> post, OnLook on_look,
                   OnAside on_aside)
    : options_(options),
      post_(std::move(post)),
      on_look_(std::move(on_look)),
      on_aside_(std::move(on_aside)),
      team_(options.threads),
      memory_(DeviceBytes(kHostDevice, options.memory)),
      kv_(options.memory),
      energy_(options.energy) {
  for (const CatalogModel& model : catalog.models()) add_model(model);
}

void PoolLoop::add_model(const CatalogModel& model) {
  auto place = std::make_unique<Place>();
  place->model = model;
  if (model.program) add_program(*place);
  places_.emplace(model.name, std::move(place));
}

PoolLoop::~PoolLoop() = default;

const infer::KernelTable& PoolLoop::kernels_of(const PoolOptions& options) {
  return options.kernels != nullptr ? *options.kernels : infer::best_kernel_table();
}

infer::MemoryLayout PoolLoop::memory_of(const ModelFront& front, const PoolOptions& options) {
  return infer::cpu_layout(front.blueprint(), kernels_of(options), front.kv(), front.part().layers);
}

std::uint64_t PoolLoop::worst_case_of(const ModelFront& front, const PoolOptions& options,
                                      const infer::GenerationRequest& request) {
  const std::size_t most = request.prompt.size() + request.max_tokens;
  const infer::Claim claim =
      infer::claim_of(request, most, executor_options(front), front.draft() != nullptr);
  return infer::worst_case(memory_of(front, options), claim).total();
}

std::uint64_t PoolLoop::worst_case_of(const ModelFront& front, const PoolOptions& options,
                                      std::size_t tokens) {
  const infer::Claim claim = infer::claim_of(tokens, executor_options(front));
  return infer::worst_case(memory_of(front, options), claim).total();
}

Result<infer::Footprint> PoolLoop::footprint_of(const ModelFront& front,
                                                const PoolOptions& options) {
  const infer::Processor processor{&kernels_of(options), static_cast<std::size_t>(options.threads)};
  infer::ExecutorOptions executor = executor_options(front);
  executor.device = options.multiplier && !front.linked();
  LATHE_TRY(const infer::ExecutorSizes sizes,
            infer::cpu_sizes(front.file(), front.blueprint(), processor, executor, front.context(),
                             front.part()));
  LATHE_TRY(infer::Footprint bytes, infer::footprint(front.blueprint(), sizes, executor,
                                                     {.positions = front.context(), .streams = 1}));
  if (front.part().rows.parts > 1)
    bytes.scratch.add(kHostDevice, infer::LinkedRows::bytes_for(front.blueprint()));
  if (front.draft() == nullptr) return bytes;
  LATHE_TRY(const infer::ExecutorSizes draft, front.draft()->sizes(processor));
  bytes.weights += draft.weights;
  bytes.scratch += draft.scratch;
  bytes.scratch.add(kHostDevice, front.draft()->memory(*processor.kernels));
  return bytes;
}

Result<std::uint64_t> PoolLoop::media_bytes_of(const ModelFront& front,
                                               const PoolOptions& options) {
  if (front.senses() == nullptr) return 0;
  return Senses::bytes(*front.senses(), kernels_of(options),
                       Senses::threads_beside(options.threads));
}

// A sound may take minutes: its threads are as many as there are, and give way to steps.
Result<BookedBytes> PoolLoop::bytes_of(const ListenerFile& file, const PoolOptions& options) {
  return Listener::bytes(file, kernels_of(options), options.threads);
}

// Somebody listens to it as it comes: as many threads, and they do not give way.
Result<BookedBytes> PoolLoop::bytes_of(const SpeakerFile& file, const PoolOptions& options) {
  return Speaker::bytes(file, kernels_of(options), options.threads);
}

void PoolLoop::log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

void PoolLoop::add(std::unique_ptr<PoolJob> job) {
  Place& place = *places_.at(job->model);
  job->arrived = ++uses_;
  ++counters_.requests;
  counters_.of_people += !job->background() && !job->on_loaded;
  if (!place.known() && (job->listener || job->speaker)) {
    const auto bytes =
        job->listener ? bytes_of(*job->listener, options_) : bytes_of(*job->speaker, options_);
    LATHE_CHECK(bytes.has_value());
    place.listener = job->listener;
    place.speaker = job->speaker;
    place.bytes = *bytes;
  }
  if (!place.known()) {
    const auto bytes = footprint_of(*job->front, options_);
    const auto media = media_bytes_of(*job->front, options_);
    LATHE_CHECK(bytes.has_value() && media.has_value());  // or the pool would have no front
    place.front = job->front;
    place.bytes = {.weights = bytes->weights,
                   .scratch = bytes->scratch,
                   .media = DeviceBytes(kHostDevice, *media),
                   .program = {}};
    // Adapters stay with the front, whether the model is in memory or not.
    adapter_bytes_ += place.front->adapter_bytes();
    if (place.front->adapter_bytes() != 0)
      memory_.book(place.model.name + "+",
                   {DeviceBytes(kHostDevice, place.front->adapter_bytes()), {}, {}, {}});
  }
  wait(place, std::move(job));
}

void PoolLoop::refuse(std::unique_ptr<PoolJob> job, Error error) {
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  if (error.kind == ErrorKind::kCancelled)
    ++counters_.cancelled;
  else
    count_refused();
  job->fail(std::move(error));
}

void PoolLoop::cancel(ModelHost::Id id) {
  for (auto& [name, place] : places_) {
    if (const auto looking = place->looking.find(id); looking != place->looking.end()) {
      looking->second = true;
      return;
    }
    for (auto* queue : {&place->waiting, &place->reading}) {
      const auto found = std::ranges::find(*queue, id, [](auto& job) { return job->id; });
      if (found == queue->end()) continue;
      const auto index = static_cast<std::size_t>(found - queue->begin());
      auto job = queue == &place->waiting ? take_waiting(*place, index) : std::move(*found);
      if (queue == &place->reading) queue->erase(found);
      job->readings.clear();
      end(*place, std::move(job), Error{ErrorKind::kCancelled, "the request was cancelled"});
      return tell_ends();
    }
    for (auto& [sequence, job] : place->running) {
      if (job->id != id) continue;
      job->cancelled = true;  // and does not rest
      return place->engine->cancel(sequence);
    }
    if (place->asked.contains(id)) return cancel_asked(*place, id);
  }
}

// It takes its turn again, where it was in the queue.
void PoolLoop::looked(std::unique_ptr<PoolJob> job, const Status& status) {
  Place& place = *places_.at(job->model);
  const bool cancelled = place.looking.extract(job->id).mapped();
  counters_.media_encoded += static_cast<std::int64_t>(job->media_encoded);
  counters_.media_remembered += static_cast<std::int64_t>(job->media_remembered);
  place.used_at = system_clock().monotonic();
  count_waiting();
  if (cancelled)
    return refuse(std::move(job), {ErrorKind::kCancelled, "the request was cancelled"});
  if (!status) return refuse(std::move(job), status.error());
  job->look = {};
  wait(place, std::move(job));
}

void PoolLoop::done_aside(std::unique_ptr<PoolJob> job, const Status& status, double start) {
  Place& place = *places_.at(job->model);
  const bool cancelled = place.looking.extract(job->id).mapped();
  job->first_step = start;
  job->busy = seconds_now() - start;
  step_seconds_ += job->busy;
  place.turns.charge(job->asker.caller, job->busy);
  std::optional<Error> error;
  if (!status) error = status.error();
  if (cancelled) error = Error{ErrorKind::kCancelled, "the request was cancelled"};
  end(place, std::move(job), std::move(error));
  tell_ends();
}

// Books the end of a job and tells its owner, when that has not been done.
void PoolLoop::ended(Place& place, std::unique_ptr<PoolJob> job, const Error* error) {
  place.last_used = ++uses_;
  place.used_at = system_clock().monotonic();
  if (error == nullptr) return;
  ++(error->kind == ErrorKind::kCancelled ? counters_.cancelled : counters_.failed);
  job->fail(*error);
}

Status PoolLoop::unload(const std::string& model) {
  Place& place = *places_.at(model);
  if (place.state == ModelState::kLoading && place.only_wished()) {
    place.stop_loading.raise();
    if (place.program) leave(place);
    refuse_waiting(place, {ErrorKind::kCancelled, fmt::format("'{}' was unloaded again", model)});
    return {};
  }
  if (place.state == ModelState::kLoading || place.in_use() || !place.waiting.empty())
    return fail(ErrorKind::kUnavailable, "'{}' has work in flight; try again when it is done",
                model);
  if (place.state == ModelState::kReady) evict(place);
  return {};
}

// Ends all requests that wait for a model.
void PoolLoop::refuse_waiting(Place& place, const Error& error) {
  while (!place.waiting.empty()) end(place, take_waiting(place, 0), error);
  tell_ends();
}

// What the plan knows of the models that were asked for.
ResidencyState PoolLoop::residency() const {
  ResidencyState state{.limit = memory_.limit().less(DeviceBytes(kHostDevice, adapter_bytes_)),
                       .models = {}};
  for (const auto& [name, place] : places_) {
    if (!place->known()) continue;
    ResidencyModel model;
    model.name = name;
    model.bytes = place->bytes.all();
    model.state = place->leaving                         ? ResidencyModel::State::kLeaving
                  : place->state == ModelState::kReady   ? ResidencyModel::State::kReady
                  : place->state == ModelState::kLoading ? ResidencyModel::State::kLoading
                                                         : ResidencyModel::State::kCold;
    model.pinned = place->model.pinned;
    model.busy = place->in_use();
    model.program = place->program != nullptr;
    model.outgrown = place->outgrown();
    if (place->engine)
      model.bound_kv = DeviceBytes(kHostDevice, place->engine->cache().bound_bytes());
    model.priority = place->model.priority;
    model.last_used = place->last_used;
    if (const PoolJob* oldest = place->oldest_waiting()) {
      model.waiting_since = oldest->arrived;
      model.least_kv = DeviceBytes(kHostDevice, oldest->kv_bytes);
    }
    state.models.push_back(std::move(model));
  }
  return state;
}

// The pure plan, and its effects.
void PoolLoop::plan_memory() {
  for (auto& [name, place] : places_) place->held = false;
  if (std::ranges::none_of(places_, [](auto& row) {
        const Place& place = *row.second;
        return place.oldest_waiting() != nullptr ||
               (place.outgrown() && place.state != ModelState::kCold);
      }))
    return;
  const ResidencyPlan plan = plan_residency(residency());
  for (const std::string& name : plan.hold) places_.at(name)->held = true;
  for (const auto& [name, why] : plan.refuse) {
    Place& place = *places_.at(name);
    if (place.waiting.empty()) continue;
    end(place, take_waiting(place, 0), Error{ErrorKind::kUnavailable, why, "does_not_fit"});
  }
  tell_ends();
  for (const std::string& name : plan.stop) stop_outgrown(*places_.at(name));
  bool leaves = false;  // what is loaded comes in once it has gone
  for (const std::string& name : plan.evict) {
    evict(*places_.at(name));
    leaves = leaves || places_.at(name)->leaving;
  }
  if (plan.load && !leaves) start_load(*places_.at(*plan.load));
}

// What the weights leave, and under memory pressure no more than that allows.
void PoolLoop::set_kv_limit() {
  kv_.set_limit(std::min(memory_.left().on_host(), pressure_limit_));
  kv_.shrink();
}

void PoolLoop::start_load(Place& place) {
  memory_.book(place.model.name, place.bytes);
  set_kv_limit();
  place.state = ModelState::kLoading;
  place.problem.clear();
  place.stop_loading.clear();
  place.loaded = 0;
  if (place.program) {
    place.started_at = system_clock().monotonic();
    return place.program->start();
  }
  log(fmt::format("loading '{}'", place.model.name));
  // A team of its own: the engines' one has a single caller.
  place.loader = std::thread([this, &place, front = place.front] {
    const double start = seconds_now();
    const infer::LoadOptions options{
        .kernels = &kernels_of(options_),
        .progress =
            [this, &place, told = 0.0](std::uint64_t done, std::uint64_t total) mutable {
              place.loaded = static_cast<double>(done) / static_cast<double>(total);
              if (place.loaded < told + 0.01) return;
              told = place.loaded;
              post_([] {});  // wakes the loop, which makes it known
            },
        .stop = &place.stop_loading};
    auto weights = std::make_shared<Result<LoadedWeights>>();
    if (place.listener || place.speaker) {
      *weights = load_sounds(place, options_, options);
    } else {
      infer::ThreadTeam team(std::max(1, options_.threads / 2));
      *weights = load(*front, options_, team, options);
    }
    const double seconds = seconds_now() - start;
    post_([this, &place, weights, seconds] {
      place.load_seconds = seconds;
      finish_load(place, std::move(*weights));
    });
  });
}

Result<PoolLoop::LoadedWeights> PoolLoop::load(const ModelFront& front, const PoolOptions& pool,
                                               infer::ThreadTeam& team,
                                               infer::LoadOptions options) {
  LoadedWeights weights;
  if (front.linked()) {
    LATHE_TRY(weights.partner, call_partner(front, pool));
    options.part = front.part();
  }
  LATHE_TRY(weights.model, infer::Model::load(front.file(), front.blueprint(), team, options));
  options.part = {};  // of what else there is, all
  if (front.linked()) LATHE_TRY_STATUS(weights.partner->wait(options.stop));
  if (front.senses() != nullptr) {
    LATHE_TRY(weights.senses,
              Senses::load(*front.senses(), pool.program, Senses::threads_beside(pool.threads),
                           {.kernels = options.kernels, .progress = {}, .stop = options.stop}));
  }
  if (front.draft() == nullptr) return weights;
  options.progress = {};  // it is small
  LATHE_TRY(weights.draft, front.draft()->load(*weights.model, team, options));
  return weights;
}

Result<PoolLoop::LoadedWeights> PoolLoop::load_sounds(const Place& place, const PoolOptions& pool,
                                                      const infer::LoadOptions& options) {
  const infer::WeightLoading loading{
      .kernels = options.kernels, .progress = options.progress, .stop = options.stop};
  LoadedWeights weights;
  if (place.speaker) {
    LATHE_TRY(weights.sounds.speaker,
              Speaker::load(*place.speaker, pool.program, pool.threads, loading));
    return weights;
  }
  give_way_to_others();  // what it starts, too
  LATHE_TRY(weights.sounds.listener,
            Listener::load(*place.listener, pool.program, pool.threads, loading));
  return weights;
}

Status PoolLoop::open(Place& place, LoadedWeights weights) {
  place.weights = std::move(weights);
  if (place.listener || place.speaker) return {};
  const infer::ExecutorOptions options = executor_options(*place.front);
  std::unique_ptr<infer::Executor> executor;
  std::uint64_t memory = options_.memory;
  if (place.front->linked()) {
    memory =
        std::min(memory, memory_there(*place.weights.partner, memory_of(*place.front, options_)));
    LATHE_TRY(executor, infer::LinkedExecutor::create(*place.weights.model, team_, options,
                                                      std::move(place.weights.partner)));
  } else {
    LATHE_TRY(executor,
              infer::CpuExecutor::create(*place.weights.model, team_, options, nullptr,
                                         options_.multiplier ? options_.multiplier() : nullptr));
  }
  LATHE_TRY(place.engine,
            infer::Engine::create(std::move(executor), place.front->tokenizer(),
                                  engine_options(*place.front, options_, memory), &kv_));
  if (!place.weights.draft) return {};
  LATHE_TRY(auto draft, place.front->draft()->open(*place.weights.draft, team_));
  LATHE_TRY(const double seconds, draft->measure());
  place.engine->use_draft_model(std::move(draft), seconds);
  return {};
}

void PoolLoop::finish_load(Place& place, Result<LoadedWeights> weights) {
  if (place.loader.joinable()) place.loader.join();
  if (stopping_) return;
  const Status status =
      weights ? open(place, std::move(*weights)) : std::unexpected(weights.error());
  if (!status) {
    place.engine.reset();
    place.weights = {};
    memory_.release(place.model.name);
    set_kv_limit();
    place.loaded = 0;
    if (status.error().kind == ErrorKind::kCancelled) {
      place.state = ModelState::kCold;  // who came meanwhile has it loaded anew
      return;
    }
    place.state = ModelState::kFailed;
    log(fmt::format("'{}' cannot be loaded: {}", place.model.name, status.error().message));
    place.problem = without_place(place.model.file, place.model.name, status.error()).message;
    refuse_waiting(place, {status.error().kind, place.problem, "model_load_failed"});
    return;
  }
  ++counters_.loads;
  place.state = ModelState::kReady;
  place.used_at = system_clock().monotonic();
  if (place.engine && !options_.snapshots.empty() && !place.front->linked()) {
    const auto loaded = infer::load_snapshot(place.engine->cache(), identity(place),
                                             options_.snapshots / (place.model.name + ".kv"));
    if (loaded) {
      log(fmt::format("'{}': {} remembered blocks are back", place.model.name, *loaded));
    } else if (loaded.error().kind != ErrorKind::kNotFound) {
      log(loaded.error().message);
    }
  }
  if (place.engine && options_.speculate && place.front->blueprint().generates) {
    if (auto seconds = place.engine->measure_steps())
      place.engine->use_step_seconds(std::move(*seconds));
  }
  log(fmt::format("'{}' is ready after {:.1f} s: {} weights, {} scratch", place.model.name,
                  place.load_seconds, format_bytes(memory_.of(place.model.name).weights.total()),
                  format_bytes(memory_.of(place.model.name).scratch.total())));
}

std::string PoolLoop::identity(const Place& place) const {
  const bool turns_long = place.front->blueprint().turns_long(place.front->context());
  return fmt::format("{} {} {} {}{}", place.front->identity(), kernels_of(options_).name,
                     static_cast<int>(place.front->kv()), kNumerics, turns_long ? " long" : "");
}

void PoolLoop::save(Place& place) {
  if (!place.engine || options_.snapshots.empty() || place.saved_at == place.last_used) return;
  if (place.front->linked()) return;  // half of it is elsewhere
  place.saved_at = place.last_used;
  const auto saved = infer::save_snapshot(place.engine->cache(), identity(place),
                                          options_.snapshots / (place.model.name + ".kv"),
                                          options_.snapshot_bytes);
  log(saved ? fmt::format("'{}': {} blocks are on disk", place.model.name, *saved)
            : saved.error().message);
}

void PoolLoop::evict(Place& place) {
  LATHE_CHECK(!place.in_use());
  if (place.program) {
    ++counters_.evictions;
    return leave(place);
  }
  save(place);
  leave_memory(place);
  ++counters_.evictions;
  log(fmt::format("'{}' has left the memory", place.model.name));
}

void PoolLoop::leave_memory(Place& place) {
  place.engine.reset();
  place.weights = {};
  memory_.release(place.model.name);
  place.state = ModelState::kCold;
  set_kv_limit();
}

// What it was computed on is gone: its requests end, and the next one has it loaded anew.
void PoolLoop::lose(Place& place, const Error& why) {
  log(fmt::format("'{}': {}", place.model.name, why.message));
  const Error error{why.kind, why.message, "model_lost"};
  for (auto& [sequence, job] : std::exchange(place.running, {})) end(place, std::move(job), error);
  for (auto& job : std::exchange(place.reading, {})) {
    job->readings.clear();
    end(place, std::move(job), error);
  }
  leave_memory(place);
}

void PoolLoop::watch_pressure() {
  const Milliseconds now = system_clock().monotonic();
  if (now - pressure_read_ < kPressureEvery) return;
  pressure_read_ = now;
  const std::optional<double> pressure =
      options_.pressure ? options_.pressure() : memory_pressure();
  if (pressure && *pressure > kPressure) {
    pressure_limit_ = static_cast<std::uint64_t>(static_cast<double>(kv_.held()) * 0.7);
    log(fmt::format("memory is short (PSI {:.0f} %): the prefix cache shrinks", *pressure * 100));
  } else if (pressure_limit_ < memory_.left().on_host()) {
    pressure_limit_ += pressure_limit_ / 10 + kPressureStep;
  } else {
    return;
  }
  set_kv_limit();
}

// What nobody asked for as long as its keep_alive says leaves.
void PoolLoop::end_idle() {
  const Milliseconds now = system_clock().monotonic();
  for (auto& [name, place] : places_) {
    const Milliseconds keep = place->model.keep_alive;
    if (keep > Milliseconds(0) && place->state == ModelState::kReady && !place->in_use() &&
        place->waiting.empty() && now - place->used_at >= keep)
      evict(*place);
  }
}

bool PoolLoop::turn() {
  watch_pressure();
  end_idle();
  plan_memory();
  plan_classes();
  for (auto& [name, place] : places_) {
    if (place->state == ModelState::kReady) hand_over(*place);
  }
  Place* place = next_place();
  if (place == nullptr) return false;
  make_way();
  step(*place);
  tell_ends();
  return true;
}

void PoolLoop::idle() {
  for (auto& [name, place] : places_) {
    if (place->engine && place->state == ModelState::kReady && !place->busy()) save(*place);
  }
}

void PoolLoop::stop() {
  stopping_ = true;
  const Error error{ErrorKind::kCancelled, "the server is shutting down", "shutting_down"};
  stop_programs();
  for (auto& [name, place] : places_) {
    place->stop_loading.raise();
    if (place->loader.joinable()) place->loader.join();
    for (auto* queue : {&place->waiting, &place->reading}) {
      for (auto& job : *queue) job->fail(error);
      queue->clear();
    }
    for (auto& [sequence, job] : place->running) place->engine->cancel(sequence);
    place->weights.sounds = {};
    if (!place->engine) continue;
    while (
        place->engine->step([&](infer::TokenEvent event) { deliver(*place, std::move(event)); })) {
    }
    for (End& end : ends_) end.error = error;
    tell_ends();
    save(*place);
    place->engine.reset();
    place->weights = {};
  }
  waiting_.store(0, std::memory_order_relaxed);
}

HostStatus PoolLoop::status() const {
  HostStatus status;
  status.limits = memory_.limit();
  status.booked = memory_.booked() + DeviceBytes(kHostDevice, kv_.held());
  status.resident = resident_bytes();
  status.counters = counters_;
  status.counters.refused = refused_.load(std::memory_order_relaxed);
  status.counters.step_us = std::llround(step_seconds_ * 1e6);
  status.counters.recomputed_us = std::llround(recomputed_seconds_ * 1e6);
  const double now = seconds_now();
  for (const auto& [name, place] : places_) {
    ModelInfo info;
    if (place->model.program) {
      info = program_info(*place);
    } else if (place->front) {
      info = place->front->info();
    } else if (place->listener) {
      info = place->listener->info;
    } else if (place->speaker) {
      info = place->speaker->info;
    } else {
      info.name = name;
      info.aliases = place->model.aliases;
      info.pinned = place->model.pinned;
      info.transcribes = place->model.transcribes;
      info.speaks = place->model.speaks;
      std::error_code error;
      info.file_bytes = fs::file_size(place->model.file, error);
      const auto written = fs::last_write_time(place->model.file, error);
      info.modified = std::chrono::duration_cast<std::chrono::seconds>(
                          std::chrono::file_clock::to_sys(written).time_since_epoch())
                          .count();
    }
    info.state = place->state;
    info.problem = place->problem;
    info.loaded = place->state == ModelState::kReady ? 1 : place->loaded.load();
    info.load_seconds = place->load_seconds;
    const BookedBytes booked = memory_.of(name);
    info.weights = booked.weights.total();
    info.scratch = booked.scratch.total();
    info.media = booked.media.total();
    info.program = booked.program.total();
    info.used = place->used;
    info.devices = booked.all();
    if (place->model.program) info.running = static_cast<int>(place->asked.size());
    if (place->listener || place->speaker) info.running = static_cast<int>(place->looking.size());
    if (place->engine) {
      const infer::KvCache& cache = place->engine->cache();
      info.prefix = cache.remembered_bytes();
      info.kv = cache.store().held_bytes() - info.prefix;
      info.devices.add(kHostDevice, cache.store().held_bytes());
      info.running = static_cast<int>(place->engine->running() + place->reading.size() +
                                      place->looking.size());
      info.tokens_per_second = now - place->rate_since > 2 * kRateWindow ? 0 : place->rate;
    }
    info.waiting =
        static_cast<int>(place->waiting.size() + (place->engine ? place->engine->waiting() : 0));
    status.queued += info.waiting;
    status.interactive += static_cast<int>(place->interactive());
    status.models.push_back(std::move(info));
  }
  return status;
}

}  // namespace lathe::serve
