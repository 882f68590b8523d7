// What the parts of the training network share while a batch is computed, and what each of them is:
// a layer's mixer or its feed-forward part, with its way forward and its way back. One thread, but
// for what the team is given.
#pragma once

#include <memory>
#include <vector>

#include "infer/cpu/experts.h"
#include "infer/models/rope.h"
#include "infer/tune/attention.h"
#include "infer/tune/tune_model.h"

namespace lathe::infer {

// Rows one after the other; without memory it only counts.
struct TakenRows {
  float* memory = nullptr;
  std::size_t floats = 0;
  Rows rows(std::size_t count, std::size_t n) {
    const std::size_t stride = padded_row(n), at = floats;
    floats += count * stride;
    return {memory == nullptr ? nullptr : memory + at, stride};
  }
};

struct TunePass {
  TunePass(const TuneModel& trained, ThreadTeam& threads, const KernelTable& table)
      : model(trained), team(threads), kernels(table), linear(threads, table.train) {}

  const TuneModel& model;
  ThreadTeam& team;
  const KernelTable& kernels;
  std::size_t max_tokens = 0;  // of a batch
  std::size_t longest = 0;     // tokens of a document
  LinearScratch linear;
  AttentionScratch attention;
  ExpertChoice choice;
  Ropes ropes;
  std::vector<std::vector<float>> turn, turn_back;  // by rope: (positions, dimensions)
  Scratch<float> of_threads;
  std::size_t thread_floats = 0;  // of each
  Rows d_low;                     // (tokens, the largest rank)
  Rows factors;                   // (tokens, 2·heads) of norms that go back

  // The batch.
  std::vector<std::uint32_t> positions;
  std::vector<Document> documents;

  std::size_t tokens() const { return positions.size(); }
  std::size_t width() const { return model.blueprint().embedding; }
  float epsilon() const { return model.blueprint().norm_epsilon; }
  float* room(int thread) const {
    return of_threads.data() + static_cast<std::size_t>(thread) * thread_floats;
  }
  // work(t) for every token of the batch.
  void each_token(auto&& work) {
    team.run(tokens(), [&](std::size_t t, int) { work(t); });
  }
};

// A linear layer of a part with what is kept of its adapter.
struct TapedLinear {
  const Linear* linear = nullptr;
  Rows low = {};  // (rows, rank)

  bool there() const { return linear != nullptr && linear->rows != 0; }
  bool adapted() const { return linear->rank != 0; }
  void take(TakenRows& rows, std::size_t count) {
    if (there() && adapted()) low = rows.rows(count, linear->rank);
  }
  // Of all tokens of the batch.
  void forward(TunePass& pass, Rows x, Rows y) const {
    infer::forward(pass.linear, *linear, pass.tokens(), x, y, low);
  }
  void backward(TunePass& pass, Rows x, Rows dy, Rows dx, bool add) const {
    infer::backward(pass.linear, *linear,
                    {.tokens = pass.tokens(),
                     .x = x,
                     .low = low,
                     .dy = dy,
                     .dx = dx,
                     .add = add,
                     .d_low = pass.d_low});
  }
};

class TunePart {
 public:
  virtual ~TunePart() = default;
  // Takes its rows: those that are kept for the way back and never rounded, those that may be, and
  // those that are anyone's between its calls.
  virtual void take_exact(TakenRows& rows) = 0;
  virtual void take_kept(TakenRows& rows) = 0;
  virtual void take_scratch(TakenRows& rows) = 0;
  // What it takes of TunePass::of_threads.
  virtual std::size_t thread_floats() const { return 0; }

  // out = what it makes of `in` (tokens, embedding). wanted false: nobody reads `out`, only what
  // the way back wants to know is computed.
  virtual void forward(Rows in, Rows out, bool wanted) = 0;
  // d_in = the gradient of `in`, from that of `out`; gradients of what is trained are added to,
  // each in the order of the tokens.
  virtual void backward(Rows in, Rows d_out, Rows d_in) = 0;
};

// nullptr: the layer has none.
std::unique_ptr<TunePart> make_tune_mixer(TunePass& pass, std::size_t layer);
std::unique_ptr<TunePart> make_tune_ffn(TunePass& pass, std::size_t layer);

}  // namespace lathe::infer
