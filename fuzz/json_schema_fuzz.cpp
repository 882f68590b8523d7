// Schema and instance, both from anywhere: two lines. Whatever they are, the check ends.
#include <cstdlib>

#include "ground/base/text.h"
#include "ground/schema/json_schema.h"
#include "ground/schema/json_value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size > 10'000) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto cut = bytes.find('\n');
  const auto schema_json = parse_json(bytes.substr(0, cut));
  const auto instance = parse_json(cut == bytes.npos ? "null" : bytes.substr(cut + 1));
  if (!instance) return 0;
  const Json copy = *parse_json(dump_json(*instance));
  if (value_key(copy) != value_key(*instance)) std::abort();
  if (!schema_json) return 0;
  const auto schema = JsonSchema::compile(*schema_json, size % 2 == 0);
  if (!schema) return 0;
  const auto errors = schema->validate(*instance);
  if (!errors) return 0;
  for (const SchemaError& error : *errors)
    if (error.keyword.empty() || error.message.empty()) std::abort();
  // A schema and its negation never agree; but a reference would mean another root there.
  if (bytes.find("$ref") != bytes.npos || bytes.find("$dynamicRef") != bytes.npos ||
      bytes.find("\\u") != bytes.npos)
    return 0;
  const auto negation = JsonSchema::compile({{"not", *schema_json}}, size % 2 == 0);
  if (negation)
    if (const auto opposite = negation->validate(*instance))
      if (opposite->empty() == errors->empty()) std::abort();
  return 0;
}
