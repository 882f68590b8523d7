// Confined media workers, several at once.
#include "loop/senses/media_pool.h"

#include <signal.h>

#include "loop/senses/media_codec.h"

namespace lathe::loop {
// Gives the worker back whatever happens.
class MediaPool::Lease {
 public:
  Lease(MediaPool& pool, Worker& worker) : pool_(pool), worker_(worker) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    const std::lock_guard lock(pool_.mutex_);
    worker_.busy = false;
    worker_.used = ++pool_.clock_;
    pool_.freed_.notify_one();
  }

 private:
  MediaPool& pool_;
  Worker& worker_;
};

MediaPool::MediaPool(fs::path program, int parallel)
    : program_(std::move(program)), parallel_(static_cast<std::size_t>(std::max(parallel, 1))) {}

MediaPool::~MediaPool() = default;

Result<MediaPool::Worker*> MediaPool::take(std::vector<std::unique_ptr<Worker>>& workers,
                                           const char* role, const std::string& prepared,
                                           Milliseconds limit, const StopFlag& stop) {
  const Milliseconds end = system_clock().monotonic() + limit;
  std::unique_lock lock(mutex_);
  for (;;) {
    Worker* oldest = nullptr;
    for (const auto& worker : workers) {
      if (worker->busy) continue;
      if (worker->prepared == prepared) {
        worker->busy = true;
        return worker.get();
      }
      if (!oldest || worker->used < oldest->used) oldest = worker.get();
    }
    if (workers.size() < parallel_) {
      workers.push_back(std::make_unique<Worker>(media_worker(program_, role)));
      oldest = workers.back().get();
    }
    if (oldest) {
      oldest->busy = true;
      return oldest;
    }
    if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
    if (system_clock().monotonic() >= end)
      return fail(ErrorKind::kTimeout, "no media worker was free within {}",
                  format_duration(limit));
    freed_.wait_for(lock, Milliseconds(50));
  }
}

Result<Decoded> MediaPool::decode(std::string_view file, Milliseconds limit, const StopFlag& stop) {
  return decode_sound_file(program_, file, limit, stop);
}

Result<Sound> MediaPool::speak(const std::string& text, const VoiceSetting& setting,
                               Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY(Worker * worker, take(speakers_, "speak", "", limit, stop));
  const Lease lease(*this, *worker);
  LATHE_TRY(const MediaMessage reply,
            ask_worker(worker->process, {speak_request(text, setting), ""}, limit, stop));
  return sound_from_body(reply.body);
}

Result<Hearing> MediaPool::hear(const EarScript& script, const Sound& sound,
                                const std::vector<std::string>& expected, Milliseconds limit,
                                const StopFlag& stop) {
  const Json head = to_json(script);
  const std::string prepared = dump_json(head);
  LATHE_TRY(Worker * worker, take(ears_, "hear", prepared, limit, stop));
  const Lease lease(*this, *worker);
  // An ear is locked in once its models are loaded, and those include the script's: another script
  // is another process.
  if (worker->prepared != prepared || !worker->process.running()) {
    worker->process.kill();
    worker->prepared.clear();
    LATHE_TRY_STATUS(ask_worker(worker->process, {head, ""}, limit, stop));
    worker->prepared = prepared;
  }
  MediaMessage request;
  request.head["expected"] = expected;
  request.body = to_body(sound);
  LATHE_TRY(const MediaMessage reply, ask_worker(worker->process, request, limit, stop));
  return hearing_from(reply.head);
}

Result<OpenedPicture> MediaPool::open_picture(std::string_view file, Milliseconds limit,
                                              const StopFlag& stop) {
  if (!looks_like_svg(file)) {
    LATHE_TRY(Picture picture, decode_picture_file(program_, file, limit, stop));
    return OpenedPicture{std::move(picture), false, {}, {}};
  }
  if (file.size() > kMaxPictureFile)
    return invalid("the picture file is longer than {} MiB", kMaxPictureFile >> 20);
  WorkerProcess process(media_worker(program_, "draw"));
  auto reply = ask_reader(process, file, limit, stop);
  if (reply) return opened_from(*reply);
  if (process.last_signal() == SIGSYS)
    reply.error().message =
        "the SVG needs something that cannot be drawn here: keep to shapes, paths, text, gradients "
        "and embedded PNG, JPEG or WebP pictures";
  return at("unreadable picture", reply.error());
}

Result<Sight> MediaPool::look(const Picture& picture, const LookFor& wanted, Milliseconds limit,
                              const StopFlag& stop) {
  LATHE_TRY(Worker * worker, take(eyes_, "look", wanted.languages, limit, stop));
  const Lease lease(*this, *worker);
  // An eye is locked in with its models: other languages are another process.
  if (worker->prepared != wanted.languages) {
    worker->process.kill();
    worker->prepared = wanted.languages;
  }
  auto reply = ask_worker(worker->process, look_request(picture, wanted), limit, stop);
  if (reply) return sight_from(reply->head, picture.box());
  Error error = std::move(reply).error();
  error.kind = own_fault(worker->process.last_signal()) ? ErrorKind::kInvalid
               : error.kind == ErrorKind::kInvalid      ? ErrorKind::kUnavailable
                                                        : error.kind;
  return at("the eye", std::move(error));
}

std::shared_ptr<MediaPool> media_pool(std::shared_ptr<MediaPool> shared, const fs::path& program) {
  return shared ? std::move(shared) : std::make_shared<MediaPool>(program, 1);
}

}  // namespace lathe::loop
