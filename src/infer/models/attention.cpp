// Attention of one step, over the chunks of the cache. The result of a query is a fold in a fixed
// order: the chunks of a group one after the other, then the groups one after the other, whoever
// computes them. Groups start at absolute multiples of kGroupPositions, so nothing depends on where
// a step began.
#include <algorithm>
#include <cstring>

#include "infer/models/forward.h"

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

}  // namespace

const float* Forward::pad_head(const float* head, std::size_t head_dim, float* to) {
  std::memcpy(to, head, head_dim * sizeof(float));
  std::fill(to + head_dim, to + padded_head(head_dim), 0.0f);
  return to;
}

std::size_t Forward::attention_scratch(const AttentionSpec& spec) {
  const std::size_t columns = std::max(kTileColumns, spec.heads / spec.kv_heads);
  return Room::floats(columns, padded_head(spec.head_dim));
}

std::uint64_t Forward::deep_bytes(const Blueprint& blueprint, std::size_t threads,
                                  std::size_t positions) {
  const std::size_t groups = (positions + kGroupPositions - 1) / kGroupPositions;
  if (threads < 2 || groups < 2) return 0;
  std::uint64_t bytes = 0;
  for (const LayerSpec& layer : blueprint.layers) {
    if (layer.recurrent.state_bytes != 0) continue;
    const AttentionSpec& spec = layer.attention;
    const std::size_t columns = std::max(kTileColumns, spec.heads / spec.kv_heads);
    const std::size_t items = (kItemsPerThread * threads - 1) / spec.kv_heads * spec.kv_heads;
    bytes = std::max<std::uint64_t>(
        bytes, items * groups * Partial::size(columns, padded_head(spec.head_dim)) * sizeof(float));
  }
  return std::min(bytes, kMostPartialBytes);
}

void Forward::attend(std::size_t layer) {
  const AttentionSpec& spec = model_->blueprint().layers[layer].attention;
  const std::size_t ratio = spec.heads / spec.kv_heads, dim = padded_head(spec.head_dim);
  std::size_t columns = 1;
  for (const Tile& tile : tiles_) columns = std::max(columns, tile.tokens * ratio);
  const std::size_t partial = Partial::size(columns, dim), scratch = attention_scratch(spec);
  const auto groups_of = [&](const Tile& tile) {
    return tokens_[tile.first_token + tile.tokens - 1].position / kGroupPositions + 1;
  };
  std::size_t groups = 1;
  for (const Tile& tile : tiles_) groups = std::max(groups, groups_of(tile));
  const std::size_t items = tiles_.size() * spec.kv_heads;
  heads_.shape(spec.heads * spec.head_dim);

  // With little else to share out (decode far into a long context), every group is an item of its
  // own.
  const bool by_group =
      groups > 1 && items < kItemsPerThread * static_cast<std::size_t>(team_->size()) &&
      team_->size() > 1 && items * groups * partial * sizeof(float) <= kMostPartialBytes &&
      partials_.reserve(items * groups * partial).has_value();
  if (by_group) {
    team_->run(items * groups, [&](std::size_t item, int thread) {
      const Tile& tile = tiles_[item / groups / spec.kv_heads];
      if (item % groups >= groups_of(tile)) return;
      attend_group(layer, tile, item / groups % spec.kv_heads, item % groups, columns,
                   threads_.data() + static_cast<std::size_t>(thread) * scratch,
                   partials_.data() + item * partial);
    });
  }
  team_->run(items, [&](std::size_t item, int thread) {
    const Tile& tile = tiles_[item / spec.kv_heads];
    const std::size_t head = item % spec.kv_heads;
    float* own = threads_.data() + static_cast<std::size_t>(thread) * scratch;
    const Room room(own, columns, dim);
    const Partial total(room.total, columns);
    std::fill_n(total.l, columns, 0.0f);
    for (std::size_t group = 0; group < groups_of(tile); ++group) {
      float* base = by_group ? partials_.data() + (item * groups + group) * partial : room.group;
      if (!by_group) attend_group(layer, tile, head, group, columns, own, base);
      fold(model_->kernels(), tile.tokens * ratio, dim, Partial(base, columns), total);
    }
    write_heads(layer, tile, head, columns, room.total);
  });
}

// The tile's queries over the chunks of one group, into a partial of `columns`; `scratch` holds the
// queries and one chunk's partial.
void Forward::attend_group(std::size_t layer, const Tile& tile, std::size_t head, std::size_t group,
                           std::size_t columns, float* scratch, float* into) const {
  const AttentionSpec& spec = model_->blueprint().layers[layer].attention;
  const std::size_t dim = padded_head(spec.head_dim), ratio = spec.heads / spec.kv_heads;
  const std::size_t used = tile.tokens * ratio;
  const Room room(scratch, columns, dim);
  const Partial chunk(room.chunk, columns), total(into, columns);
  for (std::size_t c = 0; c < used; ++c) {
    const std::size_t t = tile.first_token + c / ratio;
    const float* q =
        pad_head(q_.data() + (t * spec.heads + head * ratio + c % ratio) * spec.head_dim,
                 spec.head_dim, room.q + c * dim);
    if (layout_->format().type == KvType::kQ8_0)
      model_->kernels().quantize(q, dim, room.q8 + c * dim, room.scale + c * dim / kActivationBlock,
                                 room.sum + c * dim / 16);
  }
  std::fill_n(total.l, columns, 0.0f);
  const Token& newest = tokens_[tile.first_token + tile.tokens - 1];
  const std::size_t end = std::min((group + 1) * kGroupPositions, newest.position + 1);
  for (std::size_t start = group * kGroupPositions; start < end; start += kChunk) {
    bool any = false;
    for (std::size_t c = 0; c < used; ++c) {
      const std::size_t position = tokens_[tile.first_token + c / ratio].position;
      const std::size_t oldest =
          spec.window == 0 || position < spec.window ? 0 : position + 1 - spec.window;
      const std::size_t from = std::clamp(oldest, start, start + kChunk) - start;
      const std::size_t to = std::clamp(position + 1, start, start + kChunk) - start;
      room.first[c] = static_cast<std::uint8_t>(std::min(from, to));
      room.last[c] = static_cast<std::uint8_t>(to);
      any = any || from < to;
    }
    if (!any) continue;
    const auto chunk_at = [&](std::size_t at) {
      return newest.table->data(at) + layout_->offset(layer, head);
    };
    const std::size_t next = start + kChunk;
    layout_->format().attend({.chunk = chunk_at(start),
                              .head_dim = dim,
                              .columns = used,
                              .q = room.q,
                              .q_rows = {room.q8, room.scale, room.sum},
                              .first = room.first,
                              .last = room.last,
                              .m = chunk.m,
                              .l = chunk.l,
                              .o = chunk.o,
                              .ahead = next <= newest.position ? chunk_at(next) : nullptr});
    fold(model_->kernels(), used, dim, chunk, total);
  }
}

void Forward::write_heads(std::size_t layer, const Tile& tile, std::size_t head,
                          std::size_t columns, float* base) {
  const AttentionSpec& spec = model_->blueprint().layers[layer].attention;
  const std::size_t dim = spec.head_dim, padded = padded_head(dim);
  const std::size_t ratio = spec.heads / spec.kv_heads;
  const Partial total(base, columns);
  for (std::size_t c = 0; c < tile.tokens * ratio; ++c) {
    const std::size_t t = tile.first_token + c / ratio, from = (head * ratio + c % ratio) * dim;
    float* out = heads_.row(t) + from;
    const float inverse = 1 / total.l[c];
    for (std::size_t i = 0; i < dim; ++i) out[i] = total.o[c * padded + i] * inverse;
  }
}

}  // namespace lathe::infer
