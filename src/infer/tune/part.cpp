// The table of the training network's parts.
#include "infer/tune/part.h"

#include "infer/tune/attention_part.h"
#include "infer/tune/delta_net_part.h"
#include "infer/tune/dense_part.h"
#include "infer/tune/experts_part.h"
#include "infer/tune/mamba2_part.h"
#include "infer/tune/short_convolution_part.h"

namespace lathe::infer {
namespace {

// By the kind of a layer's mixer; check_trainable() lets no other through.
struct MakeMixer {
  TunePass& pass;
  std::size_t layer;
  std::unique_ptr<TunePart> operator()(const AttentionSpec&) const {
    return std::make_unique<AttentionPart>(pass, layer);
  }
  std::unique_ptr<TunePart> operator()(const DeltaNetSpec&) const {
    return std::make_unique<DeltaNetPart>(pass, layer);
  }
  std::unique_ptr<TunePart> operator()(const Mamba2Spec&) const {
    return std::make_unique<Mamba2Part>(pass, layer);
  }
  std::unique_ptr<TunePart> operator()(const ShortConvolutionSpec&) const {
    return std::make_unique<ShortConvolutionPart>(pass, layer);
  }
  std::unique_ptr<TunePart> operator()(const auto&) const { return nullptr; }
};

}  // namespace

std::unique_ptr<TunePart> make_tune_mixer(TunePass& pass, std::size_t layer) {
  return std::visit(MakeMixer{pass, layer}, pass.model.blueprint().layers[layer].mixer);
}

std::unique_ptr<TunePart> make_tune_ffn(TunePass& pass, std::size_t layer) {
  const LayerSpec& spec = pass.model.blueprint().layers[layer];
  if (!spec.has_ffn()) return nullptr;
  if (spec.ffn.experts != 0) return std::make_unique<ExpertsPart>(pass, layer);
  return std::make_unique<DensePart>(pass, layer);
}

}  // namespace lathe::infer
