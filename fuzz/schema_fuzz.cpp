// A JSON schema from anywhere, and a walk over what its grammar allows.
#include "fuzz/constraint_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size > 5000) return 0;
  const auto schema = parse_json({reinterpret_cast<const char*>(data), size});
  if (!schema) return 0;
  const auto grammar = infer::Grammar::from_schema(*schema, fuzz_tokenizer());
  if (grammar) walk(*grammar, static_cast<std::uint32_t>(size));
  return 0;
}
