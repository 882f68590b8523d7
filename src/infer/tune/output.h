// What training gives, as files: a model again with its new weights, an adapter (GGUF, and the
// tensors that Hugging Face's PEFT reads), and a model with an adapter merged into it. Every file
// appears whole or not at all.
#pragma once

#include "infer/formats/safetensors.h"
#include "infer/tune/tune_model.h"

namespace lathe::infer {

// `base` with every tensor that is a parameter of the fully trained model written anew, in the type
// it had.
Status write_trained_model(const Gguf& base, const TuneModel& model, const fs::path& out);

// The trained A and B of every adapted layer, as F32.
Status write_adapter(const TuneModel& model, double alpha, const fs::path& out);

// The same under PEFT's names, in the order that Hugging Face has rows and columns; without the
// layers that are no modules there (peft_names.h).
struct PeftTensor {
  std::string name;
  std::vector<std::uint64_t> shape;  // outermost first
  std::vector<float> values;
};
std::vector<PeftTensor> peft_tensors(const TuneModel& model);

// W + (α/r)·B·A for every layer that the adapter has, in float32, then as `types` say (one for each
// tensor of the base; empty: as they were). file_type: general.file_type of the result.
struct MergeOptions {
  std::vector<TensorType> types = {};
  std::optional<std::uint64_t> file_type = {};
};
Status merge_adapter(const Gguf& base, const Gguf& adapter, ThreadTeam& team,
                     const KernelTable& kernels, const MergeOptions& options, const fs::path& out);

}  // namespace lathe::infer
