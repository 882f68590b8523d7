// A frame's codes, one row behind the other.
#include "infer/voice/code_predictor.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::size_t kMostBooks = 64;  // of a frame
constexpr double kCodeBase = 1e6;

CausalSpec layers_of(const VoiceHeader& header) {
  CausalSpec spec;
  spec.name = "a.gen.code.blk.";
  spec.width = header.width;
  spec.hidden = header.hidden;
  spec.layers = header.layers;
  spec.heads = header.heads;
  spec.kv_heads = header.kv_heads;
  spec.most = kMostBooks;
  spec.base = kCodeBase;
  spec.epsilon = header.epsilon;
  spec.head_norms = true;
  return spec;
}

}  // namespace

CodePredictor::CodePredictor(const VoiceHeader& header, WeightList& list, WeightList& tables)
    : embedding_(header.embedding), width_(header.width), layers_(list, layers_of(header)) {
  const std::string head = "a.gen.code.head";
  in_.ask(list, "a.gen.code.proj_in", embedding_, width_);
  norm_.ask(list, "a.gen.code.output_norm", width_, EncoderNorm::kRms, header.epsilon);
  codes_ = list.dimension(head + ".weight", 1);
  // Where the file has more, what is asked for is not what it has, which the list tells.
  heads_.resize(std::min(list.dimension(head + ".weight", 2), kMostBooks - 1));
  for (std::size_t i = 0; i < heads_.size(); ++i)
    heads_[i].ask_part(list, head, width_, heads_.size() * codes_, i * codes_, codes_);
  if (heads_.empty()) in_.ask(list, head, width_, codes_);  // tells that it is missing
  const std::string first = "a.gen.code.out_embd";
  first_.ask(tables, first, embedding_, tables.dimension(first + ".weight", 1));
  others_.ask(tables, "a.gen.code.embd", embedding_, heads_.size() * codes_);
}

EncoderSizes CodePredictor::sizes(const WeightList& list, const KernelTable& kernels,
                                  int threads) const {
  EncoderSizes sizes = layers_.sizes(list, kernels, 2, threads);
  sizes.max_k = std::max(sizes.max_k, embedding_);
  return sizes;
}

Status CodePredictor::reserve(const WeightList& list, const WeightLoading& loading,
                              ThreadTeam& team) {
  pass_.team = &team;
  return pass_.reserve(sizes(list, *loading.kernels, team.size()));
}

Result<CodePredictor::Frame> CodePredictor::predict(std::span<const float> state,
                                                    std::int32_t first, const Choose& choose,
                                                    const StopFlag* stop) {
  LATHE_CHECK(state.size() == embedding_ && first >= 0 &&
              static_cast<std::size_t>(first) < first_codes());
  pass_.stop = stop;
  Frame frame{.codes = {first}, .sum = std::vector<float>(embedding_)};
  std::vector<float> rows(2 * embedding_), logits(codes_);
  std::ranges::copy(state, rows.begin());
  first_.row(static_cast<std::size_t>(first), &rows[embedding_]);
  std::copy_n(&rows[embedding_], embedding_, frame.sum.data());
  CausalLayers::Past past;
  std::size_t count = 2;
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    std::vector<float> x(count * width_);
    in_.run(pass_, rows.data(), count, x.data(), width_);
    LATHE_TRY_STATUS(layers_.run(pass_, x.data(), count, past));
    const float* last = x.data() + (count - 1) * width_;
    norm_.run(pass_.kernels(), last, pass_.input.data());
    heads_[i].run(pass_, pass_.input.data(), 1, logits.data(), codes_);
    const std::int32_t code = choose(i + 1, logits);
    LATHE_CHECK(code >= 0 && static_cast<std::size_t>(code) < codes_);
    frame.codes.push_back(code);
    others_.row(i * codes_ + static_cast<std::size_t>(code), rows.data());
    pass_.kernels().add(rows.data(), embedding_, frame.sum.data());
    count = 1;
  }
  return frame;
}

}  // namespace lathe::infer
