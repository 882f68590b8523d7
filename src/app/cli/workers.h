// The workers that a command line or a file names, and how far they may reach.
//
//   --worker coder=http://127.0.0.1:8080/v1#qwen3-coder     any OpenAI-compatible server; the model
//   after '#'
//   --worker coder=script:worker.toml                       answers from a script
//   --worker coder=models/coder.gguf                        a model, loaded into this process
//   --worker ears=models/ggml-base.bin                      one that hears, likewise
//
// A name that nobody gives is looked for at the server that runs on this machine (`lathe serve`).
//
// CONFIG/workers.toml holds the same for every day:
//   [worker.coder]
//   url = "http://127.0.0.1:8080/v1"
//   model = "qwen3-coder"
//   key_env = "MY_KEY"        # the environment variable that holds the API key
//   [worker.big]
//   url = "https://api.example.com/v1"
//   model = "big-1"
//   api = "anthropic"         # or "openai" (as without it), "gemini"
//   context = 200000          # tokens that it takes, if its list of models does not say
//   tier = "cloud"            # held to consent wherever it is; a public address is without saying
//   so key_file = "big.key"      # relative to this file; for its owner alone [worker.writer] file
//   = "/models/writer.gguf" [worker.npu] command = ["vendor-server", "--port", "{port}"]   # a
//   program, started when it is first asked memory = "24GiB"          # and the other keys of a
//   program (serve/programs/program_spec.h)
#pragma once

#include <map>
#include <memory>

#include "app/cli/app.h"
#include "app/cli/consent_gate.h"
#include "serve/pool/pool.h"
#include "work/work.h"

namespace lathe::app {

struct WorkerFlags {
  std::vector<std::string> specs;           // --worker
  std::string allow = "local";              // --allow
  bool show_outgoing = false;               // --show-outgoing
  bool background = false;                  // what is asked gives way to people
  std::string consent_wait = kConsentWait;  // --consent-wait
};
void add_worker_flags(CLI::App& command, WorkerFlags& flags);

class WorkerTable {
 public:
  // `privacy`: of the recipe. A worker may reach as far as both allow.
  // `alone`, `notes`: as ConsentTerms has them.
  static Result<WorkerTable> make(const App& app, const WorkerFlags& flags, Reach privacy,
                                  std::function<void(const std::function<void()>& work)> alone,
                                  loop::CallNotes* notes);
  Worker* find(const std::string& name) const;
  std::vector<std::string> names() const;
  // Of workers whose models are of this process: what they take, and what there is.
  std::map<std::string, serve::Pool::Room> rooms() const;
  // Whether models of this process are among them.
  bool computes_here() const { return pool_ != nullptr; }

 private:
  std::unique_ptr<serve::Pool> pool_;  // of the models in this process; null: there are none
  std::map<std::string, std::string> models_;  // there, by worker
  std::map<std::string, std::unique_ptr<Worker>> workers_;
};

}  // namespace lathe::app
