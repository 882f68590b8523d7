// A Whisper model as a pool has it: what its file says, and in memory what writes sounds down.
// Files of sounds are foreign and decoded in confined processes. And the way from what is asked for
// to the model and back, for whoever has a model of his own.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "infer/whisper/transcribe.h"
#include "serve/pool/catalog.h"
#include "serve/pool/memory_budget.h"
#include "work/model_host.h"

namespace lathe::serve {

// What a model makes of `asked`. Errors name what it does not know: a language.
Result<infer::TranscribeOptions> whisper_options(const TranscriptOptions& asked,
                                                 const infer::WhisperTokens& tokens);

// A sound of 16 kHz written down. `hear` (may be empty) is given each segment as it is done, and
// how many seconds are behind; where there was none, null.
Result<Transcript> write_down(infer::WhisperModel& model, const infer::WhisperTokens& tokens,
                              std::span<const std::int16_t> samples, infer::ThreadTeam& team,
                              const TranscriptOptions& asked, const StopFlag* stop,
                              const std::function<void(const TranscriptSegment*, double)>& hear);

// A Whisper file, its header read. Immutable; any thread.
struct ListenerFile {
  infer::Gguf file;
  infer::WhisperTokens tokens;
  ModelInfo info;

  static Result<std::unique_ptr<ListenerFile>> open(const CatalogModel& model);
};

class Listener {
 public:
  // What it will take: weights; buffers, with one for each text that is followed; and one sound as
  // samples. By the header alone.
  static Result<BookedBytes> bytes(const ListenerFile& file, const infer::KernelTable& kernels,
                                   int threads);
  // `program`: this one, whose children decode (decoders.h). `file` must outlive it. Its threads
  // are the calling one's heirs in priority.
  static Result<std::unique_ptr<Listener>> load(const ListenerFile& file, fs::path program,
                                                int threads, const infer::WeightLoading& loading);

  // Any thread; one at a time is served. Usage: tokens, and the time that it took.
  Result<Transcription> hear(const SoundRequest& request, const StopFlag& stop,
                             const ModelHost::OnSegment& on_segment);

 private:
  Listener(const ListenerFile& file, fs::path program, int threads)
      : file_(file), program_(std::move(program)), team_(threads) {}

  const ListenerFile& file_;
  const fs::path program_;
  std::mutex mutex_;  // guards what follows
  infer::ThreadTeam team_;
  std::unique_ptr<infer::WhisperModel> model_;
};

}  // namespace lathe::serve
