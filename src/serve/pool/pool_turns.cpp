// Whose turn it is: which requests come to an engine, which engine steps, and what background work
// leaves to people.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "serve/pool/pool_place.h"
#include "serve/pool/step_share.h"

namespace lathe::serve {
namespace {

// How long a step may keep neighbours waiting, and how long one that has none.
constexpr double kSharedSeconds = 0.12, kAloneSeconds = 0.4;

}  // namespace

void PoolLoop::wait(Place& place, std::unique_ptr<PoolJob> job) {
  place.turns.add(job->arrived, job->asker.caller);
  const auto at = std::ranges::upper_bound(place.waiting, job->arrived, {},
                                           [](const auto& other) { return other->arrived; });
  place.waiting.insert(at, std::move(job));
}

std::unique_ptr<PoolJob> PoolLoop::take_waiting(Place& place, std::size_t index) {
  auto job = std::move(place.waiting[index]);
  place.waiting.erase(place.waiting.begin() + static_cast<std::ptrdiff_t>(index));
  place.turns.remove(job->arrived, job->asker.caller);
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return job;
}

// One at a time goes to the engine, ahead of what it has admitted, so that the others' turns are
// still open, as is whether another model takes this one's place; of readings one of each class.
std::optional<std::size_t> PoolLoop::next_waiting(const Place& place) const {
  const auto index_of = [&](FairQueue::Id arrived) {
    const auto found = std::ranges::lower_bound(place.waiting, arrived, {},
                                                [](const auto& job) { return job->arrived; });
    return static_cast<std::size_t>(found - place.waiting.begin());
  };
  const bool engine_takes_more = place.engine && place.engine->admissible() == 0 &&
                                 place.engine->prompt_tokens_left() < place.prompt_tokens;
  // Who has nothing there need not wait behind what another has there.
  const auto is_new = [&](const PoolJob& job) {
    return std::ranges::none_of(place.running,
                                [&](const auto& row) { return row.second->same_client(job); });
  };
  const auto can_go = [&](FairQueue::Id arrived) {
    const PoolJob& job = *place.waiting[index_of(arrived)];
    if (job.on_loaded) return true;
    if (job.background() && background_rests_) return false;
    // One after the other, and no sooner than the engine will take it: rows are large.
    if ((job.look || job.aside) && !place.looking.empty()) return false;
    if (job.aside) return true;
    if (!job.reads()) return engine_takes_more || is_new(job);
    return std::ranges::none_of(
        place.reading, [&](const auto& other) { return other->background() == job.background(); });
  };
  const auto id = place.turns.next(can_go, classes_.background());
  return id ? std::optional(index_of(*id)) : std::nullopt;
}

void PoolLoop::hand_over(Place& place) {
  if (place.program) return ask_program(place);
  while (!place.held) {
    const auto index = next_waiting(place);
    if (!index) return;
    auto job = take_waiting(place, *index);
    place.last_used = ++uses_;
    charge_ahead(place, *job);
    if (job->on_loaded) {
      job->on_loaded({});
    } else if (job->look) {
      place.looking.emplace(job->id, false);
      on_look_(std::move(job), place.weights.senses);
    } else if (job->aside) {
      place.looking.emplace(job->id, false);
      on_aside_(std::move(job), place.weights.sounds);
    } else if (!job->reads()) {
      start(place, std::move(job));
    } else if (job->background()) {
      place.reading.push_back(std::move(job));
    } else {
      place.reading.push_front(std::move(job));
    }
  }
}

// What its prompt will probably take, so that the next turn is another's at once.
void PoolLoop::charge_ahead(Place& place, PoolJob& job) {
  std::size_t tokens = job.prepared.generation.prompt.size();
  for (const auto& text : job.texts) tokens += text.size();
  job.ahead = static_cast<double>(tokens) * place.prompt_token_seconds;
  place.turns.charge(job.asker.caller, job.ahead);
}

void PoolLoop::start(Place& place, std::unique_ptr<PoolJob> job) {
  if (auto id = place.engine->add(job->prepared.generation)) {
    job->sequence = *id;
    // Seen now, it need not wait for a step to find that out.
    job->lacks_room = place.engine->running() >= options_.sequences;
    place.running.emplace(*id, std::move(job));
  } else {
    end(place, std::move(job), id.error());
  }
}

// Background work rests while an interactive request of any model is under way, but for its share.
// Where that would leave the processor idle it does not.
void PoolLoop::plan_classes() {
  bool interactive = false, background = false;
  const auto look = [&](const PoolJob& job) {
    background = background || job.background();
    interactive = interactive || (!job.background() && !job.on_loaded);
  };
  for (const auto& [name, place] : places_) {
    if (place->state != ModelState::kReady || !place->engine) continue;
    for (const auto& job : place->reading) look(*job);
    for (const auto& [sequence, job] : place->running) look(*job);
    if (place->held) continue;
    for (const auto& job : place->waiting) look(*job);
  }
  classes_.meet(interactive && background);
  rest(interactive && background && !classes_.background() && !stuck_);
}

void PoolLoop::rest(bool rests) {
  background_rests_ = rests;
  for (auto& [name, place] : places_)
    for (auto& [sequence, job] : place->running) set_rest(*place, *job, rests && job->background());
}

void PoolLoop::set_rest(Place& place, PoolJob& job, bool rests) {
  rests = rests && !job.cancelled;
  if (std::exchange(job.resting, rests) != rests) place.engine->rest(job.sequence, rests);
}

// Where several clients' requests run side by side: who takes part in the next step, and for how
// many seconds it may read prompts.
double PoolLoop::choose_parts(Place& place, double prompt_seconds) {
  std::vector<PoolJob*> jobs, answering;
  std::vector<StepRequest> requests;    // of those that answer, …
  std::vector<const PoolJob*> clients;  // one job of each
  std::vector<double> weights;
  std::vector<bool> answers, reads;  // by client
  const auto runs = [&](const PoolJob& job) { return place.engine->is_running(job.sequence); };
  const auto client_of = [&](const PoolJob& job) {
    const auto same = [&](const PoolJob* other) { return other->same_client(job); };
    return static_cast<std::size_t>(std::ranges::find_if(clients, same) - clients.begin());
  };
  for (auto& [sequence, job] : place.running) {
    if (job->resting) continue;
    jobs.push_back(job.get());
    const std::size_t index = client_of(*job);
    if (index == clients.size()) {
      clients.push_back(job.get());
      weights.push_back(weight_in_step(job->asker.caller));
      answers.push_back(false);
      reads.push_back(false);
    }
    if (!runs(*job)) continue;
    reads[index] = reads[index] || !job->first_token;
    if (!job->first_token) continue;
    answers[index] = true;
    answering.push_back(job.get());
    requests.push_back(
        {.client = index, .rows = job->prepared.generation.candidates, .last = job->last_step});
  }
  if (clients.size() < 2) return prompt_seconds;
  // … and one for each client that will answer soon. Who still waits for a place takes no part.
  for (std::size_t client = 0; client < clients.size(); ++client)
    if (!answers[client] && reads[client]) requests.push_back({.client = client, .soon = true});
  // Of those who have a prompt to read, the client who was given least of the class whose turn it
  // is.
  const PoolJob* reader = nullptr;
  const auto rank = [&](const PoolJob& job) {
    return std::pair(job.background() != classes_.background(),
                     place.turns.counter(job.asker.caller));
  };
  for (const PoolJob* job : jobs)
    if (!job->first_token && runs(*job) && (reader == nullptr || rank(*job) < rank(*reader)))
      reader = job;
  const std::optional<std::size_t> reading =
      reader != nullptr ? std::optional(client_of(*reader)) : std::nullopt;
  const StepChoice choice =
      choose_requests(requests, weights, place.row_costs, ++place.shared_steps, reading);
  for (std::size_t i = 0; i < answering.size(); ++i)
    set_rest(place, *answering[i], !choice.chosen[i]);
  const bool somebody_lacks_room =
      std::ranges::any_of(jobs, [&](const PoolJob* job) { return lacks_room(place, *job); });
  for (PoolJob* job : jobs) {
    if (!runs(*job))
      set_rest(place, *job, somebody_lacks_room && !lacks_room(place, *job));
    else if (!job->first_token)
      set_rest(place, *job, choice.measures || !job->same_client(*reader));
  }
  if (!place.row_costs.known()) return prompt_seconds;
  return std::min(prompt_seconds, choice.prompt_seconds);
}

// The engine could not admit it, and its client has nothing that runs.
bool PoolLoop::lacks_room(const Place& place, const PoolJob& job) {
  return job.lacks_room && !has_another_running(place, job);
}

bool PoolLoop::has_another_running(const Place& place, const PoolJob& job) {
  return std::ranges::any_of(place.running, [&](const auto& row) {
    return row.second.get() != &job && row.second->same_client(job) &&
           place.engine->is_running(row.first);
  });
}

// Where a person's request lacks room, the youngest background one that rests gives way, of the
// same model if there is one; where a client has nothing that runs, else one that rests of a client
// who has more.
void PoolLoop::make_way() {
  const auto waits = [](const PoolJob& job) { return !job.background() && job.lacks_room; };
  Place* lacking = nullptr;
  bool has_nothing = false;
  for (auto& [name, place] : places_) {
    if (!place->reading.empty() && waits(*place->reading.front())) lacking = place.get();
    for (const auto& [sequence, job] : place->running) {
      if (!waits(*job) || has_nothing) continue;
      lacking = place.get();
      has_nothing = !has_another_running(*place, *job);
    }
  }
  if (lacking == nullptr) return;
  // Background before others, the same model before others, the youngest first.
  using Rank = std::tuple<bool, bool, std::uint64_t>;
  std::optional<Rank> best;
  Place* where = nullptr;
  infer::SequenceId victim = 0;
  for (auto& [name, place] : places_) {
    const bool own = place.get() == lacking;
    for (const auto& [sequence, job] : place->running) {
      if (!place->engine->is_running(sequence)) continue;
      const bool may_go = job->background()
                              ? job->resting
                              : own && has_nothing && has_another_running(*place, *job);
      if (!may_go) continue;
      const Rank rank{job->background(), own, job->arrived};
      if (best && rank < *best) continue;
      best = rank;
      where = place.get();
      victim = sequence;
    }
  }
  if (!best) return;
  where->engine->give_way(victim);
  ++counters_.preemptions;
}

// Of those with work, the one that has had least of the processor.
PoolLoop::Place* PoolLoop::next_place() {
  Place* next = nullptr;
  for (auto& [name, place] : places_) {
    if (place->busy() && place->has_turn(background_rests_) &&
        (next == nullptr || place->used_seconds < next->used_seconds))
      next = place.get();
  }
  if (next == nullptr && background_rests_) {
    rest(false);
    return next_place();
  }
  // Who was idle for long has not saved it up.
  if (next != nullptr) {
    for (auto& [name, place] : places_) {
      if (!place->busy()) place->used_seconds = std::max(place->used_seconds, next->used_seconds);
    }
  }
  return next;
}

void PoolLoop::step(Place& place) {
  const bool others = std::ranges::any_of(
      places_, [&](auto& row) { return row.second.get() != &place && row.second->busy(); });
  const bool alone = !others && place.engine->running() <= 1;
  const double most = alone ? kAloneSeconds : kSharedSeconds;
  const double prompt_seconds = choose_parts(place, most);
  if (place.prompt_token_seconds > 0) {
    // Small pieces cost more by the token, but where somebody else answers they share the step.
    const std::size_t least = prompt_seconds < most ? 1 : kLeastPromptTokens;
    place.prompt_tokens = static_cast<std::size_t>(
        std::clamp(prompt_seconds / place.prompt_token_seconds, static_cast<double>(least),
                   static_cast<double>(kStepTokens)));
  }
  const double start = seconds_now();
  if (shares_.empty()) read_energy();
  bool read = false;
  if (!place.reading.empty() && !(background_rests_ && place.reading.front()->background())) {
    PoolJob& job = *place.reading.front();
    read = read_on(place);
    job.lacks_room = !read;
    if (read) share(place, job, start, seconds_now() - start);
  }
  const double middle = seconds_now();
  const bool stepped = place.engine->step(
      [&](infer::TokenEvent event) { deliver(place, std::move(event)); }, place.prompt_tokens);
  const double end = seconds_now();
  const infer::Engine::StepSizes& sizes = place.engine->last_step();
  const bool computed = stepped && sizes.answer_tokens + sizes.prompt_tokens > 0;
  if (computed) {
    note_costs(place, end - middle);
    share_step(place, middle, end - middle);
  }
  stuck_ = !read && !computed;
  for (auto& [sequence, job] : place.running)
    job->lacks_room = !job->resting && !place.engine->is_running(sequence);
  // All the memory that is not promised is kept for prefixes: what waits comes first.
  if (stuck_ && !others && place.busy()) {
    for (auto& [name, each] : places_)
      if (each->engine) each->engine->cache().index().keep_nothing();
  }
  place.used_seconds += (end - start) / std::exp2(place.model.priority);
  if (end - place.rate_since > kRateWindow) {
    place.rate = place.rate_tokens / (end - place.rate_since);
    place.rate_since = end;
    place.rate_tokens = 0;
  }
  if (const Status lost = place.engine->executor().lost(); !lost) lose(place, lost.error());
}

}  // namespace lathe::serve
