// A worker in this process.
#include "serve/pool/local_worker.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace lathe::serve {
namespace {

constexpr Milliseconds kUntilGone{1000};

// The program or the machine that answered is gone; whoever asks again has it started, or called.
bool is_lost(const Error& error) {
  return error.kind == ErrorKind::kUnavailable &&
         (error.code.empty() || error.code == "model_lost");
}

}  // namespace

LocalWorker::LocalWorker(ModelHost& host, std::string model, std::string name)
    : host_(host), model_(std::move(model)), name_(name.empty() ? model_ : std::move(name)) {}

WorkerInfo LocalWorker::info() const {
  return {name_, model_, "local:" + model_, Reach::kLocal};
}

Result<bool> LocalWorker::sees() const {
  for (const ModelInfo& model : host_.status().models) {
    // Of a program's model, and of a file that cannot be read, the architecture is not known.
    if (model.name != model_ || model.architecture.empty()) continue;
    if (model.vision) return true;
    return invalid(
        "worker {}: '{}' reads no pictures: lay its encoder (mmproj-….gguf) beside its file, or "
        "name a model that has one",
        name_, model_);
  }
  return false;
}

std::int64_t LocalWorker::context() const {
  for (const ModelInfo& model : host_.status().models)
    if (model.name == model_) return static_cast<std::int64_t>(model.context);
  return 0;
}

Result<Reply> LocalWorker::complete(const Request& request, const StopFlag& stop,
                                    const std::function<void(const Delta&)>& on_delta) {
  bool heard = false;
  const auto listen = [&](const Delta& delta) {
    heard = true;
    on_delta(delta);
  };
  const auto once = [&] {
    return ask(request, stop, on_delta ? listen : std::function<void(const Delta&)>());
  };
  const Milliseconds start = system_clock().monotonic();
  auto reply = once();
  if (reply || heard || !is_lost(reply.error())) return reply;
  // An engine says that it dies before it is dead.
  const Milliseconds again = system_clock().monotonic() + kUntilGone;
  if (again - start >= request.time_limit) return reply;
  while (system_clock().monotonic() < again && !stop.raised())
    std::this_thread::sleep_for(Milliseconds(20));
  return stop.raised() ? reply : once();
}

Result<Likelihood> LocalWorker::likelihood(const Continuation& asked, const StopFlag& stop) {
  HostRequest request;
  request.ask = TextPrompt{asked.context + asked.text};
  request.max_tokens = 0;
  request.no_answer = true;
  request.prompt_logprobs = true;
  request.top_logprobs = 0;
  request.labels = asked.labels;
  request.time_limit = asked.time_limit;
  LATHE_TRY(const HostReply reply, ask(std::move(request), stop, {}));
  std::vector<WeighedToken> tokens;
  for (const LogprobEntry& entry : reply.prompt_logprobs)
    tokens.push_back({entry.token.size(), entry.logprob});
  auto likelihood = likelihood_of(asked, tokens);
  if (!likelihood) return at("worker " + name_, likelihood.error());
  likelihood->usage = reply.usage;
  return likelihood;
}

template <class Value>
Result<Value> LocalWorker::await(
    const std::function<ModelHost::Id(std::function<void(Result<Value>)>)>& begin,
    Milliseconds limit, const StopFlag& stop) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<Value>> said;
  };
  const auto shared = std::make_shared<Shared>();
  const Milliseconds start = system_clock().monotonic();
  const ModelHost::Id id = begin([shared](Result<Value> said) {
    const std::scoped_lock lock(shared->mutex);
    shared->said = std::move(said);
    shared->changed.notify_one();
  });
  bool cancelled = false, late = false;
  std::unique_lock lock(shared->mutex);
  // What is asked for is the caller's: this waits for the host's last word in any case.
  while (
      !shared->changed.wait_for(lock, Milliseconds(20), [&] { return shared->said.has_value(); })) {
    late = late || system_clock().monotonic() - start > limit;
    if (cancelled || !(stop.raised() || late)) continue;
    lock.unlock();
    host_.cancel(id);
    cancelled = true;
    lock.lock();
  }
  const std::string place = "worker " + name_;
  if (late)
    return fail(ErrorKind::kTimeout, "{}: it was not done within {}", place,
                format_duration(limit));
  if (!*shared->said) return at(place, shared->said->error());
  (*shared->said)->usage.wall = system_clock().monotonic() - start;
  return *std::move(shared->said);
}

Result<Transcription> LocalWorker::transcribe(const SoundRequest& asked, const StopFlag& stop) {
  return await<Transcription>(
      [&](ModelHost::OnTranscript told) {
        return host_.transcribe(model_, asked, {}, {}, std::move(told));
      },
      asked.time_limit, stop);
}

Result<SpokenFile> LocalWorker::speak(const SpeechRequest& asked, const StopFlag& stop) {
  SpokenFile file;
  file.raw_rate = kSpeechRate;
  file.model = model_;
  LATHE_TRY(const Speech speech, await<Speech>(
                                     [&](ModelHost::OnSpeech told) {
                                       return host_.speak(
                                           model_, asked, {},
                                           [&](std::span<const std::int16_t> samples) {
                                             for (const std::int16_t sample : samples) {
                                               file.file += static_cast<char>(sample & 0xff);
                                               file.file += static_cast<char>(sample >> 8 & 0xff);
                                             }
                                           },
                                           std::move(told));
                                     },
                                     asked.time_limit, stop));
  if (const Status whole = whole_speech(speech, model_); !whole)
    return at("worker " + name_, whole.error());
  file.usage = speech.usage;
  return file;
}

Result<HostReply> LocalWorker::ask(HostRequest request, const StopFlag& stop,
                                   const std::function<void(const Delta&)>& on_delta) {
  // The host's thread brings deltas; this one hands them on, so that the caller hears them here.
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Delta> deltas;
    std::optional<Result<std::vector<HostReply>>> replies;
  };
  const auto shared = std::make_shared<Shared>();
  const Milliseconds start = system_clock().monotonic(), limit = request.time_limit;
  const ModelHost::Id id = host_.submit(
      model_, std::move(request),
      [shared](const Delta& delta) {
        const std::scoped_lock lock(shared->mutex);
        shared->deltas.push_back(delta);
        shared->changed.notify_one();
      },
      [shared](Result<std::vector<HostReply>> replies) {
        const std::scoped_lock lock(shared->mutex);
        shared->replies = std::move(replies);
        shared->changed.notify_one();
      });
  bool cancelled = false, late = false;
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait_for(lock, Milliseconds(20),
                             [&] { return shared->replies || !shared->deltas.empty(); });
    std::vector<Delta> deltas;
    deltas.swap(shared->deltas);
    const bool done = shared->replies.has_value();
    lock.unlock();
    if (on_delta && !cancelled)
      for (const Delta& delta : deltas) on_delta(delta);
    late = late || system_clock().monotonic() - start > limit;
    if (!done && !cancelled && (stop.raised() || late)) {
      host_.cancel(id);
      cancelled = true;
    }
    lock.lock();
    if (done) break;
  }
  const std::string place = "worker " + name_;
  if (!*shared->replies) {
    if (late)
      return fail(ErrorKind::kTimeout, "{}: there was no answer within {}", place,
                  format_duration(limit));
    return at(place, shared->replies->error());
  }
  HostReply reply = std::move((*shared->replies)->front());
  reply.usage.wall = system_clock().monotonic() - start;
  return reply;
}

}  // namespace lathe::serve
