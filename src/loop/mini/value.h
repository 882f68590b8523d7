// The values of Mini-Python (docs/starter.md): None, booleans, integers of 64 bits, strings of
// ASCII and lists of booleans, integers and strings. Lists are shared as in Python: two names may
// mean one list. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ground/base/result.h"

namespace lathe::loop {

struct MiniValue;
using MiniList = std::vector<MiniValue>;

struct MiniValue {
  std::variant<std::monostate, bool, std::int64_t, std::string, std::shared_ptr<MiniList>> data;

  bool is_none() const { return std::holds_alternative<std::monostate>(data); }
  bool is_bool() const { return std::holds_alternative<bool>(data); }
  bool is_text() const { return std::holds_alternative<std::string>(data); }
  bool is_list() const { return std::holds_alternative<std::shared_ptr<MiniList>>(data); }
  bool is_number() const { return is_bool() || std::holds_alternative<std::int64_t>(data); }
  std::int64_t number() const {  // of a boolean or an integer
    return is_bool() ? std::int64_t{std::get<bool>(data)} : std::get<std::int64_t>(data);
  }
  const std::string& text() const { return std::get<std::string>(data); }
  MiniList& list() const { return *std::get<std::shared_ptr<MiniList>>(data); }
  bool truth() const;
  std::string_view type_name() const;  // as Python names it: "int", "str", "list", …
};
MiniValue mini_list(MiniList items);

// What Python's repr() writes.
std::string mini_repr(const MiniValue& value);
// Python's ==: 1 == True, and values of different types are just not equal.
bool mini_equal(const MiniValue& a, const MiniValue& b);

// A value as a literal: "-3", "True", "'ab'", "[1, 2]". Several, with commas between them, are a
// call's arguments. Errors name the place.
Result<std::vector<MiniValue>> parse_mini_literals(std::string_view text);

}  // namespace lathe::loop
