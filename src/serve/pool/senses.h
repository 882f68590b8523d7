// A model's encoders of pictures and sounds, in memory beside it: one file, which has one of them
// or both. Files of pictures and sounds are foreign and decoded in confined processes; what one
// became is remembered by the hash of its bytes, so that what is asked about again is not encoded
// again.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "infer/encoders/picture_encoder.h"
#include "infer/encoders/sound_encoder.h"
#include "work/content.h"

namespace lathe::serve {

// What a picture or sound became: words and rows, in order.
using Percept = std::vector<infer::EncodedPiece>;
using Percepts = std::vector<std::shared_ptr<const Percept>>;

// The file of a model's encoders, its header read.
struct SensesFile {
  infer::Gguf file;
  bool sees = false, hears = false;

  bool takes(Media::Kind kind) const { return kind == Media::Kind::kPicture ? sees : hears; }
};

class Senses {
 public:
  // Numbers of what is remembered take at most so much.
  static constexpr std::uint64_t kRemembered = std::uint64_t{64} << 20;

  // The encoders that a model of this file comes with: those of models.toml, or the file beside it.
  // Refused: no encoder, and one whose rows are not as wide as the model's.
  static Result<std::unique_ptr<SensesFile>> open(const fs::path& file,
                                                  const infer::Blueprint& model);
  // They have threads of their own, as steps go on beside them: of so many threads of a step.
  static int threads_beside(int steps) { return std::max(1, steps / 2); }
  // What they will take: weights, scratch, what is remembered. By the header alone.
  static Result<std::uint64_t> bytes(const SensesFile& file, const infer::KernelTable& kernels,
                                     int threads);
  // `program`: this one, whose children decode (decoders.h).
  static Result<std::unique_ptr<Senses>> load(const SensesFile& file, fs::path program, int threads,
                                              const infer::WeightLoading& loading);

  struct Perception {
    std::shared_ptr<const Percept> percept;
    bool encoded = false;  // now; else it was remembered
  };
  // Any thread; one at a time is served. Of a kind that there is an encoder for. What others than
  // `owner` have shown is not remembered for it (infer::PrefixSpace::owner).
  Result<Perception> perceive(const Media& media, std::uint64_t owner, const StopFlag& stop);

 private:
  explicit Senses(fs::path program, int threads) : program_(std::move(program)), team_(threads) {}
  Result<Percept> encode(const Media& media, const StopFlag& stop);
  void remember(const std::string& key, std::shared_ptr<const Percept> percept);

  struct Remembered {
    std::string key;  // of the file and its owner
    std::shared_ptr<const Percept> percept;
    std::uint64_t bytes = 0;
  };
  const fs::path program_;
  std::mutex mutex_;  // guards what follows
  infer::ThreadTeam team_;
  std::unique_ptr<infer::PictureEncoder> pictures_;  // null: it does not see
  std::unique_ptr<infer::SoundEncoder> sounds_;      // null: it does not hear
  std::list<Remembered> remembered_;                 // the last one that was asked for first
  std::uint64_t remembered_bytes_ = 0;
};

}  // namespace lathe::serve
