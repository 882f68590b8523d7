// Finds the functions in a source file and exchanges one of them. No parser: braces for the C-like
// languages and shell, indentation for Python. Pure; safe on any text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe {

struct Function {
  std::string name;       // as written, with what it belongs to: "Parser::next", "Parser.next"
  std::size_t first = 1;  // lines, from 1, both included
  std::size_t last = 1;
};

// Empty when the language of `path` is not known.
std::vector<Function> functions_of(std::string_view path, std::string_view text);

// The innermost function around a line.
std::optional<Function> function_at(std::string_view path, std::string_view text, std::size_t line);

// The only function of this name; its last part is enough. The error shows the nearest real lines.
Result<Function> function_named(std::string_view path, std::string_view text,
                                std::string_view name);

std::string lines_of(std::string_view text, std::size_t first, std::size_t last);

// `text` with that function's lines replaced by `code`, which must define the same function.
Result<std::string> splice_function(std::string_view path, std::string_view text,
                                    std::string_view name, std::string_view code);

// The exchanges of functions that make `after` of `before`: those of each function that differs, or
// a single one that takes what stands beside it along. Empty: there are none.
struct FunctionText {
  std::string name, code;
};
std::vector<FunctionText> functions_between(std::string_view path, std::string_view before,
                                            std::string_view after);

}  // namespace lathe
