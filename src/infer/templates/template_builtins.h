// The filters, tests, methods and global functions that templates may call: explicit tables.
// Internal to this room.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/templates/template_value.h"

namespace lathe::infer {

class TemplateMachine;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;

  // Each parameter's argument, undefined where there is none. Too many or unknown ones are errors.
  template <std::size_t n>
  Result<std::array<Value, n>> bind(const std::array<std::string_view, n>& names) const {
    std::array<Value, n> out{};
    LATHE_TRY_STATUS(bind_to(names, out));
    return out;
  }
  Status bind_to(std::span<const std::string_view> names, std::span<Value> out) const;
};

using TemplateFilter = Result<Value> (*)(TemplateMachine& machine, const Value& input,
                                         const Arguments& arguments);
using TemplateTest = Result<bool> (*)(TemplateMachine& machine, const Value& input,
                                      const Arguments& arguments);

TemplateFilter find_filter(std::string_view name);  // null: unknown
TemplateTest find_test(std::string_view name);
GlobalFunction find_global(std::string_view name);

// The table's own name of a method of this kind of value; empty: it has none.
std::string_view find_method(const Value& self, std::string_view name);
Result<Value> call_method(TemplateMachine& machine, const ValueMethod& method,
                          const Arguments& arguments);

}  // namespace lathe::infer
