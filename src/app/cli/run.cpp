// lathe run MODEL ["prompt"]: a chat in the terminal, or one answer when a prompt or standard input
// is given.
#include <editline/readline.h>
#include <unistd.h>

#include <random>

#include "app/cli/chat.h"
#include "app/cli/running_server.h"
#include "app/cli/sampler_flags.h"
#include "ground/base/text.h"
#include "serve/net/http_worker.h"

namespace lathe {
namespace {

struct RunFlags : ModelFlags {
  std::string prompt, system, schema, grammar, server;
  std::vector<std::string> stop, logit_bias;
  std::size_t max_tokens = 0;
  std::optional<std::uint64_t> seed;
  int logprobs = -1;
  bool raw = false, no_think = false;
  SamplerParams sampler;
};

constexpr std::string_view kHelp =
    "/system TEXT   say what the model is to be (no text: nothing)\n"
    "/set NAME VAL  change a sampler setting (/set alone shows them)\n"
    "/retry         answer the last question again, with another seed\n"
    "/clear         forget the conversation\n"
    "/save FILE     write the conversation as JSON\n"
    "/help, /exit   this; leave (or Ctrl-D)\n"
    "A line that ends in \\ goes on in the next one. Ctrl-C stops an answer.\n";

Result<std::pair<TokenId, float>> parse_bias(const std::string& text) {
  char* end = nullptr;
  const long id = std::strtol(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != '=')
    return invalid("--logit-bias is '{}'; write ID=BIAS, such as 42=-5", text);
  const char* value = end + 1;
  const float bias = std::strtof(value, &end);
  if (end == value || *end != '\0')
    return invalid("--logit-bias is '{}'; write ID=BIAS, such as 42=-5", text);
  return std::pair{static_cast<TokenId>(id), bias};
}

Result<std::shared_ptr<const Grammar>> read_constraint(const RunFlags& flags,
                                                       const Tokenizer& tokenizer) {
  if (!flags.schema.empty() && !flags.grammar.empty()) {
    return invalid("--schema and --grammar cannot be used together; give one");
  }
  if (!flags.schema.empty()) {
    LATHE_TRY(const std::string text, read_file(flags.schema));
    auto schema = parse_json(text);
    if (!schema) return at(flags.schema, schema.error());
    auto grammar = Grammar::from_schema(*schema, tokenizer);
    if (!grammar) return at(flags.schema, grammar.error());
    return *grammar;
  }
  if (!flags.grammar.empty()) {
    LATHE_TRY(const std::string text, read_file(flags.grammar));
    auto grammar = Grammar::from_gbnf(text, tokenizer);
    if (!grammar) return at(flags.grammar, grammar.error());
    return *grammar;
  }
  return std::shared_ptr<const Grammar>();
}

// Writes an answer to the terminal as it comes: thinking dimmed, calls as JSON.
class Printer {
 public:
  explicit Printer(const App& app) : color_(app.color) {}
  void operator()(const AnswerDelta& delta) {
    if (!delta.thinking.empty()) write(delta.thinking, true);
    if (!delta.text.empty()) write(delta.text, false);
    for (const ToolCall& call : delta.calls)
      write(fmt::format("[{} {}]\n", call.name, call.arguments), false);
  }
  void finish() {
    if (dim_) print("\x1b[0m");
    if (last_ != '\n') print("\n");
  }

 private:
  void write(const std::string& text, bool dim) {
    if (color_ && dim != dim_) print(dim ? "\x1b[2m" : "\x1b[0m\n");
    dim_ = color_ && dim;
    print(text);
    last_ = text.back();
  }
  bool color_, dim_ = false;
  char last_ = 0;
};

Status answer_once(const App& app, Conversation& conversation, const std::string& prompt) {
  Printer printer(app);
  const Conversation::OnDelta show = [&](const AnswerDelta& delta) { printer(delta); };
  LATHE_TRY(const Answer answer, conversation.ask(prompt, *app.stop, app.json ? nullptr : show));
  if (app.json) {
    Json out = answer_json(answer);
    out["seed"] = conversation.request().sampler.seed;
    if (!answer.logprobs.empty()) {
      Json positions = Json::array();
      for (const auto& entries : answer.logprobs) {
        Json list = Json::array();
        for (const TokenLogprob& entry : entries)
          list.push_back({{"id", entry.id}, {"logprob", entry.logprob}});
        positions.push_back(std::move(list));
      }
      out["logprobs"] = std::move(positions);
    }
    print_json(out);
  } else {
    printer.finish();
    fmt::print(stderr, "{}\n", answer_line(answer));
  }
  if (answer.reason == StopReason::kCancelled) return fail(ErrorKind::kCancelled, "stopped");
  return {};
}

// One line, or several when they end in a backslash. nullopt: the input has ended.
std::optional<std::string> read_message() {
  std::string message;
  for (;;) {
    char* line = readline(message.empty() ? "> " : "… ");
    if (line == nullptr) return std::nullopt;
    std::string text = line;
    std::free(line);
    const bool more = text.ends_with('\\');
    if (more) text.back() = '\n';
    message += text;
    if (!more) break;
  }
  if (!trim(message).empty()) add_history(message.c_str());
  return message;
}

// True: leave the chat.
Result<bool> run_command(std::size_t vocabulary, Conversation& conversation, std::string_view line,
                         std::optional<std::string>& question) {
  const std::size_t blank = line.find(' ');
  const std::string_view name = line.substr(0, blank);
  const std::string_view rest = blank == std::string_view::npos ? "" : trim(line.substr(blank));
  if (name == "/exit" || name == "/quit" || name == "/bye") return true;
  if (name == "/help" || name == "/?") {
    print(kHelp);
  } else if (name == "/clear") {
    conversation.clear();
  } else if (name == "/system") {
    conversation.set_system(rest);
  } else if (name == "/set") {
    SamplerParams& sampler = conversation.request().sampler;
    const std::size_t gap = rest.find(' ');
    if (!rest.empty()) {
      LATHE_TRY_STATUS(set_sampler(sampler, rest.substr(0, gap),
                                   gap == std::string_view::npos ? "" : trim(rest.substr(gap)),
                                   vocabulary));
    }
    print(describe_sampler(sampler) + "\n");
  } else if (name == "/retry") {
    question = conversation.take_back();
    if (!question) return invalid("there is no question to answer again");
    ++conversation.request().sampler.seed;
  } else if (name == "/save") {
    if (rest.empty()) return invalid("/save needs a file name");
    LATHE_TRY_STATUS(
        write_file_atomic(fs::path(rest), dump_json(conversation.messages(), 2) + "\n"));
    print(fmt::format("{}: {} messages\n", rest, conversation.messages().size()));
  } else {
    return invalid("there is no command '{}'; /help lists them", name);
  }
  return false;
}

std::string greeting(const LocalModel& local) {
  const EngineOptions& options = local.engine->options();
  return fmt::format(
      "{} · loaded in {:.1f} s · context {} · kernels {} · /help\n",
      local.model->blueprint().name.empty() ? "model" : local.model->blueprint().name,
      local.load_seconds, std::min(options.context, options.kv_tokens),
      local.model->kernels().name);
}

Status chat(const App& app, std::size_t vocabulary, Conversation& conversation) {
  for (;;) {
    app.stop->clear();
    auto message = read_message();
    if (!message) {
      print("\n");
      return {};
    }
    if (trim(*message).empty()) continue;
    std::optional<std::string> question = *message;
    if (message->front() == '/') {
      question.reset();
      auto leave = run_command(vocabulary, conversation, trim(*message), question);
      if (!leave) fmt::print(stderr, "error: {}\n", leave.error().message);
      if (leave && *leave) return {};
      if (!question) continue;
    }
    Printer printer(app);
    const auto answer =
        conversation.ask(*question, *app.stop, [&](const AnswerDelta& delta) { printer(delta); });
    if (!answer) {
      fmt::print(stderr, "error: {}\n", answer.error().message);
      continue;
    }
    printer.finish();
    print(fmt::format("{}({}{}){}\n", app.color ? "\x1b[2m" : "", answer_line(*answer),
                      answer->reason == StopReason::kCancelled ? ", stopped" : "",
                      app.color ? "\x1b[0m" : ""));
  }
}

// One prompt, or a talk.
Status talk(const App& app, const RunFlags& flags, std::size_t vocabulary,
            Conversation& conversation, const std::string& hello) {
  conversation.set_system(flags.system);
  if (!flags.prompt.empty()) return answer_once(app, conversation, flags.prompt);
  if (isatty(STDIN_FILENO) == 1 && !app.json) {
    print(hello);
    return chat(app, vocabulary, conversation);
  }
  LATHE_TRY(const std::string input, read_standard_input());
  if (input.empty())
    return invalid("there is no prompt: give one as an argument or on standard input");
  return answer_once(app, conversation, input);
}

Result<SamplerParams> sampler_of(const RunFlags& flags) {
  SamplerParams sampler = flags.sampler;
  sampler.seed = flags.seed ? *flags.seed : std::random_device{}();
  for (const std::string& bias : flags.logit_bias) {
    LATHE_TRY(const auto parsed, parse_bias(bias));
    sampler.logit_bias.push_back(parsed);
  }
  return sampler;
}

// With a model of this process.
Status run_here(const App& app, RunFlags& flags, SamplerParams sampler) {
  GenerationRequest request;
  request.sampler = std::move(sampler);
  request.max_tokens = flags.max_tokens;
  request.stop = flags.stop;
  request.top_logprobs = flags.logprobs;
  LATHE_TRY(LocalModel local, open_model(app, flags));
  const std::size_t vocabulary = local.model->blueprint().vocabulary;
  LATHE_TRY_STATUS(check_sampler(request.sampler, vocabulary));
  LATHE_TRY(request.grammar, read_constraint(flags, *local.tokenizer));
  request.adapter = local.adapter;
  Json variables = Json::object();
  if (flags.no_think) variables["enable_thinking"] = false;
  LATHE_TRY(Conversation conversation,
            Conversation::create(local, std::move(request), flags.raw, std::move(variables)));
  return talk(app, flags, vocabulary, conversation, greeting(local));
}

// With a model of a server.
Status run_there(const App& app, const RunFlags& flags, const std::string& base,
                 SamplerParams sampler) {
  constexpr std::size_t kAnyVocabulary = std::size_t{1} << 31;  // the server checks it
  if (flags.raw || flags.logprobs >= 0 || flags.threads != 0 || flags.context != 0 ||
      !flags.kernels.empty() || !flags.adapter.empty())
    return invalid(
        "--raw, --logprobs, --threads, --ctx, --kernels and --adapter are for a model in this "
        "process; the server at {} has its own settings, and an adapter's model is MODEL+ADAPTER",
        base);
  LATHE_TRY_STATUS(check_sampler(sampler, kAnyVocabulary));
  LATHE_TRY(auto worker, HttpWorker::make({.name = flags.path,
                                           .base_url = base + "/v1",
                                           .model = flags.path,
                                           .api_key = server_key(),
                                           .allowed = Reach::kAny}));
  Request request;
  request.max_tokens = static_cast<int>(std::min<std::size_t>(flags.max_tokens, 1 << 30));
  request.stop = flags.stop;
  if (!flags.schema.empty()) {
    LATHE_TRY(const std::string text, read_file(flags.schema));
    auto schema = parse_json(text);
    if (!schema) return at(flags.schema, schema.error());
    request.schema = std::move(*schema);
  }
  if (!flags.grammar.empty()) {
    LATHE_TRY(request.grammar, read_file(flags.grammar));
  }
  if (flags.no_think) request.template_variables = {{"enable_thinking", false}};
  Conversation conversation = Conversation::with(*worker, std::move(request), std::move(sampler));
  return talk(app, flags, kAnyVocabulary, conversation,
              fmt::format("{} at {} · /help\n", flags.path, base));
}

// A file is loaded here; any other name is a model of a server.
Status run_model(const App& app, RunFlags& flags) {
  LATHE_TRY(SamplerParams sampler, sampler_of(flags));
  std::error_code error;
  const bool file = fs::exists(flags.path, error) || flags.path.ends_with(".gguf");
  if (flags.server.empty() && (file || !running_server(app)))
    return run_here(app, flags, std::move(sampler));
  LATHE_TRY(const std::string base, find_server(app, flags.server));
  return run_there(app, flags, base, std::move(sampler));
}

}  // namespace

void add_run(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = cli.add_subcommand("run", "Talk to a model, or have one prompt answered");
  add_model_flags(*command, flags);
  add_adapter_flag(*command, flags);
  command->add_option("prompt", flags->prompt, "One prompt (else standard input, else a chat)");
  command->add_option("--server", flags->server,
                      "URL of a server that has the model (default: a file is loaded here, another "
                      "name is asked of the server that runs here)");
  command->add_option("--system", flags->system, "System message");
  command->add_option("--max-tokens", flags->max_tokens,
                      "Of an answer (default: until the context is full)");
  command->add_option("--stop", flags->stop, "End the answer before this text (may be repeated)");
  command->add_option("--schema", flags->schema, "JSON schema that the answer must fit");
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
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = run_model(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe
