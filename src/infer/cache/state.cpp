// How what layers remember is laid out in blocks, and how much of it there can be.
#include "infer/cache/state.h"

#include <algorithm>

namespace lathe::infer {
namespace {

// What layers carry begins on cache lines.
constexpr std::size_t round_to_line(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// That one sequence holds at once, in runs of at most `step` tokens.
std::size_t most_blocks(const MemoryGroup& group, std::size_t positions, std::size_t step) {
  const std::size_t all = blocks_for(positions);
  if (group.window == 0) return all;
  // What the first position of a block sees before it, and the run, which may begin at its last.
  return std::min(all, blocks_for(group.window - 1) + blocks_for(step + kChunk - 1));
}

std::size_t blocks_of(const MemoryGroup& group, const Claim& claim) {
  const std::size_t others = claim.candidates - 1;
  if (group.state) {
    const std::size_t each = claim.answer_step > 1 ? 2 : 1;
    return claim.candidates * each + (others == 0 ? 0 : 1);
  }
  std::size_t blocks =
      most_blocks(group, claim.positions, std::max(claim.prompt_step, claim.answer_step));
  if (others == 0) return blocks;
  if (group.window != 0)
    return blocks + others * most_blocks(group, claim.positions, claim.answer_step);
  // The prompt's whole blocks are shared; the half-filled one is copied, by the first one too.
  return blocks + others * (blocks_for(claim.positions) - claim.prompt / kChunk) + 1;
}

}  // namespace

MemoryLayout::MemoryLayout(std::span<const StateSpec> layers, const KvFormat& format,
                           LayerRange own)
    : format_(&format), places_(layers.size()) {
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (layers[i].kind != StateSpec::Kind::kNone) places_[i].group = group_of(layers[i]);
  const std::size_t first = std::min(own.first, layers.size());
  const std::size_t end = std::min(own.end, layers.size());
  for (const LayerRange range :
       {LayerRange{0, first}, LayerRange{first, end}, LayerRange{end, layers.size()}}) {
    std::vector<MemoryGroup> most = groups_;
    for (MemoryGroup& group : groups_) group.block_bytes = 0;
    add_layers(layers, range);
    for (std::size_t g = 0; g < groups_.size(); ++g)
      groups_[g].block_bytes = std::max(groups_[g].block_bytes, most[g].block_bytes);
  }
}

// One behind the other.
void MemoryLayout::add_layers(std::span<const StateSpec> layers, LayerRange range) {
  for (std::size_t i = range.first; i < range.end; ++i) {
    const StateSpec& layer = layers[i];
    if (layer.kind == StateSpec::Kind::kNone) continue;
    Place& place = places_[i];
    MemoryGroup& group = groups_[place.group];
    place.offset = group.passing ? 0 : group.block_bytes;
    if (group.state) {
      group.block_bytes += round_to_line(layer.recurrent_bytes);
    } else {
      place.head_bytes = format_->chunk_bytes(padded_head(layer.head));
      place.index_offset = place.offset + place.head_bytes * layer.kv_heads;
      const std::size_t index =
          layer.index_key == 0 ? 0 : format_->chunk_bytes(index_shape(layer.index_key));
      group.block_bytes = std::max(group.block_bytes, place.index_offset + index);
    }
  }
}

std::size_t MemoryLayout::group_of(const StateSpec& layer) {
  const bool state = layer.kind == StateSpec::Kind::kRecurrent;
  const auto found = std::ranges::find_if(groups_, [&](const MemoryGroup& group) {
    return group.state == state && group.window == layer.window && group.passing == layer.passing;
  });
  const auto at = static_cast<std::size_t>(found - groups_.begin());
  if (found == groups_.end())
    groups_.push_back({.window = layer.window, .state = state, .passing = layer.passing});
  if (state) state_ = at;
  return at;
}

std::size_t MemoryLayout::block_bytes() const {
  std::size_t bytes = 0;
  for (const MemoryGroup& group : groups_)
    if (!group.state) bytes += group.block_bytes;
  return bytes;
}

StateBytes worst_case(const MemoryLayout& layout, const Claim& claim,
                      std::span<const std::size_t> held) {
  StateBytes total;
  for (std::size_t g = 0; g < layout.groups().size(); ++g) {
    const MemoryGroup& group = layout.groups()[g];
    const std::size_t most = blocks_of(group, claim);
    const std::uint64_t blocks = most - (held.empty() ? 0 : std::min(most, held[g]));
    (group.state         ? total.recurrent
     : group.window == 0 ? total.kv
                         : total.window) += blocks * group.block_bytes;
  }
  return total;
}

std::uint64_t restart_bytes(const MemoryLayout& layout, std::size_t positions) {
  std::uint64_t bytes = 0;
  for (const MemoryGroup& group : layout.groups()) {
    if (group.keeps_all()) continue;
    if (group.state) {  // and one in front of the prompt's end, one behind the answer's
      bytes += (positions / checkpoint_distance(layout, positions) + 2) * group.block_bytes;
      continue;
    }
    const std::uint64_t each = most_blocks(group, positions, 1) * group.block_bytes;
    const std::size_t checkpoints = positions / checkpoint_distance(layout, positions) + 1;
    bytes += std::min(blocks_for(positions) * group.block_bytes, checkpoints * each);
  }
  return bytes;
}

std::size_t positions_within(const MemoryLayout& layout, Claim claim, std::uint64_t bytes) {
  // Between what fits and what does not.
  bytes = std::min(bytes, std::uint64_t{1} << 60);
  std::uint64_t blocks = 0, too_many = std::uint64_t{1} << 32;
  for (const MemoryGroup& group : layout.groups())
    if (group.keeps_all()) too_many = std::min(too_many, bytes / group.block_bytes + 1);
  while (too_many - blocks > 1) {
    const std::uint64_t middle = blocks + (too_many - blocks) / 2;
    claim.positions = middle * kChunk;
    (worst_case(layout, claim).total() <= bytes ? blocks : too_many) = middle;
  }
  return blocks * kChunk;
}

}  // namespace lathe::infer
