// Hugging Face's tensor names and shapes to GGUF's.
#include "infer/convert/hf_tensors.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "ground/base/text.h"
#include "infer/convert/hf_family.h"

namespace lathe::infer {
namespace {

// What all names of a decoder begin with, and what models with eyes and ears have beside it.
constexpr std::string_view kRoots[] = {"model.", "model.language_model.", "language_model.model.",
                                       "backbone."};
constexpr std::string_view kSenses[] = {"vision_model.",
                                        "model.vision_embedder.",
                                        "model.embed_vision.",
                                        "model.audio_tower.",
                                        "model.embed_audio.",
                                        "model.visual.",
                                        "visual.",
                                        "vision_tower.",
                                        "model.vision_tower.",
                                        "multi_modal_projector.",
                                        "audio_tower.",
                                        "model.multi_modal_projector."};

std::string shape_text(const SafeTensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.shape, ", "));
}

// Experts, rows, columns: dimensions of 1 are left out, missing ones are 1.
struct Shape {
  std::uint64_t experts = 1, rows = 1, columns = 1;
};
std::optional<Shape> shape_of(const SafeTensor& tensor) {
  std::vector<std::uint64_t> sizes;
  std::ranges::copy_if(tensor.shape, std::back_inserter(sizes),
                       [](std::uint64_t size) { return size != 1; });
  if (sizes.size() > 3 || tensor.bytes == 0) return {};
  Shape shape;
  if (!sizes.empty()) shape.columns = sizes.back();
  if (sizes.size() > 1) shape.rows = sizes[sizes.size() - 2];
  if (sizes.size() > 2) shape.experts = sizes.front();
  return shape;
}

bool is_of_experts(Slot slot) {
  switch (slot) {
    case Slot::kGate:
    case Slot::kGateBias:
    case Slot::kUp:
    case Slot::kUpBias:
    case Slot::kDown:
    case Slot::kDownBias:
      return true;
    default:
      return false;
  }
}

class Mapper {
 public:
  Mapper(const SafeTensors& model, HfConfig& config, std::optional<TensorType> type)
      : model_(model), config_(config), family_(*config.family), type_(type) {}

  Result<std::vector<TensorSource>> map() {
    LATHE_TRY_STATUS(find_root());
    LATHE_TRY_STATUS(add_model(true));
    for (std::size_t layer = 0; layer < config_.parts.size(); ++layer)
      LATHE_TRY_STATUS(add_layer(layer));
    LATHE_TRY_STATUS(add_model(false));
    if (config_.tied) {
      used_.insert("lm_head.weight");  // a copy of the embedding, where it is there at all
    } else {
      const char* nested = "language_model.lm_head.weight";
      const std::string name = model_.find(nested) != nullptr ? nested : "lm_head.weight";
      LATHE_TRY_STATUS(add({Slot::kOutput, name}, std::span(&name, 1), 0, false));
    }
    LATHE_TRY_STATUS(leave_out());
    return std::move(sources_);
  }

 private:
  Status find_root() {
    const std::string embedding(family_.model.front().name);
    for (const std::string_view root : kRoots)
      if (model_.find(std::string(root) + embedding) != nullptr) root_ = root;
    const SafeTensor* found = model_.find(root_ + embedding);
    if (found == nullptr) return invalid("tensor '{}{}' is missing", root_, embedding);
    if (found->shape.size() != 2 || found->shape[0] != config_.vocabulary ||
        found->shape[1] != config_.embedding)
      return invalid("tensor '{}' has the shape {}; config.json says {} tokens of {}", found->name,
                     shape_text(*found), config_.vocabulary, config_.embedding);
    return {};
  }

  // The embedding, or what stands behind the layers.
  Status add_model(bool embedding) {
    for (const HfTensor& tensor : family_.model) {
      if ((tensor.slot == Slot::kEmbedding) != embedding) continue;
      const std::string name = root_ + std::string(tensor.name);
      if (tensor.optional && model_.find(name) == nullptr) continue;
      LATHE_TRY_STATUS(add(tensor, std::span(&name, 1), 0, false));
    }
    return {};
  }

  Status add_layer(std::size_t layer) {
    const LayerParts parts = config_.parts[layer];
    std::string from = fmt::format("{}layers.{}.", root_, layer);
    if ((parts & kPredicts) != 0 && !family_.predictor.empty())
      from = fmt::format(fmt::runtime(family_.predictor), layer - config_.layers);
    for (const auto& names : {family_.mixer, family_.own, family_.ffn})
      for (const HfTensor& tensor : names)
        if ((tensor.parts & parts) != 0) LATHE_TRY_STATUS(add_named(from, tensor, layer));
    if ((parts & kPredicts) != 0)
      for (const std::string_view copy : family_.copies) used_.insert(from + std::string(copy));
    return {};
  }

  Status add_named(const std::string& from, const HfTensor& tensor, std::size_t layer) {
    const bool absolute = tensor.name.starts_with('/');
    const std::string name =
        absolute ? std::string(tensor.name.substr(1)) : from + std::string(tensor.name);
    const bool mixture = (config_.parts[layer] & kExperts) != 0 && is_of_experts(tensor.slot);
    if (name.find("{}") == name.npos) {
      if (config_.mxfp4 && model_.find(name + "_blocks") != nullptr)
        return add_mxfp4(tensor, name, layer);
      if (tensor.optional && model_.find(name) == nullptr) return {};
      return add(tensor, std::span(&name, 1), layer, mixture);
    }
    std::vector<std::string> experts;
    for (std::size_t e = 0; e < config_.experts; ++e)
      experts.push_back(fmt::format(fmt::runtime(name), e));
    return add(tensor, experts, layer, mixture);
  }

  Status add(const HfTensor& tensor, std::span<const std::string> from, std::size_t layer,
             bool mixture) {
    TensorSource source;
    source.name = tensor.as.empty() ? tensor_name(tensor.slot, layer, mixture)
                                    : fmt::format("blk.{}.{}", layer, tensor.as);
    for (const std::string& name : from) {
      const SafeTensor* part = model_.find(name);
      if (!part) return invalid("tensor '{}' is missing", name);
      if (!source.parts.empty() &&
          (part->shape != source.parts[0]->shape || part->dtype != source.parts[0]->dtype))
        return invalid("tensor '{}' is {} {}, but '{}' is {} {}", name, part->dtype,
                       shape_text(*part), from[0], source.parts[0]->dtype,
                       shape_text(*source.parts[0]));
      used_.insert(name);
      source.parts.push_back(part);
    }
    const SafeTensor& first = *source.parts[0];
    const TensorTypeInfo* dtype = hf_dtype(first.dtype);
    if (!dtype)
      return invalid("tensor '{}' is {}; Lathe imports F32, F16 and BF16", first.name, first.dtype);
    const auto shape = shape_of(first);
    if (!shape)
      return invalid(
          "tensor '{}' has the shape {}; vectors, matrices and experts of one are possible",
          first.name, shape_text(first));
    source.type = slot_info(tensor.slot).exact ? TensorType::kF32 : type_.value_or(dtype->type);
    if (!take(tensor, *shape, source))
      return invalid("tensor '{}' has the shape {}, which config.json's sizes do not make: {}",
                     first.name, shape_text(first), expected(tensor));
    if (source.shape.empty()) {
      source.shape = {source.row};
      const std::uint64_t rows = source.rows / shape->experts;
      if (rows > 1 || shape->experts > 1) source.shape.push_back(rows);
      if (shape->experts > 1) source.shape.push_back(shape->experts);
    }
    if (from.size() > 1) {
      source.shape.resize(2, 1);
      source.shape.push_back(from.size());
    }
    sources_.push_back(std::move(source));
    return {};
  }

  // How its rows are made. false: the sizes do not fit.
  bool take(const HfTensor& tensor, const Shape& shape, TensorSource& source) const {
    using Change = TensorSource::Change;
    source.row = source.stored_row = shape.columns;
    source.rows = shape.experts * shape.rows;
    const std::uint64_t columns = shape.columns;
    const bool vector = shape.rows == 1 && shape.experts == 1;
    const std::uint64_t state = config_.state;
    switch (tensor.take) {
      case Take::kAll:
        if (family_.pairs) return take_pairs(tensor.slot, shape, source);
        return true;
      case Take::kPlusOne:
        source.change = Change::kPlusOne;
        return true;
      case Take::kNegativeExp:
        source.change = Change::kNegativeExp;
        return true;
      case Take::kNegativeExpColumn:
      case Take::kColumn:
        if (tensor.take == Take::kNegativeExpColumn) source.change = Change::kNegativeExp;
        source.shape = {1, columns};
        return vector;
      case Take::kPlanes:
        source.shape = {columns, 1, shape.rows};
        return shape.experts == 1;
      case Take::kGroups:
        if (!vector || config_.groups == 0 || columns % config_.groups != 0) return false;
        source.shape = {columns / config_.groups, config_.groups};
        return true;
      case Take::kFirstHalf:
      case Take::kSecondHalf:
        return take_half(shape, tensor.take == Take::kSecondHalf, source);
      case Take::kEvenColumns:
        return take_columns(shape, 0, 2, columns / 2, source);
      case Take::kOddColumns:
        return take_columns(shape, 1, 2, columns / 2, source);
      case Take::kColumns:
        return take_columns(shape, 0, 1, columns, source);
      case Take::kFirstColumns:
        return columns % 2 == 0 && take_columns(shape, 0, 1, columns / 2, source);
      case Take::kSecondColumns:
        return columns % 2 == 0 && take_columns(shape, columns / 2, 1, columns / 2, source);
      case Take::kEvenNumbers:
      case Take::kOddNumbers: {
        if (columns % 2 != 0) return false;
        source.row = columns / 2;
        for (std::uint64_t i = 0; i < columns / 2; ++i)
          source.columns.push_back(2 * i + (tensor.take == Take::kOddNumbers ? 1 : 0));
        return true;
      }
      case Take::kKeyOfLatent:
      case Take::kValueOfLatent:
        return take_of_latent(shape, tensor.take == Take::kKeyOfLatent, source);
      case Take::kMixedOfHeads:
      case Take::kGatesOfHeads:
        return take_of_heads(shape, tensor.take == Take::kGatesOfHeads, source);
      case Take::kNegativeExpValueHeads:
        source.change = Change::kNegativeExp;
        return take_value_heads(shape, 0, 1, source);
      case Take::kValueHeads:
        return take_value_heads(shape, 0, shape.rows == config_.value_heads || vector ? 1 : state,
                                source);
      case Take::kMixedValueHeads:
        return take_value_heads(shape, 2 * config_.key_heads * state, state, source);
      case Take::kValueHeadColumns: {
        if (columns != config_.value_heads * state) return false;
        for (std::uint64_t i = 0; i < columns; ++i)
          source.columns.push_back(tiled_head(i / state) * state + i % state);
        return true;
      }
    }
    return false;
  }

  // Llama's q and k: of each head, row 2i + t is the stored one t·(dimensions / 2) + i.
  bool take_pairs(Slot slot, const Shape& shape, TensorSource& source) const {
    const bool q = slot == Slot::kQ || slot == Slot::kQBias;
    if (!q && slot != Slot::kK && slot != Slot::kKBias) return true;
    const bool vector = slot == Slot::kQBias || slot == Slot::kKBias;
    const std::uint64_t head = config_.head_dim;
    const std::uint64_t rows = vector ? shape.columns : shape.rows;
    if (rows != (q ? config_.heads : config_.kv_heads) * head || shape.experts != 1) return false;
    const auto stored = [head](std::uint64_t row) {
      return row - row % head + row % 2 * (head / 2) + row % head / 2;
    };
    if (vector) {
      for (std::uint64_t i = 0; i < rows; ++i) source.columns.push_back(stored(i));
    } else {
      source.first = [stored, k = shape.columns](std::uint64_t r) { return stored(r) * k; };
    }
    return true;
  }

  static bool take_half(const Shape& shape, bool second, TensorSource& source) {
    if (shape.rows % 2 != 0) return false;
    const std::uint64_t half = shape.rows / 2, k = shape.columns;
    source.rows = shape.experts * half;
    source.first = [=](std::uint64_t r) {
      return (r / half * 2 * half + r % half + second * half) * k;
    };
    return true;
  }

  // So many columns as rows, every `step`th from `from` on.
  static bool take_columns(const Shape& shape, std::uint64_t from, std::uint64_t step,
                           std::uint64_t rows, TensorSource& source) {
    if (shape.columns % step != 0 || rows == 0) return false;
    const std::uint64_t k = shape.rows, stride = shape.columns;
    source.row = k;
    source.rows = shape.experts * rows;
    source.stride = stride;
    source.matrix = rows;
    source.first = [=](std::uint64_t r) { return r / rows * k * stride + r % rows * step + from; };
    return true;
  }

  bool take_of_latent(const Shape& shape, bool keys, TensorSource& source) const {
    const std::uint64_t head = config_.plain + config_.value_dim, latent = shape.columns;
    if (shape.experts != 1 || shape.rows != config_.heads * head) return false;
    const std::uint64_t plain = config_.plain, values = config_.value_dim;
    if (keys) {
      source.row = plain;
      source.rows = config_.heads * latent;
      source.stride = latent;
      source.matrix = latent;
      source.first = [=](std::uint64_t r) { return r / latent * head * latent + r % latent; };
      source.shape = {plain, latent, config_.heads};
    } else {
      source.rows = config_.heads * values;
      source.first = [=](std::uint64_t r) {
        return (r / values * head + plain + r % values) * latent;
      };
      source.shape = {latent, values, config_.heads};
    }
    return true;
  }

  // Stored for each key head: its q, its k, its value heads, their gates.
  bool take_of_heads(const Shape& shape, bool gates, TensorSource& source) const {
    const std::uint64_t size = config_.state, heads = config_.key_heads, k = shape.columns;
    const std::uint64_t values = config_.value_heads / heads * size;
    const std::uint64_t stored = 2 * size + 2 * values;
    if (shape.experts != 1 || shape.rows != heads * stored) return false;
    if (gates) {
      source.rows = heads * values;
      source.first = [=](std::uint64_t r) {
        return (r / values * stored + 2 * size + values + r % values) * k;
      };
      return true;
    }
    source.rows = heads * (2 * size + values);
    source.first = [=](std::uint64_t r) {
      const std::uint64_t q = heads * size;
      if (r < q) return (r / size * stored + r % size) * k;
      if (r < 2 * q) return ((r - q) / size * stored + size + (r - q) % size) * k;
      const std::uint64_t v = r - 2 * q;
      return (v / values * stored + 2 * size + v % values) * k;
    };
    return true;
  }

  // GGUF has the first value head of every key head first, then all the second ones.
  std::uint64_t tiled_head(std::uint64_t head) const {
    return head % config_.key_heads * (config_.value_heads / config_.key_heads) +
           head / config_.key_heads;
  }

  // `size` rows a value head, behind `before` that stay.
  bool take_value_heads(const Shape& shape, std::uint64_t before, std::uint64_t size,
                        TensorSource& source) const {
    const bool vector = shape.rows == 1;
    const std::uint64_t rows = vector ? shape.columns : shape.rows;
    if (shape.experts != 1 || rows != before + config_.value_heads * size) return false;
    const auto stored = [this, before, size](std::uint64_t row) {
      if (row < before) return row;
      const std::uint64_t value = row - before;
      return before + tiled_head(value / size) * size + value % size;
    };
    if (vector) {
      for (std::uint64_t i = 0; i < rows; ++i) source.columns.push_back(stored(i));
    } else {
      std::vector<std::uint64_t> places(rows);
      for (std::uint64_t i = 0; i < rows; ++i) places[i] = stored(i) * shape.columns;
      source.first = [places = std::move(places)](std::uint64_t r) { return places[r]; };
    }
    return true;
  }

  std::string expected(const HfTensor& tensor) const {
    switch (tensor.slot) {
      case Slot::kQ:
      case Slot::kQBias:
        return fmt::format("{} heads of {} need {} rows", config_.heads, config_.head_dim,
                           config_.heads * config_.head_dim);
      case Slot::kK:
      case Slot::kKBias:
        return fmt::format("{} heads of {} need {} rows", config_.kv_heads, config_.head_dim,
                           config_.kv_heads * config_.head_dim);
      default:
        return fmt::format("of a {} model", config_.architecture);
    }
  }

  // Blocks (experts, rows, blocks a row, 16 bytes) and scales (experts, rows, blocks a row).
  Status add_mxfp4(const HfTensor& tensor, const std::string& name, std::size_t layer) {
    const SafeTensor* blocks = model_.find(name + "_blocks");
    const SafeTensor* scales = model_.find(name + "_scales");
    if (scales == nullptr) return invalid("tensor '{}_scales' is missing", name);
    const auto& shape = blocks->shape;
    if (blocks->dtype != "U8" || scales->dtype != "U8" || shape.size() != 4 || shape[3] != 16 ||
        !std::ranges::equal(scales->shape, std::span(shape).first(3)))
      return invalid("tensors '{}' {} {} and '{}' {} {} are not the blocks and scales of MXFP4",
                     blocks->name, blocks->dtype, shape_text(*blocks), scales->name, scales->dtype,
                     shape_text(*scales));
    const std::uint64_t step = tensor.take == Take::kColumns ? 1 : 2;
    const std::uint64_t from = tensor.take == Take::kOddColumns ? 1 : 0;
    if (shape[1] % step != 0)
      return invalid("tensor '{}' has the shape {}; gate and up alternate in its rows",
                     blocks->name, shape_text(*blocks));
    used_.insert(blocks->name);
    used_.insert(scales->name);
    TensorSource source;
    source.name = tensor_name(tensor.slot, layer, true);
    source.type = TensorType::kMXFP4;
    source.parts = {blocks, scales};
    source.row = shape[2];  // blocks
    source.rows = shape[0] * shape[1] / step;
    source.first = [=, k = shape[2]](std::uint64_t r) { return (r * step + from) * k; };
    source.shape = {shape[2] * 32, shape[1] / step, shape[0]};
    source.mxfp4 = true;
    sources_.push_back(std::move(source));
    return {};
  }

  // What has no place is an error, but for what sees and hears, and for what is computed.
  Status leave_out() {
    std::size_t senses = 0, predicting = 0;
    for (const SafeTensor& tensor : model_.tensors()) {
      // Old checkpoints keep what is computed from the base.
      if (used_.contains(tensor.name) || tensor.name.ends_with("rotary_emb.inv_freq")) continue;
      const auto begins = [&tensor](std::string_view prefix) {
        return tensor.name.starts_with(prefix);
      };
      if (std::ranges::any_of(kSenses, begins)) {
        ++senses;
      } else if (is_behind_layers(tensor.name) || begins("mtp.") || begins("model.mtp_")) {
        ++predicting;
      } else {
        return invalid("tensor '{}' has no place in a {} model", shown(tensor.name),
                       config_.architecture);
      }
    }
    if (senses != 0)
      config_.warnings.push_back(
          fmt::format("{} tensors of what sees or hears are left out", senses));
    if (predicting != 0)
      config_.warnings.push_back(
          fmt::format("{} tensors of layers that predict tokens are left out", predicting));
    return {};
  }

  bool is_behind_layers(std::string_view name) const {
    const std::string prefix = root_ + "layers.";
    if (!name.starts_with(prefix)) return false;
    const std::string_view rest = name.substr(prefix.size());
    std::size_t layer = 0;
    return std::from_chars(rest.begin(), rest.end(), layer).ec == std::errc() &&
           layer >= config_.parts.size();
  }

  const SafeTensors& model_;
  HfConfig& config_;
  const HfFamily& family_;
  std::optional<TensorType> type_;
  std::string root_ = "model.";
  std::vector<TensorSource> sources_;
  std::set<std::string, std::less<>> used_;
};

}  // namespace

const TensorTypeInfo* hf_dtype(std::string_view dtype) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16})
    if (tensor_type_info(type).name == dtype) return &tensor_type_info(type);
  return nullptr;
}

Result<std::vector<TensorSource>> map_hf_tensors(const SafeTensors& model, HfConfig& config,
                                                 std::optional<TensorType> type) {
  return Mapper(model, config, type).map();
}

}  // namespace lathe::infer
