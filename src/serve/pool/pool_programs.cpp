// What the pool's thread does with models that other programs serve.
#include <algorithm>

#include "ground/base/units.h"
#include "serve/pool/pool_place.h"

namespace lathe::serve {
namespace {

// How long the end of a program may take to be seen after what it was asked broke off.
constexpr Milliseconds kEndSeen{500};

}  // namespace

void PoolLoop::add_program(Place& place) {
  place.bytes.program = DeviceBytes(kHostDevice, place.model.program->memory);
  place.program = std::make_unique<Program>(
      place.model.name, *place.model.program, options_.programs,
      ProgramEvents{.on_ready =
                        [this, &place](const ModelInfo& said) {
                          post_([this, &place, said] { program_ready(place, said); });
                        },
                    .on_gone =
                        [this, &place](std::optional<Error> why) {
                          post_([this, &place, why = std::move(why)] { program_gone(place, why); });
                        },
                    .on_memory =
                        [this, &place](std::uint64_t bytes) {
                          post_([this, &place, bytes] { program_uses(place, bytes); });
                        },
                    .log = [this](const std::string& line) { log(line); }});
  const std::scoped_lock lock(programs_mutex_);
  programs_[place.model.name] = place.program.get();
}

void PoolLoop::program_ready(Place& place, const ModelInfo& said) {
  if (stopping_ || place.leaving) return;
  ++counters_.loads;
  place.state = ModelState::kReady;
  place.loaded = 1;
  place.said = said;
  place.used_at = system_clock().monotonic();
  place.load_seconds = std::chrono::duration<double>(place.used_at - place.started_at).count();
  log(
      fmt::format("the program '{}' is ready: {} of the machine's memory in use, {} booked; what "
                  "it has on a GPU or an NPU is not readable here",
                  place.model.name, place.used ? format_bytes(*place.used) : "an unknown part",
                  format_bytes(place.bytes.program.total())));
}

void PoolLoop::program_gone(Place& place, const std::optional<Error>& why) {
  if (stopping_) return;
  const bool was_starting = place.state == ModelState::kLoading;
  place.leaving = false;
  place.used.reset();
  place.told = 0;
  place.loaded = 0;
  memory_.release(place.model.name);
  set_kv_limit();
  place.state = why ? ModelState::kFailed : ModelState::kCold;
  place.problem = why ? why->message : "";
  if (!why) return log(fmt::format("the program '{}' has left the memory", place.model.name));
  // Who came after it was ready has it started anew.
  if (was_starting) refuse_waiting(place, {why->kind, why->message, "model_load_failed"});
}

// What it was seen to use is booked from then on, the next time too.
void PoolLoop::program_uses(Place& place, std::uint64_t bytes) {
  if (stopping_ || (place.state != ModelState::kLoading && place.state != ModelState::kReady))
    return;
  place.used = bytes;
  if (bytes > place.bytes.program.on_host()) {
    place.bytes.program = DeviceBytes(kHostDevice, bytes);
    memory_.book(place.model.name, place.bytes);
    set_kv_limit();
  }
  if (bytes <= place.model.program->memory || bytes <= place.told + place.told / 10) return;
  place.told = bytes;
  log(fmt::format("the program '{}' uses {} and its memory promises {}: that much is booked for it",
                  place.model.name, format_bytes(bytes),
                  format_bytes(place.model.program->memory)));
}

void PoolLoop::leave(Place& place) {
  place.leaving = true;
  place.state = ModelState::kCold;
  place.program->stop();
}

void PoolLoop::stop_outgrown(Place& place) {
  place.leaving = true;
  place.program->stop(fmt::format(
      "it was stopped, as it uses {} where its memory promises {}, and the budget of {} has no "
      "room for that; raise its memory so that room is made before it starts, or give --memory "
      "more",
      format_bytes(place.used.value_or(0)), format_bytes(place.model.program->memory),
      format_bytes(memory_.limit().on_host())));
}

void PoolLoop::ask_program(Place& place) {
  while (!place.waiting.empty() && !place.held && !place.leaving) {
    const auto host = place.program->host();
    if (!host) return;  // it has just ended
    auto job = take_waiting(place, 0);
    place.last_used = ++uses_;
    if (job->on_loaded) {
      job->on_loaded({});
      continue;
    }
    const ModelHost::Id id = job->id;
    const ProgramCall call = *job->program_call;
    Place::Asked& asked = place.asked[id];
    asked.job = std::move(job);
    asked.id = call.ask(
        *host, place.program->model(),
        [this, &place, program = place.program.get(), id](Error* error, const Usage& usage,
                                                          const std::function<void()>& deliver) {
          // A connection that broke says nothing; the program's end does.
          if (error != nullptr && error->kind == ErrorKind::kUnavailable && error->code.empty()) {
            if (auto why = program->how_it_ended(kEndSeen)) *error = std::move(*why);
          }
          if (stopping_ && error != nullptr)
            *error = {ErrorKind::kCancelled, "the server is shutting down", "shutting_down"};
          const auto kind = error == nullptr ? std::nullopt : std::optional(error->kind);
          post_([this, &place, id, kind, usage] { answered(place, id, kind, usage); });
          deliver();  // here: who is told may ask again, and wait for the answer
        });
  }
}

void PoolLoop::cancel_asked(Place& place, ModelHost::Id id) {
  if (const auto host = place.program->host()) host->cancel(place.asked.at(id).id);
}

// The books of it; its owner is told by the host's thread.
void PoolLoop::answered(Place& place, ModelHost::Id id, std::optional<ErrorKind> error,
                        const Usage& usage) {
  place.asked.erase(id);
  counters_.prompt_tokens += usage.prompt_tokens;
  counters_.cached_tokens += usage.cached_tokens;
  counters_.completion_tokens += usage.completion_tokens;
  counters_.accepted_tokens += usage.accepted_tokens;
  counters_.rejected_tokens += usage.rejected_tokens;
  if (error) ++(*error == ErrorKind::kCancelled ? counters_.cancelled : counters_.failed);
  ended(place, nullptr, nullptr);
}

std::shared_ptr<ModelHost> PoolLoop::program_host(const std::string& model,
                                                  std::string& name) const {
  const std::scoped_lock lock(programs_mutex_);
  const auto found = programs_.find(model);
  if (found == programs_.end()) return nullptr;
  name = found->second->model();
  return found->second->host();
}

void PoolLoop::stop_programs() {
  {
    const std::scoped_lock lock(programs_mutex_);
    programs_.clear();
  }
  for (auto& [name, place] : places_)
    if (place->program) place->program->stop();  // all at once
  for (auto& [name, place] : places_) place->program.reset();
}

ModelInfo PoolLoop::program_info(const Place& place) {
  ModelInfo info = place.said;  // sizes, as far as its server says them
  info.name = place.model.name;
  info.aliases = place.model.aliases;
  info.pinned = place.model.pinned;
  info.architecture = "program";
  info.modified = 0;
  info.problem.clear();
  info.running = info.waiting = 0;
  info.tokens_per_second = 0;
  info.kv = info.prefix = 0;
  return info;
}

}  // namespace lathe::serve
