// Steps on the processor: strings the parts of the layers together (attention.h, feed_forward.h);
// owns the buffers that they compute in. A result does not depend on the threads either (see
// kernels.h for why). The engine's thread only.
#pragma once

#include <memory>
#include <vector>

#include "infer/cpu/step.h"
#include "infer/executor/executor.h"

namespace lathe::infer {

// A run of consecutive tokens of one sequence, of which the layers before, if any, have been
// computed.
struct HandedSlice {
  struct Token {
    RopePosition turns;
    std::size_t sees = 0;  // it sees what stands before that
  };
  std::span<const Token> tokens;
  std::size_t first_position = 0;
  const SequenceBlocks* memory = nullptr;
  std::size_t outputs = 0;
};

class CpuExecutor final : public Executor {
 public:
  // References must outlive it. Several may share a model and, one after the other, a team. It has
  // the layers that the model holds; run() is for one that holds all. `exchange`: of a model that
  // holds some rows of its matrices. `multiplier`: computes its products, where it can.
  static Result<std::unique_ptr<CpuExecutor>> create(const Model& model, ThreadTeam& team,
                                                     const ExecutorOptions& options,
                                                     RowExchange* exchange = nullptr,
                                                     std::unique_ptr<Multiplier> multiplier = {});

  const Blueprint& blueprint() const override { return step_.model->blueprint(); }
  const ExecutorOptions& options() const override { return options_; }
  const MemoryLayout& layout() const override { return layout_; }
  void run(std::span<const Slice> slices, OutputKind kind) override;
  // The first part of a model: what its layers make of each token, (tokens, embedding), until the
  // next step. …
  std::span<const float> run_first(std::span<const Slice> slices);
  // … The last part, from there: `x` is read.
  void run_last(std::span<const HandedSlice> slices, std::span<const float> x, OutputKind kind);
  // With some rows of all layers: what a token begins with, from where another executor with the
  // other rows does run_last(); and the layers, beside it.
  std::span<const float> begin_run(std::span<const Slice> slices);
  void finish_run(std::span<const Slice> slices, OutputKind kind);
  std::span<const float> output(std::size_t row) const override;
  std::span<const float> hidden(std::size_t token) const override;
  std::vector<float> head(std::span<const float> pooled) override;
  void set_store(MemoryStore& store) override;
  void leave_store() override;
  DeviceBytes weight_bytes() const override;
  // ForwardSizes::bytes(), what attention took at depth (HeadWalk::deep_bytes), and what a device
  // keeps of its own.
  DeviceBytes scratch_bytes() const override;
  // From the next step on. It must outlive them; nullptr: nobody.
  void observe(InputObserver* observer) { step_.observer = observer; }

 private:
  struct Norm {
    const std::vector<float>* weight = nullptr;  // null: none
    const std::vector<float>* bias = nullptr;
  };
  // A layer's mixer or its feed-forward part.
  struct Part {
    std::unique_ptr<LayerPart> part;
    bool reads = true;                         // false: what the part before it read
    Norm pre = {};                             // of what it reads
    const std::vector<float>* bias = nullptr;  // LayerPart::bias()
    Norm post = {};                            // of what it gives
    Norm sum = {};                             // of the residual stream, once that is added
    float scale = 1;                           // of the residual stream behind it
    std::size_t deep = 0;                      // which part of a row is added to that, too; 0: none
  };
  CpuExecutor(const Model& model, ThreadTeam& team, const ExecutorOptions& options);
  void add_parts(std::size_t layer);
  void place_tokens(std::span<const Slice> slices);
  void compute_angles();
  void join(std::span<const Slice> slices);
  void begin(std::size_t token);
  // Between two parts: what the last one gave with its bias, or its norm, is added to x, which may
  // be normed then; x, or its norm, becomes what the next one reads.
  struct Joint {
    bool add = false;
    const std::vector<float>* bias = nullptr;
    Norm post = {}, sum = {};
    float scale = 1;
    std::size_t deep = 0;
    bool read = false;
    Norm pre = {};
  };
  void pass(const Joint& joint);
  const float* add_branch(const Joint& joint, std::size_t token);
  void scale(float factor, float* row) const;
  // x as it is, where there is no norm.
  void norm(const float* x, const Norm& norm, float* out) const;
  void begin_step();
  void place_run(std::size_t count, std::size_t first_position);
  // What is left to be joined: what the last part gave. The last parts may be recorded only.
  Joint run_parts();
  static Joint behind(const Part& part);
  void run_here(std::size_t first, std::size_t end, Joint joint);
  bool can_record() const;
  bool record(std::size_t part, const Joint& joint);
  bool record_joint(const Joint& joint, std::size_t rows, const std::uint32_t* of);
  bool record_outputs(std::span<const std::size_t> rows, const Joint& joint);
  bool finish_chain(std::size_t end);
  void write_outputs(std::span<const std::size_t> rows, OutputKind kind, const Joint& joint);
  void compute_outputs(std::span<const std::size_t> rows, OutputKind kind, const Joint& joint);
  Product output_product(std::size_t rows) const;

  ExecutorOptions options_;
  MemoryLayout layout_;
  Step step_;
  std::vector<Part> parts_;                       // in order
  std::vector<std::vector<double>> frequencies_;  // (distinct ropes)(dimensions / 2)
  std::size_t tile_tokens_ = 1;
  std::size_t output_width_ = 0;
  std::unique_ptr<Multiplier> multiplier_;  // goes before the memory that it saw
  // Parts that are recorded, from the first one on, and what was to be joined before it.
  struct Recorded {
    std::size_t first;
    Joint joint;
  };
  std::optional<Recorded> recorded_;
};

// How sequences' memory lies for these kernels, where these layers are.
MemoryLayout cpu_layout(const Blueprint& blueprint, const KernelTable& kernels, KvType kv,
                        LayerRange layers = {});

struct Processor {
  const KernelTable* kernels = nullptr;
  std::size_t threads = 1;
};
// What CpuExecutor will take over so many positions. Any thread.
Result<ExecutorSizes> cpu_sizes(const Gguf& file, const Blueprint& blueprint,
                                const Processor& processor, const ExecutorOptions& options,
                                std::size_t positions, const ModelPart& part = {});

}  // namespace lathe::infer
