// Attention of one step over the chunks of the cache.
#include "infer/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe::infer {
namespace {

constexpr std::size_t kGroupChunks = 8;
constexpr std::size_t kGroupPositions = kGroupChunks * kChunk;
// With fewer items than this, attention is shared out by groups too.
constexpr std::size_t kItemsPerThread = 4;
// Unless their partial results would take more than this.
constexpr std::uint64_t kMostPartialBytes = std::uint64_t{64} << 20;

// What `columns` queries have gathered so far: maximum, sum of exponentials, weighted sum of V. l
// == 0: nothing yet.
struct Partial {
  Partial(float* base, std::size_t columns) : m(base), l(base + columns), o(base + 2 * columns) {}
  static std::size_t size(std::size_t columns, std::size_t dim) { return columns * (dim + 2); }
  float* m;
  float* l;
  float* o;  // (columns, dim)
};

// One thread's scratch, for so many queries of one head.
struct Room {
  Room(float* base, std::size_t columns, std::size_t dim)
      : q(base),
        chunk(q + columns * dim),
        group(chunk + Partial::size(columns, dim)),
        total(group + Partial::size(columns, dim)),
        scale(total + Partial::size(columns, dim)),
        sum(reinterpret_cast<std::int16_t*>(scale + columns * dim / kActivationBlock)),
        q8(reinterpret_cast<std::int8_t*>(sum + columns * dim / 16)),
        first(reinterpret_cast<std::uint8_t*>(q8 + columns * dim)),
        last(first + columns) {}
  static std::size_t floats(std::size_t columns, std::size_t dim) {
    return columns * dim + 3 * Partial::size(columns, dim) + columns * dim / 2 + columns;
  }
  float* q;                      // (columns, dim)
  float *chunk, *group, *total;  // partials of one chunk, one group, all
  float* scale;                  // q in 8 bits: its scales, sums and integers
  std::int16_t* sum;
  std::int8_t* q8;
  std::uint8_t *first, *last;  // slots of a chunk
};

void fold(const KernelTable& kernels, std::size_t columns, std::size_t dim, const Partial& part,
          const Partial& total) {
  for (std::size_t c = 0; c < columns; ++c) {
    if (part.l[c] == 0) continue;
    if (total.l[c] == 0) {
      total.m[c] = part.m[c];
      total.l[c] = part.l[c];
      std::memcpy(total.o + c * dim, part.o + c * dim, dim * sizeof(float));
    } else {
      kernels.merge(&total.m[c], &total.l[c], total.o + c * dim, part.m[c], part.l[c],
                    part.o + c * dim, dim);
    }
  }
}

// A head's dimensions, then zeros up to padded_head(); returns `to`.
const float* pad_head(const float* head, std::size_t head_dim, float* to) {
  std::memcpy(to, head, head_dim * sizeof(float));
  std::fill(to + head_dim, to + padded_head(head_dim), 0.0f);
  return to;
}

// How many groups the tile's newest token looks back on.
std::size_t groups_of(const Step& step, const Step::Tile& tile) {
  return step.tokens[tile.first_token + tile.tokens - 1].position / kGroupPositions + 1;
}

std::size_t most_columns(const AttentionSpec& spec) {
  return std::max(Attention::kColumns, spec.heads / spec.kv_heads);
}

}  // namespace

Attention::Attention(const Model& model, std::size_t layer, std::size_t rope)
    : spec_(*model.blueprint().layers[layer].attention()),
      weights_(model.layers()[layer]),
      layer_(layer),
      rope_(rope),
      ratio_(spec_.heads / spec_.kv_heads),
      epsilon_(model.blueprint().norm_epsilon) {}

// Sized for the widest group; a layer with smaller ones just has fewer columns.
std::size_t Attention::tile_tokens(const Blueprint& blueprint) {
  std::size_t group = 1;
  for (const LayerSpec& layer : blueprint.layers)
    if (const AttentionSpec* spec = layer.attention())
      group = std::max(group, spec->heads / spec->kv_heads);
  return std::max<std::size_t>(1, kColumns / group);
}

std::size_t Attention::thread_floats(const AttentionSpec& spec) {
  return Room::floats(most_columns(spec), padded_head(spec.head_dim));
}

std::uint64_t Attention::deep_bytes(const Blueprint& blueprint, std::size_t threads,
                                    std::size_t positions) {
  const std::size_t groups = (positions + kGroupPositions - 1) / kGroupPositions;
  if (threads < 2 || groups < 2) return 0;
  std::uint64_t bytes = 0;
  for (const LayerSpec& layer : blueprint.layers) {
    const AttentionSpec* spec = layer.attention();
    if (spec == nullptr) continue;
    const std::size_t items = (kItemsPerThread * threads - 1) / spec->kv_heads * spec->kv_heads;
    const std::size_t partial = Partial::size(most_columns(*spec), padded_head(spec->head_dim));
    bytes = std::max<std::uint64_t>(bytes, items * groups * partial * sizeof(float));
  }
  return std::min(bytes, kMostPartialBytes);
}

void Attention::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  float* q = spec_.output_gate ? s.mixed.data() : s.q.data();
  const Step::Linear inputs[] = {{Slot::kQ, q}, {Slot::kK, s.k.data()}, {Slot::kV, s.v.data()}};
  step.multiply_linears(layer_, s.normed, inputs);
  const std::size_t scratch = thread_floats(spec_);
  step.team->run(step.tokens.size(), [&](std::size_t t, int thread) {
    finish_heads(step, t, s.threads.data() + static_cast<std::size_t>(thread) * scratch);
  });
  attend(step);
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    if (spec_.output_gate) open_gates(step, t);
    s.heads.quantize(step.kernels(), t, 0, s.heads.k());
  });
  const Step::Linear output{Slot::kAttentionOutput, s.branch.data()};
  step.multiply_linears(layer_, s.heads, {&output, 1});
  if (!spec_.output_bias) return;
  const float* bias = weights_.vector[Slot::kAttentionOutputBias].data();
  for (std::size_t t = 0; t < step.tokens.size(); ++t)
    step.kernels().add(bias, step.width(), s.branch.data() + t * step.width());
}

// A head's gate stands behind its q in scratch.mixed.
void Attention::open_gates(Step& step, std::size_t t) const {
  const std::size_t dim = spec_.head_dim;
  for (std::size_t h = 0; h < spec_.heads; ++h)
    step.kernels().sigmoid_mul(step.scratch.mixed.data() + ((t * spec_.heads + h) * 2 + 1) * dim,
                               dim, step.scratch.heads.row(t) + h * dim);
}

float Attention::scale_at(std::size_t position) const {
  if (spec_.temperature == 0) return spec_.scale;
  const auto periods = static_cast<double>(position / spec_.temperature_length);
  return static_cast<float>(double{spec_.scale} * (1 + spec_.temperature * std::log(1 + periods)));
}

// Bias, norm and rotation of one token's heads, its K and V into the cache.
void Attention::finish_heads(Step& step, std::size_t t, float* scratch) const {
  const KernelTable& kernels = step.kernels();
  const std::size_t dim = spec_.head_dim, padded = padded_head(dim);
  float* q = step.scratch.q.data() + t * spec_.heads * dim;
  float* k = step.scratch.k.data() + t * spec_.kv_heads * dim;
  float* v = step.scratch.v.data() + t * spec_.kv_heads * dim;
  if (spec_.output_gate)
    for (std::size_t h = 0; h < spec_.heads; ++h)
      std::memcpy(q + h * dim, step.scratch.mixed.data() + (t * spec_.heads + h) * 2 * dim,
                  dim * sizeof(float));
  if (spec_.qkv_bias) {
    kernels.add(weights_.vector[Slot::kQBias].data(), spec_.heads * dim, q);
    kernels.add(weights_.vector[Slot::kKBias].data(), spec_.kv_heads * dim, k);
    kernels.add(weights_.vector[Slot::kVBias].data(), spec_.kv_heads * dim, v);
  }
  const std::size_t rotated = spec_.rope.dimensions;
  const float* cos = step.angles(rope_, t);
  const auto norm_of = [&](float* x, Slot norm, std::size_t n) {
    kernels.rms_norm(x, weights_.vector[norm].data(), n, epsilon_, x);
  };
  if (spec_.qk_norm == QkNorm::kWhole) {
    norm_of(q, Slot::kQNorm, spec_.heads * dim);
    norm_of(k, Slot::kKNorm, spec_.kv_heads * dim);
  }
  const auto turn = [&](float* head, Slot norm) {
    if (spec_.qk_norm == QkNorm::kHead) norm_of(head, norm, dim);
    kernels.rope(head, cos, cos + rotated / 2, rotated, spec_.rope.neox);
    if (spec_.qk_norm == QkNorm::kHeadAfterRope) norm_of(head, norm, dim);
  };
  const std::size_t position = step.tokens[t].position;
  const float scale = scale_at(position);
  for (std::size_t h = 0; h < spec_.heads; ++h) {
    turn(q + h * dim, Slot::kQNorm);
    for (std::size_t i = 0; i < dim; ++i) q[h * dim + i] *= scale;
  }
  const MemoryLayout::Place& place = step.layout->place(layer_);
  std::byte* block = step.tokens[t].memory->data(place.group, position) + place.offset;
  for (std::size_t h = 0; h < spec_.kv_heads; ++h) {
    turn(k + h * dim, Slot::kKNorm);
    step.layout->format().store(block + h * place.head_bytes, padded, position % kChunk,
                                pad_head(k + h * dim, dim, scratch),
                                pad_head(v + h * dim, dim, scratch + padded));
  }
}

// The first group that any of the tile's queries sees something of.
std::size_t Attention::first_group(const Step& step, const Step::Tile& tile) const {
  return oldest_visible(spec_.window, step.tokens[tile.first_token].position) / kGroupPositions;
}

void Attention::attend(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t dim = padded_head(spec_.head_dim);
  std::size_t columns = 1, groups = 1;
  for (const Step::Tile& tile : step.tiles) {
    columns = std::max(columns, tile.tokens * ratio_);
    groups = std::max(groups, groups_of(step, tile));
  }
  const std::size_t partial = Partial::size(columns, dim), scratch = thread_floats(spec_);
  const std::size_t items = step.tiles.size() * spec_.kv_heads;
  const auto threads = static_cast<std::size_t>(step.team->size());
  s.heads.shape(spec_.heads * spec_.head_dim);

  // With little else to share out (decode far into a long context), every group is an item of its
  // own.
  const bool by_group = groups > 1 && items < kItemsPerThread * threads && threads > 1 &&
                        items * groups * partial * sizeof(float) <= kMostPartialBytes &&
                        s.partials.reserve(items * groups * partial).has_value();
  if (by_group) {
    step.team->run(items * groups, [&](std::size_t item, int thread) {
      const Step::Tile& tile = step.tiles[item / groups / spec_.kv_heads];
      const std::size_t group = item % groups;
      if (group < first_group(step, tile) || group >= groups_of(step, tile)) return;
      attend_group(step, tile, item / groups % spec_.kv_heads, group, columns,
                   s.threads.data() + static_cast<std::size_t>(thread) * scratch,
                   s.partials.data() + item * partial);
    });
  }
  step.team->run(items, [&](std::size_t item, int thread) {
    const Step::Tile& tile = step.tiles[item / spec_.kv_heads];
    const std::size_t head = item % spec_.kv_heads;
    float* own = s.threads.data() + static_cast<std::size_t>(thread) * scratch;
    const Room room(own, columns, dim);
    const Partial total(room.total, columns);
    std::fill_n(total.l, columns, 0.0f);
    if (spec_.sinks) begin_with_sinks(tile, head, room.total, columns);
    for (std::size_t group = first_group(step, tile); group < groups_of(step, tile); ++group) {
      float* base = by_group ? s.partials.data() + (item * groups + group) * partial : room.group;
      if (!by_group) attend_group(step, tile, head, group, columns, own, base);
      fold(step.kernels(), tile.tokens * ratio_, dim, Partial(base, columns), total);
    }
    write_heads(step, tile, head, columns, room.total);
  });
}

// A sink takes part in the softmax before all others, with nothing to add.
void Attention::begin_with_sinks(const Step::Tile& tile, std::size_t head, float* base,
                                 std::size_t columns) const {
  const std::size_t dim = padded_head(spec_.head_dim);
  const Partial total(base, columns);
  const float* sinks = weights_.vector[Slot::kSinks].data() + head * ratio_;
  for (std::size_t c = 0; c < tile.tokens * ratio_; ++c) {
    total.m[c] = sinks[c % ratio_];
    total.l[c] = 1;
    std::fill_n(total.o + c * dim, dim, 0.0f);
  }
}

bool Attention::visible(const Step& step, const Step::Tile& tile, std::size_t start,
                        std::uint8_t* first, std::uint8_t* last) const {
  bool any = false;
  for (std::size_t c = 0; c < tile.tokens * ratio_; ++c) {
    const std::size_t position = step.tokens[tile.first_token + c / ratio_].position;
    const std::size_t oldest = oldest_visible(spec_.window, position);
    const std::size_t from = std::clamp(oldest, start, start + kChunk) - start;
    const std::size_t to = std::clamp(position + 1, start, start + kChunk) - start;
    first[c] = static_cast<std::uint8_t>(std::min(from, to));
    last[c] = static_cast<std::uint8_t>(to);
    any = any || from < to;
  }
  return any;
}

// The tile's queries over the chunks of one group, into a partial of `columns`; `scratch` holds the
// queries and one chunk's partial.
void Attention::attend_group(const Step& step, const Step::Tile& tile, std::size_t head,
                             std::size_t group, std::size_t columns, float* scratch,
                             float* into) const {
  const KernelTable& kernels = step.kernels();
  const KvFormat& format = step.layout->format();
  const MemoryLayout::Place& place = step.layout->place(layer_);
  const std::size_t dim = padded_head(spec_.head_dim), used = tile.tokens * ratio_;
  const Room room(scratch, columns, dim);
  const Partial chunk(room.chunk, columns), total(into, columns);
  for (std::size_t c = 0; c < used; ++c) {
    const std::size_t t = tile.first_token + c / ratio_;
    const std::size_t row = t * spec_.heads + head * ratio_ + c % ratio_;
    const float* q =
        pad_head(step.scratch.q.data() + row * spec_.head_dim, spec_.head_dim, room.q + c * dim);
    if (format.type == KvType::kQ8_0)
      kernels.quantize(q, dim, room.q8 + c * dim, room.scale + c * dim / kActivationBlock,
                       room.sum + c * dim / 16);
  }
  std::fill_n(total.l, columns, 0.0f);
  const Step::Token& newest = step.tokens[tile.first_token + tile.tokens - 1];
  const auto chunk_at = [&](std::size_t at) {
    return newest.memory->data(place.group, at) + place.offset + head * place.head_bytes;
  };
  const std::size_t end = std::min((group + 1) * kGroupPositions, newest.position + 1);
  for (std::size_t start = group * kGroupPositions; start < end; start += kChunk) {
    if (!visible(step, tile, start, room.first, room.last)) continue;
    const std::size_t next = start + kChunk;
    format.attend({.chunk = chunk_at(start),
                   .head_dim = dim,
                   .columns = used,
                   .q = room.q,
                   .q_rows = {room.q8, room.scale, room.sum},
                   .first = room.first,
                   .last = room.last,
                   .m = chunk.m,
                   .l = chunk.l,
                   .o = chunk.o,
                   .ahead = next <= newest.position ? chunk_at(next) : nullptr,
                   .cap = spec_.soft_cap});
    fold(kernels, used, dim, chunk, total);
  }
}

void Attention::write_heads(Step& step, const Step::Tile& tile, std::size_t head,
                            std::size_t columns, float* base) const {
  const std::size_t dim = spec_.head_dim, padded = padded_head(dim);
  const Partial total(base, columns);
  for (std::size_t c = 0; c < tile.tokens * ratio_; ++c) {
    const std::size_t t = tile.first_token + c / ratio_, from = (head * ratio_ + c % ratio_) * dim;
    float* out = step.scratch.heads.row(t) + from;
    const float inverse = 1 / total.l[c];
    for (std::size_t i = 0; i < dim; ++i) out[i] = total.o[c * padded + i] * inverse;
  }
}

}  // namespace lathe::infer
