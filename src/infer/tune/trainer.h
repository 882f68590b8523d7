// Training: batches of examples through the network, AdamW, checkpoints, validation. The same
// options and data give the same weights bit for bit, whatever the number of threads, with or
// without gradient checkpointing, and killed and resumed at any moment. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/stop.h"
#include "ground/base/units.h"
#include "infer/tune/network.h"
#include "infer/tune/schedule.h"

namespace lathe::infer {

// One step, as the loss plot shows it.
struct CurvePoint {
  std::uint64_t step = 0, tokens = 0;     // done
  double loss = 0;                        // a trained token, in nats
  double rate = 0, norm = 0;              // of the gradient before clipping
  std::optional<double> validation = {};  // after this step
};

struct TrainProgress {
  CurvePoint point;
  std::uint64_t steps = 0, total_tokens = 0;
  double tokens_per_second = 0;  // of this process, the last steps
  double seconds_left = 0;
};

struct TrainOptions {
  std::size_t epochs = 1;
  std::size_t batch_tokens = 8192;  // of a step
  std::size_t micro_tokens = 2048;  // at a time: memory and the order of sums follow from it
  bool gradient_checkpointing = false;
  bool bf16_activations = false;  // as NetworkOptions
  double rate = 1e-3;
  RateShape shape = RateShape::kCosine;
  double warmup = 0.03;  // of the steps
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1, clip = 1;
  std::uint64_t seed = 1;

  std::size_t evaluations = 20;  // of the validation examples, evenly over the training
  std::size_t patience = 5;      // evaluations without a better one, then it ends; 0: never

  fs::path checkpoint;      // "": none
  std::string fingerprint;  // of everything that the result depends on: a checkpoint of another
                            // training is refused
  Milliseconds checkpoint_every{std::chrono::minutes(2)};
  std::function<void(const TrainProgress&)> progress;  // after every step; may be empty
  std::function<void(const std::string&)> warn;        // may be empty
  const StopFlag* stop = nullptr;
};

struct TrainReport {
  std::vector<CurvePoint> curve;
  std::uint64_t steps = 0, total_steps = 0, tokens = 0;
  std::uint64_t resumed_at = 0;  // step; 0: from the start
  bool stopped = false;          // by the flag: the checkpoint goes on
  bool early = false;            // no better validation loss for so long
  std::optional<double> best_validation;
  std::uint64_t best_step = 0;  // whose weights the model has now, if there was validation
  double seconds = 0;           // of this process
};

class Trainer {
 public:
  // Every example has a trained token and at most as many tokens as the model's context. Goes on
  // from the checkpoint if there is one.
  static Result<std::unique_ptr<Trainer>> create(TuneModel& model, ThreadTeam& team,
                                                 const KernelTable& kernels,
                                                 std::vector<Example> examples,
                                                 std::vector<Example> validation,
                                                 TrainOptions options);
  // Until the end, or the flag. An error leaves the last checkpoint as it is.
  Result<TrainReport> run();

 private:
  Trainer(TuneModel& model, ThreadTeam& team, const KernelTable& kernels, TrainOptions options)
      : model_(model), team_(team), kernels_(kernels), options_(std::move(options)) {}

  Result<CurvePoint> step();
  double loss_of(std::span<const Example* const> examples, float weight);
  Status validate(CurvePoint& point);
  Status save();
  Status restore();
  bool evaluates_after(std::uint64_t step) const;

  TuneModel& model_;
  ThreadTeam& team_;
  const KernelTable& kernels_;
  TrainOptions options_;
  std::vector<Example> examples_, validation_;
  std::unique_ptr<ExampleOrder> order_;
  std::unique_ptr<Network> network_;
  RateSchedule schedule_;

  // What a checkpoint keeps beside the parameters.
  std::uint64_t step_ = 0, cursor_ = 0, tokens_ = 0;
  std::size_t without_better_ = 0;
  std::vector<CurvePoint> curve_;
  std::optional<double> best_;
  std::uint64_t best_step_ = 0;
  std::vector<float> best_values_;
  std::uint64_t resumed_at_ = 0;
};

}  // namespace lathe::infer
