// Greets, follows, computes.
#include "infer/link/partner.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "ground/base/units.h"
#include "ground/base/version.h"
#include "infer/link/linked_rows.h"

namespace lathe::infer {
namespace {

constexpr Milliseconds kBeat{250};
constexpr std::uint64_t kSpareAddresses = std::uint64_t{1} << 30;  // they cost next to nothing

// Tells the other end, as long as something is done for it, that it is; and ends the link when that
// is wanted here.
class Heart {
 public:
  Heart(Link& link, const StopFlag& stop)
      : link_(&link), stop_(&stop), thread_([this] { beat(); }) {}
  ~Heart() {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  void set_busy(bool busy) { busy_.store(busy, std::memory_order_relaxed); }

 private:
  void beat() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kBeat, [this] { return ends_; })) {
      if (stop_->raised()) return link_->close();
      if (busy_.load(std::memory_order_relaxed) && !link_->send_beat()) return;
    }
  }
  Link* link_;
  const StopFlag* stop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;
  std::atomic<bool> busy_{true};
  std::thread thread_;
};

}  // namespace

// What stands while one leader is served.
struct LinkPartner::Session {
  Session(std::unique_ptr<Wire> wire, std::uint64_t model, const StopFlag& stop)
      : link(std::move(wire), model), rows(link, false, Milliseconds(0)), heart(link, stop) {}

  Link link;
  LinkedRows rows;
  Heart heart;
  LinkSplit split = LinkSplit::kLayers;
  bool only_measured = false;  // so far that is all that was wanted
  KvBudget budget{UINT64_MAX};
  std::unique_ptr<CpuExecutor> executor;
  std::optional<MemoryStore> store;
  StepLimits limits;
  std::uint64_t memory = 0, used = 0;      // for blocks
  std::vector<std::vector<bool>> touched;  // by group: which have memory

  void touch(std::size_t group, BlockId block) {
    if (touched[group][block]) return;
    touched[group][block] = true;
    used += store->pool(group).block_bytes();
  }
  void discard(std::size_t group, BlockId block) {
    store->pool(group).discard(block);
    if (touched[group][block]) used -= store->pool(group).block_bytes();
    touched[group][block] = false;
  }
  // Addresses for the blocks that the other has.
  Status reserve(const BlockCounts& counts) {
    const MemoryLayout& layout = executor->layout();
    for (std::size_t g = 0; g < counts.size(); ++g)
      if (counts[g] > (2 * memory + kSpareAddresses) / layout.groups()[g].block_bytes)
        return invalid("{} blocks are more than the {} that are here for them could hold",
                       counts[g], format_bytes(memory));
    LATHE_TRY(store, MemoryStore::mirror(layout, counts, budget));
    for (const std::size_t count : counts) touched.emplace_back(count);
    return {};
  }
};

LinkPartner::LinkPartner(const Gguf& file, Blueprint blueprint, std::string identity,
                         ThreadTeam& team, PartnerOptions options)
    : file_(&file),
      blueprint_(std::move(blueprint)),
      identity_(std::move(identity)),
      team_(&team),
      options_(std::move(options)) {}

Result<std::unique_ptr<LinkPartner>> LinkPartner::open(const Gguf& file, ThreadTeam& team,
                                                       PartnerOptions options) {
  LATHE_TRY(Blueprint blueprint, read_runnable_blueprint(file));
  LATHE_TRY_STATUS(check_linkable(blueprint));
  LATHE_TRY(std::string identity, link_identity(file));
  return std::unique_ptr<LinkPartner>(
      new LinkPartner(file, std::move(blueprint), std::move(identity), team, std::move(options)));
}

Status LinkPartner::serve(std::unique_ptr<Wire> wire, const StopFlag& stop) {
  Session session(std::move(wire), link_model(identity_), stop);
  Status status = greet(session);
  if (status) status = follow(session);
  if (session.only_measured && status.error().kind == ErrorKind::kUnavailable) status = {};
  if (!status) {
    const std::string_view why = status.error().message;
    // It may be gone already.
    (void)session.link.send(FrameKind::kRefused, std::as_bytes(std::span(why)));
  }
  session.link.close();
  return status;
}

Status LinkPartner::load(const LinkPlan& plan) {
  const ModelPart part = plan.second();
  if (model_ != nullptr && model_->held() == part) return {};
  model_.reset();
  const std::uint64_t bytes = weight_bytes(*file_, blueprint_, *options_.kernels, part);
  const bool rows = plan.split == LinkSplit::kRows;
  const std::string what =
      rows ? "half of all matrices"
           : fmt::format("layers {} to {}", plan.layers, blueprint_.layers.size());
  if (bytes > options_.memory)
    return fail(ErrorKind::kUnavailable, "{} take {}; there are {}; {}", what, format_bytes(bytes),
                format_bytes(options_.memory),
                rows ? "give the first machine most of the layers instead"
                     : "give the first machine more layers");
  log(fmt::format("loading {}, {}", what, format_bytes(bytes)));
  LoadOptions options;
  options.kernels = options_.kernels;
  options.part = part;
  LATHE_TRY(model_, Model::load(*file_, blueprint_, *team_, options));
  return {};
}

// The first one that is more than a question how fast the link is.
Result<Frame> LinkPartner::first_frame(Session& session) {
  while (true) {
    LATHE_TRY(Frame frame, session.link.receive(kMostEcho, Milliseconds(0)));
    session.only_measured = frame.kind == FrameKind::kEcho;
    if (!session.only_measured) return frame;
    LATHE_TRY_STATUS(session.link.send(FrameKind::kEcho, frame.bytes));
  }
}

// Another file is refused by the first frame already (Link), as far as 64 bits tell.
Status LinkPartner::greet(Session& session) {
  LATHE_TRY(const Frame frame, first_frame(session));
  if (frame.kind != FrameKind::kHello) return invalid("a link begins with a greeting");
  LATHE_TRY(const LinkHello hello, decode_hello(frame.bytes));
  if (hello.identity != identity_)
    return invalid("the two machines have different files; both need the same");
  if (hello.numerics != kNumerics)
    return invalid(
        "this lathe computes by arithmetic number {}, the other by {}; both need the same",
        kNumerics, hello.numerics);
  LATHE_TRY_STATUS(check_plan(blueprint_, hello.plan));
  LATHE_TRY_STATUS(check_kv(blueprint_, hello.options.kv));
  if (hello.options.context > blueprint_.context)
    return invalid("a context of {} tokens was asked for; the model was made for {}",
                   hello.options.context, blueprint_.context);
  LATHE_TRY_STATUS(load(hello.plan));
  session.split = hello.plan.split;
  LATHE_TRY(session.executor,
            CpuExecutor::create(*model_, *team_, hello.options,
                                session.split == LinkSplit::kRows ? &session.rows : nullptr));
  if (session.split == LinkSplit::kRows) session.rows.reserve(blueprint_);
  const std::uint64_t scratch = session.executor->scratch_bytes().total() + session.rows.bytes();
  const std::uint64_t taken = model_->weight_bytes() + scratch;
  if (taken > options_.memory)
    return fail(ErrorKind::kUnavailable, "weights and scratch take {}; there are {}",
                format_bytes(taken), format_bytes(options_.memory));
  session.memory = options_.memory - taken;
  session.limits = {
      .tokens = hello.options.step_tokens,
      .outputs = hello.options.step_outputs(),
      .positions = hello.options.context == 0 ? blueprint_.context : hello.options.context,
      .width = blueprint_.embedding};
  LinkReady ready;
  ready.memory = session.memory;
  ready.weights = model_->weight_bytes();
  ready.scratch = scratch;
  for (const MemoryGroup& group : session.executor->layout().groups())
    ready.block_bytes.push_back(group.block_bytes);
  session.heart.set_busy(false);
  return session.link.send(FrameKind::kReady, encode(ready));
}

Status LinkPartner::follow(Session& session) {
  log(session.split == LinkSplit::kRows ? "a machine with the other rows is here"
                                        : "a machine with the first layers is here");
  const MemoryLayout& layout = session.executor->layout();
  while (true) {
    const std::uint64_t most = std::max<std::uint64_t>(session.limits.bytes(layout.groups().size()),
                                                       16 * kMostChanges + kSmallFrame);
    auto frame = session.link.receive(static_cast<std::size_t>(most), Milliseconds(0));
    if (!frame && frame.error().kind == ErrorKind::kUnavailable) return {};  // it went
    if (!frame) return std::unexpected(frame.error());
    if (frame->kind == FrameKind::kMemory && !session.store) {
      LATHE_TRY(const BlockCounts counts, decode_counts(frame->bytes, layout.groups().size()));
      LATHE_TRY_STATUS(session.reserve(counts));
    } else if (frame->kind == FrameKind::kBlocks && session.store) {
      LATHE_TRY_STATUS(change(session, *frame));
    } else if (frame->kind == FrameKind::kStep && session.store) {
      session.heart.set_busy(true);
      const Status done = step(session, *frame);
      session.heart.set_busy(false);
      LATHE_TRY_STATUS(done);
    } else {
      return invalid("a frame of the link came that is not its turn");
    }
  }
}

Status LinkPartner::change(Session& session, const Frame& frame) {
  LATHE_TRY(const std::vector<BlockChange> changes, decode_changes(frame.bytes, *session.store));
  for (const BlockChange& change : changes) {
    if (change.what == BlockChange::What::kDiscarded) {
      session.discard(change.group, change.to);
      continue;
    }
    session.touch(change.group, change.to);
    BlockPool& pool = session.store->pool(change.group);
    if (change.what == BlockChange::What::kCopied)
      pool.copy(change.from, change.to);
    else
      pool.clear(change.to);
  }
  return {};
}

Status LinkPartner::step(Session& session, const Frame& frame) {
  LATHE_TRY(LinkedStep step, decode_step(frame.bytes, session.limits, *session.store));
  std::vector<SequenceBlocks> memories;
  memories.reserve(step.parts.size());
  std::vector<HandedSlice> slices;
  std::size_t rows = 0;
  for (LinkedStep::Part& part : step.parts) {
    for (std::size_t g = 0; g < part.tables.size(); ++g)
      for (const BlockId block : part.tables[g].blocks) session.touch(g, block);
    if (part.state.block) session.touch(*session.store->layout().state_group(), *part.state.block);
    memories.emplace_back(*session.store, std::move(part.tables), part.state);
    slices.push_back({.tokens = part.tokens,
                      .first_position = part.first_position,
                      .memory = &memories.back(),
                      .outputs = part.outputs});
    rows += part.outputs;
  }
  if (session.used > session.memory)
    return fail(ErrorKind::kUnavailable, "sequences want {}; {} are here for them",
                format_bytes(session.used), format_bytes(session.memory));
  session.executor->run_last(slices, step.x, step.kind);
  if (session.split == LinkSplit::kRows) return session.rows.status();  // what they gave is there
  std::span<const float> all;
  if (rows != 0) {
    const std::span<const float> first = session.executor->output(0);
    all = {first.data(), rows * first.size()};
  }
  return session.link.send(FrameKind::kRows, {}, std::as_bytes(all));
}

}  // namespace lathe::infer
