// A model's forward and backward pass over a batch of packed documents: loss = Σ −log p(target) ·
// weight over the trained tokens, gradients added to those of the model's parameters. What a layer
// is made of stands in its blueprint, and each kind of part is a file (part.h). All is computed in
// floats. What a layer keeps for the way back are floats too, or bf16: then its activations are
// rounded to nearest even once the layer is done, so the loss is that of floats and the gradients
// are those of slightly other activations (what TunePart::take_exact() takes stays floats, as each
// layer's input does: the same experts are chosen). With checkpointing only each layer's input is
// kept and the rest computed a second time (and rounded then, if it is to be), which changes no
// bit. Results do not depend on the team, nor a document's on its neighbours (its gradients are
// summed in the order of the batch). One thread.
#pragma once

#include <span>
#include <vector>

#include "infer/tune/norm.h"

namespace lathe::infer {

// One document to learn: token i is trained (predicted from those before it) where trained[i] is
// not 0. trained[0] never counts: nothing predicts a first token.
struct Example {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> trained;  // as many
};

// How many tokens of it are predicted.
std::size_t trained_tokens(const Example& example);

struct NetworkOptions {
  std::size_t max_tokens = 0;  // of a batch: at least the longest document
  std::size_t longest = 0;     // tokens of a document
  bool checkpointing = false;
  bool bf16 = false;  // what is kept
};

class Network {
 public:
  static Result<std::unique_ptr<Network>> create(const TuneModel& model, ThreadTeam& team,
                                                 const KernelTable& kernels,
                                                 const NetworkOptions& options);
  // What create() takes.
  static std::uint64_t bytes(const TuneModel& model, std::size_t threads,
                             const NetworkOptions& options);

  // Σ −log p over the trained tokens of the batch. weight: of each token's gradient; 0 computes the
  // loss alone.
  double run(std::span<const Example* const> batch, float weight);

 private:
  Network(const TuneModel& model, ThreadTeam& team, const KernelTable& kernels)
      : model_(model), team_(team), kernels_(kernels), pass_(model, team, kernels) {}

  // A layer is one or two parts, each with its place in the residual stream.
  struct Step {
    std::unique_ptr<TunePart> part;
    bool reads = true;                  // else what the part before it has read
    NormRows pre = {}, post = {};       // of size 0: none
    Rows x = {}, in = {}, branch = {};  // the stream in front of it, its norm; what the part gives
  };
  void make_layers();
  NormRows norm_of(bool has, std::size_t layer, Slot slot) const;
  NormRows final_norm() const;
  void take_exact(std::size_t layer, TakenRows& taken);
  void take_kept(std::size_t layer, TakenRows& taken);
  void lay_out(TakenRows& taken);
  void lay_out_kept(TakenRows& taken);
  std::size_t kept_numbers() const;
  struct Largest;
  Largest largest() const;
  void turn_positions();

  void keep(std::size_t layer);
  void bring_back(std::size_t layer);
  void place(std::span<const Example* const> batch);
  void embed();
  void forward_layer(std::size_t layer, bool first_pass);
  void forward_step(std::size_t layer, std::size_t place, bool first_pass);
  void backward_layer(std::size_t layer);
  Rows branch_gradient(const Step& step);
  double head(float weight);
  void loss_of_rows(std::size_t from, std::size_t count, float weight, std::vector<float>& losses);
  void backward_embedding();

  const TuneModel& model_;
  ThreadTeam& team_;
  const KernelTable& kernels_;
  NetworkOptions options_;
  TunePass pass_;
  std::vector<std::vector<Step>> layers_;
  Scratch<float> floats_;
  Rows kept_rows_;               // with checkpointing or bf16 the place of all layers, as one row
  Scratch<std::uint16_t> kept_;  // (layers, kept_rows_.stride)
  std::vector<Rows> x_;          // (layers + 1) × (tokens, embedding): each layer's input
  Rows branch_;                  // what a part gives, where nobody asks for it again
  Rows dx_, d_in_, d_branch_, d_skipped_;
  Rows head_in_, d_head_in_, logits_;
  std::size_t head_rows_ = 0;  // trained tokens whose logits are computed at a time

  // The batch; its documents and positions are the pass's.
  std::vector<std::int32_t> ids_;
  struct Target {
    std::size_t row;
    std::int32_t id;
  };
  std::vector<Target> targets_;
};

}  // namespace lathe::infer
