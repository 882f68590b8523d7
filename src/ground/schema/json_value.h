// JSON values as JSON Schema compares them: numbers by their mathematical value, objects whatever
// the order of their members. Pure.
#pragma once

#include <string>
#include <string_view>

#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe {

// Equal values, and only those, have equal keys: 1, 1.0 and 10e-1 are one value. A number that is
// no 64-bit integer is taken as the shortest decimal that stands for its double.
std::string value_key(const Json& value);

int compare_numbers(const Json& a, const Json& b);       // < 0, 0, > 0
bool is_integer_value(const Json& value);                // 3 and 3.0, not 3.5 and not "3"
bool is_multiple(const Json& number, const Json& step);  // exact, in decimal; step > 0

// An error where a whole number in this JSON text is beyond 64 bits and no double is exactly it: as
// a Json it would equal its neighbours.
Status check_exact_numbers(std::string_view text);

std::size_t count_code_points(std::string_view text);

// "/a/b~1c" from its parts.
std::string pointer_step(std::string_view pointer, std::string_view token);

}  // namespace lathe
