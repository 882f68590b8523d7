// Opens what guesses for a model.
#include "serve/pool/draft_source.h"

#include "infer/models/vocabulary.h"

namespace lathe::serve {
namespace {

// Of one step: prompts are read in such pieces beside the model's own.
constexpr std::size_t kStepTokens = 256, kStreams = 32;

}  // namespace

Result<std::unique_ptr<DraftSource>> DraftSource::read(const std::string& draft,
                                                       const infer::Gguf& file,
                                                       const infer::Blueprint& model,
                                                       const infer::Tokenizer& tokenizer,
                                                       std::size_t context) {
  std::unique_ptr<DraftSource> source(new DraftSource());
  source->file_ = &file;
  source->context_ = context;
  if (draft == kOwn) {
    LATHE_TRY(auto predictor, infer::read_predictor(file, model));
    if (!predictor)
      return invalid(
          "{}: draft is '{}', and the file has no layer that predicts; name a small "
          "model's file instead",
          file.path().string(), kOwn);
    source->blueprint_ = std::move(*predictor);
    return source;
  }
  LATHE_TRY(infer::Gguf own, infer::Gguf::open(draft));
  source->own_file_ = std::make_unique<infer::Gguf>(std::move(own));
  LATHE_TRY(source->blueprint_, infer::read_runnable_blueprint(*source->own_file_));
  LATHE_TRY_STATUS(infer::check_generates(source->blueprint_));
  LATHE_TRY(infer::VocabularySpec vocabulary, infer::read_vocabulary(*source->own_file_));
  LATHE_TRY(const auto words, infer::Tokenizer::make(std::move(vocabulary)));
  auto map = infer::VocabularyMap::make(tokenizer, *words);
  if (!map) return invalid("{}: {}", draft, map.error().message);
  source->map_ = std::move(*map);
  return source;
}

infer::ExecutorOptions DraftSource::options() const {
  return {.step_tokens = kStepTokens,
          .most_outputs = kStreams,
          .context = context_,
          .keep_hidden = blueprint_.predicts};
}

Result<infer::ExecutorSizes> DraftSource::sizes(const infer::Processor& processor) const {
  return infer::cpu_sizes(file(), blueprint_, processor, options(), context_);
}

std::uint64_t DraftSource::memory(const infer::KernelTable& kernels) const {
  const infer::Claim claim{.positions = context_,
                           .candidates = 2,  // what is known, and what goes ahead of it
                           .prompt_step = kStepTokens,
                           .answer_step = infer::DraftModel::kMostGuesses};
  const infer::MemoryLayout layout = infer::cpu_layout(blueprint_, kernels, options().kv);
  const infer::StateBytes most = infer::worst_case(layout, claim);
  const infer::StateBytes one = infer::worst_case(layout, {.positions = context_});
  // Of what keeps all positions the two share all but the last block.
  return one.kv + 2 * layout.block_bytes() + most.window + most.recurrent;
}

Result<std::unique_ptr<infer::Model>> DraftSource::load(const infer::Model& model,
                                                        infer::ThreadTeam& team,
                                                        infer::LoadOptions options) const {
  options.shares = blueprint_.predicts ? &model : nullptr;
  return infer::Model::load(file(), blueprint_, team, options);
}

Result<std::unique_ptr<infer::DraftModel>> DraftSource::open(const infer::Model& weights,
                                                             infer::ThreadTeam& team) const {
  LATHE_TRY(auto executor, infer::CpuExecutor::create(weights, team, options()));
  return infer::DraftModel::create(std::move(executor), memory(weights.kernels()), map_);
}

}  // namespace lathe::serve
