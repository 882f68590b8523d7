// Gemma 4: heads of one size where a layer sees a window and of another where it sees all, values
// with norms, the last layers reading the keys and values of layers before them; an embedding for
// each layer, or experts beside the dense part.
#include <cmath>

#include "infer/models/blueprint.h"
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

Status set_attention(const ArchitectureKeys& keys, AttentionSpec& attention, std::size_t layer) {
  attention.qk_norm = QkNorm::kHead;
  attention.value_norm = true;
  attention.scale = 1;
  attention.rope.neox = true;
  attention.values_of_keys = keys.file().find_tensor(tensor_name(Slot::kV, layer)) == nullptr;
  if (attention.window == 0) return {};
  LATHE_TRY(attention.head_dim,
            keys.size_or("attention.key_length_swa", attention.head_dim, 1, 65536));
  if (attention.head_dim % 8 != 0)
    return invalid("{}: {} is {}; Lathe runs multiples of 8", keys.file().path().string(),
                   keys.name("attention.key_length_swa"), attention.head_dim);
  attention.rope = {.neox = true};
  LATHE_TRY(attention.rope.dimensions,
            keys.size_or("rope.dimension_count_swa", attention.head_dim, 2, attention.head_dim));
  LATHE_TRY(attention.rope.base, keys.real_or("rope.freq_base_swa", 10000, 1, 1e12));
  return {};
}

// The last layers have no keys and values of their own: they read those of the last layer before
// them that sees as far.
Status share_kv(const ArchitectureKeys& keys, Blueprint& blueprint) {
  const std::size_t layers = blueprint.layers.size();
  LATHE_TRY(const std::size_t shared, keys.size_or("attention.shared_kv_layers", 0, 0, layers - 1));
  const std::size_t own = layers - shared;
  for (std::size_t i = own; i < layers; ++i) {
    AttentionSpec& attention = *blueprint.layers[i].attention();
    const std::size_t back = attention.window != 0 ? 2 : 1;
    if (back <= own) {
      const AttentionSpec& source = *blueprint.layers[own - back].attention();
      attention.kv_of = own - back;
      if (source.window == attention.window && source.head_dim == attention.head_dim &&
          source.kv_heads == attention.kv_heads)
        continue;
    }
    return invalid(
        "{}: layer {} is to read another one's keys and values ({}), and none is like it",
        keys.file().path().string(), i, keys.name("attention.shared_kv_layers"));
  }
  return {};
}

Status set_ffn(const ArchitectureKeys& keys, LayerSpec& layer, std::size_t i) {
  FfnSpec& ffn = layer.ffn;
  ffn.activation = Activation::kGelu;
  if (ffn.experts == 0) return {};
  if (keys.file().find_tensor(tensor_name(Slot::kRouter, i)) == nullptr) {
    make_dense(ffn);
    return {};
  }
  ffn.beside_hidden = ffn.hidden;
  LATHE_TRY(ffn.hidden, keys.size("expert_feed_forward_length", 1, std::size_t{1} << 24));
  return {};
}

}  // namespace

Result<Blueprint> read_gemma4(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  blueprint.embedding_scale = std::sqrt(static_cast<float>(blueprint.embedding));
  LATHE_TRY(const double cap, keys.real_or("final_logit_softcapping", 0, 0, 1e6));
  blueprint.logit_cap = static_cast<float>(cap);
  LATHE_TRY(blueprint.layer_input,
            keys.size_or("embedding_length_per_layer_input", 0, 0, blueprint.embedding));
  LATHE_TRY_STATUS(read_windows(keys, blueprint, 6));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    LATHE_TRY_STATUS(set_attention(keys, *layer.attention(), i));
    LATHE_TRY_STATUS(set_ffn(keys, layer, i));
    layer.post_norms = true;
    layer.scaled = keys.file().find_tensor(tensor_name(Slot::kLayerScale, i)) != nullptr;
  }
  LATHE_TRY_STATUS(share_kv(keys, blueprint));
  return blueprint;
}

}  // namespace lathe::infer
