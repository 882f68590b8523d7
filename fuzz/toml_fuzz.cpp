// Recipes, scripts and settings: any bytes give a table or an error.
#include <cstdlib>

#include "ground/base/toml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto table = lathe::parse_toml({reinterpret_cast<const char*>(data), size}, "f");
  if (!table && !table.error().message.starts_with("f:")) std::abort();
  return 0;
}
