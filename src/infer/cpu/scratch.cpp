// The buffers of the forward pass: one row each.
#include "infer/cpu/scratch.h"

#include <algorithm>

#include "infer/cpu/delta_net.h"
#include "infer/cpu/head_walk.h"
#include "infer/cpu/key_decay.h"
#include "infer/cpu/lightning_indexer.h"
#include "infer/cpu/mamba2.h"
#include "infer/models/rope.h"

namespace lathe::infer {
namespace {

struct Extent {
  std::size_t rows = 0, k = 0;
};

struct Buffer {
  std::variant<Scratch<float> ForwardScratch::*, Scratch<ScoredPosition> ForwardScratch::*,
               Scratch<std::uint32_t> ForwardScratch::*, Activations ForwardScratch::*>
      place;
  Extent (*extent)(const ForwardSizes& sizes);
};

using S = ForwardScratch;
using Z = ForwardSizes;
constexpr Buffer kBuffers[] = {
    {&S::x,
     [](const Z& z) {
       return Extent{z.tokens, z.width};
     }},
    {&S::branch,
     [](const Z& z) {
       return Extent{z.tokens, z.width};
     }},
    {&S::begun,
     [](const Z& z) {
       return Extent{z.device ? 2 * z.tokens : 0, z.width};
     }},
    {&S::normed,
     [](const Z& z) {
       return Extent{z.tokens, z.width};
     }},
    {&S::q,
     [](const Z& z) {
       return Extent{z.tokens, z.q};
     }},
    {&S::k,
     [](const Z& z) {
       return Extent{z.tokens, z.kv};
     }},
    {&S::v,
     [](const Z& z) {
       return Extent{z.tokens, z.kv};
     }},
    {&S::mixed,
     [](const Z& z) {
       return Extent{z.tokens, z.mixed};
     }},
    {&S::convolved,
     [](const Z& z) {
       return Extent{z.tokens, z.convolved};
     }},
    {&S::scalars,
     [](const Z& z) {
       return Extent{z.tokens, z.scalars};
     }},
    {&S::low,
     [](const Z& z) {
       return Extent{z.tokens, z.low};
     }},
    {&S::inputs,
     [](const Z& z) {
       return Extent{z.tokens, z.inputs};
     }},
    {&S::own_inputs,
     [](const Z& z) {
       return Extent{z.tokens, z.inputs};
     }},
    {&S::heads,
     [](const Z& z) {
       return Extent{z.tokens, z.q};
     }},
    {&S::angles,
     [](const Z& z) {
       return Extent{z.tokens, z.angles};
     }},
    {&S::threads,
     [](const Z& z) {
       return Extent{1, z.threads};
     }},
    {&S::partials, [](const Z&) { return Extent{}; }},
    {&S::candidates,
     [](const Z& z) {
       return Extent{z.candidates, z.chosen};
     }},
    {&S::chosen,
     [](const Z& z) {
       return Extent{z.tokens, z.chosen};
     }},
    {&S::gate,
     [](const Z& z) {
       return Extent{1, z.hidden};
     }},
    {&S::up,
     [](const Z& z) {
       return Extent{1, z.hidden};
     }},
    {&S::hidden,
     [](const Z& z) {
       return Extent{1, z.hidden};
     }},
    {&S::router,
     [](const Z& z) {
       return Extent{z.tokens, z.experts};
     }},
    {&S::gathered,
     [](const Z& z) {
       return Extent{z.pairs, z.width};
     }},
    {&S::expert_out,
     [](const Z& z) {
       return Extent{z.pairs, z.width};
     }},
    {&S::output,
     [](const Z& z) {
       return Extent{z.outputs, z.output_width};
     }},
    {&S::hidden_rows,
     [](const Z& z) {
       return Extent{z.keep_hidden ? z.tokens : 0, z.width};
     }},
    {&S::head,
     [](const Z& z) {
       return Extent{z.head == 0 ? 0u : 1u, z.head};
     }},
    {&S::head_out,
     [](const Z& z) {
       return Extent{1, z.head};
     }},
};

template <class T>
std::uint64_t bytes_for(const Scratch<T>&, Extent extent) {
  return extent.rows * extent.k * sizeof(T);
}
std::uint64_t bytes_for(const Activations&, Extent extent) {
  return Activations::bytes_for(extent.rows, extent.k);
}
template <class T>
Status reserve_one(Scratch<T>& buffer, Extent extent) {
  return buffer.reserve(extent.rows * extent.k);
}
Status reserve_one(Activations& buffer, Extent extent) {
  return buffer.reserve(extent.rows, extent.k);
}

void size_mixer(ForwardSizes& sizes, std::size_t threads, const AttentionSpec& spec) {
  sizes.q = std::max(sizes.q, spec.heads * spec.head_dim);
  sizes.kv = std::max(sizes.kv, spec.kv_heads * spec.head_dim);
  if (spec.output_gate) sizes.mixed = std::max(sizes.mixed, 2 * spec.heads * spec.head_dim);
  sizes.threads = std::max(sizes.threads, threads * HeadWalk::thread_floats(spec.attends()));
}
void size_mixer(ForwardSizes& sizes, std::size_t threads, const LatentAttentionSpec& spec) {
  const std::size_t key = spec.latent + spec.turned;
  sizes.q = std::max(sizes.q, spec.heads * std::max({key, spec.plain, spec.value_dim}));
  sizes.kv = std::max(sizes.kv, key);
  sizes.mixed =
      std::max({sizes.mixed, spec.query_rank, spec.heads * std::max(spec.query(), spec.value_dim)});
  sizes.low = std::max(sizes.low, spec.query_rank);
  sizes.threads = std::max(sizes.threads, threads * HeadWalk::thread_floats(spec.attends()));
  if (!spec.owns_indexer()) return;
  const IndexerSpec& indexer = *spec.indexer;
  sizes.kv = std::max(sizes.kv, indexer.key);
  sizes.convolved = std::max(sizes.convolved, indexer.heads * indexer.key);
  sizes.scalars = std::max(sizes.scalars, indexer.heads);
  sizes.threads = std::max(sizes.threads, threads * LightningIndexer::thread_floats(indexer));
  sizes.chosen = std::max(sizes.chosen, indexer.most);
  sizes.candidates = LightningIndexer::candidate_lists(sizes.tokens, threads);
}
void size_mixer(ForwardSizes& sizes, std::size_t, const KeyDecaySpec& spec) {
  sizes.q = std::max(sizes.q, std::max(spec.values(), spec.rank));
  sizes.mixed = std::max(sizes.mixed, 3 * spec.values());
  sizes.convolved = std::max(sizes.convolved, 3 * spec.values());
  sizes.scalars = std::max(sizes.scalars, KeyDecay::scalars(spec));
  sizes.low = std::max(sizes.low, spec.rank);
}
void size_mixer(ForwardSizes& sizes, std::size_t, const DeltaNetSpec& spec) {
  sizes.q = std::max(sizes.q, spec.values());
  sizes.mixed = std::max(sizes.mixed, spec.channels());
  sizes.convolved = std::max(sizes.convolved, spec.channels());
  sizes.scalars = std::max(sizes.scalars, DeltaNet::kScalars * spec.value_heads);
}
void size_mixer(ForwardSizes& sizes, std::size_t, const Mamba2Spec& spec) {
  sizes.q = std::max(sizes.q, spec.inner());
  sizes.mixed = std::max(sizes.mixed, spec.projected());
  sizes.convolved = std::max(sizes.convolved, spec.channels());
  sizes.scalars = std::max(sizes.scalars, Mamba2::kScalars * spec.heads);
}
void size_mixer(ForwardSizes& sizes, std::size_t, const ShortConvolutionSpec& spec) {
  sizes.q = std::max(sizes.q, spec.width);
  sizes.mixed = std::max(sizes.mixed, 3 * spec.width);
}
void size_mixer(ForwardSizes&, std::size_t, const NoMixer&) {}

}  // namespace

ForwardSizes ForwardSizes::of(const Blueprint& blueprint, std::size_t threads,
                              const ExecutorOptions& options) {
  const std::size_t max_tokens = options.step_tokens;
  ForwardSizes sizes{
      .tokens = max_tokens,
      .outputs = options.step_outputs(),
      .width = blueprint.embedding,
      .output_width = std::max(blueprint.embedding, blueprint.generates ? blueprint.outputs() : 0),
      .keep_hidden = options.keep_hidden,
      .device = options.device};
  for (const HeadLayer& layer : blueprint.head)
    sizes.head = std::max({sizes.head, layer.rows, layer.k});
  for (const LayerSpec& layer : blueprint.layers) {
    std::visit([&](const auto& spec) { size_mixer(sizes, threads, spec); }, layer.mixer);
    const std::size_t rows = max_tokens * std::max<std::size_t>(1, layer.ffn.experts_used);
    sizes.hidden =
        std::max({sizes.hidden, rows * layer.ffn.hidden,
                  max_tokens * std::max(layer.ffn.shared_hidden, layer.ffn.beside_hidden)});
    if (layer.ffn.experts != 0) sizes.pairs = std::max(sizes.pairs, rows);
    sizes.experts = std::max(sizes.experts, layer.ffn.experts);
  }
  sizes.low = std::max(sizes.low, blueprint.layer_input);
  if (blueprint.predicts) sizes.low = std::max(sizes.low, 2 * blueprint.embedding);
  sizes.inputs = blueprint.layer_input * blueprint.layers.size();
  const Ropes ropes = ropes_of(blueprint);
  sizes.angles = ropes.all.size() * ropes.stride;
  return sizes;
}

std::uint64_t ForwardSizes::bytes() const {
  const ForwardScratch none;
  std::uint64_t sum = 0;
  for (const Buffer& buffer : kBuffers)
    std::visit([&](auto place) { sum += bytes_for(none.*place, buffer.extent(*this)); },
               buffer.place);
  return sum;
}

Status ForwardScratch::reserve(const ForwardSizes& sizes) {
  for (const Buffer& buffer : kBuffers)
    LATHE_TRY_STATUS(std::visit(
        [&](auto place) { return reserve_one(this->*place, buffer.extent(sizes)); }, buffer.place));
  return {};
}

std::uint64_t ForwardScratch::bytes() const {
  std::uint64_t sum = 0;
  for (const Buffer& buffer : kBuffers)
    sum += std::visit([&](auto place) -> std::uint64_t { return (this->*place).bytes(); },
                      buffer.place);
  return sum;
}

std::vector<std::span<std::byte>> ForwardScratch::memory() const {
  std::vector<std::span<std::byte>> all;
  const auto add = [&all]<class T>(const Scratch<T>& buffer) { all.push_back(buffer.memory()); };
  const auto add_all = [&all](const Activations& buffer) {
    for (const auto pages : buffer.memory()) all.push_back(pages);
  };
  for (const Buffer& buffer : kBuffers)
    std::visit(
        [&](auto place) {
          if constexpr (std::is_same_v<decltype(place), Activations ForwardScratch::*>)
            add_all(this->*place);
          else
            add(this->*place);
        },
        buffer.place);
  std::erase_if(all, [](std::span<std::byte> pages) { return pages.empty(); });
  return all;
}

}  // namespace lathe::infer
