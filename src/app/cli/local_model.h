// A model opened by a command: file, weights, tokenizer, engine, and the flags that say how. One
// thread.
#pragma once

#include "app/cli/app.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/engine/engine.h"
#include "infer/offload/accelerator.h"
#include "infer/templates/chat_template.h"

namespace lathe::app {

struct ModelFlags {
  std::string path;
  int threads = 0;          // 0: one a core
  std::size_t context = 0;  // 0: the model's, as far as memory allows
  std::string kv = "f16";
  std::string kernels;         // "": the best of this processor
  std::string device = "cpu";  // beside the processor (choose_device)
  std::string adapter;         // a LoRA file; "": none
  std::string draft;           // what guesses at answers (serve::DraftSource); "": nothing
  std::size_t together = 0;    // so many rows of a step are wanted at least
};
Result<infer::KvType> parse_kv(std::string_view name);                      // of the flag --kv
Result<const infer::KernelTable*> choose_kernels(const std::string& name);  // of --kernels

void add_model_flags(CLI::App& command, const std::shared_ptr<ModelFlags>& flags);
void add_adapter_flag(CLI::App& command, const std::shared_ptr<ModelFlags>& flags);
void add_draft_flag(CLI::App& command, const std::shared_ptr<ModelFlags>& flags);

struct LocalModel {
  std::unique_ptr<infer::Gguf> file;
  std::unique_ptr<infer::ThreadTeam> team;
  std::unique_ptr<infer::Model> model, draft;       // draft: null where nothing guesses
  std::shared_ptr<const infer::Adapter> adapter;    // none: the model as it is
  std::shared_ptr<infer::Accelerator> accelerator;  // nullptr: the processor alone
  std::unique_ptr<infer::Tokenizer> tokenizer;
  std::unique_ptr<infer::Engine> engine;
  infer::CpuExecutor* executor = nullptr;  // the engine's
  std::string chat_template;               // its source; "": the file has none
  double load_seconds = 0;
};

// What can be said of a model without reading its weights: whether its file can be run.
Status check_model(const App& app, const ModelFlags& flags);
// `adjust` may change the engine's options once the model is known. Shows progress on a terminal.
Result<LocalModel> open_model(const App& app, const ModelFlags& flags,
                              const std::function<void(infer::EngineOptions&)>& adjust = {});

// Of the flag --ids: at least one, separated by blanks or commas.
Result<std::vector<infer::TokenId>> parse_ids(std::string_view text);
// They are in the vocabulary, and no more than the context holds.
Status check_ids(const std::vector<infer::TokenId>& ids, const LocalModel& local);

}  // namespace lathe::app
