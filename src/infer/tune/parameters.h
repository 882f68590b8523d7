// What training changes: a list of named float matrices in one arena, with gradients and the two
// moments of AdamW beside them. One thread, but for what the team is given.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "infer/kernels/train_kernels.h"
#include "infer/tensor/memory.h"
#include "infer/tensor/thread_team.h"

namespace lathe::infer {

// A matrix or vector in use. gradient nullptr: it stays as it is; value nullptr: there is none.
struct Weights {
  float* value = nullptr;
  float* gradient = nullptr;
};

struct Parameter {
  std::string name;             // as the output file calls it
  std::size_t rows = 1, k = 0;  // row-major
  std::size_t experts = 1;      // so many of them, one behind the other
  std::size_t at = 0;           // where it starts in each of the arrays
  bool decays = false;          // weight decay: matrices, not norms and biases
  std::size_t size() const { return experts * rows * k; }
};

struct AdamStep {
  std::uint64_t step = 1;  // counted from 1
  double rate = 0;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
  double clip = 1;  // the gradient's norm is brought down to this; 0: as it is
};

class Parameters {
 public:
  // The place in the list. Values come after allocate(). `at` is for the list to say.
  std::size_t add(Parameter parameter);
  Status allocate();

  const std::vector<Parameter>& list() const { return list_; }
  std::size_t count() const { return count_; }  // numbers
  Weights weights(std::size_t i) const {
    return {values_.data() + list_[i].at, gradients_.data() + list_[i].at};
  }
  float* value(const Parameter& p) const { return values_.data() + p.at; }
  // All of them, in the order of the list: what a checkpoint keeps.
  std::span<float> values() const { return {values_.data(), count_}; }
  std::span<float> first_moments() const { return {first_.data(), count_}; }
  std::span<float> second_moments() const { return {second_.data(), count_}; }
  std::uint64_t bytes() const {
    return values_.bytes() + gradients_.bytes() + first_.bytes() + second_.bytes();
  }

  void clear_gradients(ThreadTeam& team);
  double gradient_norm(ThreadTeam& team) const;
  // Returns the norm of the gradient before it was clipped.
  double step(ThreadTeam& team, const TrainKernels& kernels, const AdamStep& step);

 private:
  std::vector<Parameter> list_;
  std::size_t count_ = 0;
  Scratch<float> values_, gradients_, first_, second_;
};

}  // namespace lathe::infer
