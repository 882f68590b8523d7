// Reads a model's answer to a coding task: whole files, functions, lines and removals, each
// announced before its block. Pure and strict: what is not understood is an error that says what
// was expected.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"
#include "loop/makers/code_patch.h"

namespace lathe::loop {

struct Edit {
  enum class Kind { kFile, kFunction, kDelete, kReplace } kind = Kind::kFile;
  std::string path;
  std::string function = {};  // for kFunction; for kDelete: a function of the file, "": the file
  std::string code = {};
  std::vector<Replacement> replacements = {};  // for kReplace
};

//   FILE: src/a.cpp                FUNCTION: src/a.cpp parse        DELETE: src/old.cpp
//   ```cpp                         ```cpp                           DELETE: src/a.cpp unused
//   …                              …
//   ```                            ```
// A FILE's block may hold SEARCH/REPLACE blocks or a unified diff instead of the file. Models also
// announce a file by a heading, bold or in code right before the block, behind the fence, or by a
// diff's own header: these count where they name one of the `known` files, or plainly a new one.
// Other text outside is ignored. An answer without any edit, an announcement without a block, a
// block that does not end, a name that is no path of the project and two edits of one thing are
// errors.
Result<std::vector<Edit>> parse_code_reply(std::string_view reply,
                                           std::span<const std::string> known);
// The answer that reads as these edits. Lines end with a line feed, also the last one.
std::string write_code_reply(std::span<const Edit> edits);
// Text between fences that it does not hold.
std::string fenced(std::string_view text);

// The file that a model means by what it writes behind "FILE:": a known one, whatever decoration it
// has ("**`src/a.py`** (updated)"), else a plain new name. An error names the nearest.
Result<std::string> meant_path(std::string_view written, std::span<const std::string> known);

}  // namespace lathe::loop
