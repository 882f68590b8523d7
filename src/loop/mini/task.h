// A task "from red to green": one function in Mini-Python, what it is to do in a line, asserts that
// drive the loop and hidden ones that only measure. And the talk with a small model about it: the
// compact prompt, and the answer, a new body or edits of lines. Pure; any thread.
#pragma once

#include <span>

#include "ground/base/json.h"
#include "loop/mini/mini.h"

namespace lathe::loop {

struct MiniTest {
  std::string arguments;  // literals: "[3,4],2"
  std::string want;       // a literal
};

struct MiniTask {
  std::string id;
  std::string text;                     // what the function is to do
  std::string name = "f";               // of the function
  std::vector<std::string> parameters;  // their names
  std::vector<MiniTest> tests;          // visible
  std::vector<MiniTest> hidden;
  std::string body;  // the code that is red; "" when nothing is there yet
};
Json to_json(const MiniTask& task);
Result<MiniTask> mini_task_from_json(const Json& json);
// Of a unit of a loop, whose key and text stand apart.
Result<MiniTask> mini_task_of(const std::string& key, const std::string& text, Json data);

// A value without white space: "[3,4]".
std::string mini_compact(const MiniValue& value);
// The whole function, as it stands in a file.
std::string mini_source(const MiniTask& task, std::string_view body);

// What a body gave for a test: "" when it passed, else the value got, or the name of the error.
std::vector<std::string> run_mini_tests(const MiniTask& task, std::string_view body,
                                        std::span<const MiniTest> tests);

// Ends where the answer begins. `body` "": a fresh start. `got`: run_mini_tests() of the visible
// tests. Hidden tests have no part in it.
std::string mini_prompt(const MiniTask& task, std::string_view body,
                        std::span<const std::string> got);
// The new body. An answer is a body (its lines are indented), or edits of the body's lines, by
// their old numbers from 1: "3 line" replaces, "+3 line" adds behind it, "-3" removes. Whether the
// result is a program is for the tests to say.
Result<std::string> apply_mini_answer(std::string_view body, std::string_view answer);
// The shorter of the two answers that turn `from` into `to`. An error where neither does: the lines
// of `to` are not indented, or are more than an answer may have.
Result<std::string> mini_answer(std::string_view from, std::string_view to);

}  // namespace lathe::loop
