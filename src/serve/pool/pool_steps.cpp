// What a step reads and writes, what it took, and the ends of requests.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "serve/pool/pool_place.h"
#include "serve/pool/step_share.h"

namespace lathe::serve {
namespace {

// How often the energy is read while nothing ends.
constexpr double kEnergyEvery = 0.1;

std::int64_t microseconds(double seconds) {
  return std::llround(seconds * 1e6);
}

// What is the request's, whichever candidate took it.
void take_times(Usage& usage, const Usage& of) {
  usage.queued_us = of.queued_us;
  usage.first_token_us = of.first_token_us;
  usage.busy_us = of.busy_us;
  usage.millijoules = of.millijoules;
  usage.energy_scope = of.energy_scope;
}

void note(double& known, double measured) {
  known = known == 0 ? measured : 0.7 * known + 0.3 * measured;
}

}  // namespace

double PoolLoop::seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The next piece of a prompt whose tokens' probabilities are wanted; then its answer, if one is.
bool PoolLoop::score_on(Place& place) {
  PoolJob& job = *place.reading.front();
  const infer::GenerationRequest& generation = job.prepared.generation;
  Result<bool> done = false;
  if (job.readings.empty()) {
    auto reading = place.engine->score(
        generation.prompt,
        [&job](std::size_t position, std::span<const float> logits) {
          job.answer->score(position, logits);
        },
        generation.adapter);
    if (!reading && reading.error().kind == ErrorKind::kUnavailable) return false;
    if (reading)
      job.readings.push_back(std::move(*reading));
    else
      done = std::unexpected(reading.error());
  }
  if (done) done = job.readings.front()->step();
  if (done && !*done) return true;
  job.readings.clear();
  auto ending = std::move(place.reading.front());
  place.reading.pop_front();
  if (!done) {
    end(place, std::move(ending), done.error());
  } else if (ending->prepared.no_answer) {
    ending->answer->end_without_answer();
    end(place, std::move(ending));
  } else {
    start(place, std::move(ending));
  }
  return true;
}

// The next texts of the job that a step may hold are opened; false: there is no memory for the
// first one now. Errors: one of them cannot be read.
Result<bool> PoolLoop::open_readings(Place& place, PoolJob& job) {
  const infer::Pooling pooling = place.front->blueprint().pooling == infer::Pooling::kNone
                                     ? infer::Pooling::kMean
                                     : place.front->blueprint().pooling;
  std::size_t tokens = 0;
  for (const auto& reading : job.readings) tokens += reading->left();
  for (std::size_t next = job.embeddings.vectors.size() + job.readings.size();
       next < job.texts.size() && (tokens < infer::kReadTogether || job.readings.empty()); ++next) {
    auto reading = place.engine->read(job.texts[next], pooling);
    if (!reading && reading.error().kind == ErrorKind::kUnavailable) return !job.readings.empty();
    if (!reading) return std::unexpected(reading.error());
    tokens += job.texts[next].size();
    job.readings.push_back(std::move(*reading));
  }
  return true;
}

// The next pieces of the first job's texts, side by side; false: there is no memory for them now.
bool PoolLoop::read_on(Place& place) {
  PoolJob& job = *place.reading.front();
  if (job.prepared.score) return score_on(place);
  const infer::Blueprint& blueprint = place.front->blueprint();
  const Result<bool> open = open_readings(place, job);
  if (open && !*open) return false;
  Status status = open ? Status() : std::unexpected(open.error());
  if (status) {
    std::vector<infer::Engine::Reading*> together;
    for (const auto& reading : job.readings) together.push_back(reading.get());
    status = place.engine->step(together);
  }
  for (; status && !job.readings.empty() && job.readings.front()->done();
       job.readings.pop_front()) {
    const infer::Engine::Reading& done = *job.readings.front();
    job.embeddings.usage.prompt_tokens +=
        static_cast<std::int64_t>(job.texts[job.embeddings.vectors.size()].size());
    job.embeddings.vectors.push_back(
        blueprint.ranks
            ? std::vector{static_cast<float>(infer::relevance_of(blueprint, done.values()))}
            : done.vector());
  }
  if (status && job.embeddings.vectors.size() < job.texts.size()) return true;
  job.readings.clear();
  auto ending = std::move(place.reading.front());
  place.reading.pop_front();
  end(place, std::move(ending), status ? std::nullopt : std::optional(status.error()));
  return true;
}

void PoolLoop::deliver(Place& place, infer::TokenEvent event) {
  const auto found = place.running.find(event.request);
  if (found == place.running.end()) return;
  PoolJob& job = *found->second;
  if (event.token != infer::kNoToken && !job.first_token) job.first_token = seconds_now();
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
  end(place, std::move(ending));
}

// What a token of a prompt costs, and one of an answer.
void PoolLoop::note_costs(Place& place, double seconds) {
  const infer::Engine::StepSizes& sizes = place.engine->last_step();
  if (sizes.prompt_tokens != 0) {
    // Beside answers: what it takes longer than they would alone.
    const std::size_t rows = sizes.answer_tokens + sizes.drafted_tokens;
    const bool beside = rows != 0 && place.row_costs.known();
    const double own = seconds - (beside ? place.row_costs.seconds_of(rows) : 0);
    if (own > 0 && (beside || sizes.prompt_tokens >= kLeastPromptTokens))
      note(place.prompt_token_seconds, own / static_cast<double>(sizes.prompt_tokens));
    return;
  }
  note(place.answer_token_seconds,
       seconds / static_cast<double>(sizes.answer_tokens + sizes.drafted_tokens));
  if (sizes.drafted_tokens != 0) return;
  place.row_costs.note(sizes.answer_tokens, seconds);
}

// So many seconds of a step were this request's.
void PoolLoop::share(Place& place, PoolJob& job, double start, double seconds) {
  if (!job.first_step) job.first_step = start;
  job.last_step = ++uses_;
  job.busy += seconds;
  step_seconds_ += seconds;
  shares_[job.arrived] += seconds;
  classes_.charge(job.asker.caller.call_class, seconds);
  const double ahead = std::min(job.ahead, seconds);
  job.ahead -= ahead;
  place.turns.charge(job.asker.caller, seconds - ahead);
}

// A step's seconds, over the requests in it by what their tokens cost. What was computed again for
// one that gave way is nobody's usage, and is counted to the class that it gave way to.
void PoolLoop::share_step(Place& place, double start, double seconds) {
  const double either = std::max(place.prompt_token_seconds, place.answer_token_seconds);
  const auto cost = [&](std::size_t tokens, double known) {
    return static_cast<double>(tokens) * (known > 0 ? known : either > 0 ? either : 1);
  };
  const auto own = [&](const infer::Engine::StepSizes::Part& part) {
    return cost(part.prompt, place.prompt_token_seconds) +
           cost(part.answer, place.answer_token_seconds);
  };
  const auto again = [&](const infer::Engine::StepSizes::Part& part) {
    return cost(part.again, place.prompt_token_seconds);
  };
  const std::vector<infer::Engine::StepSizes::Part>& parts = place.engine->last_step().parts;
  double all = 0;
  for (const auto& part : parts) all += own(part) + again(part);
  for (const auto& part : parts) {
    if (PoolJob* job = job_of(place, part.request))
      share(place, *job, start, seconds * own(part) / all);
    if (part.again == 0) continue;
    const double lost = seconds * again(part) / all;
    counters_.recomputed_tokens += static_cast<std::int64_t>(part.again);
    recomputed_seconds_ += lost;
    step_seconds_ += lost;
    classes_.charge(CallClass::kInteractive, lost);
  }
}

PoolJob* PoolLoop::job_of(Place& place, infer::SequenceId sequence) {
  if (const auto found = place.running.find(sequence); found != place.running.end())
    return found->second.get();
  for (End& end : ends_)
    if (end.place == &place && end.job->sequence == sequence) return end.job.get();
  return nullptr;
}

// What the machine took since it was last read, over those who were busy since then.
void PoolLoop::read_energy() {
  const std::optional<double> joules = energy_.joules();
  double all = 0;
  for (const auto& [arrived, seconds] : shares_) all += seconds;
  if (joules && energy_read_ && all > 0) {
    const double each = (*joules - *energy_read_) / all;
    const auto give = [&](PoolJob& job) {
      const auto found = shares_.find(job.arrived);
      if (found != shares_.end()) job.joules += each * found->second;
    };
    for (auto& [name, place] : places_) {
      for (auto& [sequence, job] : place->running) give(*job);
      for (auto& job : place->reading) give(*job);
    }
    for (End& end : ends_) give(*end.job);
  }
  shares_.clear();
  energy_read_ = joules;
  energy_read_at_ = seconds_now();
}

// It is told at the end of the step, when it is known what that took.
void PoolLoop::end(Place& place, std::unique_ptr<PoolJob> job, std::optional<Error> error) {
  ends_.push_back({&place, std::move(job), std::move(error)});
}

Usage PoolLoop::usage_of(const PoolJob& job) const {
  Usage usage = job.answer          ? job.answer->usage()
                : job.on_transcript ? job.transcription.usage
                : job.on_speech     ? job.speech.usage
                                    : job.embeddings.usage;
  usage.calls = 1;
  usage.counted = true;
  usage.queued_us = microseconds(job.first_step.value_or(seconds_now()) - job.came);
  if (job.first_token) usage.first_token_us = microseconds(*job.first_token - job.came);
  usage.busy_us = microseconds(job.busy);
  // What is done beside steps has no share of their energy that could be told.
  if (energy_.scope() == EnergyScope::kNone || !energy_read_ || job.aside) return usage;
  usage.millijoules = std::llround(job.joules * 1e3);
  usage.energy_scope = scope_name(energy_.scope());
  return usage;
}

void PoolLoop::tell_ends() {
  if (!shares_.empty() && (!ends_.empty() || seconds_now() - energy_read_at_ > kEnergyEvery))
    read_energy();
  for (End& each : std::exchange(ends_, {})) {
    each.place->turns.charge(each.job->asker.caller, -each.job->ahead);
    tell(*each.place, std::move(each.job), std::move(each.error));
  }
}

void PoolLoop::tell(Place& place, std::unique_ptr<PoolJob> job, std::optional<Error> error) {
  const Usage usage = usage_of(*job);
  counters_.prompt_tokens += usage.prompt_tokens;
  counters_.cached_tokens += usage.cached_tokens;
  counters_.completion_tokens += usage.completion_tokens;
  counters_.accepted_tokens += usage.accepted_tokens;
  counters_.rejected_tokens += usage.rejected_tokens;
  counters_.busy_us += usage.busy_us.value_or(0);
  if (usage.millijoules)
    counters_.millijoules = counters_.millijoules.value_or(0) + *usage.millijoules;
  if (job->asker.on_usage) job->asker.on_usage(usage);
  if (!error && job->answer) {
    auto replies = job->answer->finish();
    if (replies) {
      take_times(replies->front().usage, usage);
      ended(place, nullptr, nullptr);
      return job->on_replies(std::move(replies));
    }
    error = replies.error();
  }
  if (error) return ended(place, std::move(job), &*error);
  if (job->on_transcript) {
    job->transcription.usage = usage;
    ended(place, nullptr, nullptr);
    return job->on_transcript(std::move(job->transcription));
  }
  if (job->on_speech) {
    job->speech.usage = usage;
    ended(place, nullptr, nullptr);
    return job->on_speech(std::move(job->speech));
  }
  job->embeddings.usage = usage;
  ended(place, nullptr, nullptr);
  job->on_embeddings(std::move(job->embeddings));
}

}  // namespace lathe::serve
