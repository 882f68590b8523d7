// Examples in the forms of conversations that data files use.
#include "app/lessons/conversations.h"

#include "ground/base/text.h"

namespace lathe::app {
namespace {

struct Role {
  std::string_view name, role;
};
// Those of chats, and their names in ShareGPT.
constexpr Role kRoles[] = {
    {"system", "system"},       {"developer", "system"},  {"user", "user"},
    {"assistant", "assistant"}, {"tool", "tool"},         {"human", "user"},
    {"gpt", "assistant"},       {"chatgpt", "assistant"}, {"observation", "tool"}};
constexpr std::size_t kChatRoles = 5;  // the first so many

Result<std::string> role_of(const std::string& name, std::size_t known) {
  for (const Role& role : std::span(kRoles).first(known))
    if (role.name == name) return std::string(role.role);
  std::vector<std::string> names;
  for (const Role& role : std::span(kRoles).first(known)) names.emplace_back(role.name);
  return invalid("the role '{}' is unknown; there are {}", clip_utf8(name, 40), join(names, ", "));
}

// A string, or OpenAI's list of parts of which only text can be trained.
Result<std::string> content_of(const Json& message) {
  const Json& content = json_at(message, "content");
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null() && message.contains("tool_calls")) return std::string();
  if (!content.is_array()) return invalid("'content' is {}, not a string", content.type_name());
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object() || json_string(part, "type") != "text")
      return invalid("'content' has a part that is not text");
    text += json_string(part, "text");
  }
  return text;
}

Status copy_calls(const Json& message, Json& out) {
  const Json& calls = json_at(message, "tool_calls");
  if (calls.is_null()) return {};
  if (!calls.is_array()) return invalid("'tool_calls' is {}, not a list", calls.type_name());
  for (const Json& call : calls) {
    const Json& function = json_at(call, "function");
    if (!function.is_object() || json_string(function, "name").empty())
      return invalid("a tool call has no function with a name");
    Json arguments = json_at(function, "arguments");
    if (arguments.is_string()) {
      if (auto parsed = parse_json(arguments.get<std::string>())) arguments = std::move(*parsed);
    }
    out["tool_calls"].push_back(
        {{"id", json_string(call, "id")},
         {"type", "function"},
         {"function",
          {{"name", json_string(function, "name")}, {"arguments", std::move(arguments)}}}});
  }
  return {};
}

Status check_turns(const Json& messages) {
  for (const Json& message : messages)
    if (message["role"] == "assistant") return {};
  return invalid("there is no turn of the assistant: nothing to learn");
}

}  // namespace

Result<std::string> text_member(const Json& object, const char* key) {
  const auto value = object.find(key);
  if (value == object.end()) return invalid("'{}' is missing", key);
  if (!value->is_string()) return invalid("'{}' is {}, not a string", key, value->type_name());
  return value->get<std::string>();
}

Result<Json> messages_of_chat(const Json& messages) {
  if (!messages.is_array() || messages.empty())
    return invalid("'messages' is {}, not a list of messages",
                   messages.is_array() ? "empty" : messages.type_name());
  Json out = Json::array();
  for (const Json& message : messages) {
    if (!message.is_object()) return invalid("a message is {}, not an object", message.type_name());
    LATHE_TRY(const std::string name, text_member(message, "role"));
    LATHE_TRY(const std::string role, role_of(name, kChatRoles));
    LATHE_TRY(const std::string content, content_of(message));
    Json one{{"role", role}, {"content", content}};
    for (const char* key : {"name", "tool_call_id", "reasoning_content"})
      if (const std::string value = json_string(message, key); !value.empty()) one[key] = value;
    LATHE_TRY_STATUS(copy_calls(message, one));
    out.push_back(std::move(one));
  }
  LATHE_TRY_STATUS(check_turns(out));
  return out;
}

Result<Json> messages_of_sharegpt(const Json& conversations) {
  if (!conversations.is_array() || conversations.empty())
    return invalid("'conversations' is no list of turns");
  Json out = Json::array();
  for (const Json& turn : conversations) {
    if (!turn.is_object()) return invalid("a turn is {}, not an object", turn.type_name());
    LATHE_TRY(const std::string from, text_member(turn, "from"));
    LATHE_TRY(const std::string role, role_of(from, std::size(kRoles)));
    LATHE_TRY(const std::string value, text_member(turn, "value"));
    out.push_back({{"role", role}, {"content", value}});
  }
  LATHE_TRY_STATUS(check_turns(out));
  return out;
}

Result<Json> messages_of_alpaca(const Json& line) {
  LATHE_TRY(std::string question, text_member(line, "instruction"));
  LATHE_TRY(const std::string answer, text_member(line, "output"));
  if (answer.empty()) return invalid("'output' is empty: there is nothing to learn");
  if (const std::string input = json_string(line, "input"); !input.empty())
    question += "\n\n" + input;
  return Json{{{"role", "user"}, {"content", question}},
              {{"role", "assistant"}, {"content", answer}}};
}

}  // namespace lathe::app
