// What stands in the frames of a link. Readers are bounded: what does not fit what both sides have
// agreed on is an error. Pure; any thread.
#pragma once

#include <string>

#include "infer/cache/memory.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/link/cut.h"
#include "infer/link/link.h"

namespace lathe::infer {

// What the one who leads wants of the other.
struct LinkHello {
  std::string identity;  // of the file (link_identity())
  int numerics = 0;
  ExecutorOptions options;  // kv, step_tokens, most_outputs, context
  LinkPlan plan;
};
std::vector<std::byte> encode(const LinkHello& hello);
Result<LinkHello> decode_hello(std::span<const std::byte> bytes);

// What the other has for it.
struct LinkReady {
  std::uint64_t memory = 0;  // for what sequences remember
  std::uint64_t weights = 0, scratch = 0;
  std::vector<std::uint64_t> block_bytes;  // by group
};
std::vector<std::byte> encode(const LinkReady& ready);
Result<LinkReady> decode_ready(std::span<const std::byte> bytes);

// kMemory: blocks of each group.
std::vector<std::byte> encode(const BlockCounts& blocks);
Result<BlockCounts> decode_counts(std::span<const std::byte> bytes, std::size_t groups);

// What became of a block.
struct BlockChange {
  enum class What : std::uint32_t { kCopied, kCleared, kDiscarded };
  What what = What::kCopied;
  std::uint32_t group = 0;
  BlockId from = 0, to = 0;  // of what is not copied: `to`
  bool operator==(const BlockChange&) const = default;
};
// kBlocks, of at most so many at once.
inline constexpr std::size_t kMostChanges = 1 << 16;
std::vector<std::byte> encode(std::span<const BlockChange> changes);
Result<std::vector<BlockChange>> decode_changes(std::span<const std::byte> bytes,
                                                const MemoryStore& store);

// kStep. The head says where the tokens stand and what they want, the body is their x.
std::vector<std::byte> encode_step(std::span<const Slice> slices, OutputKind kind);

struct LinkedStep {
  struct Part {
    std::vector<HandedSlice::Token> tokens;
    std::size_t first_position = 0, outputs = 0;
    std::vector<SequenceBlocks::Table> tables;
    SequenceBlocks::State state;
  };
  OutputKind kind = OutputKind::kLogits;
  std::vector<Part> parts;
  std::vector<float> x;
};
struct StepLimits {
  std::size_t tokens = 0, outputs = 0, positions = 0, width = 0;
  std::uint64_t bytes(std::size_t groups) const;  // of a step, at most
};
Result<LinkedStep> decode_step(std::span<const std::byte> bytes, const StepLimits& limits,
                               const MemoryStore& store);

}  // namespace lathe::infer
