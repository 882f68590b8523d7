// Finds the functions in a source file and exchanges one of them. The parser is universal-ctags,
// run in the sandbox.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe::loop {

struct Function {
  std::string name;       // with what it belongs to: "Parser::next", "Parser.next"
  std::size_t first = 1;  // lines, from 1, both included
  std::size_t last = 0;   // 0: where it ends is not known
};

class FunctionFinder {
 public:
  FunctionFinder(bool unsafe_no_sandbox, const StopFlag& stop)
      : unsafe_no_sandbox_(unsafe_no_sandbox), stop_(stop) {}

  // In the order of their lines; empty when the language of `path` is not known. What was read once
  // is remembered.
  Result<std::vector<Function>> of(std::string_view path, std::string_view text);

 private:
  bool unsafe_no_sandbox_;
  const StopFlag& stop_;
  std::map<std::string, std::vector<Function>> known_;  // by language and text
};

// The innermost function around a line.
std::optional<Function> function_at(const std::vector<Function>& functions, std::size_t line);

// The only function of this name; its last parts are enough, and what models write behind it
// (arguments, lines) is left out. The error shows the nearest real lines.
Result<Function> function_named(const std::vector<Function>& functions, std::string_view path,
                                std::string_view text, std::string_view name);

std::string lines_of(std::string_view text, std::size_t first, std::size_t last);

// `text` with that function exchanged for `code`, which must define it. What stands above it
// (decorators, comments, template heads) is exchanged where `code` has it too.
Result<std::string> splice_function(FunctionFinder& finder, std::string_view path,
                                    std::string_view text, std::string_view name,
                                    std::string_view code);
// Without that function.
Result<std::string> remove_function(FunctionFinder& finder, std::string_view path,
                                    std::string_view text, std::string_view name);

// Functions of `before` that `after` has no more, or fewer of.
std::vector<std::string> functions_gone(const std::vector<Function>& before,
                                        const std::vector<Function>& after);

// The exchanges of functions that make `after` of `before`; empty: there are none.
struct FunctionText {
  std::string name, code;
};
Result<std::vector<FunctionText>> functions_between(FunctionFinder& finder, std::string_view path,
                                                    std::string_view before,
                                                    std::string_view after);

}  // namespace lathe::loop
