// JSON schemas as values, for the schema compiler: what a keyword is, and one schema of several.
// Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe::infer::grammar {

// Whether a keyword says anything about values: those of the standard that are no annotations.
// Unknown ones are annotations too, as the standard says.
bool is_assertion(std::string_view keyword);
// The schema's assertions but these.
Json assertions_of(const Json& node, const std::set<std::string_view>& but = {});

// `into` becomes the schema that a value fits if and only if it fits both; false: none does. An
// error: that schema is not easily written down.
Status merge_schema(Json& into, const Json& part, const std::string& place);

// What 'type' says, else the one kind of values that the schema's keywords are about; empty:
// anything.
Result<std::vector<std::string>> schema_types(const Json& node, const std::string& place);

bool is_of_type(const Json& value, std::string_view type);
// Whether 'type' beside a 'const' or 'enum' allows this one of its values.
bool type_allows(const Json& node, const Json& value);
// Whether no value fits both, as far as is told by their types, their listed values, or a member
// that one of them requires (the tag of a tagged union).
bool stand_apart(const Json& a, const Json& b);

}  // namespace lathe::infer::grammar
