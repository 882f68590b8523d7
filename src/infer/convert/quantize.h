// Writing a model again with other element types. What stays as it is: metadata (but for the file
// type), one-dimensional tensors, norms, routers, convolutions. The rest takes the target's type;
// mixes, and all types of three bits and less, give the tensors that errors hurt most a better one.
// Rules of the caller come before all that. A tensor whose rows don't fit a type's blocks takes the
// next larger type that they fit.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "ground/schema/regex.h"
#include "infer/convert/importance.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {

struct QuantizeTarget {
  std::string_view name;
  TensorType type;
  std::uint64_t file_type;  // general.file_type
  bool mix;                 // "_M": Q6_K for part of attn_v and ffn_down
};
std::span<const QuantizeTarget> quantize_targets();
// Any case. The error names the targets there are.
Result<const QuantizeTarget*> find_quantize_target(std::string_view name);

// Tensors whose name the pattern is found in take this type; the first rule that fits counts.
struct TypeRule {
  std::string text;  // "ffn_down=Q6_K"
  Regex pattern;
  TensorType type;
};
// "REGEX=TYPE", of any case.
Result<TypeRule> parse_type_rule(std::string_view text);

// The type that each tensor of `model` takes, in order. `importance`: there is an importance
// matrix. Pure. An error: a rule's pattern is too much work.
Result<std::vector<TensorType>> plan_types(const Gguf& model, const QuantizeTarget& target,
                                           std::span<const TypeRule> rules = {},
                                           bool importance = false);
// Whether weights of this type are worth nothing without importance.
bool needs_importance(TensorType type);

struct QuantizeProgress {
  std::size_t tensor, tensors;      // done, of
  std::uint64_t bytes_done, bytes;  // of the input
};

struct QuantizeOptions {
  std::size_t threads = 1;
  std::function<void(const QuantizeProgress&)> progress{};  // may be empty; on the caller's thread
  const StopFlag* stop = nullptr;
  std::vector<TypeRule> rules{};
  const ImportanceMatrix* importance = nullptr;
};

struct QuantizeReport {
  std::uint64_t bytes_before = 0, bytes_after = 0;
  std::vector<std::string> warnings;
};

// `out` appears whole or not at all. It may be `in`.
Result<QuantizeReport> quantize_model(const fs::path& in, const fs::path& out,
                                      const QuantizeTarget& target, const QuantizeOptions& options);

}  // namespace lathe::infer
