// JSON Schema → grammar. Every value the grammar gives fits the schema; it writes members in the
// order in which they are declared, additional ones last, and numbers of at most 16 digits. A
// keyword that cannot be kept is refused by its name and place: a constraint that is silently
// dropped would be a lie. Annotations (title, description, default …) say nothing about validity
// and are passed over.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "infer/text/grammar.h"
#include "infer/text/json_grammar.h"

namespace lathe::grammar {
namespace {

constexpr int kMaxDepth = 64;  // of schemas in schemas (references do not nest: each is a rule)
constexpr std::size_t kMaxNodes = 20'000;
constexpr std::size_t kMaxOneOf = 200;  // each is compared with each

constexpr std::string_view kAnnotations[] = {
    "title", "description", "default",          "examples",       "$schema",
    "$id",   "$comment",    "deprecated",       "readOnly",       "writeOnly",
    "$defs", "definitions", "contentMediaType", "contentEncoding"};

bool is_of_type(const Json& value, std::string_view type) {
  if (type == "integer") {
    return value.is_number_integer() ||
           (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
  }
  return type == (value.is_number() ? "number" : std::string_view(value.type_name()));
}

// Whether 'type' beside a 'const' or 'enum' allows this one of its values.
bool type_allows(const Json& node, const Json& value) {
  const Json& type = json_at(node, "type");
  if (type.is_string()) return is_of_type(value, type.get<std::string>());
  if (!type.is_array()) return true;
  return std::ranges::any_of(type, [&](const Json& name) {
    return name.is_string() && is_of_type(value, name.get<std::string>());
  });
}

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

// Whether no value fits both, as far as is told by their types, their listed values, or a member
// that one of them requires (the tag of a tagged union).
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

class SchemaCompiler {
 public:
  explicit SchemaCompiler(const Json& root) : root_(root), json_(builder_) {}

  Result<Program> run() {
    LATHE_TRY(const ExprId value, schema(root_, "#", 0));
    const RuleId rule = builder_.add_rule("root");
    builder_.define(rule, value);
    return builder_.compile(rule);
  }

 private:
  static std::unexpected<Error> refuse(const std::string& place, std::string_view what) {
    return invalid("{}: {}", place, what);
  }

  Result<ExprId> schema(const Json& node, const std::string& place, int depth) {
    if (depth > kMaxDepth)
      return refuse(place, fmt::format("schemas are nested more than {} deep", kMaxDepth));
    if (++nodes_ > kMaxNodes)
      return refuse(place, fmt::format("the schema has more than {} parts", kMaxNodes));
    if (node.is_boolean()) {
      if (node.get<bool>()) return json_.value();
      return refuse(place, "the schema 'false' fits nothing");
    }
    if (!node.is_object()) return refuse(place, "a schema must be an object or a boolean");
    if (node.contains("$ref")) return reference(node, place, depth);
    if (node.contains("const")) return constant(node, place);
    if (node.contains("enum")) return enumeration(node, place);
    if (node.contains("allOf")) return all_of(node, place, depth);
    for (const char* keyword : {"anyOf", "oneOf"}) {
      if (node.contains(keyword)) return any_of(node, keyword, place, depth);
    }
    return typed(node, place, depth);
  }

  // Refuses every keyword that is neither an annotation nor in `known`.
  Status only(const Json& node, const std::string& place,
              std::span<const std::string_view> known) const {
    for (const auto& [key, value] : node.items()) {
      const bool fine = std::ranges::find(known, key) != known.end() ||
                        std::ranges::find(kAnnotations, key) != std::end(kAnnotations);
      if (!fine) {
        return refuse(
            place,
            fmt::format("the keyword '{}' cannot be kept by a grammar here; remove it, or check it "
                        "with the schema judge afterwards",
                        key));
      }
    }
    return {};
  }

  // What "#/…" names; nullptr: nothing.
  const Json* find(const std::string& name) const {
    try {
      const nlohmann::json_pointer<std::string> pointer(name.substr(1));
      return root_.contains(pointer) ? &root_.at(pointer) : nullptr;
    } catch (const nlohmann::json::exception&) {
      return nullptr;  // no pointer at all
    }
  }

  // Follows references that stand alone.
  const Json* resolve(const Json& node) const {
    const Json* part = &node;
    std::set<std::string> followed;
    while (part != nullptr && part->is_object() && part->contains("$ref") && part->size() == 1 &&
           (*part)["$ref"].is_string()) {
      const std::string name = (*part)["$ref"];
      if (!name.starts_with('#') || !followed.insert(name).second) return nullptr;
      part = find(name);
    }
    return part;
  }

  Result<ExprId> reference(const Json& node, const std::string& place, int depth) {
    static constexpr std::string_view kKnown[] = {"$ref"};
    LATHE_TRY_STATUS(only(node, place, kKnown));
    if (!node["$ref"].is_string()) return refuse(place, "'$ref' must be a string");
    const std::string name = node["$ref"];
    const auto known = references_.find(name);
    if (known != references_.end()) return builder_.call(known->second);
    if (!name.starts_with('#'))
      return refuse(place, fmt::format("'$ref' is '{}'; only '#/…' is followed", name));
    const Json* target = find(name);
    if (target == nullptr)
      return refuse(place, fmt::format("'$ref' names '{}', which is not in the schema", name));
    const RuleId rule = builder_.add_rule(name);
    references_.emplace(name, rule);
    // A reference that names itself at once never comes to a value; the compiler reports it as left
    // recursion.
    LATHE_TRY(const ExprId value, schema(*target, name, depth + 1));
    builder_.define(rule, value);
    return builder_.call(rule);
  }

  // The text of one JSON value, as a model would write it.
  Result<ExprId> constant(const Json& node, const std::string& place) {
    static constexpr std::string_view kKnown[] = {"const", "type"};
    LATHE_TRY_STATUS(only(node, place, kKnown));
    if (!type_allows(node, node["const"]))
      return refuse(place, "'const' is not of the type that 'type' asks for");
    return builder_.literal(dump_json(node["const"]));
  }

  Result<ExprId> enumeration(const Json& node, const std::string& place) {
    static constexpr std::string_view kKnown[] = {"enum", "type"};
    LATHE_TRY_STATUS(only(node, place, kKnown));
    if (!node["enum"].is_array() || node["enum"].empty())
      return refuse(place, "'enum' must be a list that is not empty");
    std::vector<ExprId> options;
    for (const Json& value : node["enum"])
      if (type_allows(node, value)) options.push_back(builder_.literal(dump_json(value)));
    if (options.empty()) return refuse(place, "no value of 'enum' is of the type of 'type'");
    return builder_.choice(std::move(options));
  }

  Result<ExprId> any_of(const Json& node, const char* keyword, const std::string& place,
                        int depth) {
    const std::string_view known[] = {keyword};
    LATHE_TRY_STATUS(only(node, place, known));
    if (!node[keyword].is_array() || node[keyword].empty()) {
      return refuse(place, fmt::format("'{}' must be a list that is not empty", keyword));
    }
    std::vector<ExprId> options;
    for (std::size_t i = 0; i < node[keyword].size(); ++i) {
      LATHE_TRY(const ExprId option,
                schema(node[keyword][i], fmt::format("{}/{}/{}", place, keyword, i), depth + 1));
      options.push_back(option);
    }
    if (std::string_view(keyword) == "oneOf") {
      LATHE_TRY_STATUS(only_one(node[keyword], place));
    }
    return builder_.choice(std::move(options));
  }

  // Each value that the grammar writes for one of them must fit none of the others.
  Status only_one(const Json& options, const std::string& place) const {
    if (options.size() > kMaxOneOf)
      return refuse(place, fmt::format("'oneOf' has more than {} schemas", kMaxOneOf));
    std::vector<const Json*> resolved;
    for (const Json& option : options) resolved.push_back(resolve(option));
    for (std::size_t i = 0; i < resolved.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (resolved[i] == nullptr || resolved[j] == nullptr ||
            !stand_apart(*resolved[i], *resolved[j])) {
          return refuse(
              place,
              fmt::format("a value may fit both the schemas {} and {} of 'oneOf'; give them "
                          "different types, or a required member with different constants, or use "
                          "'anyOf'",
                          j, i));
        }
      }
    }
    return {};
  }

  // One schema of all parts: properties and required names add up; anything else may be said once.
  Result<ExprId> all_of(const Json& node, const std::string& place, int depth) {
    if (!node["allOf"].is_array() || node["allOf"].empty())
      return refuse(place, "'allOf' must be a list that is not empty");
    Json merged = node;
    merged.erase("allOf");
    for (std::size_t i = 0; i < node["allOf"].size(); ++i) {
      const std::string inner = fmt::format("{}/allOf/{}", place, i);
      const Json* part = resolve(node["allOf"][i]);
      if (part == nullptr) return refuse(inner, "'$ref' leads nowhere");
      if (!part->is_object()) return refuse(inner, "a schema must be an object here");
      LATHE_TRY_STATUS(merge(merged, *part, inner));
    }
    return schema(merged, place, depth + 1);
  }

  // What one part says of members or items "beyond those here" does not hold for the sum of all.
  static Status check_beyond(const Json& closed, const Json& other, const std::string& place) {
    const Json& beyond = json_at(closed, "additionalProperties");
    const Json& named = json_at(other, "properties");
    if (!beyond.is_null() && beyond != Json(true) && named.is_object()) {
      for (const auto& [name, property] : named.items()) {
        const Json& own = json_at(closed, "properties");
        if (own.is_object() && own.contains(name)) continue;
        return refuse(place, fmt::format("'allOf' declares '{}' in one part, and another part's "
                                         "'additionalProperties' concerns it too",
                                         name));
      }
    }
    if (closed.contains("items") && !closed.contains("prefixItems") &&
        other.contains("prefixItems")) {
      return refuse(place, "'allOf' gives 'items' in one part and 'prefixItems' in another");
    }
    return {};
  }

  static Status merge(Json& into, const Json& part, const std::string& place) {
    LATHE_TRY_STATUS(check_beyond(into, part, place));
    LATHE_TRY_STATUS(check_beyond(part, into, place));
    for (const auto& [key, value] : part.items()) {
      if (std::ranges::find(kAnnotations, key) != std::end(kAnnotations)) continue;
      if (!into.contains(key) || into[key] == value) {
        into[key] = value;
      } else if (key == "required" && value.is_array() && into[key].is_array()) {
        for (const Json& name : value) {
          if (std::ranges::find(into[key], name) == into[key].end()) into[key].push_back(name);
        }
      } else if (key == "properties" && value.is_object() && into[key].is_object()) {
        for (const auto& [name, property] : value.items()) {
          if (into[key].contains(name) && into[key][name] != property) {
            return refuse(place, fmt::format("'allOf' gives the property '{}' two schemas", name));
          }
          into[key][name] = property;
        }
      } else {
        return refuse(place, fmt::format("'allOf' says '{}' twice, differently", key));
      }
    }
    return {};
  }

  Result<ExprId> typed(const Json& node, const std::string& place, int depth) {
    std::vector<std::string> types;
    const Json& type = json_at(node, "type");
    if (type.is_string()) {
      types.push_back(type);
    } else if (type.is_array()) {
      for (const Json& name : type) {
        if (!name.is_string()) return refuse(place, "'type' must be a string or a list of strings");
        types.push_back(name);
      }
    } else if (!type.is_null()) {
      return refuse(place, "'type' must be a string or a list of strings");
    } else if (node.contains("properties") || node.contains("required") ||
               node.contains("additionalProperties")) {
      types = {"object"};
    } else if (node.contains("items") || node.contains("prefixItems")) {
      types = {"array"};
    } else {
      LATHE_TRY_STATUS(only(node, place, {}));
      return json_.value();
    }
    if (types.empty()) return refuse(place, "'type' is an empty list");
    std::vector<ExprId> options;
    for (const std::string& name : types) {
      LATHE_TRY(const ExprId option, of_type(name, node, place, depth, types.size() > 1));
      options.push_back(option);
    }
    return builder_.choice(std::move(options));
  }

  Result<ExprId> of_type(const std::string& name, const Json& node, const std::string& place,
                         int depth, bool several) {
    // With several types each keyword concerns one of them; which, is told by the union of all.
    static constexpr std::string_view kAll[] = {
        "type",      "properties",  "required",         "additionalProperties",
        "items",     "prefixItems", "minItems",         "maxItems",
        "minLength", "maxLength",   "pattern",          "format",
        "minimum",   "maximum",     "exclusiveMinimum", "exclusiveMaximum"};
    const auto check = [&](std::span<const std::string_view> own) {
      return only(node, place, several ? std::span<const std::string_view>(kAll) : own);
    };
    static constexpr std::string_view kPlain[] = {"type"};
    static constexpr std::string_view kObject[] = {"type", "properties", "required",
                                                   "additionalProperties"};
    static constexpr std::string_view kArray[] = {"type", "items", "prefixItems", "minItems",
                                                  "maxItems"};
    static constexpr std::string_view kString[] = {"type", "minLength", "maxLength", "pattern",
                                                   "format"};
    static constexpr std::string_view kInteger[] = {"type", "minimum", "maximum",
                                                    "exclusiveMinimum", "exclusiveMaximum"};
    if (name == "null" || name == "boolean" || name == "number") {
      // A range of reals is no finite grammar of digits that a model would write well: refused, not
      // approximated.
      LATHE_TRY_STATUS(check(kPlain));
      if (several && name == "number") {
        for (const std::string_view bound :
             {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}) {
          if (node.contains(bound))
            return refuse(place,
                          fmt::format("'{}' of a number cannot be kept by a grammar", bound));
        }
      }
      return name == "null"      ? builder_.literal("null")
             : name == "boolean" ? json_.boolean()
                                 : json_.number();
    }
    if (name == "object") {
      LATHE_TRY_STATUS(check(kObject));
      return object(node, place, depth);
    }
    if (name == "array") {
      LATHE_TRY_STATUS(check(kArray));
      return array(node, place, depth);
    }
    if (name == "string") {
      LATHE_TRY_STATUS(check(kString));
      return string(node, place);
    }
    if (name == "integer") {
      LATHE_TRY_STATUS(check(kInteger));
      return integer(node, place);
    }
    return refuse(place, fmt::format("the type '{}' is unknown", name));
  }

  // Members in declared order: `first_i` before anything was written, `more_i` after. Each is a
  // rule, so that optional members cost no more than one alternative.
  Result<ExprId> object(const Json& node, const std::string& place, int depth) {
    const Json none = Json::object();
    const Json& properties = node.contains("properties") ? node["properties"] : none;
    if (!properties.is_object()) return refuse(place, "'properties' must be an object");
    std::set<std::string> required;
    if (node.contains("required") && !node["required"].is_array())
      return refuse(place, "'required' must be a list of strings");
    for (const Json& name : json_at(node, "required")) {
      if (!name.is_string()) return refuse(place, "'required' must be a list of strings");
      required.insert(name.get<std::string>());
    }
    std::vector<std::string> names;
    for (const auto& [name, property] : properties.items()) names.push_back(name);

    // What may come after the declared members.
    ExprId more = builder_.empty(), first = builder_.empty();
    const bool open =
        !node.contains("additionalProperties") || node["additionalProperties"] != Json(false);
    for (const std::string& name : required) {
      if (!properties.contains(name)) {
        return refuse(
            place, fmt::format("'required' names '{}', which 'properties' does not declare", name));
      }
    }
    if (open) {
      ExprId value = json_.value();
      if (node.contains("additionalProperties")) {
        LATHE_TRY(value,
                  schema(node["additionalProperties"], place + "/additionalProperties", depth + 1));
      }
      const ExprId member = json_.member(json_.string_other_than(names), value);
      const ExprId rest =
          builder_.repeat(builder_.sequence({json_.comma(), member}), 0, kUnlimited);
      more = rest;
      first = builder_.choice({builder_.empty(), builder_.sequence({member, rest})});
    }
    std::size_t index = names.size();
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      --index;
      LATHE_TRY(
          const ExprId value,
          schema(properties[*name], fmt::format("{}/properties/{}", place, *name), depth + 1));
      const ExprId member = json_.member(builder_.literal(dump_json(*name)), value);
      const ExprId then = rule(fmt::format("{}/more{}", place, index + 1), more);
      std::vector<ExprId> more_options{builder_.sequence({json_.comma(), member, then})};
      std::vector<ExprId> first_options{builder_.sequence({member, then})};
      if (!required.contains(*name)) {
        more_options.push_back(then);
        first_options.push_back(rule(fmt::format("{}/first{}", place, index + 1), first));
      }
      more = builder_.choice(std::move(more_options));
      first = builder_.choice(std::move(first_options));
    }
    return builder_.sequence(
        {builder_.literal("{"), json_.blank(), first, json_.blank(), builder_.literal("}")});
  }

  ExprId rule(std::string name, ExprId expression) {
    const RuleId id = builder_.add_rule(std::move(name));
    builder_.define(id, expression);
    return builder_.call(id);
  }

  // A count keyword: absent, or an integer in [0, kMaxRepeat].
  static Result<std::uint32_t> count(const Json& node, const char* keyword, std::uint32_t fallback,
                                     const std::string& place) {
    if (!node.contains(keyword)) return fallback;
    const Json& value = node[keyword];
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMaxRepeat) {
      return refuse(place,
                    fmt::format("'{}' must be a whole number up to {}", keyword, kMaxRepeat));
    }
    return value.get<std::uint32_t>();
  }

  Result<ExprId> array(const Json& node, const std::string& place, int depth) {
    LATHE_TRY(std::uint32_t min, count(node, "minItems", 0, place));
    LATHE_TRY(std::uint32_t max, count(node, "maxItems", kUnlimited, place));
    if (max < min) return refuse(place, "'maxItems' is below 'minItems'");
    std::vector<ExprId> fixed;
    if (node.contains("prefixItems")) {
      if (!node["prefixItems"].is_array()) return refuse(place, "'prefixItems' must be a list");
      for (std::size_t i = 0; i < node["prefixItems"].size(); ++i) {
        LATHE_TRY(const ExprId item, schema(node["prefixItems"][i],
                                            fmt::format("{}/prefixItems/{}", place, i), depth + 1));
        fixed.push_back(item);
      }
    }
    const auto count_fixed = static_cast<std::uint32_t>(fixed.size());
    const bool closed = node.contains("items") && node["items"] == Json(false);
    ExprId item = json_.value();
    if (closed) {
      max = std::min(max, count_fixed);
    } else if (node.contains("items")) {
      LATHE_TRY(item, schema(node["items"], place + "/items", depth + 1));
    }
    if (max < min) return refuse(place, "no list is long enough for 'minItems'");
    // From the end: what may follow once i items were written.
    const auto next = [&](std::uint32_t i, ExprId value) {
      return i == 0 ? value : builder_.sequence({json_.comma(), value});
    };
    ExprId tail = builder_.empty();
    if (max > count_fixed) {
      const std::uint32_t least = min > count_fixed ? min - count_fixed : 0;
      const std::uint32_t most = max == kUnlimited ? kUnlimited : max - count_fixed;
      if (count_fixed > 0) {
        tail = builder_.repeat(next(1, item), least, most);
      } else {
        const ExprId others = builder_.repeat(next(1, item), least > 0 ? least - 1 : 0,
                                              most == kUnlimited ? most : most - 1);
        tail = builder_.sequence({item, others});
        if (least == 0) tail = builder_.choice({builder_.empty(), tail});
      }
    }
    for (std::uint32_t i = std::min(count_fixed, max); i-- > 0;) {
      tail = builder_.sequence(
          {next(i, fixed[i]), rule(fmt::format("{}/item{}", place, i + 1), tail)});
      if (i >= min) tail = builder_.choice({builder_.empty(), tail});
    }
    return builder_.sequence(
        {builder_.literal("["), json_.blank(), tail, json_.blank(), builder_.literal("]")});
  }

  Result<ExprId> string(const Json& node, const std::string& place) {
    const bool sized = node.contains("minLength") || node.contains("maxLength");
    if (node.contains("pattern") + node.contains("format") + sized > 1) {
      return refuse(place,
                    "'pattern', 'format' and lengths cannot be kept together; give one of them");
    }
    if (node.contains("pattern")) {
      if (!node["pattern"].is_string()) return refuse(place, "'pattern' must be a string");
      auto pattern = json_.pattern(node["pattern"].get<std::string>());
      if (!pattern) return at(place + ": 'pattern'", pattern.error());
      return pattern;
    }
    if (node.contains("format")) {
      const std::string name = node["format"].is_string() ? node["format"].get<std::string>() : "";
      const auto format = json_.format(name);
      if (!format)
        return refuse(
            place,
            fmt::format(
                "the format '{}' cannot be kept by a grammar; date, time, date-time and uuid can",
                name));
      return *format;
    }
    LATHE_TRY(const std::uint32_t min, count(node, "minLength", 0, place));
    LATHE_TRY(const std::uint32_t max, count(node, "maxLength", kUnlimited, place));
    if (max < min) return refuse(place, "'maxLength' is below 'minLength'");
    return json_.string(min, max);
  }

  Result<ExprId> integer(const Json& node, const std::string& place) {
    constexpr std::int64_t kMost = 9'999'999'999'999'999;  // 16 digits
    std::int64_t low = -kMost, high = kMost;
    for (const auto& [keyword, lower, exclusive] : {std::tuple{"minimum", true, false},
                                                    {"maximum", false, false},
                                                    {"exclusiveMinimum", true, true},
                                                    {"exclusiveMaximum", false, true}}) {
      if (!node.contains(keyword)) continue;
      const Json& value = node[keyword];
      if (!value.is_number() || !(std::abs(value.get<double>()) <= static_cast<double>(kMost))) {
        return refuse(place, fmt::format("'{}' must be a number of at most 16 digits", keyword));
      }
      const double real = value.get<double>();
      if (lower) {
        const auto bound = static_cast<std::int64_t>(std::ceil(real));
        low = std::max(low, bound + (exclusive && static_cast<double>(bound) == real ? 1 : 0));
      } else {
        const auto bound = static_cast<std::int64_t>(std::floor(real));
        high = std::min(high, bound - (exclusive && static_cast<double>(bound) == real ? 1 : 0));
      }
    }
    if (low > high) return refuse(place, "no whole number lies between the bounds");
    return json_.integer(low, high);
  }

  const Json& root_;
  GrammarBuilder builder_;
  JsonGrammar json_;
  std::map<std::string, RuleId> references_;
  std::size_t nodes_ = 0;
};

}  // namespace

Result<Program> compile_schema(const Json& schema) {
  return SchemaCompiler(schema).run();
}

}  // namespace lathe::grammar
