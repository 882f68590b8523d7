// The walk of a layer's heads over the chunks of the cache.
#include "infer/cpu/head_walk.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace lathe::infer {
namespace {

constexpr std::size_t kGroupChunks = 8;
constexpr std::size_t kGroupPositions = kGroupChunks * kChunk;
// Of chosen positions, which are no more however deep it goes: small enough that there are some to
// share out.
constexpr std::size_t kChosenGroupPositions = 2 * kChunk;
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
  float* o;  // (columns, value)
};

// One thread's scratch, for so many queries of one head.
struct Room {
  Room(float* base, std::size_t columns, const KvShape& head)
      : q(base),
        chunk(q + columns * head.key),
        group(chunk + Partial::size(columns, head.value)),
        total(group + Partial::size(columns, head.value)),
        values(total + Partial::size(columns, head.value)),
        slope(values + value_floats(head)),
        at(slope + columns),
        scale(at + columns),
        sum(reinterpret_cast<std::int16_t*>(scale + columns * head.key / kActivationBlock)),
        q8(reinterpret_cast<std::int8_t*>(sum + columns * head.key / 16)),
        first(reinterpret_cast<std::uint8_t*>(q8 + columns * head.key)),
        last(first + columns),
        gathered(reinterpret_cast<std::byte*>(base + floats(columns, head))) {}
  static std::size_t value_floats(const KvShape& head) {
    return head.shared ? kChunk * head.value : 0;
  }
  static std::size_t floats(std::size_t columns, const KvShape& head) {
    return columns * head.key + 3 * Partial::size(columns, head.value) + value_floats(head) +
           columns * head.key / 2 + 3 * columns;
  }
  // Of a chunk of chosen positions, whatever its type.
  static std::size_t gathered_floats(const KvShape& head) { return kChunk * head.key; }
  float* q;                      // (columns, key)
  float *chunk, *group, *total;  // partials of one chunk, one group, all
  float* values;                 // of a chunk, where they are shared
  float *slope, *at;             // of a distance bias: each query's, and its slot in a chunk
  float* scale;                  // q in 8 bits: its scales, sums and integers
  std::int16_t* sum;
  std::int8_t* q8;
  std::uint8_t *first, *last;  // slots of a chunk
  std::byte* gathered;         // behind all of it, where positions are chosen
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
const float* pad_head(const float* head, std::size_t dim, float* to) {
  std::memcpy(to, head, dim * sizeof(float));
  std::fill(to + dim, to + padded_head(dim), 0.0f);
  return to;
}

// From one position to another one.
float distance(std::size_t from, std::size_t to) {
  return static_cast<float>(static_cast<std::ptrdiff_t>(to) - static_cast<std::ptrdiff_t>(from));
}

// A slope for each head: powers of 2^(−bias / heads), and where the heads are no power of two, odd
// powers of its root for the rest.
std::vector<float> slopes_of(const AttendSpec& spec) {
  if (spec.distance_bias == 0) return {};
  const std::size_t even = std::bit_floor(spec.heads);
  const double step = double{spec.distance_bias} / static_cast<double>(even);
  std::vector<float> slopes;
  for (std::size_t h = 0; h < spec.heads; ++h) {
    const double power =
        h < even ? static_cast<double>(h + 1) : static_cast<double>(2 * (h - even) + 1) / 2;
    slopes.push_back(static_cast<float>(std::exp2(-step * power)));
  }
  return slopes;
}

std::size_t groups_up_to(std::size_t positions, std::size_t group) {
  return (positions + group - 1) / group;
}

std::size_t most_columns(const AttendSpec& spec) {
  return std::max(HeadWalk::kColumns, spec.heads / spec.kv_heads);
}

}  // namespace

HeadWalk::HeadWalk(const AttendSpec& spec, std::size_t layer, const float* sinks)
    : spec_(spec),
      padded_(padded_head(spec.head)),
      layer_(spec.kv_of.value_or(layer)),
      ratio_(spec.heads / spec.kv_heads),
      sinks_(sinks),
      slopes_(slopes_of(spec)) {}

// Sized for the widest group; a layer with smaller ones just has fewer columns.
std::size_t HeadWalk::tile_tokens(const Blueprint& blueprint) {
  std::size_t group = 1;
  for (const LayerSpec& layer : blueprint.layers)
    if (const auto spec = layer.attends()) group = std::max(group, spec->heads / spec->kv_heads);
  return std::max<std::size_t>(1, kColumns / group);
}

std::size_t HeadWalk::thread_floats(const AttendSpec& spec) {
  const KvShape head = padded_head(spec.head);
  return Room::floats(most_columns(spec), head) +
         (spec.most == 0 ? 0 : Room::gathered_floats(head));
}

std::uint64_t HeadWalk::deep_bytes(const Blueprint& blueprint, std::size_t threads,
                                   std::size_t positions) {
  if (threads < 2) return 0;
  std::uint64_t bytes = 0;
  for (const LayerSpec& layer : blueprint.layers) {
    const auto spec = layer.attends();
    if (!spec) continue;
    const bool chosen = spec->most != 0 && positions > spec->most;
    const std::size_t groups =
        chosen ? groups_up_to(spec->most, kChosenGroupPositions)  // the smaller ones
               : groups_up_to(positions, kGroupPositions);
    if (groups < 2) continue;
    const std::size_t items = (kItemsPerThread * threads - 1) / spec->kv_heads * spec->kv_heads;
    const std::size_t partial = Partial::size(most_columns(*spec), padded_head(spec->head).value);
    bytes = std::max<std::uint64_t>(bytes, items * groups * partial * sizeof(float));
  }
  return std::min(bytes, kMostPartialBytes);
}

void HeadWalk::store(const Step& step, std::size_t t, std::size_t head, const float* k,
                     const float* v, float* scratch) const {
  const MemoryLayout::Place& place = step.layout->place(layer_);
  const std::size_t position = step.tokens[t].position;
  std::byte* block = step.tokens[t].memory->data(place.group, position) + place.offset;
  const float* value =
      spec_.head.shared ? nullptr : pad_head(v, spec_.head.value, scratch + padded_.key);
  step.layout->format().store(block + head * place.head_bytes, padded_, position % kChunk,
                              pad_head(k, spec_.head.key, scratch), value);
}

// Whether it sees chosen positions: others see all that there are.
bool HeadWalk::is_chosen(const Step& step, std::size_t t) const {
  return spec_.most != 0 && step.tokens[t].position >= spec_.most;
}

// The step's tiles; a token that sees chosen positions is one of its own.
std::vector<Step::Tile> HeadWalk::tiles_of(const Step& step) const {
  if (spec_.most == 0) return step.tiles;
  std::vector<Step::Tile> tiles;
  for (const Step::Tile& tile : step.tiles) {
    std::size_t together = 0;
    while (together < tile.tokens && !is_chosen(step, tile.first_token + together)) ++together;
    if (together != 0) tiles.push_back({tile.first_token, together, tile.end});
    for (std::size_t i = together; i < tile.tokens; ++i)
      tiles.push_back({tile.first_token + i, 1, tile.end});
  }
  return tiles;
}

// Of a text of so many positions; of chosen ones, which of them.
AttendSpec::Seen HeadWalk::seen_by(const Step& step, std::size_t t, std::size_t text) const {
  if (is_chosen(step, t)) return {0, spec_.most};
  AttendSpec::Seen seen = spec_.seen(step.tokens[t].position, text);
  seen.end = std::max(seen.end, step.tokens[t].sees);
  return seen;
}

// What no query of the tile sees further than.
AttendSpec::Seen HeadWalk::seen_by_newest(const Step& step, const Step::Tile& tile) const {
  return seen_by(step, tile.first_token + tile.tokens - 1, tile.end);
}

std::size_t HeadWalk::group_positions(const Step& step, const Step::Tile& tile) const {
  return is_chosen(step, tile.first_token) ? kChosenGroupPositions : kGroupPositions;
}

// The first group that any of the tile's queries sees something of, and the end of the last one.
std::size_t HeadWalk::first_group(const Step& step, const Step::Tile& tile) const {
  return seen_by(step, tile.first_token, tile.end).first / group_positions(step, tile);
}

std::size_t HeadWalk::groups_of(const Step& step, const Step::Tile& tile) const {
  return groups_up_to(seen_by_newest(step, tile).end, group_positions(step, tile));
}

void HeadWalk::run(Step& step, const Out& out) const {
  ForwardScratch& s = step.scratch;
  std::size_t columns = 1, groups = 1;
  const std::vector<Step::Tile> tiles = tiles_of(step);
  for (const Step::Tile& tile : tiles) {
    columns = std::max(columns, tile.tokens * ratio_);
    groups = std::max(groups, groups_of(step, tile));
  }
  const std::size_t partial = Partial::size(columns, padded_.value);
  const std::size_t items = tiles.size() * spec_.kv_heads;
  const auto threads = static_cast<std::size_t>(step.team->size());

  // With little else to share out (decode far into a long context), every group is an item of its
  // own.
  const bool by_group = groups > 1 && items < kItemsPerThread * threads && threads > 1 &&
                        items * groups * partial * sizeof(float) <= kMostPartialBytes &&
                        s.partials.reserve(items * groups * partial).has_value();
  if (by_group) {
    step.team->run(items * groups, [&](std::size_t item, int thread) {
      const Step::Tile& tile = tiles[item / groups / spec_.kv_heads];
      const std::size_t group = item % groups;
      if (group < first_group(step, tile) || group >= groups_of(step, tile)) return;
      walk_group(step, tile, item / groups % spec_.kv_heads, group, columns, scratch(step, thread),
                 s.partials.data() + item * partial);
    });
  }
  step.team->run(items, [&](std::size_t item, int thread) {
    const Step::Tile& tile = tiles[item / spec_.kv_heads];
    const std::size_t head = item % spec_.kv_heads;
    float* own = scratch(step, thread);
    const Room room(own, columns, padded_);
    const Partial total(room.total, columns);
    std::fill_n(total.l, columns, 0.0f);
    if (sinks_ != nullptr) begin_with_sinks(tile, head, room.total, columns);
    for (std::size_t group = first_group(step, tile); group < groups_of(step, tile); ++group) {
      float* base = by_group ? s.partials.data() + (item * groups + group) * partial : room.group;
      if (!by_group) walk_group(step, tile, head, group, columns, own, base);
      fold(step.kernels(), tile.tokens * ratio_, padded_.value, Partial(base, columns), total);
    }
    write_heads(tile, head, columns, room.total, out);
  });
}

std::optional<TokenMemory> HeadWalk::record_memory(Step& step, Chain& chain) const {
  if (spec_.most != 0 || !slopes_.empty() || spec_.head.shared) return std::nullopt;
  const MemoryLayout::Place& place = step.layout->place(layer_);
  auto* const seen = chain.stage_for<std::uint32_t>(4 * step.tokens.size());
  TokenMemory memory{.blocks = step.record_tables(chain, place.group),
                     .seen = seen,
                     .offset = place.offset,
                     .head_bytes = place.head_bytes};
  if (seen == nullptr || memory.blocks == nullptr) return std::nullopt;
  for (const Step::Tile& tile : step.tiles)
    for (std::size_t t = tile.first_token; t < tile.first_token + tile.tokens; ++t) {
      const AttendSpec::Seen sees = seen_by(step, t, tile.end);
      const std::size_t first_block = step.tokens[t].memory->tables()[place.group].first;
      const std::size_t numbers[] = {step.tokens[t].position, sees.first, sees.end, first_block};
      for (std::size_t i = 0; i < 4; ++i) seen[4 * t + i] = static_cast<std::uint32_t>(numbers[i]);
    }
  return memory;
}

bool HeadWalk::record(Step& step, Chain& chain, const TokenMemory& memory, Activations& to) const {
  std::size_t first = SIZE_MAX, end = 0;
  for (std::size_t t = 0; t < step.tokens.size(); ++t) {
    first = std::min<std::size_t>(first, memory.seen[4 * t + 1]);
    end = std::max<std::size_t>(end, memory.seen[4 * t + 2]);
  }
  return chain.attend({.kv = step.layout->format().type,
                       .tokens = step.tokens.size(),
                       .heads = spec_.heads,
                       .kv_heads = spec_.kv_heads,
                       .dim = spec_.head.key,
                       .q = step.scratch.q.data(),
                       .runs = step.runs,
                       .first = first,
                       .end = end,
                       .cap = spec_.soft_cap,
                       .sinks = sinks_ == nullptr ? Constant() : Constant(sinks_, spec_.heads),
                       .memory = memory,
                       .to = &to});
}

// A sink takes part in the softmax before all others, with nothing to add.
void HeadWalk::begin_with_sinks(const Step::Tile& tile, std::size_t head, float* base,
                                std::size_t columns) const {
  const std::size_t dim = padded_.value;
  const Partial total(base, columns);
  const float* sinks = sinks_ + head * ratio_;
  for (std::size_t c = 0; c < tile.tokens * ratio_; ++c) {
    total.m[c] = sinks[c % ratio_];
    total.l[c] = 1;
    std::fill_n(total.o + c * dim, dim, 0.0f);
  }
}

bool HeadWalk::visible(const Step& step, const Step::Tile& tile, std::size_t start,
                       std::uint8_t* first, std::uint8_t* last) const {
  bool any = false;
  for (std::size_t c = 0; c < tile.tokens * ratio_; ++c) {
    const AttendSpec::Seen seen = seen_by(step, tile.first_token + c / ratio_, tile.end);
    const std::size_t from = std::clamp(seen.first, start, start + kChunk) - start;
    const std::size_t to = std::clamp(seen.end, start, start + kChunk) - start;
    first[c] = static_cast<std::uint8_t>(std::min(from, to));
    last[c] = static_cast<std::uint8_t>(to);
    any = any || from < to;
  }
  return any;
}

// The rows of a token's chosen positions from the start-th on, as a chunk.
const std::byte* HeadWalk::gather(const Step& step, std::size_t t, std::size_t head,
                                  std::size_t start, std::byte* room) const {
  const MemoryLayout::Place& place = step.layout->place(layer_);
  const std::uint32_t* chosen = step.scratch.chosen.data() + t * spec_.most + start;
  const std::size_t count = std::min(kChunk, spec_.most - start);
  KvFormat::Position from[kChunk];
  for (std::size_t i = 0; i < count; ++i)
    from[i] = {step.tokens[t].memory->data(place.group, chosen[i]) + place.offset +
                   head * place.head_bytes,
               chosen[i] % kChunk};
  step.layout->format().gather(room, padded_, count, from);
  return room;
}

// The tile's queries over the chunks of one group, into a partial of `columns`; `scratch` holds the
// queries and one chunk's partial.
void HeadWalk::walk_group(const Step& step, const Step::Tile& tile, std::size_t head,
                          std::size_t group, std::size_t columns, float* scratch,
                          float* into) const {
  const KernelTable& kernels = step.kernels();
  const KvFormat& format = step.layout->format();
  const MemoryLayout::Place& place = step.layout->place(layer_);
  const std::size_t key = padded_.key, used = tile.tokens * ratio_;
  const Room room(scratch, columns, padded_);
  const Partial chunk(room.chunk, columns), total(into, columns);
  for (std::size_t c = 0; c < used; ++c) {
    const std::size_t t = tile.first_token + c / ratio_;
    const std::size_t row = t * spec_.heads + head * ratio_ + c % ratio_;
    if (!slopes_.empty()) room.slope[c] = slopes_[head * ratio_ + c % ratio_];
    const float* q =
        pad_head(step.scratch.q.data() + row * spec_.head.key, spec_.head.key, room.q + c * key);
    if (is_quantized(format.type))
      kernels.quantize(q, key, room.q8 + c * key, room.scale + c * key / kActivationBlock,
                       room.sum + c * key / 16);
  }
  std::fill_n(total.l, columns, 0.0f);
  const Step::Token& newest = step.tokens[tile.first_token + tile.tokens - 1];
  const bool chosen = is_chosen(step, tile.first_token);
  const auto chunk_at = [&](std::size_t at) -> const std::byte* {
    if (chosen) return gather(step, tile.first_token, head, at, room.gathered);
    return newest.memory->data(place.group, at) + place.offset + head * place.head_bytes;
  };
  const std::size_t last = seen_by_newest(step, tile).end;
  const std::size_t positions = group_positions(step, tile);
  const std::size_t end = std::min((group + 1) * positions, last);
  for (std::size_t start = group * positions; start < end; start += kChunk) {
    if (!visible(step, tile, start, room.first, room.last)) continue;
    const std::size_t next = start + kChunk;
    if (!slopes_.empty())
      for (std::size_t c = 0; c < used; ++c)
        room.at[c] = distance(start, step.tokens[tile.first_token + c / ratio_].position);
    format.attend({.chunk = chunk_at(start),
                   .shape = padded_,
                   .columns = used,
                   .q = room.q,
                   .q_rows = {room.q8, room.scale, room.sum},
                   .first = room.first,
                   .last = room.last,
                   .m = chunk.m,
                   .l = chunk.l,
                   .o = chunk.o,
                   .ahead = next < last && !chosen ? chunk_at(next) : nullptr,
                   .cap = spec_.soft_cap,
                   .values = reinterpret_cast<std::byte*>(room.values),
                   .slope = slopes_.empty() ? nullptr : room.slope,
                   .at = room.at});
    fold(kernels, used, padded_.value, chunk, total);
  }
}

void HeadWalk::write_heads(const Step::Tile& tile, std::size_t head, std::size_t columns,
                           float* base, const Out& out) const {
  const Partial total(base, columns);
  for (std::size_t c = 0; c < tile.tokens * ratio_; ++c) {
    const std::size_t t = tile.first_token + c / ratio_, h = head * ratio_ + c % ratio_;
    float* to = out.base + t * out.token_stride + h * out.head_stride;
    const float inverse = 1 / total.l[c];
    for (std::size_t i = 0; i < spec_.head.value; ++i)
      to[i] = total.o[c * padded_.value + i] * inverse;
  }
}

}  // namespace lathe::infer
