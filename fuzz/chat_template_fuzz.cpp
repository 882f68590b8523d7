// A template and its variables, both from anywhere: the template, a NUL, JSON.
#include <cstdlib>

#include "infer/templates/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size > 10'000) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto end = std::min(bytes.find('\0'), bytes.size());
  const auto chat = infer::ChatTemplate::parse(std::string(bytes.substr(0, end)));
  if (!chat) {
    if (!chat.error().message.starts_with("chat template, line ")) std::abort();
    return 0;
  }
  Json variables = Json::object();
  if (end < bytes.size())
    if (auto json = parse_json(bytes.substr(end + 1)); json && json->is_object())
      variables = std::move(*json);
  if (!variables.contains("messages"))
    variables["messages"] = {{{"role", "user"}, {"content", "Hällo"}},
                             {{"role", "assistant"}, {"content", nullptr}, {"n", 3}}};
  variables["bos_token"] = "<s>";
  infer::TemplateLimits limits;
  limits.steps = 100'000;
  limits.output_bytes = 100'000;
  const auto first = chat->render(variables, 1'000'000, limits);
  const auto second = chat->render(variables, 1'000'000, limits);
  if (first.has_value() != second.has_value()) std::abort();
  if (!first) return 0;
  std::size_t total = 0;
  if (first->size() != second->size()) std::abort();
  for (std::size_t i = 0; i < first->size(); ++i) {
    total += (*first)[i].text.size();
    if ((*first)[i].text != (*second)[i].text) std::abort();
    if (i > 0 && (*first)[i].trusted == (*first)[i - 1].trusted) std::abort();  // joined
  }
  if (total > limits.output_bytes) std::abort();
  return 0;
}
