// Renders messages with words of which is looked what becomes.
#include "infer/templates/message_form.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kWord = "dovetail", kKey = "tenon", kId = "abcdef123";
// As much as a long template takes for three messages.
constexpr TemplateLimits kLimits{
    .steps = 200'000, .output_bytes = std::size_t{1} << 20, .memory_bytes = std::size_t{16} << 20};

Json message(const char* role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

// What comes of these messages; empty: the template refuses them.
std::string rendered(const ChatTemplate& chat, const MessageForm& form, const Json& messages) {
  const Json tool = {
      {"type", "function"},
      {"function",
       {{"name", "f"},
        {"description", "f"},
        {"parameters",
         {{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}}}}}};
  const auto parts = chat.render({{"messages", shaped(messages, form)},
                                  {"tools", Json::array({tool})},
                                  {"add_generation_prompt", true},
                                  {"enable_thinking", true},
                                  {"thinking", true},
                                  {"bos_token", ""},
                                  {"eos_token", ""}},
                                 0, kLimits);
  std::string text;
  if (parts)
    for (const PromptPart& part : *parts) text += part.text;
  return text;
}

// A call, answered, with what was thought before.
Json called() {
  Json call = message("assistant", "");
  call["reasoning_content"] = kWord;
  call["tool_calls"] = Json::array({{{"id", kId},
                                     {"type", "function"},
                                     {"function", {{"name", "f"}, {"arguments", {{kKey, 1}}}}}}});
  Json result = message("tool", "1");
  result["tool_call_id"] = kId;
  result["name"] = "f";
  return Json::array({message("user", "f"), std::move(call), std::move(result)});
}

Json parts_of(const Json& content) {
  return Json::array({{{"type", "text"}, {"text", content}}});
}

void write_arguments(Json& calls) {
  for (Json& call : calls) {
    Json& arguments = call["function"]["arguments"];
    if (!arguments.is_string()) arguments = dump_json(arguments);
  }
}

// The text of the system messages goes in front of the first user's.
Json without_system(const Json& messages) {
  std::string system;
  Json out = Json::array();
  for (const Json& each : messages) {
    if (json_string(each, "role") == "system") {
      system += (system.empty() ? "" : "\n\n") + json_string(each, "content");
      continue;
    }
    out.push_back(each);
    if (system.empty() || json_string(each, "role") != "user") continue;
    out.back()["content"] = system + "\n\n" + json_string(each, "content");
    system.clear();
  }
  if (!system.empty()) out.insert(out.begin(), Json{{"role", "user"}, {"content", system}});
  return out;
}

}  // namespace

MessageForm message_form_of(const ChatTemplate& chat) {
  const auto shows = [&](const MessageForm& form, const Json& messages, std::string_view word) {
    return rendered(chat, form, messages).contains(word);
  };
  const Json user = Json::array({message("user", kWord)});
  MessageForm form, other;
  other.parts = true;
  form.parts = !shows(form, user, kWord) && shows(other, user, kWord);

  const Json system = Json::array({message("system", kWord), message("user", "f")});
  form.system = shows(form, system, kWord) || !shows(form, user, kWord);

  // A template that is given the other kind refuses it, or shows how Python would print it.
  const Json call = called();
  other = form;
  other.arguments = true;
  const auto shows_call = [&](const MessageForm& each) {
    const std::string text = rendered(chat, each, call);
    return text.contains(kKey) && !text.contains("{'") && !text.contains("\\\"");
  };
  form.arguments = !shows_call(form) && shows_call(other);

  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    other = form;
    other.thinking = name;
    if (!shows(other, call, kWord)) continue;
    form.thinking = name;
    break;
  }
  return form;
}

Json shaped(Json messages, const MessageForm& form) {
  if (!form.system) messages = without_system(messages);
  for (Json& each : messages) {
    if (form.parts && json_at(each, "content").is_string())
      each["content"] = parts_of(each["content"]);
    if (form.arguments && each.contains("tool_calls")) write_arguments(each["tool_calls"]);
    if (form.thinking == "reasoning_content" || !each.contains("reasoning_content")) continue;
    each[form.thinking] = each["reasoning_content"];
    each.erase("reasoning_content");
  }
  return messages;
}

void complete_thinking(Json& variables) {
  const std::string effort = json_string(variables, "reasoning_effort");
  const auto given = [&](const char* name) { return json_at(variables, name).is_boolean(); };
  if (!given("enable_thinking") && !given("thinking")) {
    if (effort.empty() || effort == "minimal") return;
    variables["enable_thinking"] = effort != "none";
  }
  if (!given("thinking")) variables["thinking"] = variables["enable_thinking"];
  if (!given("enable_thinking")) variables["enable_thinking"] = variables["thinking"];
  // Seed's is a number of tokens.
  if (variables["enable_thinking"] == Json(false) && !variables.contains("thinking_budget"))
    variables["thinking_budget"] = 0;
}

}  // namespace lathe::infer
