#include "infer/models/adapter.h"

#include <algorithm>
#include <cstring>

#include "ground/base/hash.h"
#include "infer/tensor/matrix.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxRank = 1024;

// Rows and columns of a part of a layer; {0, 0}: this model has none that can be adapted.
std::pair<std::size_t, std::size_t> shape_of(const Blueprint& blueprint, std::size_t layer,
                                             LinearPart part) {
  const AttentionSpec& attention = blueprint.layers[layer].attention;
  const FfnSpec& ffn = blueprint.layers[layer].ffn;
  const std::size_t width = blueprint.embedding;
  const std::size_t q = attention.heads * attention.head_dim;
  const std::size_t kv = attention.kv_heads * attention.head_dim;
  const bool dense = ffn.experts == 0;
  switch (part) {
    case LinearPart::kQ:
      return {q, width};
    case LinearPart::kK:
    case LinearPart::kV:
      return {kv, width};
    case LinearPart::kOutput:
      return {width, q};
    case LinearPart::kGate:
    case LinearPart::kUp:
      return dense ? std::pair{ffn.hidden, width} : std::pair<std::size_t, std::size_t>{};
    case LinearPart::kDown:
      return dense ? std::pair{width, ffn.hidden} : std::pair<std::size_t, std::size_t>{};
  }
  return {};
}

std::vector<float> panels_of(const std::vector<float>& values, std::size_t rows, std::size_t k) {
  std::vector<float> panels((rows + kTileColumns - 1) / kTileColumns * kTileColumns * k);
  for (std::size_t r = 0; r < rows; r += kTileColumns)
    transpose_panel(values.data() + r * k, k, std::min(kTileColumns, rows - r), k,
                    panels.data() + r * k);
  return panels;
}

}  // namespace

Result<std::shared_ptr<const Adapter>> Adapter::load(const Gguf& file, const Blueprint& blueprint) {
  const std::string place = file.path().string();
  LATHE_TRY(const std::string type, file.text_or("general.type", "model"));
  LATHE_TRY(const std::string kind, file.text_or("adapter.type", ""));
  if (type != "adapter" || kind != "lora")
    return invalid("{}: is no LoRA adapter (general.type is '{}', adapter.type '{}')", place, type,
                   kind);
  LATHE_TRY(const std::string architecture, file.text("general.architecture"));
  if (architecture != blueprint.architecture)
    return invalid("{}: is an adapter for {}, the model is {}", place, architecture,
                   blueprint.architecture);
  LATHE_TRY(const double alpha, file.real("adapter.lora.alpha"));

  std::shared_ptr<Adapter> adapter(new Adapter);
  adapter->layers_.resize(blueprint.layers.size());
  std::size_t used = 0;
  std::string content = fmt::format("{}", alpha);
  for (std::size_t layer = 0; layer < blueprint.layers.size(); ++layer)
    for (std::size_t p = 0; p < std::size(kLinearParts); ++p) {
      const std::string name = fmt::format("blk.{}.{}.weight", layer, kLinearParts[p]);
      const GgufTensor* a = file.find_tensor(name + ".lora_a");
      const GgufTensor* b = file.find_tensor(name + ".lora_b");
      if (a == nullptr && b == nullptr) continue;
      if (a == nullptr || b == nullptr)
        return invalid("{}: {} has only one of lora_a and lora_b", place, name);
      const auto [rows, k] = shape_of(blueprint, layer, static_cast<LinearPart>(p));
      const auto rank = static_cast<std::size_t>(a->shape[1]);
      if (a->shape[0] != k || b->shape[0] != rank || b->shape[1] != rows || a->dimensions > 2 ||
          b->dimensions > 2 || rank > kMaxRank)
        return invalid("{}: {} is {}×{} and {}×{}; the model's is {}×{} (rank at most {})", place,
                       name, a->shape[0], a->shape[1], b->shape[0], b->shape[1], k, rows, kMaxRank);
      LATHE_TRY(const auto a_values, load_floats(file, *a));
      LATHE_TRY(auto b_values, load_floats(file, *b));
      content += fmt::format(
          " {} {} {}", name,
          sha256_hex({reinterpret_cast<const char*>(a_values.data()), a_values.size() * 4}),
          sha256_hex({reinterpret_cast<const char*>(b_values.data()), b_values.size() * 4}));
      const auto scale = static_cast<float>(alpha / static_cast<double>(rank));
      for (float& value : b_values) value *= scale;
      LowRank& low = adapter->layers_[layer][p];
      low = {rank, rows, k, panels_of(a_values, rank, k), panels_of(b_values, rows, rank)};
      adapter->bytes_ += (low.a_panels.size() + low.b_panels.size()) * sizeof(float);
      adapter->max_rank_ = std::max(adapter->max_rank_, rank);
      used += 2;
    }
  if (used == 0 || used != file.tensors().size())
    return invalid("{}: {} of its {} tensors have a place in this model", place, used,
                   file.tensors().size());
  adapter->id_ = std::stoull(sha256_hex(content).substr(0, 16), nullptr, 16) | 1;
  return adapter;
}

void add_low_rank(ThreadTeam& team, const KernelTable& kernels, const LowRank& part,
                  std::size_t tokens, const float* x, std::size_t x_stride, float* low, float* y,
                  std::size_t y_stride) {
  const Gemm down{.rows = tokens,
                  .columns = part.rank,
                  .k = part.k,
                  .a = x,
                  .a_row = x_stride,
                  .b = part.a_panels.data(),
                  .b_k = kTileColumns,
                  .b_panel = kTileColumns * part.k,
                  .c = low,
                  .c_row = part.rank};
  multiply(team, kernels.train, {&down, 1});
  const Gemm up{.rows = tokens,
                .columns = part.rows,
                .k = part.rank,
                .a = low,
                .a_row = part.rank,
                .b = part.b_panels.data(),
                .b_k = kTileColumns,
                .b_panel = kTileColumns * part.rank,
                .c = y,
                .c_row = y_stride,
                .add = true};
  multiply(team, kernels.train, {&up, 1});
}

}  // namespace lathe
