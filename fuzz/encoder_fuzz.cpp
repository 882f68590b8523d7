// The header of an encoder of any kind: a tiny one's own, with some keys and shapes changed.
// Foretelling its memory and, where that is small, loading it and encoding a small picture or a
// short sound end with a value or an error. LATHE_FUZZ_MODEL=NAME: of that encoder alone.
#include <cstdlib>

#include "fuzz/changed_model.h"
#include "infer/encoders/picture_encoder.h"
#include "infer/encoders/sound_encoder.h"

namespace lathe::infer {
namespace {

constexpr const char* kNeighbours[] = {"projector_type",
                                       "vision.projector.scale_factor",
                                       "vision.spatial_merge_size",
                                       "vision.preproc_image_size",
                                       "vision.preproc_min_tiles",
                                       "vision.preproc_max_tiles",
                                       "vision.image_grid_pinpoints",
                                       "vision.n_wa_pattern",
                                       "vision.feature_layer",
                                       "audio.projector_type",
                                       "audio.projector.stack_factor"};
constexpr const char* kTypes[] = {"gemma3",
                                  "gemma4v",
                                  "qwen2vl_merger",
                                  "qwen2.5vl_merger",
                                  "qwen3vl_merger",
                                  "idefics3",
                                  "pixtral",
                                  "internvl",
                                  "mlp",
                                  "lfm2",
                                  "qwen2a",
                                  "qwen3a",
                                  "ultravox",
                                  "voxtral",
                                  "gemma4a"};

Picture small_picture(std::size_t shape) {
  Picture picture =
      blank_picture(1 + static_cast<int>(shape % 16) * 9, 1 + static_cast<int>(shape / 16) * 9);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<std::uint8_t>(i * 37);
  return picture;
}

void see(const Gguf& file, const Picture& picture) {
  WeightLoading loading;
  loading.kernels = &best_kernel_table();
  const auto bytes = picture_encoder_bytes(file, *loading.kernels, 1);
  if (!bytes) {
    if (bytes.error().message.empty()) std::abort();
    return;
  }
  ThreadTeam team(1);
  const auto encoder = PictureEncoder::open(file, team, loading);
  if (!encoder) return;
  const auto plan = (*encoder)->plan({picture.width, picture.height});
  if (!plan) return;
  std::int64_t pixels = 0;
  for (const Canvas& canvas : plan->canvases) pixels += canvas.size.area();
  if (pixels > 300'000) return;
  static_cast<void>((*encoder)->encode(picture, nullptr));
}

void hear(const Gguf& file, std::size_t samples) {
  WeightLoading loading;
  loading.kernels = &best_kernel_table();
  const auto bytes = sound_encoder_bytes(file, *loading.kernels, 1);
  if (!bytes) {
    if (bytes.error().message.empty()) std::abort();
    return;
  }
  ThreadTeam team(1);
  const auto encoder = SoundEncoder::open(file, team, loading);
  if (!encoder) return;
  const std::vector<std::int16_t> sound(samples, 1000);
  static_cast<void>((*encoder)->encode(sound, nullptr));
}

}  // namespace
}  // namespace lathe::infer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe::infer;
  static const std::vector<Base> bases = read_bases("tests/data/media", ".mmproj.gguf");
  Bytes bytes(data, std::min<std::size_t>(size, 64));
  Base base = bases[bytes.next() % bases.size()];
  const lathe::Picture picture = small_picture(bytes.next());
  while (!bytes.empty()) change(base, bytes, kNeighbours, kTypes);
  const auto file = open_changed(base);
  if (!file) return 0;
  see(*file, picture);
  hear(*file, picture.rgb.size());
  return 0;
}
