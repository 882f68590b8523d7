// Loads weights into packed matrices.
#include "infer/cpu/model.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace lathe::infer {

namespace {

// A looked-up embedding, which no product reads, stays as the file has it.
bool is_looked_up(const TensorSpec& spec, const Blueprint& blueprint) {
  return spec.slot == Slot::kLayerEmbedding || (spec.slot == Slot::kEmbedding && !blueprint.tied);
}

// Whether a part of the model has it, or some of its rows.
bool is_held(const TensorSpec& spec, const Blueprint& blueprint, const ModelPart& part) {
  if (slot_info(spec.slot).in_layer) return part.layers.holds(spec.layer);
  const bool first = part.layers.first == 0 && part.rows.index == 0;
  const bool last = part.layers.end >= blueprint.layers.size();
  if (spec.slot == Slot::kEmbedding) return first || (last && blueprint.tied);
  return spec.vector || last;
}

// The rows of a matrix that a part has. What embeddings are looked up in on the first machine is
// there as a whole.
RowShare::Range rows_of(const TensorSpec& spec, const Blueprint& blueprint, const RowShare& share) {
  const bool looked_up = spec.slot == Slot::kEmbedding && share.index == 0;
  if (looked_up || !is_divided(spec, blueprint)) return {0, spec.rows};
  return share.of(spec.rows);
}

// The numbers that a matrix's products are multiplied by; empty: 1.
Result<std::vector<float>> load_scales(const Gguf& file, const BoundTensor& bound) {
  if (bound.scale == nullptr) return std::vector<float>();
  LATHE_TRY(std::vector<float> scales, load_floats(file, *bound.scale));
  for (const float each : scales)
    if (!std::isfinite(each))
      return invalid("{}: {} holds {}", file.path().string(), bound.scale->name, each);
  return scales;
}

}  // namespace

bool is_divided(const TensorSpec& spec, const Blueprint& blueprint) {
  if (spec.vector || spec.heads) return false;
  const SlotInfo& info = slot_info(spec.slot);
  if (info.in_layer) return !info.exact;
  return spec.slot == (blueprint.tied ? Slot::kEmbedding : Slot::kOutput);
}

RowShare::Range RowShare::of(std::size_t rows) const {
  const std::size_t panels = (rows + kPanelRows - 1) / kPanelRows;
  if (panels < parts) return {0, rows};
  const std::size_t first = panels * index / parts * kPanelRows;
  return {first, std::min(rows, panels * (index + 1) / parts * kPanelRows) - first};
}

LayerWeights& Model::weights_of(const TensorSpec& spec) {
  return slot_info(spec.slot).in_layer ? layers_[spec.layer] : outside_;
}

Status Model::check_rope_factors(const Gguf& file) const {
  for (const Slot slot : {Slot::kRopeFactors, Slot::kRopeFactorsLong, Slot::kRopeFactorsShort})
    for (const float factor : outside_.vector[slot])
      if (!(factor > 0))
        return invalid("{}: {} holds {}; every factor must be positive", file.path().string(),
                       tensor_name(slot), factor);
  return {};
}

Status Model::Table::load(const Gguf& file, const GgufTensor& tensor,
                          const std::function<void(std::uint64_t)>& progress,
                          const StopFlag* stop) {
  constexpr std::size_t kPiece = std::size_t{16} << 20;
  const auto size = static_cast<std::size_t>(tensor.bytes);
  LATHE_TRY(bytes, Pages::allocate(size));
  type = &tensor_type_info(tensor.type);
  k = static_cast<std::size_t>(tensor.shape[0]);
  for (std::size_t at = 0; at < size; at += kPiece) {
    if (stop != nullptr && stop->raised())
      return fail(ErrorKind::kCancelled, "stopped while loading");
    const std::size_t piece = std::min(kPiece, size - at);
    LATHE_TRY_STATUS(file.read(tensor, at, {bytes.data() + at, piece}));
    progress(at + piece);
  }
  return {};
}

void Model::Table::row(std::size_t r, float* out) const {
  type->decode(bytes.data() + r * (k / type->block * type->block_bytes), out, k);
}

Result<std::unique_ptr<Model>> Model::load(const Gguf& file, ThreadTeam& team,
                                           const LoadOptions& options) {
  LATHE_TRY(Blueprint blueprint, read_runnable_blueprint(file));
  return load(file, std::move(blueprint), team, options);
}

Result<std::unique_ptr<Model>> Model::load(const Gguf& file, Blueprint read, ThreadTeam& team,
                                           const LoadOptions& options) {
  std::unique_ptr<Model> model(new Model);
  model->blueprint_ = std::move(read);
  model->kernels_ = options.kernels;
  model->shares_ = options.shares;
  model->held_ = options.part;
  LATHE_CHECK(model->blueprint_.predicts == (options.shares != nullptr));
  const Blueprint& blueprint = model->blueprint_;
  model->layers_.resize(blueprint.layers.size());
  LATHE_TRY(const std::vector<BoundTensor> tensors, bind_tensors(file, blueprint));
  std::vector<MatrixLoad> loads;
  std::vector<std::pair<Table*, const GgufTensor*>> tables;
  for (const BoundTensor& bound : tensors) {
    if (!is_held(bound.spec, blueprint, options.part)) continue;
    LayerWeights& weights = model->weights_of(bound.spec);
    if (is_looked_up(bound.spec, blueprint)) {
      tables.emplace_back(
          bound.spec.slot == Slot::kEmbedding ? &model->embedding_ : &model->layer_embedding_,
          bound.tensor);
    } else if (bound.spec.vector) {
      std::vector<float>& vector = weights.vector[bound.spec.slot];
      LATHE_TRY(vector, load_floats(file, *bound.tensor));
      model->vector_bytes_ += vector.size() * sizeof(float);
    } else {
      LATHE_TRY(std::vector<float> scales, load_scales(file, bound));
      model->vector_bytes_ += scales.size() * sizeof(float);
      const auto [first, rows] = rows_of(bound.spec, blueprint, options.part.rows);
      const bool whole = rows == bound.spec.rows;
      loads.push_back({.tensor = bound.tensor,
                       .matrix = &weights.matrix[bound.spec.slot],
                       .scales = std::move(scales),
                       .first_row = bound.spec.first_row + first,
                       .rows = rows,
                       .part = whole ? RowPart{} : RowPart{first, bound.spec.rows}});
    }
  }
  LATHE_TRY_STATUS(model->check_rope_factors(file));

  std::uint64_t total = 0, before = 0;
  for (const auto& [table, tensor] : tables) total += tensor->bytes;
  for (const MatrixLoad& load : loads)
    total += load.tensor->bytes / load.tensor->shape[1] * load.rows;
  const auto told = [&](std::uint64_t done) {
    if (options.progress) options.progress(before + done, total);
  };
  for (const auto& [table, tensor] : tables) {
    LATHE_TRY_STATUS(table->load(file, *tensor, told, options.stop));
    before += tensor->bytes;
  }
  LATHE_TRY(model->arena_, load_matrices(file, loads, *options.kernels, team, told, options.stop));
  const PackedMatrix& output = model->output();
  const auto [first, rows] = options.part.rows.of(output.rows);
  if (!output.empty() && !output.is_part() && rows != output.rows)
    model->own_output_ = output.rows_of(first, rows);
  return model;
}

const std::vector<float>& Model::output_norm() const {
  if (blueprint_.own_output_norm) return layers_.front().vector[Slot::kPredictorNorm];
  if (shares_ != nullptr) return shares_->output_norm();
  return outside_.vector[infer::output_norm(blueprint_)];
}

void Model::embed(std::int32_t token, float* out) const {
  if (shares_ != nullptr) return shares_->embed(token, out);
  const auto row = static_cast<std::size_t>(token);
  LATHE_CHECK(token >= 0 && row < blueprint_.vocabulary);
  if (blueprint_.tied) return outside_.matrix[Slot::kEmbedding].row(row, out);
  embedding_.row(row, out);
}

void Model::embed_layers(std::int32_t token, float* out) const {
  const auto row = static_cast<std::size_t>(token);
  LATHE_CHECK(token >= 0 && row < blueprint_.vocabulary);
  layer_embedding_.row(row, out);
}

std::uint64_t Model::bytes_per_token() const {
  std::uint64_t sum = 0;
  for (const TensorSpec& spec : tensors_of(blueprint_)) {
    if (spec.vector || is_looked_up(spec, blueprint_)) continue;
    const LayerWeights& weights = slot_info(spec.slot).in_layer ? layers_[spec.layer] : outside_;
    const PackedMatrix& matrix = weights.matrix[spec.slot];
    const std::size_t used = spec.experts == 1 || spec.heads
                                 ? spec.experts
                                 : blueprint_.layers[spec.layer].ffn.experts_used;
    sum += used * std::uint64_t{matrix.panel_count()} * matrix.panel_bytes();
  }
  return sum;
}

std::uint64_t weight_bytes(const Gguf& file, const Blueprint& blueprint, const KernelTable& kernels,
                           const ModelPart& part) {
  std::uint64_t vectors = 0, embedding = 0, matrices = 0;
  std::set<std::string, std::less<>> counted;
  for (const TensorSpec& spec : tensors_of(blueprint)) {
    const GgufTensor* tensor = file.find_tensor(spec.name);
    if (tensor == nullptr) continue;
    counted.insert(spec.name);
    if (!is_held(spec, blueprint, part)) continue;
    if (is_looked_up(spec, blueprint))
      embedding += Pages::rounded(tensor->bytes);
    else if (spec.vector)
      vectors += tensor->elements() * sizeof(float);
    else
      matrices += packed_bytes(kernels, *tensor, rows_of(spec, blueprint, part.rows).count);
  }
  // Of a model that does not run yet, every tensor counts.
  const bool runs = blueprint.runs();
  for (const GgufTensor& tensor : file.tensors()) {
    if (counted.contains(tensor.name) || (runs && !tensor.name.ends_with(".scale"))) continue;
    if (tensor.shape[1] == 1)
      vectors += tensor.elements() * sizeof(float);
    else
      matrices += packed_bytes(kernels, tensor);
  }
  return vectors + embedding + Pages::rounded(matrices);
}

}  // namespace lathe::infer
