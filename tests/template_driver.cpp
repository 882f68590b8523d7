// Renders chat templates for tests/templates_test.py: one JSON object a line in, one out.
//   {"template": "…", "variables": {…}, "now": 0}  →  {"text": "…", "user": "…"} or {"error": "…"}
// "user" is what came back marked as the caller's.
#include <iostream>

#include "infer/templates/chat_template.h"

namespace {

lathe::Json render(const std::string& line) {
  const auto request = lathe::parse_json(line);
  if (!request) return {{"error", request.error().message}};
  const auto chat = lathe::infer::ChatTemplate::parse(lathe::json_string(*request, "template"));
  if (!chat) return {{"error", chat.error().message}};
  const auto parts =
      chat->render(lathe::json_at(*request, "variables"), lathe::json_int(*request, "now", 0));
  if (!parts) return {{"error", parts.error().message}};
  std::string text, user;
  for (const lathe::infer::PromptPart& part : *parts) {
    text += part.text;
    if (!part.trusted) user += part.text;
  }
  return {{"text", text}, {"user", user}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);)
    std::cout << lathe::dump_json(render(line)) << std::endl;
}
