// Writes requests out.
#include "loop/terms/prompt_text.h"

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

std::string content_text(const Content& content) {
  std::string text;
  for (const ContentPart& part : content.parts()) {
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    if (const auto* words = std::get_if<std::string>(&part))
      text += *words;
    else if (const auto* document = std::get_if<Document>(&part))
      text += fmt::format("[the document {}]", document->name);
    else
      text += fmt::format("[{}]", std::get<Media>(part).name());
  }
  return text;
}

std::string message_text(const Message& message) {
  std::string text =
      fmt::format("[{}{}]\n", message.role, message.name.empty() ? "" : " " + message.name);
  if (!message.reasoning.empty()) text += fmt::format("[thinking]\n{}\n", message.reasoning);
  text += content_text(message.content);
  for (const FunctionCall& call : message.calls)
    text += fmt::format("\n[calls {}] {}", call.name, call.arguments);
  return text;
}

std::string talk_text(const Talk& talk) {
  std::string text;
  if (!talk.tools.empty()) {
    std::vector<std::string> names;
    for (const Tool& tool : talk.tools) names.push_back(tool.name);
    text += fmt::format("[tools] {}\n\n", join(names, ", "));
  }
  for (const Message& message : talk.messages) {
    text += message_text(message);
    text += text.ends_with('\n') ? "\n" : "\n\n";
  }
  return text;
}

}  // namespace

std::string prompt_text(const Request& request) {
  if (const Talk* talk = request.talk()) return make_valid_utf8(talk_text(*talk));
  if (const auto* plain = std::get_if<TextPrompt>(&request.ask))
    return make_valid_utf8(plain->suffix.empty()
                               ? plain->text
                               : fmt::format("{}\n[up to]\n{}", plain->text, plain->suffix));
  return fmt::format("[{} tokens]", std::get<TokenPrompt>(request.ask).ids.size());
}

}  // namespace lathe::loop
