// A model that speaks, as a pool has it: what its two files say, and in memory what makes sound of
// texts. Recordings of whom it is to speak like are the owner's, named in models.toml, and decoded
// in confined processes.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "infer/voice/voice.h"
#include "serve/pool/catalog.h"
#include "serve/pool/memory_budget.h"
#include "work/model_host.h"

namespace lathe::serve {

// A talker and the rest of its voice, their headers read. Immutable; any thread.
struct SpeakerFile {
  infer::Gguf talker, rest;
  infer::VoicePrompt prompt;
  std::map<std::string, fs::path> recordings;  // by the voice that they are
  ModelInfo info;

  // Errors name the file; the one that is missing too.
  static Result<std::unique_ptr<SpeakerFile>> open(const CatalogModel& model);
  // What a request comes to, but for who speaks. Errors say what of it cannot be.
  Result<infer::VoiceWish> wish_of(const SpeechRequest& request) const;
};

class Speaker {
 public:
  // What it will take, the longest text included. By the headers alone.
  static Result<BookedBytes> bytes(const SpeakerFile& file, const infer::KernelTable& kernels,
                                   int threads);
  // `program`: this one, whose children decode (decoders.h). `file` must outlive it.
  static Result<std::unique_ptr<Speaker>> load(const SpeakerFile& file, fs::path program,
                                               int threads, const infer::WeightLoading& loading);

  // Any thread; one at a time is served.
  Result<Speech> speak(const SpeechRequest& request, const StopFlag& stop,
                       const ModelHost::OnSamples& on_samples);

 private:
  Speaker(const SpeakerFile& file, fs::path program, int threads)
      : file_(file), program_(std::move(program)), team_(threads) {}
  Result<std::vector<float>> who(const std::string& voice, const StopFlag& stop);

  const SpeakerFile& file_;
  const fs::path program_;
  std::mutex mutex_;  // guards what follows
  infer::ThreadTeam team_;
  std::unique_ptr<infer::Voice> voice_;
  std::map<std::string, std::vector<float>> known_;  // rows of who was spoken like
};

}  // namespace lathe::serve
