// Opens a model for a command: file, tokenizer, weights, adapter, engine.
#include "app/cli/local_model.h"

#include <charconv>

#include "app/cli/devices.h"
#include "app/cli/model_library.h"
#include "app/cli/work_progress.h"
#include "ground/base/text.h"
#include "ground/sys/machine.h"
#include "infer/models/vocabulary.h"
#include "serve/pool/draft_source.h"

namespace lathe::app {
namespace {

// As much of the model's context as half of the memory that is left can hold, in whole chunks.
std::size_t affordable_context(const infer::Blueprint& blueprint,
                               const infer::MemoryLayout& layout) {
  const std::uint64_t left = read_machine().memory_left().value_or(std::uint64_t{4} << 30);
  return std::min(blueprint.context,
                  std::max(infer::kChunk, infer::positions_within(layout, {}, left / 2)));
}

// Loads what guesses, and measures when that pays.
Status use_draft(const serve::DraftSource& draft, const infer::KernelTable* kernels,
                 LocalModel& local) {
  LATHE_TRY(local.draft,
            draft.load(*local.model, *local.team, {.kernels = kernels, .progress = {}}));
  LATHE_TRY(auto guesser, draft.open(*local.draft, *local.team));
  LATHE_TRY(const double seconds, guesser->measure());
  local.engine->use_draft_model(std::move(guesser), seconds);
  LATHE_TRY(std::vector<double> steps, local.engine->measure_steps());
  local.engine->use_step_seconds(std::move(steps));
  return {};
}

}  // namespace

Result<const infer::KernelTable*> choose_kernels(const std::string& name) {
  if (name.empty()) return &infer::best_kernel_table();
  if (const infer::KernelTable* table = infer::find_kernel_table(name)) return table;
  std::vector<std::string> known;
  for (const infer::KernelTable* table : infer::kernel_tables()) known.emplace_back(table->name);
  return invalid("--kernels is '{}'; this processor runs {}", name, join(known, ", "));
}

Result<infer::KvType> parse_kv(std::string_view name) {
  if (const auto type = infer::find_kv_type(name)) return *type;
  return invalid("--kv is '{}'; it may be f16, q8_0, q5_1, q4_0 or f32", name);
}

void add_model_flags(CLI::App& command, const std::shared_ptr<ModelFlags>& flags) {
  command
      .add_option("model", flags->path,
                  "A GGUF file (of a split one the first part), or a name of `lathe models`")
      ->required();
  command.add_option("--threads", flags->threads, "Threads that compute (default: one a core)");
  command.add_option("--ctx", flags->context,
                     "Tokens of context (default: the model's, as far as memory allows)");
  command.add_option("--kv", flags->kv, "Type of the KV cache: f16, q8_0, q5_1, q4_0 or f32")
      ->capture_default_str();
  command.add_option("--kernels", flags->kernels, "Instruction set (default: the best one)");
  command.add_option("--device", flags->device, kDeviceHelp)->capture_default_str();
}

void add_draft_flag(CLI::App& command, const std::shared_ptr<ModelFlags>& flags) {
  command.add_option(
      "--draft", flags->draft,
      "What guesses at the answer, for speed: \"mtp\", the model's own layer for it, "
      "or a small model's GGUF file");
}

void add_adapter_flag(CLI::App& command, const std::shared_ptr<ModelFlags>& flags) {
  command.add_option("--adapter", flags->adapter, "A LoRA adapter of this model, a GGUF file");
}

Status check_model(const App& app, const ModelFlags& flags) {
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(model_path(app, flags.path)));
  if (auto blueprint = infer::read_runnable_blueprint(file); !blueprint)
    return std::unexpected(blueprint.error());
  return {};
}

Result<LocalModel> open_model(const App& app, const ModelFlags& flags,
                              const std::function<void(infer::EngineOptions&)>& adjust) {
  LATHE_TRY(const infer::KvType kv, parse_kv(flags.kv));
  LATHE_TRY(const infer::KernelTable* kernels, choose_kernels(flags.kernels));
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  LocalModel local;
  LATHE_TRY(local.accelerator, choose_device(app, flags.device, *kernels));
  LATHE_TRY(infer::Gguf file, infer::Gguf::open(model_path(app, flags.path)));
  local.file = std::make_unique<infer::Gguf>(std::move(file));
  // First: of a model that cannot run, nothing else is worth an error.
  if (auto blueprint = infer::read_runnable_blueprint(*local.file); !blueprint)
    return std::unexpected(blueprint.error());
  LATHE_TRY(infer::VocabularySpec vocabulary, infer::read_vocabulary(*local.file));
  LATHE_TRY(local.tokenizer, infer::Tokenizer::make(std::move(vocabulary)));
  LATHE_TRY(local.chat_template, local.file->text_or("tokenizer.chat_template", ""));
  local.team = std::make_unique<infer::ThreadTeam>(threads);

  const auto start = std::chrono::steady_clock::now();
  Result<std::unique_ptr<infer::Model>> model;
  {
    WorkProgress progress(app, "loading " + local.file->path().filename().string());
    model = infer::Model::load(
        *local.file, *local.team,
        {.kernels = kernels,
         .progress = [&](std::uint64_t done, std::uint64_t total) { progress.update(done, total); },
         .stop = app.stop});
  }
  if (!model) return std::unexpected(model.error());
  local.model = std::move(*model);
  local.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const infer::Blueprint& blueprint = local.model->blueprint();
  if (!flags.adapter.empty()) {
    LATHE_TRY(const infer::Gguf adapter, infer::Gguf::open(flags.adapter));
    LATHE_TRY(local.adapter, infer::Adapter::load(adapter, blueprint));
  }
  infer::EngineOptions options{.context = flags.context};
  options.kv_tokens =
      flags.context != 0
          ? flags.context
          : affordable_context(blueprint, infer::cpu_layout(blueprint, *kernels, kv));
  if (adjust) adjust(options);
  const std::size_t positions =
      options.context != 0 ? options.context : std::min(blueprint.context, options.kv_tokens);
  std::unique_ptr<serve::DraftSource> draft;
  if (!flags.draft.empty()) {
    LATHE_TRY(draft, serve::DraftSource::read(flags.draft, *local.file, blueprint, *local.tokenizer,
                                              positions));
  }
  infer::ExecutorOptions executor_options{
      .kv = kv, .context = flags.context, .keep_hidden = draft && draft->reads_hidden()};
  executor_options.step_tokens = std::max(executor_options.step_tokens, flags.together);
  executor_options.most_outputs = std::max(executor_options.most_outputs, flags.together);
  std::unique_ptr<infer::Multiplier> multiplier;
  if (local.accelerator != nullptr) multiplier = local.accelerator->multiplier();
  LATHE_TRY(auto executor, infer::CpuExecutor::create(*local.model, *local.team,
                                                      executor_options.of(blueprint, positions),
                                                      nullptr, std::move(multiplier)));
  local.executor = executor.get();
  LATHE_TRY(local.engine, infer::Engine::create(std::move(executor), *local.tokenizer, options));
  if (draft) LATHE_TRY_STATUS(use_draft(*draft, kernels, local));
  return local;
}

Result<std::vector<infer::TokenId>> parse_ids(std::string_view text) {
  std::vector<infer::TokenId> ids;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ' ' || text[at] == ',' || text[at] == '\n') {
      ++at;
      continue;
    }
    infer::TokenId id = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    if (error != std::errc()) {
      return invalid("--ids: '{}' at byte {} is no token id", clip_utf8(text.substr(at), 20), at);
    }
    ids.push_back(id);
    at = static_cast<std::size_t>(end - text.data());
  }
  if (ids.empty()) return invalid("--ids is empty; give at least one token id, like \"1 2 3\"");
  return ids;
}

Status check_ids(const std::vector<infer::TokenId>& ids, const LocalModel& local) {
  for (const infer::TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= local.model->blueprint().vocabulary) {
      return invalid("--ids names token {}; {} has the tokens 0 to {}", id,
                     local.file->path().string(), local.model->blueprint().vocabulary - 1);
    }
  }
  if (ids.size() > local.engine->options().context) {
    return invalid("--ids names {} tokens; the context holds {}", ids.size(),
                   local.engine->options().context);
  }
  return {};
}

}  // namespace lathe::app
