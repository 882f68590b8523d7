// A model's encoder of pictures, in memory beside it. Picture files are foreign and decoded in
// confined processes; what a picture became is remembered by the hash of its bytes, so that a
// picture that is asked about again is not encoded again.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "infer/encoders/picture_encoder.h"
#include "work/content.h"

namespace lathe::serve {

// What a picture became: words and rows, in order.
using SeenPicture = std::vector<infer::EncodedPiece>;
using SeenPictures = std::vector<std::shared_ptr<const SeenPicture>>;

class Eyes {
 public:
  // Numbers of pictures that are remembered take at most so much.
  static constexpr std::uint64_t kRemembered = std::uint64_t{64} << 20;

  // The encoder that a model of this file comes with: that of models.toml, or the one beside it.
  // Refused: no encoder of pictures, and one whose rows are not as wide as the model's.
  static Result<std::unique_ptr<infer::Gguf>> open(const fs::path& file,
                                                   const infer::Blueprint& model);
  // What one will take: weights, scratch, what it remembers. By the header alone.
  static Result<std::uint64_t> bytes(const infer::Gguf& file, const infer::KernelTable& kernels,
                                     int threads);
  // `program`: this one, whose children decode (decoders.h).
  static Result<std::unique_ptr<Eyes>> load(const infer::Gguf& file, fs::path program, int threads,
                                            const infer::WeightLoading& loading);

  struct Sight {
    std::shared_ptr<const SeenPicture> picture;
    bool encoded = false;  // now; else it was remembered
  };
  // Any thread; one at a time is served. What others than `owner` have shown is not remembered for
  // it (infer::PrefixSpace::owner).
  Result<Sight> see(const Media& picture, std::uint64_t owner, const StopFlag& stop);

 private:
  explicit Eyes(fs::path program, int threads) : program_(std::move(program)), team_(threads) {}
  void remember(const std::string& key, std::shared_ptr<const SeenPicture> picture);

  struct Remembered {
    std::string key;  // of the picture and its owner
    std::shared_ptr<const SeenPicture> picture;
    std::uint64_t bytes = 0;
  };
  const fs::path program_;
  std::mutex mutex_;  // guards what follows
  infer::ThreadTeam team_;
  std::unique_ptr<infer::PictureEncoder> encoder_;
  std::list<Remembered> remembered_;  // the last one that was asked for first
  std::uint64_t remembered_bytes_ = 0;
};

}  // namespace lathe::serve
