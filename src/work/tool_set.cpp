// Names and limits of tools.
#include "work/tool_set.h"

#include <algorithm>
#include <array>

#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxAnswer = 64 << 10;
constexpr std::size_t kMaxServerName = 20, kMaxToolName = 64;
constexpr std::string_view kBetween = "__";  // in no server's name

constexpr std::array<std::pair<AskWhen, std::string_view>, 3> kAskWhen{
    {{AskWhen::kAlways, "always"}, {AskWhen::kFirst, "first"}, {AskWhen::kNever, "never"}}};

bool is_small_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_server_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxServerName &&
         std::ranges::all_of(name, [](char c) { return is_small_letter_or_digit(c) || c == '-'; });
}

Status check_remote_server(const ToolServer& server) {
  if (!server.url.starts_with("http://") && !server.url.starts_with("https://"))
    return invalid("url is '{}', but must begin with http:// or https://",
                   clip_utf8(make_valid_utf8(server.url), 100));
  if (!server.root.empty() || !server.read_only.empty() || !server.env.empty())
    return invalid("root, read_only and env are of programs; '{}' is at a url", server.name);
  if (!server.token_env.empty() && !server.token_file.empty())
    return invalid("token_env and token_file: one of them");
  return {};
}

}  // namespace

std::string answer_for_prompt(const ToolAnswer& answer) {
  std::string text = answer.ok ? "" : "error: ";
  text += make_valid_utf8(answer.text);
  if (text.size() <= kMaxAnswer) return text;
  const std::string all = fmt::format("\n({} bytes in all)", text.size());
  return clip_utf8(text, kMaxAnswer - all.size() - std::string_view("…").size()) + all;
}

void Repeats::clear_others(const FunctionCall& call) {
  const std::string key = key_of(call);
  std::erase_if(times_, [&](const auto& each) { return each.first != key; });
}

std::string Repeats::key_of(const FunctionCall& call) {
  const auto json = parse_json(call.arguments);
  return call.name + "\n" + (json ? canonical_json(*json) : call.arguments);
}

std::string_view ask_when_name(AskWhen when) {
  return kAskWhen[static_cast<std::size_t>(when)].second;
}

std::optional<AskWhen> parse_ask_when(std::string_view name) {
  for (const auto& [when, each] : kAskWhen)
    if (each == name) return when;
  return std::nullopt;
}

Status check_tool_server(const ToolServer& server) {
  if (!is_server_name(server.name))
    return invalid("server is '{}', but must be of small letters, digits and '-', at most {}",
                   clip_utf8(make_valid_utf8(server.name), 60), kMaxServerName);
  const bool program = !server.command.empty() && !server.command[0].empty();
  if (program == !server.url.empty())
    return invalid("the server '{}' needs either a command, which is a program, or a url",
                   server.name);
  if (!program)
    LATHE_TRY_STATUS(check_remote_server(server));
  else if (!server.token_env.empty() || !server.token_file.empty())
    return invalid("token_env and token_file are of servers at a url; a program has env");
  if (program && server.privacy == Reach::kLan)
    return invalid(
        "privacy is \"lan\", which cannot be held: a program with a network reaches all of it; "
        "write \"local\" for none, or \"any\"");
  if (server.call_time <= Milliseconds(0)) return invalid("call_time must be longer than nothing");
  for (const std::string& tool : server.allow)
    if (const auto name = foreign_tool_name(server.name, tool); !name)
      return invalid("allow: {}", name.error().message);
  return {};
}

Result<std::string> foreign_tool_name(const std::string& server, const std::string& tool) {
  const std::string name = fmt::format("{}{}{}", server, kBetween, tool);
  const bool plain = std::ranges::all_of(tool, [](char c) {
    return is_small_letter_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  });
  if (tool.empty() || !plain || name.size() > kMaxToolName)
    return invalid(
        "'{}' cannot be the name of a tool before models: letters, digits, '_' and '-', at most {} "
        "together with the server's",
        clip_utf8(make_valid_utf8(tool), 80), kMaxToolName);
  return name;
}

}  // namespace lathe
