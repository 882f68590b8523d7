// What of a source file is code: its language, its comments and strings, its functions. No parser:
// a lexer for each family of languages, safe on any text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::loop {

// kScript: JavaScript and TypeScript
enum class Language { kNone, kC, kScript, kPython, kShell, kGo, kRust, kJava };

// By the name, or by the first line: "#!/bin/sh".
Language language_of(std::string_view path, std::string_view text);

// The same length and lines, with spaces for comments, and for what stands in strings if `strings`.
std::string blank_comments(Language language, std::string_view text, bool strings);

// Where a function's body is: behind its '{' (or the arrow) to its '}'; for Python and shell
// `open` is where the definition's line begins.
struct Body {
  std::string name;  // "" for one without a name
  std::size_t open = 0;
  std::size_t close = 0;
  bool test = false;  // Rust: it is a test, or stands in a module of tests
};
// `code`: from blank_comments(…, true). Every function of Python, JavaScript and shell; of the
// others the outermost ones.
std::vector<Body> bodies_of(Language language, std::string_view code);

std::size_t line_number(std::string_view text, std::size_t offset);  // from 1

}  // namespace lathe::loop
