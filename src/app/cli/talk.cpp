// What a person types is a question or a command of the table below; questions go to the partner.
#include "app/cli/talk.h"

#include "app/cli/line_editor.h"
#include "app/cli/sampler_flags.h"
#include "ground/base/file.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostFile = 1u << 20;       // bytes of a file's text in a question
constexpr std::size_t kMostDocument = 64u << 20;  // bytes of a file

// Writes an answer as it comes: thinking dimmed, calls as JSON. To a terminal go only characters
// that do nothing there.
class Printer {
 public:
  explicit Printer(const App& app) : app_(app) {}
  void operator()(const infer::AnswerDelta& delta) {
    if (!delta.thinking.empty()) write(delta.thinking, true);
    if (!delta.text.empty()) write(delta.text, false);
    for (const infer::ToolCall& call : delta.calls)
      write(fmt::format("[{} {}]\n", call.name, call.arguments), false);
  }
  void finish() {
    if (dim_) print_raw("\x1b[0m");
    if (last_ != '\n') print("\n");
  }

 private:
  void write(const std::string& text, bool dim) {
    if (app_.color && dim != dim_) print_raw(dim ? "\x1b[2m" : "\x1b[0m\n");
    dim_ = app_.color && dim;
    app_.terminal ? print(text) : print_raw(text);
    last_ = text.back();
  }
  const App& app_;
  bool dim_ = false;
  char last_ = 0;
};

struct Session {
  const App& app;
  const OpenPartner& open;
  const PeoplesReader& documents;
  Partner partner;
  std::vector<std::string> files = {};  // go with the next question

  Conversation& conversation() { return *partner.conversation; }
};

// What a command leads to: a question for the partner, the end, or nothing more.
struct Next {
  std::optional<std::string> question = {};
  bool leave = false;
};

Result<Next> help(Session& talk, std::string_view rest);

Result<Next> leave_chat(Session&, std::string_view) {
  return Next{.leave = true};
}

Result<Next> clear(Session& talk, std::string_view) {
  talk.conversation().clear();
  talk.files.clear();
  return Next{};
}

Result<Next> set_system(Session& talk, std::string_view rest) {
  talk.conversation().set_system(rest);
  return Next{};
}

Result<Next> set_setting(Session& talk, std::string_view rest) {
  infer::SamplerParams& sampler = talk.conversation().request().sampler;
  const std::size_t gap = rest.find(' ');
  if (!rest.empty()) {
    LATHE_TRY_STATUS(set_sampler(sampler, rest.substr(0, gap),
                                 gap == std::string_view::npos ? "" : trim(rest.substr(gap)),
                                 talk.partner.vocabulary));
  }
  print(describe_sampler(sampler) + "\n");
  return Next{};
}

Result<Next> retry(Session& talk, std::string_view) {
  auto question = talk.conversation().take_back();
  if (!question) return invalid("there is no question to answer again");
  ++talk.conversation().request().sampler.seed;
  return Next{.question = std::move(question)};
}

Result<Next> save(Session& talk, std::string_view rest) {
  if (rest.empty()) return invalid("/save needs a file name");
  const Json& messages = talk.conversation().messages();
  LATHE_TRY_STATUS(write_file_atomic(fs::path(rest), dump_json(messages, 2) + "\n"));
  print(fmt::format("{}: {} messages\n", rest, messages.size()));
  return Next{};
}

Result<Next> load(Session& talk, std::string_view rest) {
  if (rest.empty()) return invalid("/load needs the name of a file that /save wrote");
  LATHE_TRY(const std::string text, read_file(fs::path(rest)));
  auto messages = parse_json(text);
  if (!messages) return at(rest, messages.error());
  if (const Status status = talk.conversation().set_messages(std::move(*messages)); !status)
    return at(rest, status.error());
  print(fmt::format("{}: {} messages\n", rest, talk.conversation().messages().size()));
  return Next{};
}

Result<Next> add_file(Session& talk, std::string_view rest) {
  if (rest.empty()) return invalid("/file needs the name of a file");
  LATHE_TRY(std::string bytes, read_file(fs::path(rest), kMostDocument));
  if (const auto film = Document::of_file(std::string(rest), "", bytes);
      film && film->kind == "film") {
    const auto shown = shown_film(talk.app, rest, bytes, *talk.app.stop);
    if (!shown) return at(rest, shown.error());
    LATHE_TRY_STATUS(talk.conversation().show(*shown));
    print(fmt::format("{}: {} pictures of a film, with your next message\n", rest,
                      shown->media().size()));
    return Next{};
  }
  if (const auto media = Media::of_file(bytes)) {
    LATHE_TRY_STATUS(talk.conversation().show(*media));
    print(fmt::format("{}: {}, with your next message\n", rest, media->name()));
    return Next{};
  }
  const auto document = talk.documents.read(rest, bytes, *talk.app.stop);
  if (!document) return at(rest, document.error());
  const std::string& text = document->text;
  if (text.size() > kMostFile)
    return invalid(
        "{}: its text has {} bytes, and a question may hold {}; `lathe index` makes it "
        "findable",
        rest, text.size(), kMostFile);
  const std::size_t lines = split_lines(text).size();
  talk.files.push_back(quoted_document(rest, *document) + "\n");
  print(fmt::format("{}: {} line{}, with your next message\n", rest, lines, lines == 1 ? "" : "s"));
  return Next{};
}

// Another model goes on with the same messages and settings.
Result<Next> change_model(Session& talk, std::string_view rest) {
  if (rest.empty()) {
    print(talk.partner.name + "\n");
    return Next{};
  }
  const Json messages = talk.conversation().messages();
  const infer::SamplerParams sampler = talk.conversation().request().sampler;
  const std::string before = talk.partner.name;
  const auto leave = [&] { talk.partner = {}; };
  auto partner = talk.open(std::string(rest), leave);
  std::optional<Error> error;
  if (!partner) {
    if (talk.partner.conversation) return std::unexpected(partner.error());
    error = partner.error();
    partner = talk.open(before, [] {});
    if (!partner) return std::unexpected(partner.error());
  }
  talk.partner = std::move(*partner);
  LATHE_TRY_STATUS(talk.conversation().set_messages(messages));
  talk.conversation().request().sampler = sampler;
  print(talk.partner.greeting);
  if (error) return std::unexpected(*error);
  return Next{};
}

struct ChatCommand {
  std::string_view name, arguments, help;
  Result<Next> (*run)(Session& talk, std::string_view rest);
};

constexpr ChatCommand kChatCommands[] = {
    {"/system", "TEXT", "say what the model is to be (no text: nothing)", set_system},
    {"/set", "NAME VALUE", "change a sampler setting (/set alone shows them)", set_setting},
    {"/file", "FILE", "send a text, document, picture, sound or film with the next message",
     add_file},
    {"/retry", "", "answer the last question again, with another seed", retry},
    {"/clear", "", "forget the conversation", clear},
    {"/save", "FILE", "write the conversation as JSON", save},
    {"/load", "FILE", "go on with a conversation that /save wrote", load},
    {"/model", "NAME", "let another model go on (/model alone names this one)", change_model},
    {"/help", "", "this", help},
    {"/exit", "", "leave (or Ctrl-D); /quit and /bye too", leave_chat},
};

Result<Next> help(Session&, std::string_view) {
  std::string text;
  for (const ChatCommand& command : kChatCommands)
    text += fmt::format("{:<18} {}\n", fmt::format("{} {}", command.name, command.arguments),
                        command.help);
  print(
      text +
      "A line that ends in \\ goes on in the next one; \"\"\" begins and ends a message of many "
      "lines; pasted lines are one message.\n"
      "Ctrl-C clears the line, or stops an answer. The arrow keys bring back earlier messages.\n");
  return Next{};
}

const ChatCommand* find_command(std::string_view line) {
  std::string_view name = line.substr(0, line.find(' '));
  if (name == "/quit" || name == "/bye") name = "/exit";
  if (name == "/?") name = "/help";
  for (const ChatCommand& command : kChatCommands)
    if (command.name == name) return &command;
  return nullptr;
}

Result<Next> run_command(Session& talk, std::string_view line) {
  const std::size_t blank = line.find(' ');
  const ChatCommand* command = find_command(line);
  if (command != nullptr)
    return command->run(talk, blank == std::string_view::npos ? "" : trim(line.substr(blank)));
  std::vector<std::string> names;
  for (const ChatCommand& known : kChatCommands) names.emplace_back(known.name);
  const std::string name(line.substr(0, blank));
  return invalid("there is no command '{}'{}; /help lists them", name, did_you_mean(name, names));
}

// A message: one line, or several that end in a backslash, were pasted, or stand between two `"""`.
// nullopt: the person has left.
std::optional<std::string> read_message(LineEditor& editor) {
  constexpr std::string_view kBlock = "\"\"\"";
  std::string message;
  bool begun = false, block = false;
  for (;;) {
    TypedLine line = editor.read(begun ? "… " : "> ");
    if (line.end == TypedLine::End::kClosed) {
      print("\n");
      return std::nullopt;
    }
    if (line.end == TypedLine::End::kInterrupted) {
      print(begun ? "^C\n" : "^C (Ctrl-D or /exit leaves)\n");
      message.clear();
      begun = block = false;
      continue;
    }
    if (!begun && find_command(line.text) != nullptr) return line.text;
    std::string_view text = line.text;
    if (!begun && text.starts_with(kBlock)) {
      block = true;
      text.remove_prefix(kBlock.size());
    }
    if (block && text.ends_with(kBlock)) {
      text.remove_suffix(kBlock.size());
      return message += text;
    }
    begun = true;
    const bool goes_on = !block && !line.pasted && text.ends_with('\\');
    if (goes_on) text.remove_suffix(1);
    message += text;
    if (!block && !goes_on && !line.pasted) return message;
    if (!(block && text.empty() && message.empty())) message += '\n';
  }
}

// Asks and shows the answer. Errors are shown too: the talk goes on.
void answer(Session& talk, const std::string& question) {
  const App& app = talk.app;
  Printer printer(app);
  const auto answer =
      talk.conversation().ask(join(talk.files, "") + question, *app.stop,
                              [&](const infer::AnswerDelta& delta) { printer(delta); });
  if (!answer) {
    (void)report_error(app, answer.error());
    return;
  }
  talk.files.clear();
  printer.finish();
  print_raw(fmt::format("{}({}{}){}\n", app.color ? "\x1b[2m" : "", answer_line(*answer),
                        answer->reason == infer::StopReason::kCancelled ? ", stopped" : "",
                        app.color ? "\x1b[0m" : ""));
}

}  // namespace

Result<Answer> answer_once(const App& app, Conversation& conversation, const std::string& prompt) {
  Printer printer(app);
  const Conversation::OnDelta show = [&](const infer::AnswerDelta& delta) { printer(delta); };
  LATHE_TRY(Answer answer, conversation.ask(prompt, *app.stop, app.json ? nullptr : show));
  if (app.json) {
    Json out = answer_json(answer);
    out["seed"] = conversation.request().sampler.seed;
    if (!answer.logprobs.empty()) {
      Json positions = Json::array();
      for (const auto& entries : answer.logprobs) {
        Json list = Json::array();
        for (const infer::TokenLogprob& entry : entries)
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
  if (answer.reason == infer::StopReason::kCancelled) return fail(ErrorKind::kCancelled, "stopped");
  return answer;
}

Status chat(const App& app, Partner partner, const OpenPartner& open,
            const PeoplesReader& documents, const fs::path& history) {
  LineEditor editor(app, history);
  print(partner.greeting);
  Session talk{.app = app, .open = open, .documents = documents, .partner = std::move(partner)};
  bool keeps_history = true;
  for (;;) {
    (void)clear_interrupt(app);  // of an answer
    const auto message = read_message(editor);
    if (!message) return {};
    if (trim(*message).empty()) continue;
    if (const Status kept = editor.remember(*message); !kept && keeps_history) {
      (void)report_error(app, kept.error());
      keeps_history = false;
    }
    Next next{.question = *message};
    if (message->starts_with('/') && message->find('\n') == message->npos) {
      auto done = run_command(talk, trim(*message));
      if (!done) {
        (void)report_error(app, done.error());
        if (!talk.partner.conversation) return std::unexpected(done.error());
        continue;
      }
      next = std::move(*done);
    }
    if (next.leave) return {};
    if (next.question) answer(talk, *next.question);
  }
}

}  // namespace lathe::app
