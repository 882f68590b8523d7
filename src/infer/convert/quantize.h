// Writing a model again with other element types. What stays as it is: metadata (but for the file
// type), one-dimensional tensors, norms, routers, convolutions. The rest takes the target's type;
// mixes give the tensors that errors hurt most a better one. A tensor whose rows don't fit a type's
// blocks takes the next larger type that they fit.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"
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

// The type that each tensor of `model` takes, in order. Pure.
std::vector<TensorType> plan_types(const Gguf& model, const QuantizeTarget& target);

struct QuantizeProgress {
  std::size_t tensor, tensors;      // done, of
  std::uint64_t bytes_done, bytes;  // of the input
};

struct QuantizeOptions {
  std::size_t threads = 1;
  std::function<void(const QuantizeProgress&)> progress{};  // may be empty; on the caller's thread
  const StopFlag* stop = nullptr;
};

struct QuantizeReport {
  std::uint64_t bytes_before = 0, bytes_after = 0;
  std::vector<std::string> warnings;
};

// `out` appears whole or not at all. It may be `in`.
Result<QuantizeReport> quantize_model(const fs::path& in, const fs::path& out,
                                      const QuantizeTarget& target, const QuantizeOptions& options);

}  // namespace lathe::infer
