// Products cut by panels into dispatches.
#include "infer/offload/products.h"

#include <algorithm>
#include <cstddef>

#include "infer/kernels/gpu/args.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMostBytes = std::size_t{16}
                                   << 20;  // of weights: pieces of memory overlap so
constexpr double kMostWork = 4e9;          // multiplications
constexpr std::size_t kWidePanels = 4, kWideTokens = 32, kFloatTokens = 16;
constexpr std::size_t kMostGroups = 65535;

std::uint32_t count(std::size_t n) {
  return static_cast<std::uint32_t>(n);
}

template <class T>
gpu::Pointer<T> at(std::uint64_t address) {
  return {reinterpret_cast<T*>(address)};
}

}  // namespace

double work_of(const Product& product) {
  return static_cast<double>(product.matrix->rows) * static_cast<double>(product.matrix->k) *
         static_cast<double>(product.tokens);
}

bool append_product(const Product& product, const ProductKernels& kernels, const AddressOf& find,
                    bool beside, std::vector<Dispatch>& to) {
  const PackedMatrix& matrix = *product.matrix;
  const std::size_t k = matrix.k, tokens = product.tokens, panels = matrix.panel_count();
  const bool narrow = kernels.integer && tokens <= kNarrowTokens;
  const std::size_t together = kernels.integer && !narrow ? kWidePanels : 1;
  const std::size_t tile = !kernels.integer ? kFloatTokens : narrow ? tokens : kWideTokens;

  gpu::MatmulGpuArgs args{.panels = {},
                          .q = {},
                          .scale = {},
                          .sum = {},
                          .x = {},
                          .to = {},
                          .k = count(k),
                          .rows = 0,
                          .tokens = count(tokens),
                          .out_stride = count(product.stride),
                          .panel_words = count(matrix.panel_bytes() / sizeof(std::uint32_t)),
                          .factor = matrix.scales.empty() ? 1.0f : matrix.scales[product.expert]};
  if (kernels.integer) {
    const QuantizedRows x = product.x->quantized(product.first_token);
    args.q = at<std::uint32_t>(find(x.q, tokens * k));
    args.scale = at<float>(find(x.scale, tokens * k / kActivationBlock * sizeof(float)));
    args.sum = at<std::int16_t>(find(x.sum, tokens * k / 16 * sizeof(std::int16_t)));
    if (args.q.v == nullptr || args.scale.v == nullptr || args.sum.v == nullptr) return false;
  } else {
    args.x = at<float>(find(product.x->row(product.first_token), tokens * k * sizeof(float)));
    if (args.x.v == nullptr) return false;
  }

  // Whole groups of panels that are computed together.
  const double panel_work = static_cast<double>(kPanelRows) * static_cast<double>(k * tokens);
  const auto by_work = static_cast<std::size_t>(kMostWork / panel_work);
  const std::size_t by_bytes = kMostBytes / matrix.panel_bytes();
  const std::size_t most = std::max(
      together, std::min({by_work, by_bytes, kMostGroups * together}) / together * together);
  for (std::size_t first = 0; first < panels; first += most) {
    const std::size_t some = std::min(most, panels - first), row = first * kPanelRows;
    args.rows = count(std::min(matrix.rows - row, some * kPanelRows));
    const std::byte* weights = matrix.expert(product.expert) + first * matrix.panel_bytes();
    float* const out = product.out + matrix.part.first + row;
    args.panels = at<std::uint32_t>(find(weights, some * matrix.panel_bytes()));
    args.to = at<float>(find(out, ((tokens - 1) * product.stride + args.rows) * sizeof(float)));
    if (args.panels.v == nullptr || args.to.v == nullptr) return false;
    Dispatch dispatch =
        Dispatch::of(narrow ? *kernels.narrow : *kernels.wide, args,
                     count((some + together - 1) / together), count((tokens + tile - 1) / tile));
    dispatch.beside = beside || first != 0;
    dispatch.work = panel_work * static_cast<double>(some);
    to.push_back(dispatch);
  }
  return true;
}

}  // namespace lathe::infer
