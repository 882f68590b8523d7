// The loop that steps all engines of a pool and keeps its budget.
#include "serve/pool/pool_loop.h"

#include <algorithm>
#include <cmath>

#include "ground/base/clock.h"
#include "ground/base/units.h"
#include "ground/base/version.h"
#include "ground/sys/machine.h"
#include "infer/cache/snapshot.h"
#include "serve/pool/pool_place.h"

namespace lathe::serve {
namespace {

// How long a step may keep neighbours waiting, and how long one that has none.
constexpr double kSharedSeconds = 0.12, kAloneSeconds = 0.4;
constexpr std::size_t kStepTokens = 512, kFirstPromptTokens = 64, kLeastPromptTokens = 16;
constexpr double kRateWindow = 5;  // seconds over which tokens a second are shown
// How often it is looked whether memory is short, what counts as short, and how fast the cache may
// grow again.
constexpr Milliseconds kPressureEvery{1000};
constexpr double kPressure = 0.1;
constexpr std::uint64_t kPressureStep = std::uint64_t{16} << 20;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

infer::ExecutorOptions executor_options(const ModelFront& front) {
  const infer::ExecutorOptions options{
      .kv = front.kv(),
      .step_tokens = kStepTokens,
      .context = front.context(),
      .keep_hidden = front.draft() != nullptr && front.draft()->reads_hidden()};
  return options.of(front.blueprint(), front.context());
}

infer::EngineOptions engine_options(const ModelFront& front, const PoolOptions& options) {
  infer::EngineOptions engine;
  engine.context = front.context();
  engine.sequences = options.sequences;
  // Addresses, not memory: as many as the whole budget could hold.
  const std::uint64_t block = PoolLoop::memory_of(front, options).block_bytes();
  engine.kv_tokens =
      static_cast<std::size_t>(options.memory / std::max<std::uint64_t>(1, block)) * infer::kChunk;
  return engine;
}

}  // namespace

void PoolJob::fail(Error error) {
  if (program_call)
    program_call->refuse(std::move(error));
  else if (on_replies)
    on_replies(std::unexpected(std::move(error)));
  else if (on_embeddings)
    on_embeddings(std::unexpected(std::move(error)));
  else if (on_loaded)
    on_loaded(std::unexpected(std::move(error)));
}

PoolLoop::PoolLoop(const Catalog& catalog, const PoolOptions& options,
                   std::function<void(std::function<void()>)> post)
    : options_(options),
      post_(std::move(post)),
      team_(options.threads),
      memory_(DeviceBytes(kHostDevice, options.memory)),
      kv_(options.memory) {
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
  return infer::cpu_layout(front.blueprint(), kernels_of(options), front.kv());
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
  const infer::ExecutorOptions executor = executor_options(front);
  LATHE_TRY(
      const infer::ExecutorSizes sizes,
      infer::cpu_sizes(front.file(), front.blueprint(), processor, executor, front.context()));
  LATHE_TRY(infer::Footprint bytes, infer::footprint(front.blueprint(), sizes, executor,
                                                     {.positions = front.context(), .streams = 1}));
  if (front.draft() == nullptr) return bytes;
  LATHE_TRY(const infer::ExecutorSizes draft, front.draft()->sizes(processor));
  bytes.weights += draft.weights;
  bytes.scratch += draft.scratch;
  bytes.scratch.add(kHostDevice, front.draft()->memory(*processor.kernels));
  return bytes;
}

void PoolLoop::log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

void PoolLoop::add(std::unique_ptr<PoolJob> job) {
  Place& place = *places_.at(job->model);
  job->arrived = ++uses_;
  ++counters_.requests;
  if (!place.front && !place.program) {
    const auto bytes = footprint_of(*job->front, options_);
    LATHE_CHECK(bytes.has_value());  // or the pool would have no front
    place.front = job->front;
    place.bytes = {bytes->weights, bytes->scratch, {}};
    // Adapters stay with the front, whether the model is in memory or not.
    adapter_bytes_ += place.front->adapter_bytes();
    if (place.front->adapter_bytes() != 0)
      memory_.book(place.model.name + "+",
                   {DeviceBytes(kHostDevice, place.front->adapter_bytes()), {}, {}});
  }
  place.waiting.push_back(std::move(job));
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
    for (auto* queue : {&place->waiting, &place->reading}) {
      const auto found = std::ranges::find(*queue, id, [](auto& job) { return job->id; });
      if (found == queue->end()) continue;
      if (queue == &place->waiting) waiting_.fetch_sub(1, std::memory_order_relaxed);
      auto job = std::move(*found);
      queue->erase(found);
      const Error error{ErrorKind::kCancelled, "the request was cancelled"};
      return ended(*place, std::move(job), &error);
    }
    for (auto& [sequence, job] : place->running) {
      if (job->id == id) return place->engine->cancel(sequence);
    }
    if (place->asked.contains(id)) return cancel_asked(*place, id);
  }
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
  while (!place.waiting.empty()) {
    auto job = std::move(place.waiting.front());
    place.waiting.pop_front();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    ended(place, std::move(job), &error);
  }
}

// What the plan knows of the models that were asked for.
ResidencyState PoolLoop::residency() const {
  ResidencyState state{.limit = memory_.limit().less(DeviceBytes(kHostDevice, adapter_bytes_)),
                       .models = {}};
  for (const auto& [name, place] : places_) {
    if (!place->front && !place->program) continue;
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
    auto job = std::move(place.waiting.front());
    place.waiting.pop_front();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    const Error error{ErrorKind::kUnavailable, why, "does_not_fit"};
    ended(place, std::move(job), &error);
  }
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
    const double start = now_seconds();
    infer::ThreadTeam team(std::max(1, options_.threads / 2));
    auto weights = std::make_shared<Result<LoadedWeights>>(
        load(*front, team,
             {.kernels = &kernels_of(options_),
              .progress =
                  [this, &place, told = 0.0](std::uint64_t done, std::uint64_t total) mutable {
                    place.loaded = static_cast<double>(done) / static_cast<double>(total);
                    if (place.loaded < told + 0.01) return;
                    told = place.loaded;
                    post_([] {});  // wakes the loop, which makes it known
                  },
              .stop = &place.stop_loading}));
    const double seconds = now_seconds() - start;
    post_([this, &place, weights, seconds] {
      place.load_seconds = seconds;
      finish_load(place, std::move(*weights));
    });
  });
}

Result<PoolLoop::LoadedWeights> PoolLoop::load(const ModelFront& front, infer::ThreadTeam& team,
                                               infer::LoadOptions options) {
  LoadedWeights weights;
  LATHE_TRY(weights.model, infer::Model::load(front.file(), front.blueprint(), team, options));
  if (front.draft() == nullptr) return weights;
  options.progress = {};  // it is small
  LATHE_TRY(weights.draft, front.draft()->load(*weights.model, team, options));
  return weights;
}

Status PoolLoop::open(Place& place, LoadedWeights weights) {
  place.weights = std::move(weights);
  LATHE_TRY(auto executor, infer::CpuExecutor::create(*place.weights.model, team_,
                                                      executor_options(*place.front)));
  LATHE_TRY(place.engine, infer::Engine::create(std::move(executor), place.front->tokenizer(),
                                                engine_options(*place.front, options_), &kv_));
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
  if (!options_.snapshots.empty()) {
    const auto loaded = infer::load_snapshot(place.engine->cache(), identity(place),
                                             options_.snapshots / (place.model.name + ".kv"));
    if (loaded) {
      log(fmt::format("'{}': {} remembered blocks are back", place.model.name, *loaded));
    } else if (loaded.error().kind != ErrorKind::kNotFound) {
      log(loaded.error().message);
    }
  }
  if (options_.speculate && place.front->blueprint().generates) {
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
  if (options_.snapshots.empty() || place.saved_at == place.last_used) return;
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
  place.engine.reset();
  place.weights = {};
  memory_.release(place.model.name);
  place.state = ModelState::kCold;
  set_kv_limit();
  ++counters_.evictions;
  log(fmt::format("'{}' has left the memory", place.model.name));
}

// Gives waiting requests to the engine, one ahead of what it has admitted, so that its place can
// still be given to another model.
void PoolLoop::hand_over(Place& place) {
  if (place.program) return ask_program(place);
  while (!place.waiting.empty() && !place.held && place.engine->waiting() == 0) {
    auto job = std::move(place.waiting.front());
    place.waiting.pop_front();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    place.last_used = ++uses_;
    if (job->on_loaded) {
      job->on_loaded({});
    } else if (job->on_embeddings || job->prepared.score) {
      place.reading.push_back(std::move(job));
    } else {
      start(place, std::move(job));
    }
  }
}

void PoolLoop::start(Place& place, std::unique_ptr<PoolJob> job) {
  if (auto id = place.engine->add(job->prepared.generation)) {
    job->sequence = *id;
    place.running.emplace(*id, std::move(job));
  } else {
    const Error& error = id.error();
    ended(place, std::move(job), &error);
  }
}

// Of those with work, the one that has had least of the processor.
PoolLoop::Place* PoolLoop::next_place() {
  Place* next = nullptr;
  for (auto& [name, place] : places_) {
    if (place->busy() && (next == nullptr || place->used_seconds < next->used_seconds))
      next = place.get();
  }
  // Who was idle for long has not saved it up.
  if (next != nullptr) {
    for (auto& [name, place] : places_) {
      if (!place->busy()) place->used_seconds = std::max(place->used_seconds, next->used_seconds);
    }
  }
  return next;
}

// The next piece of a prompt whose tokens' probabilities are wanted; then its answer, if one is.
bool PoolLoop::score_on(Place& place) {
  PoolJob& job = *place.reading.front();
  const infer::GenerationRequest& generation = job.prepared.generation;
  Result<bool> done = false;
  if (!job.reading) {
    auto reading = place.engine->score(
        generation.prompt,
        [&job](std::size_t position, std::span<const float> logits) {
          job.answer->score(position, logits);
        },
        generation.adapter);
    if (!reading && reading.error().kind == ErrorKind::kUnavailable) return false;
    if (reading)
      job.reading = std::move(*reading);
    else
      done = std::unexpected(reading.error());
  }
  if (done) done = job.reading->step();
  if (done && !*done) return true;
  job.reading.reset();
  auto ending = std::move(place.reading.front());
  place.reading.pop_front();
  if (!done) {
    ended(place, std::move(ending), &done.error());
  } else if (ending->prepared.no_answer) {
    ending->answer->end_without_answer();
    replied(place, std::move(ending));
  } else {
    start(place, std::move(ending));
  }
  return true;
}

// The next piece of the first text; false: there is no memory for it now.
bool PoolLoop::read_on(Place& place) {
  PoolJob& job = *place.reading.front();
  if (job.prepared.score) return score_on(place);
  const infer::Pooling pooling = place.front->blueprint().pooling == infer::Pooling::kNone
                                     ? infer::Pooling::kMean
                                     : place.front->blueprint().pooling;
  const std::size_t index = job.embeddings.vectors.size();
  Result<bool> done = false;
  if (!job.reading) {
    auto reading = place.engine->read(job.texts[index], pooling);
    if (!reading && reading.error().kind == ErrorKind::kUnavailable) return false;
    if (!reading) {
      done = std::unexpected(reading.error());
    } else {
      job.reading = std::move(*reading);
    }
  }
  if (done) done = job.reading->step();
  if (done && !*done) return true;
  if (done) {
    job.embeddings.prompt_tokens += static_cast<std::int64_t>(job.texts[index].size());
    counters_.prompt_tokens += static_cast<std::int64_t>(job.texts[index].size());
    const infer::Blueprint& blueprint = place.front->blueprint();
    job.embeddings.vectors.push_back(
        blueprint.ranks
            ? std::vector{static_cast<float>(infer::relevance_of(blueprint, job.reading->values()))}
            : job.reading->vector());
  }
  job.reading.reset();
  if (done && job.embeddings.vectors.size() < job.texts.size()) return true;
  auto ending = std::move(place.reading.front());
  place.reading.pop_front();
  if (done) ending->on_embeddings(std::move(ending->embeddings));
  ended(place, std::move(ending), done ? nullptr : &done.error());
  return true;
}

void PoolLoop::deliver(Place& place, infer::TokenEvent event) {
  const auto found = place.running.find(event.request);
  if (found == place.running.end()) return;
  PoolJob& job = *found->second;
  Delta delta = job.answer->add(event);
  if (event.finished != infer::StopReason::kCancelled) {
    if (job.on_delta && !(delta.text.empty() && delta.reasoning.empty() && delta.calls.empty() &&
                          delta.logprobs.empty()))
      job.on_delta(delta);
    if (event.token != infer::kNoToken) place.rate_tokens += 1;
    if (!event.finished || !job.answer->done()) return;
  }
  auto ending = std::move(found->second);
  place.running.erase(found);
  replied(place, std::move(ending));
}

void PoolLoop::replied(Place& place, std::unique_ptr<PoolJob> job) {
  auto replies = job->answer->finish();
  if (!replies) return ended(place, std::move(job), &replies.error());
  Usage sum;
  for (const Reply& reply : *replies) sum += reply.usage;
  counters_.prompt_tokens += sum.prompt_tokens;
  counters_.cached_tokens += sum.cached_tokens;
  counters_.completion_tokens += sum.completion_tokens;
  counters_.accepted_tokens += sum.accepted_tokens;
  counters_.rejected_tokens += sum.rejected_tokens;
  ended(place, nullptr, nullptr);
  job->on_replies(std::move(replies));
}

void PoolLoop::step(Place& place) {
  const double start = now_seconds();
  const bool others = std::ranges::any_of(
      places_, [&](auto& row) { return row.second.get() != &place && row.second->busy(); });
  const bool alone = !others && place.engine->running() <= 1;
  std::size_t prompt_tokens = kFirstPromptTokens;
  if (place.prompt_token_seconds > 0) {
    prompt_tokens = static_cast<std::size_t>(
        std::clamp((alone ? kAloneSeconds : kSharedSeconds) / place.prompt_token_seconds,
                   static_cast<double>(kLeastPromptTokens), static_cast<double>(kStepTokens)));
  }
  const bool read = !place.reading.empty() && read_on(place);
  const bool stepped = place.engine->step(
      [&](infer::TokenEvent event) { deliver(place, std::move(event)); }, prompt_tokens);
  const double end = now_seconds();
  const infer::Engine::StepSizes& sizes = place.engine->last_step();
  const bool moved = read || (stepped && sizes.answer_tokens + sizes.prompt_tokens > 0);
  // All the memory that is not promised is kept for prefixes: what waits comes first.
  if (!moved && !others && place.busy()) {
    for (auto& [name, each] : places_)
      if (each->engine) each->engine->cache().index().keep_nothing();
  }
  if (sizes.prompt_tokens >= kLeastPromptTokens) {
    const double seconds = (end - start) / static_cast<double>(sizes.prompt_tokens);
    double& known = place.prompt_token_seconds;
    known = known == 0 ? seconds : 0.7 * known + 0.3 * seconds;
  }
  place.used_seconds += (end - start) / std::exp2(place.model.priority);
  if (end - place.rate_since > kRateWindow) {
    place.rate = place.rate_tokens / (end - place.rate_since);
    place.rate_since = end;
    place.rate_tokens = 0;
  }
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
  for (auto& [name, place] : places_) {
    if (place->state == ModelState::kReady) hand_over(*place);
  }
  Place* place = next_place();
  if (place == nullptr) return false;
  step(*place);
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
    for (auto& [sequence, job] : place->running) {
      place->engine->cancel(sequence);
      job->fail(error);
    }
    place->running.clear();
    if (!place->engine) continue;
    while (place->engine->step([](const infer::TokenEvent&) {})) {
    }
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
  const double now = now_seconds();
  for (const auto& [name, place] : places_) {
    ModelInfo info;
    if (place->model.program) {
      info = program_info(*place);
    } else if (place->front) {
      info = place->front->info();
    } else {
      info.name = name;
      info.aliases = place->model.aliases;
      info.pinned = place->model.pinned;
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
    info.program = booked.program.total();
    info.used = place->used;
    info.devices = booked.all();
    if (place->model.program) info.running = static_cast<int>(place->asked.size());
    if (place->engine) {
      const infer::KvCache& cache = place->engine->cache();
      info.prefix = cache.remembered_bytes();
      info.kv = cache.store().held_bytes() - info.prefix;
      info.devices.add(kHostDevice, cache.store().held_bytes());
      info.running = static_cast<int>(place->engine->running() + place->reading.size());
      info.tokens_per_second = now - place->rate_since > 2 * kRateWindow ? 0 : place->rate;
    }
    info.waiting =
        static_cast<int>(place->waiting.size() + (place->engine ? place->engine->waiting() : 0));
    status.queued += info.waiting;
    status.models.push_back(std::move(info));
  }
  return status;
}

}  // namespace lathe::serve
