// Sounds that are written down and texts that are spoken: Whisper models and talkers of the
// catalog, and what they are asked.
#include "ground/sys/priority.h"
#include "serve/pool/pool.h"

namespace lathe::serve {

Result<std::shared_ptr<const ListenerFile>> Pool::listener(const std::string& model) {
  const std::scoped_lock lock(fronts_mutex_);
  const CatalogModel* found = catalog().find(model);
  if (found == nullptr || !found->transcribes)
    return std::unexpected(Error{ErrorKind::kInvalid,
                                 fmt::format("'{}' writes no sounds down; a Whisper model does, a "
                                             "file like ggml-base.bin",
                                             model),
                                 "unsupported_value"});
  std::shared_ptr<const ListenerFile>& known = listeners_[found->name];
  if (known) return known;
  auto opened = ListenerFile::open(*found);
  problems_.erase(found->name);
  if (!opened) return std::unexpected(failed_file(*found, opened.error()));
  LATHE_TRY_STATUS(PoolLoop::bytes_of(**opened, options_));
  known = std::move(*opened);
  return known;
}

bool Pool::transcribes(const std::string& model) const {
  const CatalogModel* found = catalog().find(model);
  return found != nullptr && found->transcribes;
}

Result<std::shared_ptr<const SpeakerFile>> Pool::speaker(const std::string& model) {
  const std::scoped_lock lock(fronts_mutex_);
  const CatalogModel* found = catalog().find(model);
  if (found == nullptr || !found->speaks)
    return std::unexpected(
        Error{ErrorKind::kInvalid,
              fmt::format("'{}' speaks nothing; a talker does, a file of Qwen3-TTS", model),
              "unsupported_value"});
  std::shared_ptr<const SpeakerFile>& known = speakers_[found->name];
  if (known) return known;
  auto opened = SpeakerFile::open(*found);
  problems_.erase(found->name);
  if (opened)
    if (const auto bytes = PoolLoop::bytes_of(**opened, options_); !bytes)
      opened = std::unexpected(bytes.error());
  if (!opened) return std::unexpected(failed_file(*found, opened.error()));
  known = std::move(*opened);
  return known;
}

bool Pool::speaks(const std::string& model) const {
  const CatalogModel* found = catalog().find(model);
  return found != nullptr && found->speaks;
}

Error Pool::answers_nothing(const CatalogModel& model) {
  return {ErrorKind::kInvalid,
          model.speaks
              ? fmt::format("'{}' speaks texts (/v1/audio/speech, `lathe speak --model`), and "
                            "answers none",
                            model.name)
              : fmt::format("'{}' is a Whisper model: it writes sounds down "
                            "(/v1/audio/transcriptions), and reads no texts",
                            model.name),
          "unsupported_value"};
}

void Pool::work_aside(std::unique_ptr<PoolJob> job, SoundMakers sounds) {
  struct Shared {
    std::unique_ptr<PoolJob> job;
    SoundMakers sounds;
    double start = 0;
    Status status = {};
  };
  const Id id = job->id;
  const std::string model = job->model;
  SideWork& threads = sounds.speaker ? speaks_ : hears_;
  const auto shared = std::make_shared<Shared>(std::move(job), std::move(sounds));
  shared->start = PoolLoop::seconds_now();
  threads.add(
      id, model,
      [shared](const StopFlag& stop) {
        if (shared->sounds.listener) give_way_to_others();
        shared->start = PoolLoop::seconds_now();
        shared->status = shared->job->aside(*shared->job, shared->sounds, stop);
      },
      [this, shared](bool stopped) {
        post([this, shared, stopped] {
          if (stopped) shared->status = std::unexpected(this->stopped());
          shared->sounds = {};
          loop_.done_aside(std::move(shared->job), shared->status, shared->start);
        });
      });
}

ModelHost::Id Pool::transcribe(const std::string& model, SoundRequest request, Asker asker,
                               OnSegment on_segment, OnTranscript on_transcript) {
  if (is_program(model))
    return ask(model, program_call<Transcription>(
                          [request = std::move(request), asker = std::move(asker),
                           on_segment = std::move(on_segment)](
                              ModelHost& host, const std::string& name, OnTranscript told) {
                            return host.transcribe(name, request, asker, on_segment,
                                                   std::move(told));
                          },
                          std::move(on_transcript)));
  auto job = std::make_unique<PoolJob>();
  job->asker = std::move(asker);
  job->on_transcript = std::move(on_transcript);
  const auto asked = std::make_shared<const SoundRequest>(std::move(request));
  return add(model, std::move(job),
             [this, model, asked, on_segment = std::move(on_segment)](PoolJob& own,
                                                                      const StopFlag&) -> Status {
               LATHE_TRY(own.listener, listener(model));
               LATHE_TRY_STATUS(whisper_options(asked->options, own.listener->tokens));
               own.model = own.listener->info.name;
               own.aside = [asked, on_segment](PoolJob& heard, const SoundMakers& sounds,
                                               const StopFlag& stop) -> Status {
                 LATHE_TRY(heard.transcription, sounds.listener->hear(*asked, stop, on_segment));
                 return {};
               };
               return {};
             });
}

ModelHost::Id Pool::speak(const std::string& model, SpeechRequest request, Asker asker,
                          OnSamples on_samples, OnSpeech on_speech) {
  auto job = std::make_unique<PoolJob>();
  job->asker = std::move(asker);
  job->on_speech = std::move(on_speech);
  const auto asked = std::make_shared<const SpeechRequest>(std::move(request));
  return add(model, std::move(job),
             [this, model, asked, on_samples = std::move(on_samples)](PoolJob& own,
                                                                      const StopFlag&) -> Status {
               LATHE_TRY(own.speaker, speaker(model));
               LATHE_TRY(const infer::VoiceWish possible, own.speaker->wish_of(*asked));
               own.model = own.speaker->info.name;
               own.aside = [asked, on_samples](PoolJob& spoken, const SoundMakers& sounds,
                                               const StopFlag& stop) -> Status {
                 const auto tell = [&](std::span<const std::int16_t> samples) {
                   if (!spoken.first_token) spoken.first_token = PoolLoop::seconds_now();
                   on_samples(samples);
                 };
                 LATHE_TRY(spoken.speech, sounds.speaker->speak(*asked, stop, tell));
                 return {};
               };
               return {};
             });
}

}  // namespace lathe::serve
