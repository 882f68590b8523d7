// Qwen2-VL, 2.5-VL and Qwen3-VL: Qwen's models, whose positions have sections; the pictures of the
// third one go into its first layers, too. Qwen3-TTS's talker is the third one without pictures.
#include "infer/models/blueprint.h"
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

Result<Blueprint> with_pictures(const ArchitectureKeys& keys, Result<Blueprint> qwen3) {
  LATHE_TRY(Blueprint blueprint, std::move(qwen3));
  LATHE_TRY_STATUS(read_sections(keys, true, blueprint));
  LATHE_TRY(blueprint.deepstack, keys.size_or("n_deepstack_layers", 0, 0, blueprint.layers.size()));
  return blueprint;
}

}  // namespace

Result<Blueprint> read_qwen2vl(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_qwen2(keys));
  LATHE_TRY_STATUS(read_sections(keys, false, blueprint));
  return blueprint;
}

Result<Blueprint> read_qwen3vl(const ArchitectureKeys& keys) {
  return with_pictures(keys, read_qwen3(keys));
}

Result<Blueprint> read_qwen3vlmoe(const ArchitectureKeys& keys) {
  return with_pictures(keys, read_qwen3moe(keys));
}

Result<Blueprint> read_qwen3tts(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_qwen3(keys));
  LATHE_TRY_STATUS(read_sections(keys, true, blueprint));
  const GgufTensor* output = keys.file().find_tensor(tensor_name(Slot::kOutput));
  if (output == nullptr)
    return invalid("{}: the tensor {} is missing; a talker has one row in it for each code",
                   keys.file().path().string(), tensor_name(Slot::kOutput));
  blueprint.codes = static_cast<std::size_t>(output->shape[1]);
  if (blueprint.codes == 0 || blueprint.codes > blueprint.vocabulary)
    return invalid("{}: {} has {} rows; its codes are the last of {} tokens",
                   keys.file().path().string(), output->name, blueprint.codes,
                   blueprint.vocabulary);
  return blueprint;
}

}  // namespace lathe::infer
