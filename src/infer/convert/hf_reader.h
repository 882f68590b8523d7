// Reads one config.json; what the readers of families (hf_families.cpp) are written with.
#pragma once

#include <optional>

#include "infer/convert/hf_family.h"
#include "infer/convert/json_object.h"
#include "infer/formats/safetensors.h"

namespace lathe::infer {

inline constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 24;     // of a row, of a vocabulary
inline constexpr std::uint64_t kMaxContext = std::uint64_t{1} << 31;  // tokens

class HfReader {
 public:
  HfReader(JsonObject json, const SafeTensors& model, HfConfig& config)
      : json_(std::move(json)), model_(model), config_(config) {}

  const JsonObject& json() const { return json_; }
  HfConfig& config() { return config_; }
  bool has_tensor(std::string_view name) const { return model_.find(name) != nullptr; }

  // What a member means that is not there. Before read_decoder().
  void absent_means(std::string_view key, const SortedJson& value);
  void replace(std::string_view key, const SortedJson& value);

  // Sets "<architecture>.<key>"; a second time instead of the first.
  void add(std::string_view key, GgufValue value);
  // The first of these names that is there; the last one where none is.
  std::string_view one_of(std::initializer_list<std::string_view> names) const;
  // The number at `from`, as `key`; absent: the fallback, or an error.
  Status number(std::string_view from, std::string_view key, double fallback);
  Status number(std::string_view from, std::string_view key);
  Result<std::uint64_t> count(std::string_view from, std::string_view key, std::uint64_t max,
                              std::optional<std::uint64_t> fallback = {});

  // What nearly all families say in the same words: sizes, heads, norms, RoPE with its scalings.
  Status read_decoder();
  // Experts: how many, how many of them for a token, how wide; all layers but the first, dense ones
  // have them.
  Status read_experts(std::size_t dense_layers = 0);
  // "layer_types": which layers are of this type. Absent: an empty list.
  Result<std::vector<bool>> layers_of(std::string_view type) const;
  // Windows: in all layers of each `period` but the last, which needs no saying, or those of
  // "layer_types".
  Status read_windows(std::size_t period);
  // Layers behind the others that predict tokens further on.
  void add_predictors(std::size_t count, LayerParts parts);
  // Only this value can be kept: any other one is refused.
  Status must_be(std::string_view key, const SortedJson& value, bool or_absent = true) const;

 private:
  Status read_sizes();
  Status read_rope();
  Status read_yarn(const JsonObject& rope, double factor);
  Status read_llama3(const JsonObject& rope, double base, double factor);
  Status refuse_what_is_different();

  JsonObject json_;
  const SafeTensors& model_;
  HfConfig& config_;
};

}  // namespace lathe::infer
