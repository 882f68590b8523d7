// Which keywords are assertions, and the one schema that says what several say.
#include "infer/constraints/schema_merge.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer::grammar {
namespace {

constexpr std::string_view kAssertions[] = {"$ref",
                                            "$dynamicRef",
                                            "$recursiveRef",
                                            "type",
                                            "enum",
                                            "const",
                                            "allOf",
                                            "anyOf",
                                            "oneOf",
                                            "not",
                                            "if",
                                            "properties",
                                            "patternProperties",
                                            "additionalProperties",
                                            "propertyNames",
                                            "required",
                                            "minProperties",
                                            "maxProperties",
                                            "dependentRequired",
                                            "dependentSchemas",
                                            "dependencies",
                                            "unevaluatedProperties",
                                            "items",
                                            "prefixItems",
                                            "additionalItems",
                                            "contains",
                                            "minItems",
                                            "maxItems",
                                            "uniqueItems",
                                            "unevaluatedItems",
                                            "minLength",
                                            "maxLength",
                                            "pattern",
                                            "format",
                                            "minimum",
                                            "maximum",
                                            "exclusiveMinimum",
                                            "exclusiveMaximum",
                                            "multipleOf",
                                            "then",
                                            "else",
                                            "minContains",
                                            "maxContains"};

// The only values that a schema allows; empty: it does not list them.
Json listed_values(const Json& node) {
  if (node.is_object() && node.contains("const")) return Json::array({node["const"]});
  if (node.is_object() && node.contains("enum") && node["enum"].is_array()) return node["enum"];
  return Json::array();
}

bool share_a_value(const Json& a, const Json& b) {
  return std::ranges::any_of(
      a, [&](const Json& value) { return std::ranges::find(b, value) != b.end(); });
}

// What 'type' says, or the listed values are. Empty: anything.
std::set<std::string> types_of(const Json& node) {
  std::set<std::string> types;
  for (const Json& value : listed_values(node))
    types.insert(value.is_number() ? "number" : value.type_name());
  const Json& type = json_at(node, "type");
  for (const Json& name : type.is_array() ? type : Json::array({type})) {
    if (!types.empty() && listed_values(node).size() > 0) break;
    if (name.is_string()) types.insert(name == "integer" ? "number" : name.get<std::string>());
  }
  return types;
}

// What one part says of members or items "beyond those here" does not hold for the sum of all.
Status check_beyond(const Json& closed, const Json& other, const std::string& place) {
  const Json& beyond = json_at(closed, "additionalProperties");
  if (!beyond.is_null() && beyond != Json(true)) {
    if (other.contains("patternProperties"))
      return invalid("{}: 'additionalProperties' and the 'patternProperties' of another part",
                     place);
    const Json none = Json::object();
    const Json &named = json_at(other, "properties"), &own = json_at(closed, "properties");
    for (const auto& [name, property] : (named.is_object() ? named : none).items()) {
      if (own.is_object() && own.contains(name)) continue;
      return invalid(
          "{}: 'allOf' declares '{}' in one part, and another part's "
          "'additionalProperties' concerns it too",
          place, name);
    }
  }
  if (closed.contains("items") && !closed.contains("prefixItems") && other.contains("prefixItems"))
    return invalid("{}: 'allOf' gives 'items' in one part and 'prefixItems' in another", place);
  return {};
}

Json as_list(const Json& value) {
  return value.is_array() ? value : Json::array({value});
}

// The types of both; an integer is a number.
Json common_types(const Json& a, const Json& b) {
  Json out = Json::array();
  const Json left = as_list(a), right = as_list(b);
  const auto has = [](const Json& list, const Json& type) {
    return std::ranges::find(list, type) != list.end();
  };
  for (const Json& type : left) {
    if (has(right, type) || (type == "integer" && has(right, "number")))
      out.push_back(type);
    else if (type == "number" && has(right, "integer"))
      out.push_back("integer");
  }
  return out;
}

// One keyword that both have, with different values; false: it cannot be said in one.
bool merge_keyword(Json& into, const std::string& key, const Json& value) {
  static constexpr std::string_view kLeast[] = {"minimum", "exclusiveMinimum", "minLength",
                                                "minItems", "minProperties"};
  static constexpr std::string_view kMost[] = {"maximum", "exclusiveMaximum", "maxLength",
                                               "maxItems", "maxProperties"};
  Json& own = into[key];
  if (std::ranges::find(kLeast, key) != std::end(kLeast) && own.is_number() && value.is_number()) {
    if (own < value) own = value;
  } else if (std::ranges::find(kMost, key) != std::end(kMost) && own.is_number() &&
             value.is_number()) {
    if (value < own) own = value;
  } else if (key == "type") {
    own = common_types(own, value);
    if (own.empty()) into = false;
  } else if (key == "enum" && value.is_array() && own.is_array()) {
    Json both = Json::array();
    for (const Json& each : own)
      if (std::ranges::find(value, each) != value.end()) both.push_back(each);
    own = std::move(both);
    if (own.empty()) into = false;
  } else if (key == "const") {
    into = false;
  } else if (key == "pattern") {
    own = as_list(own);
    own.push_back(value);
  } else if (key == "required" && value.is_array() && own.is_array()) {
    for (const Json& name : value)
      if (std::ranges::find(own, name) == own.end()) own.push_back(name);
  } else if (key == "properties" && value.is_object() && own.is_object()) {
    for (const auto& [name, property] : value.items()) {
      if (!own.contains(name))
        own[name] = property;
      else if (own[name] != property)
        own[name] = Json{{"allOf", {own[name], property}}};
    }
  } else if (key == "items" && !own.is_array() && !value.is_array()) {
    own = Json{{"allOf", {own, value}}};
  } else if (key == "allOf" && value.is_array() && own.is_array()) {
    own.insert(own.end(), value.begin(), value.end());
  } else if (key == "uniqueItems") {
    own = true;
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool is_assertion(std::string_view keyword) {
  return std::ranges::find(kAssertions, keyword) != std::end(kAssertions);
}

Json assertions_of(const Json& node, const std::set<std::string_view>& but) {
  Json out = Json::object();
  for (const auto& [key, value] : node.items())
    if (is_assertion(key) && !but.contains(key)) out[key] = value;
  return out;
}

Result<std::vector<std::string>> schema_types(const Json& node, const std::string& place) {
  std::vector<std::string> types;
  const Json& type = json_at(node, "type");
  if (!type.is_null()) {
    for (const Json& name : type.is_array() ? type : Json::array({type})) {
      if (!name.is_string())
        return invalid("{}: 'type' must be a string or a list of strings", place);
      types.push_back(name);
    }
    if (types.empty()) return invalid("{}: 'type' is an empty list", place);
    return types;
  }
  // Without a type, keywords of one kind of values leave the others free: kept to that kind.
  static constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"properties", "object"},
      {"required", "object"},
      {"additionalProperties", "object"},
      {"patternProperties", "object"},
      {"propertyNames", "object"},
      {"minProperties", "object"},
      {"maxProperties", "object"},
      {"items", "array"},
      {"prefixItems", "array"},
      {"minItems", "array"},
      {"maxItems", "array"},
      {"uniqueItems", "array"},
      {"contains", "array"},
      {"minLength", "string"},
      {"maxLength", "string"},
      {"pattern", "string"},
      {"format", "string"},
      {"minimum", "number"},
      {"maximum", "number"},
      {"exclusiveMinimum", "number"},
      {"exclusiveMaximum", "number"},
      {"multipleOf", "number"}};
  for (const auto& [keyword, kind] : kKinds)
    if (types.empty() && node.contains(keyword)) types.emplace_back(kind);
  return types;
}

Status merge_schema(Json& into, const Json& part, const std::string& place) {
  if (part == Json(true) || into == Json(false)) return {};
  if (part == Json(false)) {
    into = false;
    return {};
  }
  if (!part.is_object()) return invalid("{}: a schema must be an object or a boolean", place);
  LATHE_TRY_STATUS(check_beyond(into, part, place));
  LATHE_TRY_STATUS(check_beyond(part, into, place));
  Json merged = into;
  for (const auto& [key, value] : part.items()) {
    if (!is_assertion(key) || merged == Json(false)) continue;
    if (!merged.contains(key) || merged[key] == value)
      merged[key] = value;
    else if (!merge_keyword(merged, key, value))
      return invalid("{}: '{}' is said twice, differently", place, key);
  }
  into = std::move(merged);
  return {};
}

bool is_of_type(const Json& value, std::string_view type) {
  if (type == "integer") {
    return value.is_number_integer() ||
           (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
  }
  return type == (value.is_number() ? "number" : std::string_view(value.type_name()));
}

bool type_allows(const Json& node, const Json& value) {
  const Json& type = json_at(node, "type");
  if (type.is_string()) return is_of_type(value, type.get<std::string>());
  if (!type.is_array()) return true;
  return std::ranges::any_of(type, [&](const Json& name) {
    return name.is_string() && is_of_type(value, name.get<std::string>());
  });
}

bool stand_apart(const Json& a, const Json& b) {
  if (!a.is_object() || !b.is_object()) return false;
  const auto types_a = types_of(a), types_b = types_of(b);
  if (!types_a.empty() && !types_b.empty() &&
      std::ranges::none_of(types_a, [&](const std::string& t) { return types_b.contains(t); }))
    return true;
  const Json values_a = listed_values(a), values_b = listed_values(b);
  if (!values_a.empty() && !values_b.empty()) return !share_a_value(values_a, values_b);
  const Json &members_a = json_at(a, "properties"), &members_b = json_at(b, "properties");
  if (!members_a.is_object() || !members_b.is_object()) return false;
  const auto requires_member = [](const Json& node, const std::string& name) {
    const Json& required = json_at(node, "required");
    return required.is_array() && std::ranges::find(required, Json(name)) != required.end();
  };
  for (const auto& [name, member] : members_a.items()) {
    if (!members_b.contains(name)) continue;
    if (!requires_member(a, name) && !requires_member(b, name)) continue;
    const Json tags_a = listed_values(member), tags_b = listed_values(members_b[name]);
    if (!tags_a.empty() && !tags_b.empty() && !share_a_value(tags_a, tags_b)) return true;
  }
  return false;
}

}  // namespace lathe::infer::grammar
