// ERNIE 4.5: Llama; with experts, which are chosen with a bias, behind a few dense layers.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_ernie(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  LATHE_TRY(const std::size_t step, keys.size_or("interleave_moe_layer_step", 1, 0, 1024));
  if (step > 1)
    return invalid("{}: {} is {}; Lathe runs experts in every layer behind the first dense ones",
                   keys.file().path().string(), keys.name("interleave_moe_layer_step"), step);
  return blueprint;
}

}  // namespace lathe::infer
