// Runs the first layers, hands over, waits for the rows; or hands over what tokens begin with and
// runs all layers, beside the other machine.
#include "infer/link/linked_executor.h"

#include "ground/base/version.h"
#include "infer/link/cut.h"

namespace lathe::infer {
LinkedPartner::LinkedPartner(std::unique_ptr<Wire> wire, const std::string& identity,
                             const LinkPlan& plan, Milliseconds silence)
    : link_(std::move(wire), link_model(identity)),
      plan_(plan),
      silence_(silence),
      rows_(link_, true, silence) {}

Result<std::unique_ptr<LinkedPartner>> LinkedPartner::greet(std::unique_ptr<Wire> wire,
                                                            const std::string& identity,
                                                            const ExecutorOptions& options,
                                                            const LinkPlan& plan,
                                                            Milliseconds silence) {
  std::unique_ptr<LinkedPartner> partner(
      new LinkedPartner(std::move(wire), identity, plan, silence));
  const std::vector<std::byte> hello = encode(
      LinkHello{.identity = identity, .numerics = kNumerics, .options = options, .plan = plan});
  LATHE_TRY_STATUS(partner->link_.send(FrameKind::kHello, hello));
  return partner;
}

Result<Frame> LinkedPartner::receive(FrameKind kind, std::size_t most) {
  while (true) {
    LATHE_TRY(Frame frame, link_.receive(std::max(most, kSmallFrame), silence_));
    if (frame.kind == kind) return frame;
    if (frame.kind == FrameKind::kRefused)
      return refused_by_other(
          {reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()});
    if (frame.kind != FrameKind::kBusy)
      return invalid("the other end of the link has sent a frame that is not its turn");
    if (stop_ != nullptr && stop_->raised())
      return fail(ErrorKind::kCancelled, "stopped while loading");
  }
}

Status LinkedPartner::wait(const StopFlag* stop) {
  stop_ = stop;
  const Result<Frame> frame = receive(FrameKind::kReady, kSmallFrame);
  stop_ = nullptr;
  if (!frame) return std::unexpected(frame.error());
  LATHE_TRY(ready_, decode_ready(frame->bytes));
  return {};
}

LinkedExecutor::LinkedExecutor(std::unique_ptr<CpuExecutor> first,
                               std::unique_ptr<LinkedPartner> partner)
    : partner_(std::move(partner)), first_(std::move(first)) {}

Result<std::unique_ptr<LinkedExecutor>> LinkedExecutor::create(
    const Model& first, ThreadTeam& team, const ExecutorOptions& options,
    std::unique_ptr<LinkedPartner> partner) {
  if (options.keep_hidden)
    return invalid("a model on two machines has no hidden states for a layer that predicts");
  RowExchange* rows = nullptr;
  if (partner->plan_.split == LinkSplit::kRows) {
    partner->rows_.reserve(first.blueprint());
    rows = &partner->rows_;
  }
  LATHE_TRY(auto executor, CpuExecutor::create(first, team, options, rows));
  const std::span<const MemoryGroup> groups = executor->layout().groups();
  const std::vector<std::uint64_t>& there = partner->ready().block_bytes;
  bool same = groups.size() == there.size();
  for (std::size_t g = 0; same && g < groups.size(); ++g) same = groups[g].block_bytes == there[g];
  if (!same)
    return invalid(
        "the other machine lays out what sequences remember in another way; both need the same "
        "lathe");
  return std::unique_ptr<LinkedExecutor>(
      new LinkedExecutor(std::move(executor), std::move(partner)));
}

DeviceBytes LinkedExecutor::scratch_bytes() const {
  DeviceBytes bytes = first_->scratch_bytes();
  bytes.add(kHostDevice, partner_->rows_.bytes());
  return bytes;
}

void LinkedExecutor::set_store(MemoryStore& store) {
  store_ = &store;
  store.set_follower(this);
  BlockCounts counts;
  for (std::size_t g = 0; g < store.groups(); ++g) counts.push_back(store.pool(g).capacity());
  lost_ = partner_->link_.send(FrameKind::kMemory, encode(counts));
}

void LinkedExecutor::copied(std::size_t group, BlockId from, BlockId to) {
  changes_.push_back({BlockChange::What::kCopied, static_cast<std::uint32_t>(group), from, to});
}

void LinkedExecutor::cleared(std::size_t group, BlockId block) {
  changes_.push_back(
      {BlockChange::What::kCleared, static_cast<std::uint32_t>(group), block, block});
}

void LinkedExecutor::discarded(std::size_t group, BlockId block) {
  changes_.push_back(
      {BlockChange::What::kDiscarded, static_cast<std::uint32_t>(group), block, block});
}

Status LinkedExecutor::send_changes() {
  for (std::span<const BlockChange> left = changes_; !left.empty();) {
    const std::size_t count = std::min(left.size(), kMostChanges);
    LATHE_TRY_STATUS(partner_->link_.send(FrameKind::kBlocks, encode(left.first(count))));
    left = left.subspan(count);
  }
  changes_.clear();
  return {};
}

Status LinkedExecutor::hand_over(std::span<const Slice> slices, OutputKind kind,
                                 std::span<const float> x) {
  // Free blocks that kept their memory here keep it there, too.
  if (store_->held_bytes() > partner_->ready().memory) store_->trim();
  LATHE_TRY_STATUS(send_changes());
  return partner_->link_.send(FrameKind::kStep, encode_step(slices, kind), std::as_bytes(x));
}

Status LinkedExecutor::take_rows(std::span<const Slice> slices, OutputKind kind) {
  std::size_t rows = 0;
  for (const Slice& slice : slices) rows += slice.outputs;
  row_bytes_ = sizeof(float) *
               (kind == OutputKind::kLogits ? blueprint().vocabulary : blueprint().embedding);
  LATHE_TRY(Frame frame, partner_->receive(FrameKind::kRows, rows * row_bytes_));
  if (frame.bytes.size() != rows * row_bytes_)
    return invalid("the other machine has given {} bytes of rows; {} were asked for",
                   frame.bytes.size(), rows * row_bytes_);
  rows_ = std::move(frame.bytes);
  return {};
}

Status LinkedExecutor::run_both(std::span<const Slice> slices, OutputKind kind) {
  if (!by_rows()) {
    LATHE_TRY_STATUS(hand_over(slices, kind, first_->run_first(slices)));
    return take_rows(slices, kind);
  }
  LATHE_TRY_STATUS(hand_over(slices, kind, first_->begin_run(slices)));
  first_->finish_run(slices, kind);
  return partner_->rows_.status();
}

void LinkedExecutor::run(std::span<const Slice> slices, OutputKind kind) {
  if (!lost_) return;
  if (Status done = run_both(slices, kind); !done) {
    lost_ = fail(ErrorKind::kUnavailable,
                 "the machine with the rest of the model is lost ({}); ask again once it is back",
                 done.error().message);
    partner_->link_.close();
  }
}

std::span<const float> LinkedExecutor::output(std::size_t row) const {
  if (by_rows()) return first_->output(row);
  const std::byte* at = rows_.data() + row * row_bytes_;
  return {reinterpret_cast<const float*>(at), row_bytes_ / sizeof(float)};
}

}  // namespace lathe::infer
