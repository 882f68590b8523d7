// A grammar in GBNF from anywhere, and a walk over what it allows.
#include "fuzz/constraint_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size > 5000) return 0;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto grammar = infer::Grammar::from_gbnf(source, fuzz_tokenizer());
  if (grammar) walk(*grammar, static_cast<std::uint32_t>(size));
  return 0;
}
