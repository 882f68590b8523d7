// Reads a model's answer to a coding task: whole files, functions and removals, each announced on a
// line of its own before its fenced block. Pure and strict: what is not understood is an error that
// says what was expected.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe {

struct Edit {
  enum class Kind { kFile, kFunction, kDelete } kind = Kind::kFile;
  std::string path;
  std::string function;  // for kFunction
  std::string code;
};

//   FILE: src/a.cpp                FUNCTION: src/a.cpp parse        DELETE: src/old.cpp
//   ```cpp                         ```cpp
//   …                              …
//   ```                            ```
// Text outside is ignored. An answer without any edit, an announcement without a block, a block
// that does not end, a path outside the tree and two edits of one thing are errors.
Result<std::vector<Edit>> parse_code_reply(std::string_view reply);
// The answer that reads as these edits. Lines end with a line feed, also the last one.
std::string write_code_reply(std::span<const Edit> edits);
// Text between fences that it does not hold.
std::string fenced(std::string_view text);

}  // namespace lathe
