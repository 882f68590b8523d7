// Compiles a JSON Schema, and refuses what it cannot judge.
#include <array>
#include <functional>
#include <set>

#include "ground/base/text.h"
#include "ground/schema/json_format.h"
#include "ground/schema/json_schema.h"
#include "ground/schema/json_value.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxSubschemas = 20000;
constexpr int kMaxChain = 40;  // subschemas that look at one instance location, one inside another

enum class Shape {
  kSchema,
  kSchemaArray,
  kSchemaMap,
  kCount,
  kNumber,
  kPositive,
  kBool,
  kString,
  kNames,
  kNamesMap,
  kType,
  kArray,
  kAny,
  kPattern,
  kFormat,
};

struct Keyword {
  std::string_view name;
  Shape shape;
  bool in_place = false;  // its subschemas look at the same instance location
};

constexpr Keyword kKeywords[] = {
    {"allOf", Shape::kSchemaArray, true},
    {"anyOf", Shape::kSchemaArray, true},
    {"oneOf", Shape::kSchemaArray, true},
    {"not", Shape::kSchema, true},
    {"if", Shape::kSchema, true},
    {"then", Shape::kSchema, true},
    {"else", Shape::kSchema, true},
    {"dependentSchemas", Shape::kSchemaMap, true},
    {"prefixItems", Shape::kSchemaArray},
    {"items", Shape::kSchema},
    {"contains", Shape::kSchema},
    {"properties", Shape::kSchemaMap},
    {"patternProperties", Shape::kSchemaMap},
    {"additionalProperties", Shape::kSchema},
    {"propertyNames", Shape::kSchema},
    {"unevaluatedItems", Shape::kSchema},
    {"unevaluatedProperties", Shape::kSchema},
    {"$defs", Shape::kSchemaMap},
    {"definitions", Shape::kSchemaMap},
    {"type", Shape::kType},
    {"enum", Shape::kArray},
    {"const", Shape::kAny},
    {"multipleOf", Shape::kPositive},
    {"maximum", Shape::kNumber},
    {"exclusiveMaximum", Shape::kNumber},
    {"minimum", Shape::kNumber},
    {"exclusiveMinimum", Shape::kNumber},
    {"maxLength", Shape::kCount},
    {"minLength", Shape::kCount},
    {"pattern", Shape::kPattern},
    {"maxItems", Shape::kCount},
    {"minItems", Shape::kCount},
    {"uniqueItems", Shape::kBool},
    {"maxContains", Shape::kCount},
    {"minContains", Shape::kCount},
    {"maxProperties", Shape::kCount},
    {"minProperties", Shape::kCount},
    {"required", Shape::kNames},
    {"dependentRequired", Shape::kNamesMap},
    {"format", Shape::kFormat},
    {"$ref", Shape::kString},
    {"$dynamicRef", Shape::kString},
    {"$anchor", Shape::kString},
    {"$dynamicAnchor", Shape::kString},
    {"$id", Shape::kString},
    {"$schema", Shape::kString},
    {"$comment", Shape::kString},
    {"title", Shape::kString},
    {"description", Shape::kString},
    {"default", Shape::kAny},
    {"example", Shape::kAny},
    {"examples", Shape::kArray},
    {"deprecated", Shape::kBool},
    {"readOnly", Shape::kBool},
    {"writeOnly", Shape::kBool},
    {"contentEncoding", Shape::kString},
    {"contentMediaType", Shape::kString},
    {"contentSchema", Shape::kAny},
};

constexpr std::pair<std::string_view, std::string_view> kRefused[] = {
    {"dependencies", "write dependentSchemas or dependentRequired"},
    {"additionalItems", "write items beside prefixItems"},
    {"$recursiveRef", "write $dynamicRef"},
    {"$recursiveAnchor", "write $dynamicAnchor"},
    {"$vocabulary", "only the standard vocabularies are known here"},
};

const Keyword* find_keyword(std::string_view name) {
  const auto found = std::ranges::find(kKeywords, name, &Keyword::name);
  return found == std::end(kKeywords) ? nullptr : found;
}

bool is_names(const Json& value) {
  std::set<std::string> seen;
  return value.is_array() && std::ranges::all_of(value, [&](const Json& item) {
           return item.is_string() && seen.insert(item.get<std::string>()).second;
         });
}

bool is_type_value(const Json& value) {
  static const std::set<std::string> kTypes{"null",   "boolean", "object", "array",
                                            "number", "string",  "integer"};
  if (value.is_string()) return kTypes.contains(value.get<std::string>());
  return is_names(value) && !value.empty() && std::ranges::all_of(value, [&](const Json& item) {
           return kTypes.contains(item.get<std::string>());
         });
}

// What the value of a keyword must be, or "" when it is that.
std::string_view shape_problem(const Json& value, Shape shape) {
  const auto unless = [](bool fits, std::string_view wanted) {
    return fits ? std::string_view() : wanted;
  };
  const auto zero = Json(0);
  switch (shape) {
    case Shape::kSchema:
      return unless(value.is_object() || value.is_boolean(), "a schema (an object, true or false)");
    case Shape::kSchemaArray:
      return unless(value.is_array() && !value.empty(), "a list of schemas, not empty");
    case Shape::kSchemaMap:
      return unless(value.is_object(), "an object of schemas");
    case Shape::kCount:
      return unless(is_integer_value(value) && compare_numbers(value, zero) >= 0,
                    "a whole number, 0 or more");
    case Shape::kNumber:
      return unless(value.is_number(), "a number");
    case Shape::kPositive:
      return unless(value.is_number() && compare_numbers(value, zero) > 0, "a number above 0");
    case Shape::kBool:
      return unless(value.is_boolean(), "true or false");
    case Shape::kString:
    case Shape::kPattern:
    case Shape::kFormat:
      return unless(value.is_string(), "a string");
    case Shape::kNames:
      return unless(is_names(value), "a list of different strings");
    case Shape::kNamesMap:
      return unless(value.is_object() && std::ranges::all_of(value, is_names),
                    "an object of lists of different strings");
    case Shape::kType:
      return unless(is_type_value(value), "a type's name or a list of different ones");
    case Shape::kArray:
      return unless(value.is_array(), "a list");
    case Shape::kAny:
      return {};
  }
  return {};
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    constexpr std::string_view kHex = "0123456789abcdef";
    const std::string pair = to_lower_ascii(text.substr(i).substr(0, 3));
    if (pair.size() == 3 && pair[0] == '%' && kHex.find(pair[1]) != kHex.npos &&
        kHex.find(pair[2]) != kHex.npos) {
      out += static_cast<char>(kHex.find(pair[1]) * 16 + kHex.find(pair[2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

class Compiler {
 public:
  Compiler(JsonSchema::Compiled& out) : out_(out) {}

  Status run() {
    root_id_ = json_string(out_.root, "$id");
    if (root_id_.ends_with('#')) root_id_.pop_back();
    LATHE_TRY_STATUS(walk(out_.root, ""));
    for (const auto& [text, place] : pending_) LATHE_TRY_STATUS(resolve(text, place));
    for (const auto& [schema, place] : out_.places) LATHE_TRY_STATUS(chain(schema, 0));
    return {};
  }

 private:
  Status walk(const Json& schema, const std::string& place) {
    if (!schema.is_object() && !schema.is_boolean())
      return invalid("schema at '{}': must be an object, true or false", place);
    out_.places.emplace(&schema, place);
    by_place_.emplace(place, &schema);
    if (out_.places.size() > kMaxSubschemas)
      return invalid("the schema has more than {} subschemas", kMaxSubschemas);
    if (schema.is_boolean()) return {};
    for (const auto& [name, value] : schema.items())
      LATHE_TRY_STATUS(keyword(name, value, schema, place));
    return {};
  }

  Status keyword(const std::string& name, const Json& value, const Json& schema,
                 const std::string& place) {
    for (const auto& [refused, remedy] : kRefused)
      if (name == refused)
        return invalid("schema at '{}': \"{}\" is not supported: {}", place, name, remedy);
    if (name == "items" && value.is_array())
      return invalid("schema at '{}': \"items\" as a list is not 2020-12: write prefixItems",
                     place);
    const Keyword* known = find_keyword(name);
    if (!known) return unknown(name, place);
    if (const auto wanted = shape_problem(value, known->shape); !wanted.empty())
      return invalid("schema at '{}': \"{}\" must be {}", place, name, wanted);
    LATHE_TRY_STATUS(special(name, value, schema, place));
    const std::string below = pointer_step(place, name);
    if (known->shape == Shape::kSchema) return walk(value, below);
    if (known->shape == Shape::kSchemaArray || known->shape == Shape::kSchemaMap)
      for (const auto& [key, each] : value.items())
        LATHE_TRY_STATUS(walk(each, pointer_step(below, key)));
    if (known->shape == Shape::kPattern) return pattern(value.get<std::string>(), below);
    if (name == "patternProperties")
      for (const auto& [each, unused] : value.items()) LATHE_TRY_STATUS(pattern(each, below));
    return {};
  }

  // The keywords that say something about the schema itself.
  Status special(const std::string& name, const Json& value, const Json& schema,
                 const std::string& place) {
    if (name == "$schema" && value != "https://json-schema.org/draft/2020-12/schema" &&
        value != "https://json-schema.org/draft/2020-12/schema#")
      return invalid("schema at '{}': \"$schema\" is {}: only draft 2020-12 is supported", place,
                     clip_utf8(value.get<std::string>(), 100));
    if (name == "$id" && &schema != &out_.root)
      return invalid("schema at '{}': \"$id\" below the root is not supported", place);
    if (name == "$ref" || name == "$dynamicRef") pending_.emplace(value.get<std::string>(), place);
    if ((name == "$anchor" || name == "$dynamicAnchor") &&
        out_.anchors.emplace(value.get<std::string>(), &schema).first->second != &schema)
      return invalid("schema at '{}': the anchor '{}' stands twice", place,
                     clip_utf8(value.get<std::string>(), 100));
    if (name == "format" && out_.assert_formats && !is_known_format(value.get<std::string>()))
      return invalid("schema at '{}': the format '{}' can't be checked here", place,
                     clip_utf8(value.get<std::string>(), 100));
    return {};
  }

  static Status unknown(const std::string& name, const std::string& place) {
    static const std::vector<std::string> kNames = [] {
      std::vector<std::string> names;
      for (const Keyword& each : kKeywords) names.emplace_back(each.name);
      return names;
    }();
    if (name.size() < 4 || name.starts_with("x-")) return {};
    const std::string meant = did_you_mean(name, kNames);
    if (meant.empty()) return {};
    return invalid("schema at '{}': \"{}\" is not a keyword{}", place, clip_utf8(name, 100), meant);
  }

  Status pattern(const std::string& text, const std::string& place) {
    if (out_.patterns.contains(text)) return {};
    auto compiled = Regex::compile(text, Regex::Flavour::kEcma);
    if (!compiled) return at(fmt::format("schema at '{}'", place), std::move(compiled).error());
    out_.patterns.emplace(text, *std::move(compiled));
    return {};
  }

  Status resolve(const std::string& text, const std::string& place) {
    std::string_view fragment = text;
    if (!root_id_.empty() && fragment.starts_with(root_id_) &&
        (fragment.size() == root_id_.size() || fragment[root_id_.size()] == '#'))
      fragment.remove_prefix(root_id_.size());
    if (!fragment.empty() && !fragment.starts_with('#'))
      return invalid(
          "schema at '{}': the reference '{}' leaves the schema; only references inside it are "
          "followed",
          place, clip_utf8(text, 200));
    const std::string inside = percent_decoded(fragment.substr(fragment.empty() ? 0 : 1));
    const Json* target = nullptr;
    if (inside.empty() || inside.starts_with('/')) {
      if (const auto found = by_place_.find(inside); found != by_place_.end())
        target = found->second;
    } else if (const auto anchor = out_.anchors.find(inside); anchor != out_.anchors.end()) {
      target = anchor->second;
    }
    if (!target)
      return invalid("schema at '{}': the reference '{}' leads to no schema", place,
                     clip_utf8(text, 200));
    out_.references[text] = target;
    return {};
  }

  // The longest chain of schemas below this one that all look at one instance location.
  Result<int> chain(const Json* schema, int depth) {
    if (const auto known = chains_.find(schema); known != chains_.end() && known->second >= 0)
      return known->second;
    if (depth > kMaxChain)
      return invalid("schema at '{}': more than {} schemas lie one inside another here",
                     out_.places[schema], kMaxChain);
    if (!chains_.emplace(schema, -1).second)
      return invalid("schema at '{}': refers to itself without going deeper into the instance",
                     out_.places[schema]);
    int longest = 0;
    for (const Json* inner : in_place(*schema)) {
      LATHE_TRY(const int length, chain(inner, depth + 1));
      longest = std::max(longest, length + 1);
    }
    if (longest > kMaxChain)
      return invalid("schema at '{}': more than {} schemas lie one inside another here",
                     out_.places[schema], kMaxChain);
    chains_[schema] = longest;
    return longest;
  }

  std::vector<const Json*> in_place(const Json& schema) const {
    std::vector<const Json*> inner;
    if (!schema.is_object()) return inner;
    for (const auto& [name, value] : schema.items()) {
      if (name == "$ref" || name == "$dynamicRef")
        inner.push_back(out_.references.at(value.get<std::string>()));
      const Keyword* known = find_keyword(name);
      if (!known || !known->in_place) continue;
      if (known->shape == Shape::kSchema)
        inner.push_back(&value);
      else
        for (const Json& each : value) inner.push_back(&each);
    }
    return inner;
  }

  JsonSchema::Compiled& out_;
  std::string root_id_;
  std::map<std::string, std::string> pending_;  // text of a reference → where one stands
  std::map<std::string, const Json*> by_place_;
  std::map<const Json*, int> chains_;  // -1: being computed
};

}  // namespace

Result<JsonSchema> JsonSchema::compile(Json schema, bool assert_formats) {
  auto compiled = std::make_shared<Compiled>();
  compiled->root = std::move(schema);
  compiled->assert_formats = assert_formats;
  LATHE_TRY_STATUS(Compiler(*compiled).run());
  return JsonSchema(std::move(compiled));
}

}  // namespace lathe
