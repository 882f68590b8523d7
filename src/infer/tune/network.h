// A model's forward and backward pass over a batch of packed documents: loss = Σ −log p(target) ·
// weight over the trained tokens, gradients added to those of the model's parameters. All is
// computed in floats. What a layer keeps for the way back are floats too, or bf16: then its
// activations are rounded to nearest even once the layer is done, so the loss is that of floats and
// the gradients are those of slightly other activations (each layer's input, the attention's sums
// and the router's logits stay floats: the same experts are chosen). With checkpointing only each
// layer's input is kept and the rest computed a second time (and rounded then, if it is to be),
// which changes no bit. Results do not depend on the team, nor a document's on its neighbours (its
// gradients are summed in the order of the batch). One thread.
#pragma once

#include <span>
#include <vector>

#include "infer/cpu/experts.h"
#include "infer/tune/attention.h"
#include "infer/tune/tune_model.h"

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
      : model_(model), team_(team), kernels_(kernels), linear_(team, kernels.train) {}

  // What the backward pass wants to know of a layer.
  struct Tape {
    Rows sums, router;                                // the attention's; logits
    Rows attention_in, q_raw, k_raw, q, k, v, heads;  // *_raw: before the norm of a head
    Rows ffn_x, ffn_in;
    Rows gate, up, hidden;  // of tokens, or of (token, expert) pairs: hidden times its weight
    PerSlot<Rows> low;      // of the linear layers' adapters
  };
  struct Taken;
  void take_exact(std::size_t layer, Taken& taken);
  void take_tape(std::size_t layer, Taken& taken);
  void lay_out(Taken& taken);
  void lay_out_tapes(Taken& taken);
  std::size_t kept_numbers() const;
  struct Largest;
  Largest largest() const;

  void keep(std::size_t layer);
  void bring_back(std::size_t layer);
  void place(std::span<const Example* const> batch);
  void embed();
  void forward_layer(std::size_t layer, const Tape& tape, bool first_pass);
  void dense_ffn(std::size_t layer, const Tape& tape, bool first_pass);
  void expert_ffn(std::size_t layer, const Tape& tape, bool first_pass);
  void through(const Linear& linear, Rows x, Rows low, Rows dy, Rows dx, bool add);
  void backward_layer(std::size_t layer, const Tape& tape);
  void dense_ffn_backward(std::size_t layer, const Tape& tape);
  void expert_ffn_backward(std::size_t layer, const Tape& tape);
  void choose_experts(std::size_t layer, const Tape& tape);
  void gather(Rows x);
  void router_backward(std::size_t layer);
  void turn_heads(std::size_t layer, const Tape& tape);
  void turn_heads_back(std::size_t layer, const Tape& tape);
  double head(float weight);
  void backward_embedding();
  void norm(Rows x, const Weights& weight, std::size_t count, std::size_t n, Rows out);
  void norm_backward(Rows x, const Weights& weight, Rows d_out, Rows dx);

  const TuneModel& model_;
  ThreadTeam& team_;
  const KernelTable& kernels_;
  NetworkOptions options_;
  LinearScratch linear_;
  AttentionScratch attention_;
  std::vector<float> cos_, sin_back_;  // (positions, dimensions): the turn, and the turn back
  Scratch<float> floats_;
  std::vector<Tape> tapes_;      // a layer's; all in one place with checkpointing or bf16
  Rows tape_;                    // that place, as one row
  Scratch<std::uint16_t> kept_;  // (layers, tape_.stride)
  std::vector<Rows> x_;          // (layers + 1) × (tokens, embedding): each layer's input
  Rows dx_, dx2_, d_heads_, dq_, dk_, dv_, d_gate_, d_up_, d_low_;
  Rows factors_;  // (tokens, 1): of the norm that goes back
  // Of experts: pairs stand as in choice_.
  ExpertChoice choice_;
  Rows gathered_, expert_out_;  // (pairs, embedding)
  Rows d_router_, d_weights_;   // (tokens, experts) (tokens, used)
  Rows head_in_, d_head_in_, logits_;
  std::size_t head_rows_ = 0;  // trained tokens whose logits are computed at a time

  // The batch.
  std::vector<std::int32_t> ids_;
  std::vector<std::uint32_t> positions_;
  std::vector<Document> documents_;
  struct Target {
    std::size_t row;
    std::int32_t id;
  };
  std::vector<Target> targets_;
};

}  // namespace lathe::infer
