// Linear layers, norms and activations over blocks of rows.
#include "infer/encoders/layers.h"

#include <algorithm>

#include "infer/encoders/gelu.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {
namespace {

void clamp(const std::vector<float>& least, const std::vector<float>& most, float* x,
           std::size_t n) {
  if (most.empty()) return;
  for (std::size_t i = 0; i < n; ++i) x[i] = std::min(std::max(x[i], least[0]), most[0]);
}

}  // namespace

EncoderSizes EncoderSizes::of(const EncoderHeader& header, const WeightList& list,
                              const KernelTable& kernels, std::size_t rows, int threads) {
  return {.kernels = &kernels,
          .rows = rows,
          .width = header.width,
          .heads = header.heads,
          .max_k = list.max_k(),
          .max_rows = list.max_rows(),
          .threads = static_cast<std::size_t>(threads)};
}

Status EncoderPass::reserve(const EncoderSizes& wanted) {
  sizes = wanted;
  LATHE_TRY_STATUS(x.reserve(wanted.rows * wanted.width));
  LATHE_TRY_STATUS(q.reserve(wanted.rows * wanted.width));
  LATHE_TRY_STATUS(memory.reserve(*wanted.kernels, wanted.heads, wanted.head_dim(), wanted.rows));
  LATHE_TRY_STATUS(input.reserve(kBlockRows * wanted.max_k));
  LATHE_TRY_STATUS(left.reserve(kBlockRows * wanted.max_rows));
  LATHE_TRY_STATUS(right.reserve(kBlockRows * wanted.max_rows));
  LATHE_TRY_STATUS(threads.reserve(wanted.threads * attention_floats(wanted.head_dim())));
  return product_input.reserve(kBlockRows, wanted.max_k);
}

std::uint64_t EncoderPass::bytes_for(const EncoderSizes& wanted) {
  const std::uint64_t floats = 2 * wanted.rows * wanted.width + kBlockRows * wanted.max_k +
                               2 * kBlockRows * wanted.max_rows +
                               wanted.threads * attention_floats(wanted.head_dim());
  return floats * sizeof(float) +
         HeadMemory::bytes_for(*wanted.kernels, wanted.heads, wanted.head_dim(), wanted.rows) +
         Activations::bytes_for(kBlockRows, wanted.max_k);
}

Status EncoderPass::check_stop() const {
  if (stop != nullptr && stop->raised())
    return fail(ErrorKind::kCancelled, "stopped while a picture or sound was encoded");
  return {};
}

void LinearLayer::ask(WeightList& list, const std::string& name, std::size_t k, std::size_t rows) {
  ask_part(list, name, k, rows, 0, rows);
}

void LinearLayer::ask_part(WeightList& list, const std::string& name, std::size_t k,
                           std::size_t all, std::size_t first, std::size_t rows) {
  list.part_of_matrix(name + ".weight", k, all, first, rows, &matrix_);
  if (list.has(name + ".bias")) list.part_of_numbers(name + ".bias", all, first, rows, &bias_);
  const auto limits = [&](const std::string& side, std::vector<float>* least,
                          std::vector<float>* most) {
    if (!list.has(name + side + "_min") && !list.has(name + side + "_max")) return;
    list.numbers(name + side + "_min", 1, least);
    list.numbers(name + side + "_max", 1, most);
  };
  limits(".input", &in_min_, &in_max_);
  limits(".output", &out_min_, &out_max_);
}

void LinearLayer::run(EncoderPass& pass, const float* x, std::size_t count, float* out,
                      std::size_t stride) const {
  const KernelTable& kernels = pass.kernels();
  Activations& input = pass.product_input;
  input.shape(k());
  pass.team->run(count, [&](std::size_t i, int) {
    std::copy_n(x + i * k(), k(), input.row(i));
    clamp(in_min_, in_max_, input.row(i), k());
    if (matrix_.type->integer) input.quantize(kernels, i, 0, k());
  });
  Product product;
  product.matrix = &matrix_;
  product.x = &input;
  product.tokens = count;
  product.out = out;
  product.stride = stride;
  multiply(*pass.team, {&product, 1});
  if (bias_.empty() && out_max_.empty()) return;
  pass.team->run(count, [&](std::size_t i, int) {
    clamp(out_min_, out_max_, out + i * stride, rows());
    if (!bias_.empty()) kernels.add(bias_.data(), rows(), out + i * stride);
  });
}

void LinearLayer::round_to_half() {
  if (matrix_.type->type != TensorType::kF32) return;
  const std::size_t k = matrix_.k;
  std::vector<float> rows(kPanelRows * k);
  for (std::size_t first = 0; first < matrix_.rows; first += kPanelRows) {
    const std::size_t count = std::min(kPanelRows, matrix_.rows - first);
    for (std::size_t r = 0; r < count; ++r) matrix_.row(first + r, rows.data() + r * k);
    for (float& value : rows) value = f16_to_f32(f32_to_f16(value));
    auto* panel =
        const_cast<std::byte*>(matrix_.panels) + first / kPanelRows * matrix_.panel_bytes();
    matrix_.type->pack(reinterpret_cast<const std::byte*>(rows.data()), k * sizeof(float), count, k,
                       panel);
  }
}

void NormLayer::ask(WeightList& list, const std::string& name, std::size_t width, EncoderNorm kind,
                    float epsilon) {
  kind_ = kind;
  epsilon_ = epsilon;
  width_ = width;
  list.numbers(name + ".weight", width, &weight_);
  if (list.has(name + ".bias")) list.numbers(name + ".bias", width, &bias_);
}

NormLayer NormLayer::plain(std::size_t width, float epsilon) {
  NormLayer norm;
  norm.epsilon_ = epsilon;
  norm.width_ = width;
  norm.weight_.assign(width, 1.0f);
  return norm;
}

void NormLayer::run(const KernelTable& kernels, const float* x, float* out) const {
  const auto apply = kind_ == EncoderNorm::kRms ? kernels.rms_norm : kernels.layer_norm;
  apply(x, weight_.data(), width_, epsilon_, out);
  if (!bias_.empty()) kernels.add(bias_.data(), width_, out);
}

void activate(const KernelTable& kernels, EncoderActivation kind, float* x, std::size_t n) {
  switch (kind) {
    case EncoderActivation::kGelu:
      return kernels.gelu(x, n, x);
    case EncoderActivation::kGeluExact:
      return gelu_exact(x, n);
    case EncoderActivation::kSilu:
      return kernels.recurrent.silu(x, n);
    case EncoderActivation::kQuickGelu: {
      float gate[256];
      for (std::size_t at = 0; at < n; at += std::size(gate)) {
        const std::size_t count = std::min(std::size(gate), n - at);
        std::copy_n(x + at, count, gate);
        kernels.train.scale(gate, 1.702f, count);
        kernels.sigmoid_mul(gate, count, x + at);
      }
    }
  }
}

void Mlp::ask(WeightList& list, const std::string& first, const std::string& second, std::size_t k,
              std::size_t hidden, std::size_t rows, EncoderActivation activation) {
  activation_ = activation;
  first_.ask(list, first, k, hidden);
  second_.ask(list, second, hidden, rows);
}

void Mlp::run(EncoderPass& pass, std::size_t count,
              const std::function<void(std::size_t, float*)>& fill, float* out,
              std::size_t stride) const {
  const std::size_t k = first_.k(), hidden = first_.rows();
  for_blocks(count, [&](std::size_t at, std::size_t rows) {
    pass.team->run(rows, [&](std::size_t i, int) { fill(at + i, pass.input.data() + i * k); });
    first_.run(pass, pass.input.data(), rows, pass.left.data(), hidden);
    pass.team->run(rows, [&](std::size_t i, int) {
      activate(pass.kernels(), activation_, pass.left.data() + i * hidden, hidden);
    });
    second_.run(pass, pass.left.data(), rows, out + at * stride, stride);
  });
}

void run_linear(EncoderPass& pass, const LinearLayer& linear, std::size_t count,
                const std::function<void(std::size_t, float*)>& fill, float* out,
                std::size_t stride) {
  const std::size_t k = linear.k();
  for_blocks(count, [&](std::size_t at, std::size_t rows) {
    pass.team->run(rows, [&](std::size_t i, int) { fill(at + i, pass.input.data() + i * k); });
    linear.run(pass, pass.input.data(), rows, out + at * stride, stride);
  });
}

}  // namespace lathe::infer
