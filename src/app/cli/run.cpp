// lathe run MODEL ["prompt"]: a chat in the terminal, or one answer when a prompt or standard input
// is given.
#include <unistd.h>

#include <random>

#include "app/cli/consent_gate.h"
#include "app/cli/model_library.h"
#include "app/cli/pool_flags.h"
#include "app/cli/running_server.h"
#include "app/cli/sampler_flags.h"
#include "app/cli/talk.h"
#include "app/cli/tool_desk.h"
#include "ground/base/text.h"
#include "ground/schema/json_schema.h"
#include "serve/net/http_worker.h"
#include "serve/pool/local_worker.h"

namespace lathe::app {
namespace {

constexpr std::size_t kAnyVocabulary = std::size_t{1} << 31;  // who answers checks it

struct RunFlags : ModelFlags {
  std::string prompt, system, schema, grammar;
  ServerFlags server;
  std::vector<std::string> stop, logit_bias;
  std::size_t max_tokens = 0;
  std::optional<std::uint64_t> seed;
  int logprobs = -1;
  bool raw = false, no_think = false;
  infer::SamplerParams sampler;
  ToolFlagsOfRun tools;
  std::string languages = kLanguages;  // of scanned pages that /file names
};

// A model of this process as a worker, which holds calls of tools to their schemas.
class WorkerHere final : public Worker {
 public:
  static Result<std::unique_ptr<Worker>> make(const App& app, const fs::path& file) {
    LATHE_TRY(serve::PoolOptions options, local_pool_options(app));
    LATHE_TRY(serve::Catalog catalog, serve::Catalog::read(file));
    std::unique_ptr<WorkerHere> here(new WorkerHere(std::move(catalog), std::move(options)));
    LATHE_TRY(const std::string model, here->pool_.find(file.stem().string()));
    here->worker_.emplace(here->pool_, model);
    return std::unique_ptr<Worker>(std::move(here));
  }

  WorkerInfo info() const override { return worker_->info(); }
  Result<bool> sees() const override { return worker_->sees(); }
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override {
    return worker_->complete(request, stop, on_delta);
  }

 private:
  WorkerHere(serve::Catalog catalog, serve::PoolOptions options)
      : pool_(std::move(catalog), std::move(options)) {}

  serve::Pool pool_;
  std::optional<serve::LocalWorker> worker_;
};

Result<std::pair<infer::TokenId, float>> parse_bias(const std::string& text) {
  char* end = nullptr;
  const long id = std::strtol(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != '=')
    return invalid("--logit-bias is '{}'; write ID=BIAS, such as 42=-5", text);
  const char* value = end + 1;
  const float bias = std::strtof(value, &end);
  if (end == value || *end != '\0')
    return invalid("--logit-bias is '{}'; write ID=BIAS, such as 42=-5", text);
  return std::pair{static_cast<infer::TokenId>(id), bias};
}

// A schema is given as a file, or as it is.
std::string schema_place(const std::string& given) {
  return trim(given).starts_with('{') ? "--schema" : given;
}

Result<Json> read_schema(const std::string& given) {
  std::string text = given;
  if (schema_place(given) == given) {
    LATHE_TRY(text, read_file(given));
  }
  auto schema = parse_json(text);
  return schema ? schema : at(schema_place(given), schema.error());
}

// What the answer breaks of its schema, or nothing; an error: that is not known.
Result<std::string> broken_schema(const std::string& given, const Answer& answer) {
  LATHE_TRY(Json json, read_schema(given));
  const auto schema = JsonSchema::compile(std::move(json));
  if (!schema) return at(schema_place(given), schema.error());
  const auto value = parse_json(answer.text);
  if (!value) return value.error().message;
  LATHE_TRY(const std::vector<SchemaError> faults, schema->validate(*value));
  if (faults.empty()) return std::string();
  return (faults[0].instance.empty() ? "" : faults[0].instance + " ") + faults[0].message;
}

// What no grammar keeps of a schema shows when the answer is there. One that was cut off says so
// elsewhere.
int judge_answer(const App& app, const RunFlags& flags, const Answer& answer) {
  if (flags.schema.empty() || answer.reason == infer::StopReason::kLength) return kExitPassed;
  const auto broken = broken_schema(flags.schema, answer);
  if (broken && broken->empty()) return kExitPassed;
  (void)report_error(app,
                     {.message = broken ? "the answer breaks its schema: " + *broken
                                        : "the answer was not checked: " + broken.error().message});
  return broken ? kExitFailed : kExitNotJudged;
}

Status check_constraints(const RunFlags& flags) {
  if (!flags.tools.commands.empty() && (!flags.schema.empty() || !flags.grammar.empty()))
    return invalid(
        "--mcp cannot be used with --schema and --grammar: an answer that is held calls "
        "no tools");
  if (!flags.schema.empty() && !flags.grammar.empty())
    return invalid("--schema and --grammar cannot be used together; give one");
  return {};
}

// `lead`: what comes before the answer.
Result<std::shared_ptr<const infer::Grammar>> read_constraint(const RunFlags& flags,
                                                              const infer::Tokenizer& tokenizer,
                                                              const infer::AnswerLead& lead = {}) {
  if (!flags.schema.empty()) {
    LATHE_TRY(const Json schema, read_schema(flags.schema));
    auto grammar = infer::Grammar::from_schema(schema, tokenizer, false, lead);
    if (!grammar) return at(schema_place(flags.schema), grammar.error());
    return *grammar;
  }
  if (!flags.grammar.empty()) {
    LATHE_TRY(const std::string text, read_file(flags.grammar));
    auto grammar = infer::Grammar::from_gbnf(text, tokenizer, lead);
    if (!grammar) return at(flags.grammar, grammar.error());
    return *grammar;
  }
  return std::shared_ptr<const infer::Grammar>();
}

std::string greeting(const LocalModel& local) {
  const infer::EngineOptions& options = local.engine->options();
  return fmt::format(
      "{} · loaded in {:.1f} s · context {} · kernels {} · /help\n",
      local.model->blueprint().name.empty() ? "model" : local.model->blueprint().name,
      local.load_seconds, std::min(options.context, options.kv_tokens),
      local.model->kernels().name);
}

Result<infer::SamplerParams> sampler_of(const RunFlags& flags) {
  infer::SamplerParams sampler = flags.sampler;
  sampler.seed = flags.seed ? *flags.seed : std::random_device{}();
  for (const std::string& bias : flags.logit_bias) {
    LATHE_TRY(const auto parsed, parse_bias(bias));
    sampler.logit_bias.push_back(parsed);
  }
  return sampler;
}

// A model of this process.
Result<Partner> open_here(const App& app, const RunFlags& flags, const std::string& path,
                          infer::SamplerParams sampler, const std::function<void()>& leave) {
  ModelFlags model = static_cast<const ModelFlags&>(flags);
  model.path = path;
  LATHE_TRY_STATUS(check_model(app, model));
  leave();
  infer::GenerationRequest request;
  request.sampler = std::move(sampler);
  request.max_tokens = flags.max_tokens;
  request.stop = flags.stop;
  request.top_logprobs = flags.logprobs;
  Partner partner{.name = path};
  LATHE_TRY(LocalModel local, open_model(app, model));
  partner.local = std::make_unique<LocalModel>(std::move(local));
  partner.vocabulary = partner.local->model->blueprint().vocabulary;
  LATHE_TRY_STATUS(infer::check_sampler(request.sampler, partner.vocabulary));
  // What is wrong with it shows before the first question.
  const infer::Tokenizer& tokenizer = *partner.local->tokenizer;
  LATHE_TRY(const auto grammar, read_constraint(flags, tokenizer));
  Conversation::Constraint constraint;
  if (grammar)
    constraint = [flags, &tokenizer](const infer::AnswerLead& lead) {
      return read_constraint(flags, tokenizer, lead);
    };
  request.adapter = partner.local->adapter;
  Json variables = Json::object();
  if (flags.no_think) variables["enable_thinking"] = false;
  partner.greeting = greeting(*partner.local);
  LATHE_TRY(partner.conversation,
            Conversation::create(*partner.local, std::move(request), flags.raw,
                                 std::move(variables), std::move(constraint)));
  return partner;
}

// Of a worker: everything but the talk and its sampling.
Result<Request> base_request(const RunFlags& flags) {
  Request request;
  request.max_tokens = static_cast<int>(std::min<std::size_t>(flags.max_tokens, 1 << 30));
  request.stop = flags.stop;
  if (!flags.schema.empty()) {
    LATHE_TRY(Json schema, read_schema(flags.schema));
    request.form = SchemaForm{std::move(schema)};
  }
  if (!flags.grammar.empty()) {
    LATHE_TRY(std::string gbnf, read_file(flags.grammar));
    request.form = GrammarForm{std::move(gbnf)};
  }
  return request;
}

Status begin_conversation(const RunFlags& flags, infer::SamplerParams sampler, Partner& partner) {
  LATHE_TRY(Request request, base_request(flags));
  Json variables;
  if (flags.no_think) variables["enable_thinking"] = false;
  partner.conversation = Conversation::with(*partner.worker, std::move(request), std::move(sampler),
                                            std::move(variables));
  return {};
}

// A model of this process whose calls of tools are answered.
Result<Partner> open_with_tools(const App& app, const RunFlags& flags, const std::string& path,
                                infer::SamplerParams sampler, const std::function<void()>& leave) {
  if (flags.raw || flags.logprobs >= 0 || flags.threads != 0 || flags.context != 0 ||
      !flags.kernels.empty() || !flags.adapter.empty() || !flags.draft.empty())
    return invalid(
        "--raw, --logprobs, --threads, --ctx, --kernels, --adapter and --draft are not for a model "
        "that calls tools (--mcp)");
  leave();
  Partner partner{.name = path, .greeting = path + " · /help\n", .vocabulary = kAnyVocabulary};
  LATHE_TRY(partner.worker, WorkerHere::make(app, model_path(app, path)));
  LATHE_TRY_STATUS(begin_conversation(flags, std::move(sampler), partner));
  return partner;
}

// A model of a server.
Result<Partner> open_there(const App& app, const RunFlags& flags, const ServerAddress& server,
                           const std::string& model, infer::SamplerParams sampler) {
  if (flags.raw || flags.logprobs >= 0 || flags.threads != 0 || flags.context != 0 ||
      !flags.kernels.empty() || !flags.adapter.empty() || !flags.draft.empty())
    return invalid(
        "--raw, --logprobs, --threads, --ctx, --kernels, --adapter and --draft are for a model in "
        "this process; the server at {} has its own settings, and an adapter's model is "
        "MODEL+ADAPTER",
        server.base);
  LATHE_TRY_STATUS(infer::check_sampler(sampler, kAnyVocabulary));
  Partner partner{.name = model,
                  .greeting = fmt::format("{} at {} · /help\n", model, server.base),
                  .vocabulary = kAnyVocabulary};
  LATHE_TRY(serve::ConsentGate consent, consent_gate_of(app, kConsentWait));
  LATHE_TRY(partner.worker, serve::HttpWorker::make({.name = model,
                                                     .base_url = server.base + "/v1",
                                                     .model = model,
                                                     .api_key = server_key(),
                                                     .allowed = server.allowed,
                                                     .contacts = app.contacts.get(),
                                                     .allowed_by = server.allowed_by,
                                                     .consent = std::move(consent)}));
  LATHE_TRY_STATUS(begin_conversation(flags, std::move(sampler), partner));
  return partner;
}

// A file, or a model of another program, is loaded here; any other name is a model of the server
// that runs, and where none does, one of this machine.
Result<Partner> open_partner(const App& app, const RunFlags& flags, const std::string& name,
                             const infer::SamplerParams& sampler,
                             const std::function<void()>& leave) {
  std::error_code error;
  const bool asks_server = !flags.server.url.empty();
  const bool file = !asks_server && (fs::exists(name, error) || name.ends_with(".gguf") ||
                                     serve::is_library_name(name));
  const auto here = flags.tools.commands.empty() ? open_here : open_with_tools;
  if (file) return here(app, flags, name, sampler, leave);
  if (!asks_server && !running_server(app)) {
    if (model_path(app, name) != name) return here(app, flags, name, sampler, leave);
    return fail(ErrorKind::kNotFound,
                "there is no file '{}', no model of that name here (`lathe models` lists them, "
                "`lathe pull` fetches one), and no server runs that could have it; `lathe serve "
                "DIRECTORY` starts one over a directory of models",
                name);
  }
  LATHE_TRY(const ServerAddress server, find_server(app, flags.server));
  return open_there(app, flags, server, name, sampler);
}

// One prompt, or a talk.
Result<int> run_model(const App& app, const RunFlags& flags) {
  LATHE_TRY_STATUS(check_constraints(flags));
  LATHE_TRY(const infer::SamplerParams sampler, sampler_of(flags));
  LATHE_TRY(const PeoplesReader documents, PeoplesReader::make(app, flags.languages));
  LATHE_TRY(const std::vector<ToolServer> servers, tool_servers(flags.tools));
  LATHE_TRY(serve::ConsentGate consent, consent_gate_of(app, kConsentWait));
  // Each server was given what it has by a flag.
  ToolDesk desk(app, {.most = Reach::kAny, .consent = std::move(consent)});
  const OpenPartner open = [&](const std::string& name,
                               const std::function<void()>& leave) -> Result<Partner> {
    LATHE_TRY(Partner partner, open_partner(app, flags, name, sampler, leave));
    partner.conversation->set_system(flags.system);
    if (servers.empty()) return partner;
    LATHE_TRY(auto tools, desk.open(servers, *app.stop));
    for (const std::string& note : tools->left_out()) print_note("note: left out: " + note);
    partner.tools = std::move(tools);
    partner.conversation->set_tools(*partner.tools);
    return partner;
  };
  LATHE_TRY(Partner partner, open(flags.path, [] {}));
  std::string prompt = flags.prompt;
  if (prompt.empty() && isatty(STDIN_FILENO) == 1 && !app.json) {
    LATHE_TRY_STATUS(
        chat(app, std::move(partner), open, documents, app.journal_dir / "chat_history"));
    return kExitPassed;
  }
  if (prompt.empty()) {
    LATHE_TRY(prompt, read_standard_input());
  }
  if (prompt.empty())
    return invalid("there is no prompt: give one as an argument or on standard input");
  LATHE_TRY(const Answer answer, answer_once(app, *partner.conversation, prompt));
  return judge_answer(app, flags, answer);
}

}  // namespace

void add_run(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = cli.add_subcommand("run", "Talk to a model, or have one prompt answered");
  add_model_flags(*command, flags);
  add_adapter_flag(*command, flags);
  add_draft_flag(*command, flags);
  command->add_option("prompt", flags->prompt, "One prompt (else standard input, else a chat)");
  add_server_flags(*command, flags->server,
                   "URL of a server that has the model (default: a file is loaded here, another "
                   "name is asked of the server that runs here)");
  command->add_option("--system", flags->system, "System message");
  command->add_option("--max-tokens", flags->max_tokens,
                      "Of an answer (default: until the context is full)");
  command->add_option("--stop", flags->stop, "End the answer before this text (may be repeated)");
  command->add_option("--schema", flags->schema,
                      "JSON schema that the answer must fit: a file, or the schema itself");
  command->add_option("--grammar", flags->grammar, "GBNF grammar that the answer must fit");
  command->add_option("--logprobs", flags->logprobs,
                      "With --json: the N most likely tokens of each position");
  command->add_flag("--raw", flags->raw, "The prompt as it is, without the chat template");
  command->add_flag("--no-think", flags->no_think,
                    "Ask the template for an answer without thinking");
  command->add_option("--seed", flags->seed, "Of the draws (default: a random one)")
      ->group("Sampling");
  command->add_option("--logit-bias", flags->logit_bias, "ID=BIAS (may be repeated)")
      ->group("Sampling");
  add_sampler_flags(*command, flags->sampler);
  add_languages_flag(*command, flags->languages);
  add_run_tool_flags(*command, flags->tools);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const auto code = run_model(app, *flags);
      return code ? *code : report_error(app, code.error());
    };
  });
}

}  // namespace lathe::app
