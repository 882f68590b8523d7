// A chat template of a model, rendered for messages and tools.
#include "infer/templates/chat_template.h"

#include <algorithm>

#include "infer/templates/template_machine.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kTrustedVariables[] = {"bos_token", "eos_token"};
constexpr std::string_view kRoles[] = {"system",    "developer", "user",
                                       "assistant", "tool",      "function"};

bool deeper_than(const Json& json, int levels) {
  if (!json.is_structured()) return false;
  if (levels == 0) return true;
  return std::ranges::any_of(json, [&](const Json& item) { return deeper_than(item, levels - 1); });
}

// A role is a word of the protocol, not the user's, and some templates build control tokens from it
// ("<|" + role + "|>"): the known ones are trusted.
void trust_roles(ValueHeap& heap, const Value& messages) {
  if (!messages.is(ValueKind::kList)) return;
  for (const Value& message : *messages.list) {
    const Value* role = message.is(ValueKind::kDict) ? message.dict->find("role") : nullptr;
    if (role == nullptr || !role->is_text() ||
        std::ranges::find(kRoles, role->view()) == std::end(kRoles))
      continue;
    message.dict->set(heap.text("role"), heap.text(role->view()));
  }
}

}  // namespace

struct ChatTemplate::Program {
  std::string source;
  TemplateBlock block;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Program> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string source) {
  LATHE_TRY(TemplateBlock block, parse_template(source));
  return ChatTemplate(std::make_unique<Program>(Program{std::move(source), std::move(block)}));
}

const std::string& ChatTemplate::source() const {
  return program_->source;
}

Result<std::vector<PromptPart>> ChatTemplate::render(const Json& variables, std::int64_t now,
                                                     const TemplateLimits& limits) const {
  if (!variables.is_object()) return invalid("chat template: its variables are no JSON object");
  if (deeper_than(variables, kMaxValueDepth))
    return invalid("chat template: its variables are nested more than {} levels deep",
                   kMaxValueDepth);
  TemplateMachine machine(limits, now);
  for (const auto& [name, json] : variables.items()) {
    const bool trusted = std::ranges::find(kTrustedVariables, name) != std::end(kTrustedVariables);
    const Value value = machine.heap().json(json, !trusted);
    if (name == "messages") trust_roles(machine.heap(), value);
    machine.set_global(name, value);
  }
  LATHE_TRY(const MarkedText text, machine.run(program_->block));
  std::vector<PromptPart> parts;
  text.for_runs([&](std::string_view bytes, bool user) {
    parts.push_back({std::string(bytes), !user});
  });
  return parts;
}

}  // namespace lathe::infer
