// What guesses for a model of the pool: a small model's file, or the layer of the model's own file
// that predicts. Read with the model's front, loaded with its weights. Any thread may read it.
#pragma once

#include "infer/cpu/cpu_executor.h"
#include "infer/engine/draft_model.h"

namespace lathe::serve {

class DraftSource {
 public:
  static constexpr std::string_view kOwn = "mtp";

  // `draft`: kOwn, or a GGUF file. Errors name the file.
  static Result<std::unique_ptr<DraftSource>> read(const std::string& draft,
                                                   const infer::Gguf& file,
                                                   const infer::Blueprint& model,
                                                   const infer::Tokenizer& tokenizer,
                                                   std::size_t context);

  // Whether the model's executor must keep hidden states for it.
  bool reads_hidden() const { return blueprint_.predicts; }
  // What it takes beside the model: of memory as much as one sequence of the whole context needs.
  Result<infer::ExecutorSizes> sizes(const infer::Processor& processor) const;
  std::uint64_t memory(const infer::KernelTable& kernels) const;

  // Its weights; `model`: those that it guesses for.
  Result<std::unique_ptr<infer::Model>> load(const infer::Model& model, infer::ThreadTeam& team,
                                             infer::LoadOptions options) const;
  // `weights` must outlive it.
  Result<std::unique_ptr<infer::DraftModel>> open(const infer::Model& weights,
                                                  infer::ThreadTeam& team) const;

 private:
  DraftSource() = default;
  infer::ExecutorOptions options() const;
  const infer::Gguf& file() const { return own_file_ ? *own_file_ : *file_; }

  std::unique_ptr<infer::Gguf> own_file_;  // null: the model's
  const infer::Gguf* file_ = nullptr;
  infer::Blueprint blueprint_;
  infer::VocabularyMap map_;
  std::size_t context_ = 0;
};

}  // namespace lathe::serve
