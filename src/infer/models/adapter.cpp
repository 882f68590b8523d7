// LoRA adapters from files.
#include "infer/models/adapter.h"

#include <algorithm>
#include <cstring>

#include "ground/base/hash.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxRank = 1024;

std::vector<float> panels_of(const std::vector<float>& values, std::size_t experts,
                             std::size_t rows, std::size_t k) {
  std::vector<float> panels(experts * LowRank::panel_floats(rows, k));
  for (std::size_t e = 0; e < experts; ++e)
    for (std::size_t r = 0; r < rows; r += kTileColumns)
      transpose_panel(values.data() + (e * rows + r) * k, k, std::min(kTileColumns, rows - r), k,
                      panels.data() + e * LowRank::panel_floats(rows, k) + r * k);
  return panels;
}

// Of B, whose rows are those of the file's tensor, those of the part of it that a slot has.
std::vector<float> rows_of_part(std::vector<float> b, const TensorSpec& spec, std::size_t rank) {
  if (!spec.is_part()) return b;
  std::vector<float> part;
  for (std::size_t e = 0; e < spec.experts; ++e) {
    const auto from = static_cast<std::ptrdiff_t>((e * spec.file_rows + spec.first_row) * rank);
    part.insert(part.end(), b.begin() + from,
                b.begin() + from + static_cast<std::ptrdiff_t>(spec.rows * rank));
  }
  return part;
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
    for (const TensorSpec& spec : tensors_of(blueprint, layer)) {
      if (!slot_info(spec.slot).adapts) continue;
      const std::string& name = spec.name;
      const std::size_t rows = spec.rows, k = spec.k, experts = spec.experts;
      const std::size_t file_rows = spec.is_part() ? spec.file_rows : rows;
      const GgufTensor* a = file.find_tensor(name + ".lora_a");
      const GgufTensor* b = file.find_tensor(name + ".lora_b");
      if (a == nullptr && b == nullptr) continue;
      if (a == nullptr || b == nullptr)
        return invalid("{}: {} has only one of lora_a and lora_b", place, name);
      const auto rank = static_cast<std::size_t>(a->shape[1]);
      const auto is = [&, n = std::uint64_t{experts}](const GgufTensor& t, std::uint64_t in,
                                                      std::uint64_t out) {
        return t.shape == std::array<std::uint64_t, 4>{in, out, n, 1};
      };
      if (!is(*a, k, rank) || !is(*b, rank, file_rows) || rank > kMaxRank)
        return invalid("{}: {} is {}×{}×{} and {}×{}×{}; the model's is {}×{}×{} (rank at most {})",
                       place, name, a->shape[0], a->shape[1], a->shape[2], b->shape[0], b->shape[1],
                       b->shape[2], k, file_rows, experts, kMaxRank);
      LATHE_TRY(const auto a_values, load_floats(file, *a));
      LATHE_TRY(auto b_values, load_floats(file, *b));
      content += fmt::format(
          " {} {} {}", name,
          sha256_hex({reinterpret_cast<const char*>(a_values.data()), a_values.size() * 4}),
          sha256_hex({reinterpret_cast<const char*>(b_values.data()), b_values.size() * 4}));
      b_values = rows_of_part(std::move(b_values), spec, rank);
      const auto scale = static_cast<float>(alpha / static_cast<double>(rank));
      for (float& value : b_values) value *= scale;
      LowRank& low = adapter->layers_[layer][spec.slot];
      low = {.rank = rank,
             .rows = rows,
             .k = k,
             .experts = experts,
             .a_panels = panels_of(a_values, experts, rank, k),
             .b_panels = panels_of(b_values, experts, rows, rank)};
      adapter->bytes_ += (low.a_panels.size() + low.b_panels.size()) * sizeof(float);
      adapter->max_rank_ = std::max(adapter->max_rank_, rank);
      if (spec.first_row == 0) used += 2;
    }
  if (used == 0 || used != file.tensors().size())
    return invalid("{}: {} of its {} tensors have a place in this model", place, used,
                   file.tensors().size());
  adapter->id_ = std::stoull(sha256_hex(content).substr(0, 16), nullptr, 16) | 1;
  return adapter;
}

}  // namespace lathe::infer
