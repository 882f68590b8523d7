// A model's answer to a coding task, and the search for functions in a source file.
#include <cstdlib>

#include "ground/base/file.h"
#include "loop/makers/code_cut.h"
#include "loop/makers/code_reply.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size == 0) return 0;
  const char* path = data[0] % 4 == 0   ? "x.py"
                     : data[0] % 4 == 1 ? "x.sh"
                     : data[0] % 4 == 2 ? "x.go"
                                        : "x.cpp";
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (const auto edits = parse_code_reply(text))
    for (const Edit& edit : *edits)
      if (!is_safe_relative(edit.path)) std::abort();
  for (const Function& function : functions_of(path, text)) {
    if (function.first == 0 || function.last < function.first) std::abort();
    (void)splice_function(path, text, function.name, lines_of(text, function.first, function.last));
  }
  return 0;
}
