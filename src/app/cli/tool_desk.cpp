// Starts tool servers for commands, and asks whoever sits there.
#include "app/cli/tool_desk.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>

#include "app/cli/foreign_key.h"
#include "ground/base/text.h"
#include "ground/base/version.h"
#include "serve/toolbox/server_at_url.h"
#include "serve/toolbox/server_program.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMaxShown = 600;  // bytes of arguments

books::Approval approval_of(const serve::ToolQuestion& question) {
  books::Approval approval{.kind = "tool",
                           .subject = {{"server", question.server.name},
                                       {"definitions", question.definitions},
                                       {"tool", question.tool},
                                       {"reach", std::string(reach_name(question.server.privacy))}},
                           .decision = books::Decision::kAsked,
                           .at_ms = system_clock().unix_ms()};
  if (question.server.url.empty())
    approval.subject["command"] = dump_json(Json(question.server.command));
  else
    approval.subject["url"] = question.server.url;
  return approval;
}

// A line that the person types; nullopt: they have gone.
Result<std::optional<std::string>> typed_line(const StopFlag& stop) {
  std::string line;
  for (;;) {
    if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
    pollfd ready{STDIN_FILENO, POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0) continue;
    char byte = 0;
    if (::read(STDIN_FILENO, &byte, 1) <= 0) return std::optional<std::string>();
    if (byte == '\n') return std::optional(line);
    if (line.size() < 100) line += byte;
  }
}

// As a shell splits a line, without anything else that it does.
Result<std::vector<std::string>> words_of(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool within = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
      word += line[++i];
      within = true;
    } else if (quote != 0 ? c == quote : c == '\'' || c == '"') {
      quote = quote != 0 ? 0 : c;
      within = true;
    } else if (quote == 0 && (c == ' ' || c == '\t')) {
      if (within) words.push_back(std::exchange(word, ""));
      within = false;
    } else {
      word += c;
      within = true;
    }
  }
  if (quote != 0) return invalid("--mcp {}: a quote is not closed", clip_utf8(line, 100));
  if (within) words.push_back(word);
  return words;
}

// Of a program or a script: "My_server.py" → "my-server".
std::string name_from(const fs::path& file) {
  std::string name;
  for (const char c : to_lower_ascii(file.stem().string()))
    name += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
  return name.substr(0, 20);
}

// The name before '=', where there is one.
std::string_view name_of(std::string_view text) {
  const auto end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-");
  return end != text.npos && end > 0 && text[end] == '=' ? text.substr(0, end) : std::string_view();
}

// A flag names the URL: it may be reached as far as it says itself that it is.
Result<ToolServer> server_at(std::string_view named, const std::string& url,
                             const ToolFlagsOfRun& flags) {
  const auto endpoint = serve::parse_base_url(url);
  if (!endpoint) return at("--mcp", endpoint.error());
  ToolServer server;
  server.name = named.empty() ? name_from(endpoint->host) : std::string(named);
  server.url = url;
  server.token_env = flags.token_env;
  server.token_file = flags.token_file;
  server.root = flags.root;
  server.ask = parse_ask_when(flags.ask).value_or(AskWhen::kFirst);
  server.privacy = endpoint->reach;
  if (auto fine = check_tool_server(server); !fine) return at("--mcp " + url, fine.error());
  return server;
}

Result<ToolServer> tool_server(const std::string& text, const ToolFlagsOfRun& flags) {
  const std::string_view named = name_of(text);
  const std::string_view line =
      named.empty() ? std::string_view(text) : std::string_view(text).substr(named.size() + 1);
  if (line.starts_with("http://") || line.starts_with("https://"))
    return server_at(named, std::string(line), flags);
  ToolServer server;
  LATHE_TRY(server.command, words_of(line));
  if (server.command.empty()) return invalid("--mcp '{}': names no program", text);
  fs::path called_after = server.command[0];
  std::error_code ignored;
  for (std::size_t i = server.command.size(); i-- > 1;)
    if (fs::is_regular_file(server.command[i], ignored)) {
      called_after = server.command[i];
      server.command[i] = fs::absolute(server.command[i], ignored).lexically_normal().string();
    }
  server.name = named.empty() ? name_from(called_after) : std::string(named);
  server.root = flags.root;
  server.ask = parse_ask_when(flags.ask).value_or(AskWhen::kFirst);
  server.privacy = flags.network ? Reach::kAny : Reach::kLocal;
  if (auto fine = check_tool_server(server); !fine)
    return invalid("--mcp {}: {}", clip_utf8(text, 100), fine.error().message);
  return server;
}

}  // namespace

books::Approvals approvals_of(const App& app) {
  return books::Approvals(app.config_dir / "approvals.json");
}

std::string approval_words(const books::Approval& approval) {
  const auto member = [&](const char* name) {
    const auto found = approval.subject.find(name);
    return found == approval.subject.end() ? std::string() : found->second;
  };
  std::string command = member("url");
  if (!command.empty())
    return serve::escaped_text(fmt::format("{} of the server '{}' ({}), no farther than {}",
                                           member("tool"), member("server"), command,
                                           member("reach")));
  if (const auto words = parse_json(member("command")))
    for (const Json& word : *words)
      if (word.is_string()) command += (command.empty() ? "" : " ") + word.get<std::string>();
  return serve::escaped_text(
      fmt::format("{} of the server '{}' ({}), {}", member("tool"), member("server"), command,
                  member("reach") == "local" ? "without a network" : "with the network"));
}

Result<std::unique_ptr<serve::Toolbox>> ToolDesk::open(std::span<const ToolServer> servers,
                                                       const StopFlag& stop) {
  for (const ToolServer& server : servers)
    if (server.privacy > options_.most)
      return fail(ErrorKind::kDenied,
                  "the tool server '{}' {}, which --allow {} does not give; --allow {} does",
                  server.name,
                  server.url.empty() ? "is to have the network" : "may be beyond this machine",
                  reach_name(options_.most), reach_name(server.privacy));
  serve::ToolboxOptions options;
  options.version = program_version();
  options.connect = [this](const ToolServer& server) { return connect(server); };
  options.may_call = [this](const serve::ToolQuestion& question, const StopFlag& asked) {
    return may_call(question, asked);
  };
  return serve::Toolbox::open(servers, std::move(options), stop);
}

Result<std::unique_ptr<serve::Wire>> ToolDesk::connect(const ToolServer& server) const {
  if (server.url.empty()) return serve::start_server(server, options_.unsafe_no_sandbox);
  LATHE_TRY(std::string token, foreign_key(server.token_env, server.token_file));
  return serve::connect_server(server,
                               {.token = std::move(token),
                                .contacts = app_.contacts.get(),
                                .allowed_by = fmt::format("tool server {}, privacy {}", server.name,
                                                          reach_name(server.privacy)),
                                .consent = options_.consent});
}

bool ToolDesk::has_person() const {
  return !app_.json && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

Status ToolDesk::settle(const serve::Toolbox& toolbox, const StopFlag& stop) {
  std::vector<std::string> open, always;
  for (const serve::ToolQuestion& question : toolbox.questions()) {
    if (question.server.ask == AskWhen::kNever) continue;
    if (question.server.ask == AskWhen::kAlways) {
      if (!has_person()) always.push_back(fmt::format("'{}'", question.tool));
    } else if (has_person()) {
      LATHE_TRY(const bool allowed, may_call(question, stop));
      if (!allowed)
        return fail(ErrorKind::kDenied, "the tool '{}' of the server '{}' is not allowed",
                    question.tool, question.server.name);
    } else if (const auto allowed = may_call(question, stop); !allowed) {
      if (allowed.error().kind != ErrorKind::kUnavailable) return std::unexpected(allowed.error());
      open.push_back(approval_of(question).id());
    } else if (!*allowed) {
      return fail(
          ErrorKind::kDenied,
          "the tool '{}' of the server '{}' was refused; `lathe approvals allow {}` changes "
          "that",
          question.tool, question.server.name, approval_of(question).id());
    }
  }
  if (!always.empty())
    return fail(ErrorKind::kUnavailable,
                "a person is to be asked before every call of {} (ask = \"always\"), and there is "
                "nobody here: run it at a terminal, or write ask = \"first\"",
                join(always, ", "));
  if (!open.empty())
    return fail(ErrorKind::kUnavailable,
                "a person has to allow these tools first, and there is nobody here: `lathe "
                "approvals list` shows them, `lathe approvals allow {}` allows them",
                join(open, " "));
  return {};
}

Result<bool> ToolDesk::may_call(const serve::ToolQuestion& question, const StopFlag& stop) {
  if (question.server.ask == AskWhen::kNever) return true;
  const std::scoped_lock lock(mutex_);
  books::Approval approval = approval_of(question);
  const books::Approvals table = approvals_of(app_);
  LATHE_TRY(const auto decision, table.find(approval));
  if (decision == books::Decision::kRefused) return false;
  const bool first = question.server.ask == AskWhen::kFirst;
  if (first && (decision == books::Decision::kAllowed || this_time_.contains(approval.id())))
    return true;
  if (!has_person()) {
    if (first && !decision) LATHE_TRY_STATUS(table.put(approval));
    return fail(
        ErrorKind::kUnavailable,
        "the tool '{}' of the server '{}' may be called only if a person says so, and there "
        "is nobody here: {}",
        question.tool, question.server.name,
        first ? fmt::format("`lathe approvals allow {}` allows it", approval.id())
              : "run this at a terminal, or ask before the first call alone");
  }
  LATHE_TRY(const Answer answer, ask(question, stop));
  if (answer == Answer::kAlways) {
    approval.decision = books::Decision::kAllowed;
    LATHE_TRY_STATUS(table.put(approval));
  }
  if (answer == Answer::kYes && first) this_time_.insert(approval.id());
  return answer != Answer::kNo;
}

Result<ToolDesk::Answer> ToolDesk::ask(const serve::ToolQuestion& question, const StopFlag& stop) {
  const bool first = question.server.ask == AskWhen::kFirst;
  std::string text = fmt::format("may the model call {}?\n", approval_words(approval_of(question)));
  if (!question.arguments.empty())
    text += fmt::format("  {}\n", serve::escaped_text(clip_utf8(question.arguments, kMaxShown)));
  Result<Answer> answer = Answer::kNo;
  options_.alone([&] {
    print_note(text + (first ? "y: this time · a: always · n: no" : "y: this call · n: no"));
    const auto line = typed_line(stop);
    if (!line)
      answer = std::unexpected(line.error());
    else if (const std::string word = to_lower_ascii(trim(line->value_or("")));
             word == "y" || word == "yes")
      answer = Answer::kYes;
    else if (first && (word == "a" || word == "always"))
      answer = Answer::kAlways;
  });
  return answer;
}

void add_run_tool_flags(CLI::App& command, ToolFlagsOfRun& flags) {
  command
      .add_option("--mcp", flags.commands,
                  "A program whose tools the model may call, \"COMMAND …\" or \"NAME=COMMAND …\", "
                  "confined; or a URL, \"URL\" or \"NAME=URL\"; may be given again")
      ->take_all()
      ->group("Tools");
  command.add_option("--mcp-root", flags.root, "A directory that it may read, and begins in")
      ->group("Tools");
  command.add_flag("--mcp-network", flags.network, "It has the machine's network")->group("Tools");
  command
      .add_option("--mcp-token-env", flags.token_env,
                  "The environment variable with the token that the server at a URL wants")
      ->group("Tools");
  command
      .add_option("--mcp-token-file", flags.token_file,
                  "Or the file that holds it, for its owner alone")
      ->group("Tools");
  command
      .add_option("--mcp-ask", flags.ask,
                  "Ask you before the first call of a tool, always, or never")
      ->check(CLI::IsMember({"first", "always", "never"}))
      ->capture_default_str()
      ->group("Tools");
}

Result<std::vector<ToolServer>> tool_servers(const ToolFlagsOfRun& flags) {
  std::vector<ToolServer> servers;
  for (const std::string& text : flags.commands) {
    LATHE_TRY(ToolServer server, tool_server(text, flags));
    if (std::ranges::find(servers, server.name, &ToolServer::name) != servers.end())
      return invalid("--mcp: two servers are '{}'; name them: --mcp \"NAME=COMMAND …\"",
                     server.name);
    servers.push_back(std::move(server));
  }
  const bool token = !flags.token_env.empty() || !flags.token_file.empty();
  if (token && std::ranges::all_of(servers, [](const auto& each) { return each.url.empty(); }))
    return invalid("--mcp-token-env and --mcp-token-file need an --mcp URL that the token is for");
  return servers;
}

}  // namespace lathe::app
