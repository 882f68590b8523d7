// Sounds that are written down: Whisper models of the catalog, and what they are asked.
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

void Pool::hear(std::unique_ptr<PoolJob> job, std::shared_ptr<Listener> listener) {
  struct Shared {
    std::unique_ptr<PoolJob> job;
    std::shared_ptr<Listener> listener;
    double start = 0;
    Result<Transcription> heard = {};
  };
  const Id id = job->id;
  const std::string model = job->model;
  const auto shared = std::make_shared<Shared>(std::move(job), std::move(listener));
  shared->start = PoolLoop::seconds_now();
  hears_.add(
      id, model,
      [shared](const StopFlag& stop) {
        give_way_to_others();
        shared->start = PoolLoop::seconds_now();
        shared->heard = shared->job->hear(*shared->listener, stop);
      },
      [this, shared](bool stopped) {
        post([this, shared, stopped] {
          if (stopped) shared->heard = std::unexpected(this->stopped());
          shared->listener.reset();
          loop_.heard(std::move(shared->job), std::move(shared->heard), shared->start);
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
               own.hear = [asked, on_segment](Listener& listener, const StopFlag& stop) {
                 return listener.hear(*asked, stop, on_segment);
               };
               return {};
             });
}

}  // namespace lathe::serve
