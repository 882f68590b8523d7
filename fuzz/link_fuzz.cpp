// What comes over the link between two machines: no frame crashes its reader, and a step that is
// one names only blocks that there are and covers what its tokens see.
#include <cstdlib>

#include "infer/link/messages.h"

namespace {

using namespace lathe::infer;

const KvFormat kPages{.type = KvType::kF32,
                      .chunk_bytes = [](const KvShape&) { return std::size_t{4096}; },
                      .store = nullptr,
                      .attend = nullptr};

// A group that keeps all, one with a window, one with states.
MemoryStore& store() {
  static KvBudget budget(std::uint64_t{1} << 30);
  static MemoryStore made = [] {
    const StateSpec all{
        .kind = StateSpec::Kind::kAttention, .kv_heads = 1, .head = KvShape::of(16)};
    StateSpec window = all, state;
    window.window = 128;
    state.kind = StateSpec::Kind::kRecurrent;
    state.recurrent_bytes = 256;
    const StateSpec layers[] = {all, window, state};
    return *MemoryStore::mirror(MemoryLayout(layers, kPages), {20, 10, 5}, budget);
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  (void)decode_hello(bytes);
  (void)decode_ready(bytes);
  (void)decode_counts(bytes, store().groups());
  if (const auto changes = decode_changes(bytes, store()))
    for (const BlockChange& change : *changes)
      if (change.to >= store().pool(change.group).capacity()) std::abort();
  const StepLimits limits{.tokens = 64, .outputs = 8, .positions = 1024, .width = 4};
  const auto step = decode_step(bytes, limits, store());
  if (!step) return 0;
  for (const LinkedStep::Part& part : step->parts) {
    const std::size_t end = part.first_position + part.tokens.size();
    const SequenceBlocks memory(store(), part.tables, part.state);
    for (std::size_t at = 0; at < end; ++at) *memory.data(0, at) = std::byte{1};
    for (std::size_t at = oldest_visible(128, part.first_position); at < end; ++at)
      *memory.data(1, at) = std::byte{1};
    *memory.state() = std::byte{1};
  }
  return 0;
}
