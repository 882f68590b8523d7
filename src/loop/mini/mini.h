// Mini-Python: a strict subset of Python for functions of a few lines, run in process with fuel.
// What it accepts means in Python what it means here (a test runs thousands of programs through
// both); what it does not accept is refused by name. docs/starter.md lists it.
//
// Errors carry Python's name of the exception in Error::code ("IndexError", "SyntaxError" …), or
// one of our own limits: "Fuel" (too many steps), "Memory", "Overflow" (an integer beyond 64 bits)
// and "Unsupported" (Python could go on, Mini-Python does not). The message begins with "line N: ".
//
// A program is immutable: any thread may call it.
#pragma once

#include <memory>
#include <span>

#include "loop/mini/value.h"

namespace lathe::loop {

struct MiniFuel {
  std::int64_t steps = 20'000;   // evaluated expressions, and items that a builtin goes through
  std::int64_t memory = 50'000;  // items and bytes that are made, all in all
};

struct MiniDefinition;

class MiniProgram {
 public:
  // One `def`, and nothing else.
  static Result<MiniProgram> parse(std::string_view source);

  const std::string& name() const;
  std::size_t parameters() const;
  // The arguments are copied: lists of the caller never change.
  Result<MiniValue> call(std::span<const MiniValue> arguments, const MiniFuel& fuel = {}) const;

 private:
  explicit MiniProgram(std::shared_ptr<const MiniDefinition> definition)
      : definition_(std::move(definition)) {}
  std::shared_ptr<const MiniDefinition> definition_;
};

}  // namespace lathe::loop
