// A model whose first layers are here and whose last ones are on another machine, or that has some
// rows of its matrices here and the others there: what its engine sees is one executor. What
// sequences remember of the layers there stands there in blocks of the same numbers: the engine's
// memory decides, and what it does with blocks' bytes is repeated there in the same order. So
// forks, prefixes, windows, states and drafts are what they are on one machine, and so are the
// bits. The engine's thread only.
#pragma once

#include "ground/base/stop.h"
#include "infer/link/linked_rows.h"
#include "infer/link/messages.h"

namespace lathe::infer {

// Silence after which the other machine counts as lost: it tells of itself while it works.
inline constexpr Milliseconds kLinkSilence{1500};

// The other machine, asked to take its part of a model.
class LinkedPartner {
 public:
  // Sends the greeting. `identity`: link_identity() of the file.
  static Result<std::unique_ptr<LinkedPartner>> greet(std::unique_ptr<Wire> wire,
                                                      const std::string& identity,
                                                      const ExecutorOptions& options,
                                                      const LinkPlan& plan,
                                                      Milliseconds silence = kLinkSilence);
  // Until its part is in memory; `stop` ends that.
  Status wait(const StopFlag* stop);
  const LinkReady& ready() const { return ready_; }

 private:
  friend class LinkedExecutor;
  LinkedPartner(std::unique_ptr<Wire> wire, const std::string& identity, const LinkPlan& plan,
                Milliseconds silence);
  // The next frame that is no sign of life.
  Result<Frame> receive(FrameKind kind, std::size_t most);
  Link link_;
  LinkPlan plan_;
  Milliseconds silence_;
  LinkedRows rows_;
  LinkReady ready_;
  const StopFlag* stop_ = nullptr;
};

class LinkedExecutor final : public Executor, private BlockFollower {
 public:
  // `first`: what is here of the model by the partner's plan; it and the team must outlive it.
  // `partner` is ready.
  static Result<std::unique_ptr<LinkedExecutor>> create(const Model& first, ThreadTeam& team,
                                                        const ExecutorOptions& options,
                                                        std::unique_ptr<LinkedPartner> partner);

  const Blueprint& blueprint() const override { return first_->blueprint(); }
  const ExecutorOptions& options() const override { return first_->options(); }
  const MemoryLayout& layout() const override { return first_->layout(); }
  void set_store(MemoryStore& store) override;
  void run(std::span<const Slice> slices, OutputKind kind) override;
  Status lost() const override { return lost_; }
  std::span<const float> output(std::size_t row) const override;
  std::span<const float> hidden(std::size_t) const override { return {}; }  // nobody may ask
  std::vector<float> head(std::span<const float> pooled) override {
    return {pooled.begin(), pooled.end()};
  }
  // Of this machine.
  DeviceBytes weight_bytes() const override { return first_->weight_bytes(); }
  DeviceBytes scratch_bytes() const override;

 private:
  LinkedExecutor(std::unique_ptr<CpuExecutor> first, std::unique_ptr<LinkedPartner> partner);
  bool by_rows() const { return partner_->plan_.split == LinkSplit::kRows; }
  void copied(std::size_t group, BlockId from, BlockId to) override;
  void cleared(std::size_t group, BlockId block) override;
  void discarded(std::size_t group, BlockId block) override;
  Status send_changes();
  Status hand_over(std::span<const Slice> slices, OutputKind kind, std::span<const float> x);
  Status take_rows(std::span<const Slice> slices, OutputKind kind);
  Status run_both(std::span<const Slice> slices, OutputKind kind);

  std::unique_ptr<LinkedPartner> partner_;
  std::unique_ptr<CpuExecutor> first_;  // which may exchange rows with it
  MemoryStore* store_ = nullptr;
  std::vector<BlockChange> changes_;  // since the last step
  std::vector<std::byte> rows_;
  std::size_t row_bytes_ = 0;
  Status lost_;
};

}  // namespace lathe::infer
