// A short convolution between two gates over the documents of a batch, forward and backward.
#include "infer/tune/short_convolution_part.h"

namespace lathe::infer {

ShortConvolutionPart::ShortConvolutionPart(TunePass& pass, std::size_t layer)
    : pass_(pass), width_(pass.width()) {
  const TuneLayer& weights = pass.model.layers()[layer];
  const auto& spec = std::get<ShortConvolutionSpec>(pass.model.blueprint().layers[layer].mixer);
  convolution_ = {
      .channels = width_, .taps = spec.taps, .weight = weights.vector[Slot::kShortConvolution]};
  input_.linear = &weights.linear[Slot::kShortInput];
  output_.linear = &weights.linear[Slot::kShortOutput];
}

void ShortConvolutionPart::take_kept(TakenRows& rows) {
  mixed_ = rows.rows(pass_.max_tokens, 3 * width_);
  heads_ = rows.rows(pass_.max_tokens, width_);
  for (TapedLinear* linear : {&input_, &output_}) linear->take(rows, pass_.max_tokens);
}

void ShortConvolutionPart::take_scratch(TakenRows& rows) {
  for (Rows* each : {&opened_, &convolved_, &d_heads_, &d_opened_})
    *each = rows.rows(pass_.max_tokens, width_);
  d_mixed_ = rows.rows(pass_.max_tokens, 3 * width_);
}

// opened_ = b·x, and what the convolution makes of it.
void ShortConvolutionPart::convolve() {
  pass_.each_token([&](std::size_t t) {
    const float* row = mixed_.row(t);
    for (std::size_t i = 0; i < width_; ++i) opened_.row(t)[i] = row[i] * row[2 * width_ + i];
  });
  convolve_documents(pass_, convolution_, opened_, convolved_);
}

void ShortConvolutionPart::forward(Rows in, Rows out, bool wanted) {
  input_.forward(pass_, in, mixed_);
  convolve();
  pass_.each_token([&](std::size_t t) {
    const float* c = mixed_.row(t) + width_;
    for (std::size_t i = 0; i < width_; ++i) heads_.row(t)[i] = c[i] * convolved_.row(t)[i];
  });
  if (wanted || output_.adapted()) output_.forward(pass_, heads_, out);
}

void ShortConvolutionPart::backward(Rows in, Rows d_out, Rows d_in) {
  output_.backward(pass_, heads_, d_out, d_heads_, false);
  convolve();
  pass_.each_token([&](std::size_t t) {
    const float* c = mixed_.row(t) + width_;
    float *d = d_heads_.row(t), *dc = d_mixed_.row(t) + width_;
    for (std::size_t i = 0; i < width_; ++i) {
      dc[i] = d[i] * convolved_.row(t)[i];
      d[i] *= c[i];
    }
  });
  convolve_documents_backward(pass_, convolution_, opened_, d_heads_, d_opened_);
  pass_.each_token([&](std::size_t t) {
    const float *b = mixed_.row(t), *x = b + 2 * width_, *d = d_opened_.row(t);
    float *db = d_mixed_.row(t), *dx = db + 2 * width_;
    for (std::size_t i = 0; i < width_; ++i) {
      db[i] = d[i] * x[i];
      dx[i] = d[i] * b[i];
    }
  });
  input_.backward(pass_, in, d_mixed_, d_in, false);
}

}  // namespace lathe::infer
