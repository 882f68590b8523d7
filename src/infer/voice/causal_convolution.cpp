// Convolutions as products of gathered rows.
#include "infer/voice/causal_convolution.h"

#include <algorithm>

#include "infer/tensor/gemm.h"

namespace lathe::infer {
namespace {

// What came before, and the rows; `past` becomes the last `reach` of them.
std::vector<float> behind(const RowBuffer& in, std::size_t reach, PastRows& past) {
  past.resize(reach * in.width);
  std::vector<float> all = std::move(past);
  all.insert(all.end(), in.values.begin(), in.values.end());
  past.assign(all.end() - static_cast<std::ptrdiff_t>(reach * in.width), all.end());
  return all;
}

}  // namespace

void CausalConvolution::ask(WeightList& list, const std::string& name, std::size_t in,
                            std::size_t out, std::size_t taps, std::size_t dilation) {
  in_ = in;
  taps_ = taps;
  dilation_ = dilation;
  linear_.ask(list, name, taps * in, out);
}

RowBuffer CausalConvolution::run(EncoderPass& pass, const RowBuffer& in, PastRows& past) const {
  LATHE_CHECK(in.width == in_);
  const std::vector<float> all = behind(in, (taps_ - 1) * dilation_, past);
  RowBuffer out = RowBuffer::of(in.count, linear_.rows());
  run_linear(
      pass, linear_, in.count,
      [&](std::size_t i, float* to) {  // channel by channel, as the file has the kernel
        for (std::size_t tap = 0; tap < taps_; ++tap) {
          const float* row = &all[(i + tap * dilation_) * in_];
          for (std::size_t c = 0; c < in_; ++c) to[c * taps_ + tap] = row[c];
        }
      },
      out.values.data(), out.width);
  return out;
}

void ChannelConvolution::ask(WeightList& list, const std::string& name, std::size_t width,
                             std::size_t taps) {
  taps_ = taps;
  list.numbers(name + ".weight", width * taps, &taps_of_);
  list.numbers(name + ".bias", width, &bias_);
}

RowBuffer ChannelConvolution::run(EncoderPass& pass, const RowBuffer& in, PastRows& past) const {
  const std::vector<float> all = behind(in, taps_ - 1, past);
  RowBuffer out = RowBuffer::of(in.count, in.width);
  pass.team->run(in.count, [&](std::size_t i, int) {
    std::vector<const float*> rows(taps_);
    for (std::size_t tap = 0; tap < taps_; ++tap) rows[tap] = &all[(i + tap) * in.width];
    pass.kernels().recurrent.convolve(rows.data(), taps_of_.data(), bias_.data(), taps_, in.width,
                                      out.row(i));
  });
  return out;
}

void WideningConvolution::ask(WeightList& list, const std::string& name, std::size_t in,
                              std::size_t out, std::size_t overlap) {
  in_ = in;
  out_ = out;
  overlap_ = overlap;
  // Where the file has more, or no whole stride, what is asked for is not what it has.
  stride_ = std::clamp<std::size_t>(list.dimension(name + ".weight", 0) / overlap, 1, kMostStride);
  list.numbers(name + ".weight", in * out * taps(), &weights_);
  list.numbers(name + ".bias", out, &bias_);
}

RowBuffer WideningConvolution::run(EncoderPass& pass, const RowBuffer& in, PastRows& past) const {
  LATHE_CHECK(in.width == in_);
  const std::vector<float> all = behind(in, overlap_ - 1, past);
  const std::size_t columns = out_ * taps(), rows = in.count + overlap_ - 1;
  std::vector<float> products(rows * columns);  // (rows, out, taps)
  multiply(*pass.team, pass.kernels().train,
           {{{.rows = rows,
              .columns = columns,
              .k = in_,
              .a = all.data(),
              .a_row = in_,
              .b = weights_.data(),
              .b_k = columns,
              .c = products.data(),
              .c_row = columns}}});
  RowBuffer out = RowBuffer::of(in.count * stride_, out_);
  pass.team->run(in.count, [&](std::size_t i, int) {
    const float* own = &products[(i + overlap_ - 1) * columns];
    for (std::size_t j = 0; j < stride_; ++j) {
      float* to = out.row(i * stride_ + j);
      for (std::size_t c = 0; c < out_; ++c) {
        to[c] = bias_[c] + own[c * taps() + j];
        if (overlap_ == 2) to[c] += products[i * columns + c * taps() + stride_ + j];
      }
    }
  });
  return out;
}

}  // namespace lathe::infer
