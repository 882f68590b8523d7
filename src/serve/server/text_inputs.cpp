// Inputs that are one text or a list of them.
#include "serve/server/text_inputs.h"

namespace lathe::serve {
namespace {

std::optional<TextInput> token_ids(const Json& array) {
  TextInput input;
  for (const Json& id : array) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > 0x7FFFFFFF) return std::nullopt;
    input.ids.push_back(id.get<std::int32_t>());
  }
  return input.ids.empty() ? std::nullopt : std::optional(std::move(input));
}

}  // namespace

ApiResult<std::vector<TextInput>> text_inputs(Fields& body, std::string_view key,
                                              std::size_t most) {
  const Json& value = body.raw(key);
  std::vector<TextInput> inputs;
  if (value.is_string()) {
    inputs.push_back({value.get<std::string>(), {}});
  } else if (value.is_array() && !value.empty() && value[0].is_number()) {
    if (auto input = token_ids(value)) inputs.push_back(std::move(*input));
  } else if (value.is_array()) {
    if (value.size() > most) body.refuse(key, fmt::format("may have {} elements at most", most));
    for (const Json& element : value) {
      auto input = element.is_array() ? token_ids(element) : std::nullopt;
      if (element.is_string()) input = TextInput{element.get<std::string>(), {}};
      if (!input) break;
      inputs.push_back(std::move(*input));
    }
    if (inputs.size() != value.size()) inputs.clear();
  }
  if (inputs.empty())
    body.refuse(key, "must be a text, token ids, or an array of one or the other");
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  return inputs;
}

}  // namespace lathe::serve
