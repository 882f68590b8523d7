// The media workers of a run: confined processes that decode foreign sound and picture files, draw
// SVG, speak with flite, hear with PocketSphinx and read with Tesseract. Started when first needed,
// reused over calls; any thread may call.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "ground/media/decoders.h"
#include "loop/senses/ear.h"
#include "loop/senses/picture_codec.h"

namespace lathe::loop {

class MediaPool {
 public:
  // `program`: an executable that hands "media-worker …" to media_worker_main(). At most
  // `parallel` workers of a kind work at the same time; further calls wait.
  MediaPool(fs::path program, int parallel);
  ~MediaPool();

  // A fresh process per file: one that is taken over can touch nothing else. kInvalid: the file
  // cannot be read, or the decoder died of it.
  Result<Decoded> decode(std::string_view file, Milliseconds limit, const StopFlag& stop);
  Result<Sound> speak(const std::string& text, const VoiceSetting& setting, Milliseconds limit,
                      const StopFlag& stop);
  Result<Hearing> hear(const EarScript& script, const Sound& sound,
                       const std::vector<std::string>& expected, Milliseconds limit,
                       const StopFlag& stop);
  // A picture file or an SVG, in a fresh process like decode(). kInvalid: it cannot be read, or
  // reading it takes more time, memory or rights than a picture may.
  Result<OpenedPicture> open_picture(std::string_view file, Milliseconds limit,
                                     const StopFlag& stop);
  // kInvalid: the eye died of what it saw.
  Result<Sight> look(const Picture& picture, const LookFor& wanted, Milliseconds limit,
                     const StopFlag& stop);

 private:
  struct Worker {
    explicit Worker(WorkerCommand command) : process(std::move(command)) {}
    WorkerProcess process;
    std::string prepared;  // what it has loaded: a script as JSON, languages
    bool busy = false;
    std::uint64_t used = 0;
  };
  class Lease;

  Result<Worker*> take(std::vector<std::unique_ptr<Worker>>& workers, const char* role,
                       const std::string& prepared, Milliseconds limit, const StopFlag& stop);

  fs::path program_;
  std::size_t parallel_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::uint64_t clock_ = 0;
  std::vector<std::unique_ptr<Worker>> speakers_, ears_, eyes_;
};

// The run's pool, or one of its own for a caller outside a run.
std::shared_ptr<MediaPool> media_pool(std::shared_ptr<MediaPool> shared, const fs::path& program);

}  // namespace lathe::loop
