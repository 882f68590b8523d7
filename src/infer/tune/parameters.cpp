// What is trained: values, gradients, AdamW.
#include "infer/tune/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe::infer {
namespace {

constexpr std::size_t kPiece = 4096;  // numbers that one thread takes at a time

std::size_t pieces(std::size_t count) {
  return (count + kPiece - 1) / kPiece;
}

}  // namespace

std::size_t Parameters::add(Parameter parameter) {
  parameter.at = count_;
  count_ += (parameter.size() + 15) / 16 * 16;
  list_.push_back(std::move(parameter));
  return list_.size() - 1;
}

Status Parameters::allocate() {
  for (Scratch<float>* array : {&values_, &gradients_, &first_, &second_})
    LATHE_TRY_STATUS(array->reserve(count_));
  return {};
}

void Parameters::clear_gradients(ThreadTeam& team) {
  team.run(pieces(count_), [&](std::size_t piece, int) {
    const std::size_t from = piece * kPiece;
    std::memset(gradients_.data() + from, 0, std::min(kPiece, count_ - from) * sizeof(float));
  });
}

double Parameters::gradient_norm(ThreadTeam& team) const {
  std::vector<double> sums(pieces(count_));
  team.run(sums.size(), [&](std::size_t piece, int) {
    const std::size_t from = piece * kPiece, end = std::min(count_, from + kPiece);
    double lanes[8] = {};
    for (std::size_t i = from; i < end; i += 8)
      for (std::size_t j = 0; j < 8; ++j) {
        const double g = static_cast<double>(gradients_.data()[i + j]);
        lanes[j] += g * g;
      }
    for (const double lane : lanes) sums[piece] += lane;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

double Parameters::step(ThreadTeam& team, const TrainKernels& kernels, const AdamStep& step) {
  const double norm = gradient_norm(team);
  const double scale = step.clip > 0 && norm > step.clip ? step.clip / norm : 1;
  const auto t = static_cast<double>(step.step);
  AdamArgs args{.count = 0,
                .value = nullptr,
                .gradient = nullptr,
                .first = nullptr,
                .second = nullptr,
                .scale = static_cast<float>(scale),
                .beta1 = static_cast<float>(step.beta1),
                .beta2 = static_cast<float>(step.beta2),
                .rate = static_cast<float>(step.rate / (1 - std::pow(step.beta1, t))),
                .second_scale = static_cast<float>(1 / (1 - std::pow(step.beta2, t))),
                .epsilon = static_cast<float>(step.epsilon),
                .decay = 1};
  std::vector<std::size_t> first(list_.size() + 1);
  for (std::size_t i = 0; i < list_.size(); ++i) first[i + 1] = first[i] + pieces(list_[i].size());
  team.run(first.back(), [&](std::size_t item, int) {
    const auto next = std::ranges::upper_bound(first, item);
    const Parameter& parameter = list_[static_cast<std::size_t>(next - first.begin()) - 1];
    const std::size_t from = (item - *(next - 1)) * kPiece;
    AdamArgs part = args;
    part.count = std::min(kPiece, parameter.size() - from);
    part.value = values_.data() + parameter.at + from;
    part.gradient = gradients_.data() + parameter.at + from;
    part.first = first_.data() + parameter.at + from;
    part.second = second_.data() + parameter.at + from;
    if (parameter.decays) part.decay = static_cast<float>(1 - step.rate * step.weight_decay);
    kernels.adam(part);
  });
  return norm;
}

}  // namespace lathe::infer
