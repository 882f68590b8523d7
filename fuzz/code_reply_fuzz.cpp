// A model's answer to a coding task: what is read of it, and what its lines make of a file.
#include <cstdlib>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "loop/makers/answer.h"
#include "loop/makers/code_check.h"
#include "loop/makers/code_reply.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<std::string> known{"a.py", "src/b.md", "c d.txt"};
  const std::size_t half = text.size() * data[0] / 256;
  const std::string_view file = text.substr(0, half);
  if (const auto edits = loop::parse_code_reply(text.substr(half), known))
    for (const loop::Edit& edit : *edits) {
      if (!is_safe_relative(edit.path)) std::abort();
      if (const auto made = loop::replace_lines(edit.path, file, edit.replacements))
        (void)loop::no_leftovers(edit.path, file, *made);
    }
  if (loop::replace_all_lines(file, loop::shown_text(file)) != file) std::abort();
  if (const auto bare = loop::without_thoughts(text)) (void)loop::only_text(*bare, file);
  return 0;
}
