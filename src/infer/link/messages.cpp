// Frames' bytes: little-endian numbers, one behind the other.
#include "infer/link/messages.h"

#include <algorithm>
#include <cstring>

namespace lathe::infer {
namespace {

constexpr std::size_t kMostText = 4096, kMostGroups = 64;
constexpr std::uint32_t kNoBlock = UINT32_MAX;

class Writer {
 public:
  template <class T>
  Writer& add(T number) {
    const auto bytes = std::as_bytes(std::span(&number, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Writer& small(std::size_t number) { return add(static_cast<std::uint32_t>(number)); }
  Writer& text(std::string_view text) {
    small(text.size());
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  // To whole words, so that a body may follow.
  std::vector<std::byte> take() {
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    return std::move(bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
};

// Beyond the end there are zeros, and it is bad.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes), all_(bytes.size()) {}

  template <class T>
  T take() {
    T number{};
    if (bytes_.size() < sizeof(T)) {
      bad_ = true;
      return number;
    }
    std::memcpy(&number, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return number;
  }
  // A number that lies in [min, max]; else min, and it is bad.
  std::size_t within(std::size_t min, std::size_t max) {
    const std::size_t number = take<std::uint32_t>();
    if (number >= min && number <= max) return number;
    bad_ = true;
    return min;
  }
  std::string text() {
    const std::size_t size = within(0, kMostText);
    if (bytes_.size() < size) {
      bad_ = true;
      return {};
    }
    std::string text(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
    return text;
  }
  void end_word() {
    const std::size_t used = all_ - bytes_.size();
    const std::size_t rest = (used + 7) / 8 * 8 - used;
    if (bytes_.size() < rest) bad_ = true;
    bytes_ = bytes_.subspan(std::min(rest, bytes_.size()));
  }
  void refuse() { bad_ = true; }
  bool bad() const { return bad_; }
  std::span<const std::byte> rest() const { return bytes_; }
  // Nothing is left, and all was as it must be.
  Status done(std::string_view what) {
    end_word();
    if (bad_ || !bytes_.empty())
      return invalid("a frame of the link that is to be {} is none", what);
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t all_;
  bool bad_ = false;
};

}  // namespace

std::vector<std::byte> encode(const LinkHello& hello) {
  return Writer()
      .text(hello.identity)
      .add(static_cast<std::int32_t>(hello.numerics))
      .small(static_cast<std::size_t>(hello.options.kv))
      .small(hello.options.step_tokens)
      .small(hello.options.most_outputs)
      .add(static_cast<std::uint64_t>(hello.options.context))
      .small(static_cast<std::size_t>(hello.plan.split))
      .small(hello.plan.layers)
      .take();
}

Result<LinkHello> decode_hello(std::span<const std::byte> bytes) {
  constexpr std::size_t kMostTokens = 1 << 16;
  Reader reader(bytes);
  LinkHello hello;
  hello.identity = reader.text();
  hello.numerics = reader.take<std::int32_t>();
  hello.options.kv = static_cast<KvType>(reader.within(0, kKvTypes - 1));
  hello.options.step_tokens = reader.within(1, kMostTokens);
  hello.options.most_outputs = reader.within(1, kMostTokens);
  hello.options.context = static_cast<std::size_t>(reader.take<std::uint64_t>());
  hello.plan.split = static_cast<LinkSplit>(reader.within(0, 1));
  hello.plan.layers = reader.within(0, UINT32_MAX);
  LATHE_TRY_STATUS(reader.done("a greeting"));
  return hello;
}

std::vector<std::byte> encode(const LinkReady& ready) {
  Writer writer;
  writer.add(ready.memory).add(ready.weights).add(ready.scratch).small(ready.block_bytes.size());
  for (const std::uint64_t bytes : ready.block_bytes) writer.add(bytes);
  return writer.take();
}

Result<LinkReady> decode_ready(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  LinkReady ready;
  ready.memory = reader.take<std::uint64_t>();
  ready.weights = reader.take<std::uint64_t>();
  ready.scratch = reader.take<std::uint64_t>();
  ready.block_bytes.resize(reader.within(0, kMostGroups));
  for (std::uint64_t& each : ready.block_bytes) each = reader.take<std::uint64_t>();
  LATHE_TRY_STATUS(reader.done("an answer to a greeting"));
  return ready;
}

std::vector<std::byte> encode(const BlockCounts& blocks) {
  Writer writer;
  for (const std::size_t count : blocks) writer.small(count);
  return writer.take();
}

Result<BlockCounts> decode_counts(std::span<const std::byte> bytes, std::size_t groups) {
  Reader reader(bytes);
  BlockCounts counts(groups);
  for (std::size_t& count : counts) count = reader.take<std::uint32_t>();
  LATHE_TRY_STATUS(reader.done("counts of blocks"));
  return counts;
}

std::vector<std::byte> encode(std::span<const BlockChange> changes) {
  Writer writer;
  writer.small(changes.size());
  for (const BlockChange& change : changes)
    writer.add(change.what).add(change.group).add(change.from).add(change.to);
  return writer.take();
}

Result<std::vector<BlockChange>> decode_changes(std::span<const std::byte> bytes,
                                                const MemoryStore& store) {
  Reader reader(bytes);
  std::vector<BlockChange> changes(reader.within(0, store.groups() == 0 ? 0 : kMostChanges));
  for (BlockChange& change : changes) {
    change.what = static_cast<BlockChange::What>(
        reader.within(0, static_cast<std::size_t>(BlockChange::What::kDiscarded)));
    change.group = static_cast<std::uint32_t>(reader.within(0, store.groups() - 1));
    const std::size_t blocks = store.pool(change.group).capacity();
    change.from = reader.take<std::uint32_t>();
    change.to = reader.take<std::uint32_t>();
    if (change.from >= blocks || change.to >= blocks) reader.refuse();
    if (reader.bad()) break;
  }
  LATHE_TRY_STATUS(reader.done("changes of blocks"));
  return changes;
}

std::vector<std::byte> encode_step(std::span<const Slice> slices, OutputKind kind) {
  Writer writer;
  writer.small(static_cast<std::size_t>(kind)).small(slices.size());
  for (const Slice& slice : slices) {
    writer.small(slice.tokens.size()).small(slice.first_position).small(slice.outputs);
    for (std::size_t i = 0; i < slice.tokens.size(); ++i) {
      const std::size_t position = slice.first_position + i;
      const RopePosition turns = rope_position(slice.rows, position);
      writer.small(turns.t).small(turns.y).small(turns.x);
      writer.small(together_until(slice.rows, position));
    }
    for (const SequenceBlocks::Table& table : slice.memory->tables()) {
      writer.small(table.first).small(table.blocks.size());
      for (const BlockId block : table.blocks) writer.add(block);
    }
    writer.add(slice.memory->has_state() ? slice.memory->state_block() : kNoBlock);
  }
  return writer.take();
}

std::uint64_t StepLimits::bytes(std::size_t groups) const {
  const std::uint64_t table = 8 + 4 * std::uint64_t{blocks_for(positions) + 1};
  return 64 + tokens * (16 + width * sizeof(float)) + tokens * (24 + groups * table);
}

namespace {

// A table has every block that a step's tokens see and write.
bool covers(const SequenceBlocks::Table& table, const MemoryGroup& group, std::size_t from,
            std::size_t to) {
  if (group.state) return table.blocks.empty();
  return table.first <= oldest_visible(group.window, from) / kChunk &&
         table.end() >= blocks_for(to);
}

void read_part(Reader& reader, const StepLimits& limits, const MemoryStore& store,
               LinkedStep::Part& part) {
  part.tokens.resize(reader.within(1, limits.tokens));
  part.first_position =
      reader.within(0, limits.positions - std::min(limits.positions, part.tokens.size()));
  const std::size_t end = part.first_position + part.tokens.size();
  part.outputs = reader.within(0, part.tokens.size());
  for (HandedSlice::Token& token : part.tokens) {
    token.turns.t = reader.take<std::uint32_t>();
    token.turns.y = reader.take<std::uint32_t>();
    token.turns.x = reader.take<std::uint32_t>();
    token.sees = reader.within(0, end);
  }
  for (std::size_t g = 0; g < store.groups() && !reader.bad(); ++g) {
    const std::size_t blocks = store.pool(g).capacity();
    SequenceBlocks::Table& table = part.tables.emplace_back();
    table.first = reader.within(0, blocks_for(limits.positions));
    table.blocks.resize(reader.within(0, blocks_for(limits.positions) + 1));
    for (BlockId& block : table.blocks) {
      block = reader.take<BlockId>();
      if (block >= blocks) reader.refuse();
    }
    if (!covers(table, store.layout().groups()[g], part.first_position, end)) reader.refuse();
  }
  const auto state = reader.take<BlockId>();
  const auto group = store.layout().state_group();
  if (!group) return;
  if (state >= store.pool(*group).capacity()) return reader.refuse();
  part.state.block = state;
  part.state.at = end;
}

}  // namespace

Result<LinkedStep> decode_step(std::span<const std::byte> bytes, const StepLimits& limits,
                               const MemoryStore& store) {
  Reader reader(bytes);
  LinkedStep step;
  step.kind = static_cast<OutputKind>(reader.within(0, 1));
  const std::size_t count = reader.within(1, limits.tokens);
  std::size_t tokens = 0, outputs = 0;
  for (std::size_t i = 0; i < count && !reader.bad(); ++i) {
    read_part(reader, limits, store, step.parts.emplace_back());
    tokens += step.parts.back().tokens.size();
    outputs += step.parts.back().outputs;
  }
  reader.end_word();
  const std::span<const std::byte> rest = reader.rest();
  if (reader.bad() || tokens > limits.tokens || outputs > limits.outputs ||
      rest.size() != tokens * limits.width * sizeof(float))
    return invalid("a frame of the link that is to be a step is none");
  step.x.resize(tokens * limits.width);
  std::memcpy(step.x.data(), rest.data(), rest.size());
  return step;
}

}  // namespace lathe::infer
