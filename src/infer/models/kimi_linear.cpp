// Kimi Linear: delta nets with a decay for each dimension of a key, and latent attention without
// positions where a layer has a KV head.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_kimi_linear(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys, Mixers::kOwn));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  const std::size_t layers = blueprint.layers.size();
  const auto of_layers = [&](const char* key, std::uint64_t least) {
    return keys.file().per_layer(keys.name(key), layers, least, 65536);
  };
  LATHE_TRY(const auto heads, of_layers("attention.head_count", 1));
  LATHE_TRY(const auto kv_heads, of_layers("attention.head_count_kv", 0));
  KeyDecaySpec net;
  LATHE_TRY(net.size, keys.size("kda.head_dim", 8, 4096));
  LATHE_TRY(net.convolution, keys.size("ssm.conv_kernel", 2, 64));
  net.rank = net.size;
  for (std::size_t i = 0; i < layers; ++i) {
    net.heads = heads[i];
    if (kv_heads[i] == 0) {
      blueprint.layers[i].mixer = net;
      continue;
    }
    LATHE_TRY(blueprint.layers[i].mixer, read_latent_attention(keys, heads[i], i));
  }
  return blueprint;
}

}  // namespace lathe::infer
