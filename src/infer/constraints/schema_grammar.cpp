// JSON Schema → grammar. Every value the grammar gives fits what is kept of the schema; it writes
// members in the order in which they are declared, others last, and numbers of at most 16 digits.
// What cannot be kept is named, with its place; under `strict` it is an error. Annotations, unknown
// keywords among them, say nothing about validity.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "infer/constraints/grammar.h"
#include "infer/constraints/json_grammar.h"
#include "infer/constraints/schema_grammar.h"
#include "infer/constraints/schema_merge.h"
#include "infer/constraints/text_languages.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer::grammar {
namespace {

constexpr int kMaxDepth = 64;  // of schemas in schemas (references do not nest: each is a rule)
constexpr std::size_t kMaxNodes = 20'000;
constexpr std::size_t kMaxOneOf = 200;          // each is compared with each
constexpr std::uint32_t kMaxCount = 20'000;     // of characters, items or members
constexpr std::uint64_t kMaxCounted = 150'000;  // of all counts together
constexpr std::string_view kNothingFits = "nothing_fits";
constexpr std::size_t kMaxUnique = 8;  // values of a list without repetitions

std::size_t characters_in(const std::string& text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) at += character_at(text, at).bytes;
  return count;
}

class SchemaCompiler final : public SchemaExpressions {
 public:
  SchemaCompiler(const Json& root, bool strict, GrammarBuilder& builder, JsonGrammar& json)
      : root_(root), strict_(strict), builder_(builder), json_(json) {}

  Result<ExprId> value(const Json& node, const std::string& place) override {
    return schema(node, place, 0);
  }
  const std::vector<std::string>& unkept() const override { return unkept_; }

  // Follows references that stand alone.
  const Json* resolve(const Json& node) const override {
    const Json* part = &node;
    for (int steps = 0; part != nullptr && part->is_object() && part->contains("$ref"); ++steps) {
      if (assertions_of(*part).size() > 1 || steps > kMaxDepth) return nullptr;
      const auto target = target_of(*part, "");
      part = target ? *target : nullptr;
    }
    return part;
  }

  Result<std::optional<Regular>> texts(const Json& node, const std::string& place) override {
    LATHE_TRY(const std::uint32_t min, count(node, "minLength", 0, place));
    LATHE_TRY(const std::uint32_t max, count(node, "maxLength", kUnlimited, place));
    if (max < min) return nothing_fits(place, "'maxLength' is below 'minLength'");
    LATHE_TRY(std::optional<Regular> text, content(node, place));
    if (!text && (min > 0 || max != kUnlimited)) text = JsonGrammar::writable();
    if (text) LATHE_TRY_STATUS(bound(*text, min, max, place));
    return text;
  }

 private:
  static std::unexpected<Error> refuse(const std::string& place, std::string_view what) {
    return invalid("{}: {}", place, what);
  }

  // An error, but where there is another way, which is then the only one.
  static std::unexpected<Error> nothing_fits(const std::string& place, std::string_view what) {
    return std::unexpected(
        Error{ErrorKind::kInvalid, fmt::format("{}: {}", place, what), std::string(kNothingFits)});
  }
  static bool fits_nothing(const Result<ExprId>& value) {
    return !value && value.error().code == kNothingFits;
  }
  // The value of a rule that may call itself. Where nothing fits, nothing calls it.
  Result<ExprId> define(RuleId rule, Result<ExprId> value) {
    if (fits_nothing(value)) empty_.emplace(rule, value.error());
    builder_.define(rule, value ? *value : builder_.choice({}));
    return value ? builder_.call(rule) : value;
  }
  Result<ExprId> call(RuleId rule) {
    if (const auto empty = empty_.find(rule); empty != empty_.end())
      return std::unexpected(empty->second);
    return builder_.call(rule);
  }

  // An error under `strict`, else a note.
  Status unkept(const std::string& place, std::string_view keyword, std::string_view why = "") {
    const std::string what = fmt::format("'{}' cannot be kept by a grammar here{}{}", keyword,
                                         why.empty() ? "" : ": ", why);
    if (strict_)
      return refuse(place, what + "; remove it, or ask without 'strict' and check the answer");
    unkept_.push_back(fmt::format("{}: {}", place, what));
    return {};
  }

  Result<ExprId> schema(const Json& node, const std::string& place, int depth) {
    if (depth > kMaxDepth)
      return refuse(place, fmt::format("schemas are nested more than {} deep", kMaxDepth));
    if (++nodes_ > kMaxNodes)
      return refuse(place, fmt::format("the schema has more than {} parts", kMaxNodes));
    if (node.is_boolean()) {
      if (node.get<bool>()) return json_.value();
      return nothing_fits(place, "the schema 'false' fits nothing");
    }
    if (!node.is_object()) return refuse(place, "a schema must be an object or a boolean");
    if (node.contains("$ref")) return reference(node, place, depth);
    if (node.contains("allOf")) return all_of(node, place, depth);
    for (const char* keyword : {"anyOf", "oneOf"})
      if (node.contains(keyword)) return any_of(node, keyword, place, depth);
    for (const char* keyword : {"not", "$dynamicRef", "$recursiveRef"})
      if (node.contains(keyword)) LATHE_TRY_STATUS(unkept(place, keyword));
    if (node.contains("if") && (node.contains("then") || node.contains("else")))
      LATHE_TRY_STATUS(unkept(place, "if"));
    if (node.contains("const") || node.contains("enum")) return listed(node, place);
    return typed(node, place, depth);
  }

  // What "#/…" names, percent signs undone; nullptr: nothing.
  const Json* find(const std::string& name) const {
    std::string plain;
    for (std::size_t i = 1; i < name.size(); ++i) {
      unsigned code = 0;
      if (name[i] == '%' && i + 2 < name.size() &&
          std::from_chars(&name[i + 1], &name[i + 1] + 2, code, 16).ptr == &name[i + 1] + 2) {
        plain += static_cast<char>(code);
        i += 2;
      } else {
        plain += name[i];
      }
    }
    try {
      const nlohmann::json_pointer<std::string> pointer(plain);
      return root_.contains(pointer) ? &root_.at(pointer) : nullptr;
    } catch (const nlohmann::json::exception&) {
      return nullptr;  // no pointer at all
    }
  }

  Result<const Json*> target_of(const Json& node, const std::string& place) const {
    if (!node["$ref"].is_string()) return refuse(place, "'$ref' must be a string");
    const std::string name = node["$ref"];
    if (!name.starts_with('#'))
      return refuse(place, fmt::format("'$ref' is '{}'; only '#/…' is followed", name));
    const Json* target = find(name);
    if (target == nullptr)
      return refuse(place, fmt::format("'$ref' names '{}', which is not in the schema", name));
    return target;
  }

  Result<ExprId> reference(const Json& node, const std::string& place, int depth) {
    const Json beside = assertions_of(node, {"$ref"});
    LATHE_TRY(const Json* target, target_of(node, place));
    const std::string name = node["$ref"];
    if (!beside.empty()) {
      Json merged = beside;
      const Status status = merge_schema(merged, *target, place);
      if (status) return once(merged, place, depth);
      for (const auto& [key, value] : beside.items())
        LATHE_TRY_STATUS(unkept(place, key, "it stands beside '$ref'"));
    }
    const auto known = references_.find(name);
    if (known != references_.end()) return call(known->second);
    const RuleId rule = builder_.add_rule(name);
    references_.emplace(name, rule);
    // A reference that names itself at once never comes to a value; the compiler reports it as left
    // recursion.
    return define(rule, schema(*target, name, depth + 1));
  }

  // What was merged is made a rule too: recursion leads back to the same.
  Result<ExprId> once(const Json& merged, const std::string& place, int depth) {
    if (!merged.is_object()) return schema(merged, place, depth + 1);
    const std::string key = dump_json(merged);
    const auto known = merged_.find(key);
    if (known != merged_.end()) return call(known->second);
    const RuleId rule = builder_.add_rule(place);
    merged_.emplace(key, rule);
    return define(rule, schema(merged, place, depth + 1));
  }

  // One of the listed values, as a model would write them.
  Result<ExprId> listed(const Json& node, const std::string& place) {
    const bool is_const = node.contains("const");
    const char* keyword = is_const ? "const" : "enum";
    const Json values = is_const ? Json::array({node["const"]}) : node["enum"];
    if (!values.is_array() || values.empty())
      return refuse(place, "'enum' must be a list that is not empty");
    const Json beside = assertions_of(node, {"const", "enum", "type", "not", "if", "then", "else"});
    std::vector<std::string> texts;
    for (const Json& value : values) {
      if (!type_allows(node, value)) continue;
      if (is_const && node.contains("enum") && node["enum"].is_array() &&
          std::ranges::find(node["enum"], value) == node["enum"].end())
        continue;
      LATHE_TRY(const bool fits, fits_beside(beside, value, place));
      if (fits) texts.push_back(json_.written(value));
    }
    if (texts.empty())
      return nothing_fits(place,
                          fmt::format("no value of '{}' is what 'type' and the other keywords "
                                      "ask for",
                                      keyword));
    if (texts.size() == 1) return builder_.literal(texts[0]);
    return builder_.automaton(Regular::words(texts).states());
  }

  // What keywords beside a list of values say of one of them.
  Result<bool> fits_beside(const Json& beside, const Json& value, const std::string& place) {
    bool fits = true;
    for (const auto& [key, bound] : beside.items()) {
      if (value.is_number() && bound.is_number()) {
        const double number = value.get<double>(), other = bound.get<double>();
        if (key == "minimum") fits = fits && number >= other;
        if (key == "maximum") fits = fits && number <= other;
        if (key == "exclusiveMinimum") fits = fits && number > other;
        if (key == "exclusiveMaximum") fits = fits && number < other;
        if (key == "multipleOf") LATHE_TRY_STATUS(note_once(place, key));
      } else if (value.is_string()) {
        const auto size = static_cast<double>(characters_in(value.get<std::string>()));
        if (key == "minLength" && bound.is_number()) fits = fits && size >= bound.get<double>();
        if (key == "maxLength" && bound.is_number()) fits = fits && size <= bound.get<double>();
        if (key == "pattern" || key == "format") LATHE_TRY_STATUS(note_once(place, key));
      } else if (value.is_structured()) {
        LATHE_TRY_STATUS(note_once(place, key));
      }
    }
    return fits;
  }
  Status note_once(const std::string& place, const std::string& keyword) {
    return noted_.insert(place + ' ' + keyword).second
               ? unkept(place, keyword, "it stands beside a list of values")
               : Status();
  }

  // What stands beside the options holds for each of them.
  Result<ExprId> any_of(const Json& node, const char* keyword, const std::string& place,
                        int depth) {
    if (!node[keyword].is_array() || node[keyword].empty())
      return refuse(place, fmt::format("'{}' must be a list that is not empty", keyword));
    const Json base = assertions_of(node, {keyword});
    std::vector<Json> schemas;
    for (std::size_t i = 0; i < node[keyword].size(); ++i) {
      const std::string inner = fmt::format("{}/{}/{}", place, keyword, i);
      Json option = node[keyword][i];
      if (!base.empty()) {
        const Json* resolved = resolve(node[keyword][i]);
        option = base;
        const Status status = resolved == nullptr ? Status(refuse(inner, "it is a '$ref'"))
                                                  : merge_schema(option, *resolved, inner);
        if (!status) {
          LATHE_TRY_STATUS(unkept(place, keyword, status.error().message));
          return schema(base, place, depth + 1);
        }
      }
      schemas.push_back(std::move(option));
    }
    if (std::string_view(keyword) == "oneOf") {
      if (const Status status = only_one(node[keyword], place); !status)
        LATHE_TRY_STATUS(unkept(place, keyword, status.error().message));
    }
    std::vector<ExprId> options;
    for (std::size_t i = 0; i < schemas.size(); ++i) {
      if (schemas[i] == Json(false)) continue;
      const std::string inner = fmt::format("{}/{}/{}", place, keyword, i);
      const auto option =
          base.empty() ? schema(schemas[i], inner, depth + 1) : once(schemas[i], inner, depth);
      if (fits_nothing(option)) continue;
      if (!option) return option;
      options.push_back(*option);
    }
    if (options.empty()) return nothing_fits(place, fmt::format("nothing fits '{}'", keyword));
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

  // One schema of all parts.
  Result<ExprId> all_of(const Json& node, const std::string& place, int depth) {
    if (!node["allOf"].is_array() || node["allOf"].empty())
      return refuse(place, "'allOf' must be a list that is not empty");
    Json merged = assertions_of(node, {"allOf"});
    for (std::size_t i = 0; i < node["allOf"].size(); ++i) {
      const std::string inner = fmt::format("{}/allOf/{}", place, i);
      const Json* part = resolve(node["allOf"][i]);
      Status status = part == nullptr
                          ? Status(refuse(inner, "'$ref' leads nowhere, or more stands beside it"))
                          : merge_schema(merged, *part, inner);
      if (!status) LATHE_TRY_STATUS(unkept(place, "allOf", status.error().message));
    }
    // All members that are declared are here now.
    if (merged.is_object() && json_at(merged, "unevaluatedProperties") == Json(false) &&
        !merged.contains("additionalProperties")) {
      merged.erase("unevaluatedProperties");
      merged["additionalProperties"] = false;
    }
    return once(merged, place, depth);
  }

  Result<ExprId> typed(const Json& node, const std::string& place, int depth) {
    LATHE_TRY(const std::vector<std::string> types, schema_types(node, place));
    if (types.empty()) return json_.value();
    std::vector<ExprId> options;
    for (const std::string& name : types) {
      const auto option = of_type(name, node, place, depth);
      if (fits_nothing(option) && types.size() > 1) continue;
      if (!option) return option;
      options.push_back(*option);
    }
    if (options.empty()) return nothing_fits(place, "nothing fits any of the types");
    return options.size() == 1 ? options[0] : builder_.choice(std::move(options));
  }

  Result<ExprId> of_type(const std::string& name, const Json& node, const std::string& place,
                         int depth) {
    if (name == "null") return builder_.literal("null");
    if (name == "boolean") return json_.boolean();
    if (name == "number" || name == "integer") return number(node, place, name == "integer");
    if (name == "string") return string(node, place);
    if (name == "array") return array(node, place, depth);
    if (name == "object") return object(node, place, depth);
    return refuse(place, fmt::format("the type '{}' is unknown", name));
  }

  struct Member {
    std::string name;
    Json schema;
    bool required;
  };
  // The members that are neither declared nor forbidden: their names, and the schema of each.
  struct Others {
    Regular names;
    Json schema;
    std::string place;
  };
  struct Members {
    std::vector<Member> declared;
    std::vector<Others> others;
  };

  Result<Members> members_of(const Json& node, const std::string& place) {
    Members out;
    const Json none = Json::object();
    const Json& properties = node.contains("properties") ? node["properties"] : none;
    if (!properties.is_object()) return refuse(place, "'properties' must be an object");
    std::set<std::string> required;
    const Json& wanted = json_at(node, "required");
    if (!wanted.is_null() && !wanted.is_array())
      return refuse(place, "'required' must be a list of strings");
    for (const Json& name : wanted) {
      if (!name.is_string()) return refuse(place, "'required' must be a list of strings");
      required.insert(name.get<std::string>());
    }
    Json beyond = node.contains("additionalProperties") ? node["additionalProperties"] : Json(true);
    std::vector<std::pair<Regular, std::string>> patterns;
    const Json& by_pattern = json_at(node, "patternProperties");
    for (const auto& [pattern, each] : by_pattern.is_object() ? by_pattern.items() : none.items()) {
      auto language = pattern_language(pattern);
      if (language) {
        patterns.emplace_back(std::move(*language), pattern);
        continue;
      }
      LATHE_TRY_STATUS(unkept(place, "patternProperties", language.error().message));
      // Which names it concerns is not known, and so neither which others there are.
      if (beyond != Json(true)) LATHE_TRY_STATUS(unkept(place, "additionalProperties"));
      beyond = true;
    }
    Regular allowed = JsonGrammar::writable();
    if (node.contains("propertyNames") && node["propertyNames"] != Json(true)) {
      LATHE_TRY(allowed, names_language(node["propertyNames"], place + "/propertyNames"));
    }
    const auto declare = [&](const std::string& name, Json schema) -> Status {
      if (!allowed.has(name)) schema = false;
      for (const auto& [language, pattern] : patterns) {
        if (!language.has(name)) continue;
        const Json& also = by_pattern[pattern];
        schema = schema == Json(true) || schema == also ? also : Json{{"allOf", {schema, also}}};
      }
      const Json* plain = resolve(schema);
      if (schema != Json(false) && (plain == nullptr || *plain != Json(false))) {
        out.declared.push_back({name, std::move(schema), required.contains(name)});
        return {};
      }
      if (!required.contains(name)) return {};
      return nothing_fits(place, fmt::format("'required' names '{}', which nothing may be", name));
    };
    std::vector<std::string> names;
    for (const auto& [name, property] : properties.items()) {
      names.push_back(name);
      LATHE_TRY_STATUS(declare(name, property));
    }
    for (const std::string& name : required) {
      if (properties.contains(name)) continue;
      names.push_back(name);
      const bool matched =
          std::ranges::any_of(patterns, [&](const auto& each) { return each.first.has(name); });
      LATHE_TRY_STATUS(declare(name, matched ? Json(true) : beyond));
    }
    const auto without = [](const Regular& from, const Regular& what) {
      return Regular::both(from, what.others());
    };
    auto rest = without(allowed, Regular::words(names));
    for (std::size_t i = 0; rest && i < patterns.size(); ++i) {
      auto own = Regular::both(*rest, patterns[i].first);
      // Names that fit several patterns are not written.
      for (std::size_t j = 0; own && j < patterns.size(); ++j)
        if (j != i) own = without(*own, patterns[j].first);
      if (!own) return refuse(place, "the names of 'patternProperties' take too many states");
      const Json& each = by_pattern[patterns[i].second];
      if (!own->is_empty() && each != Json(false))
        out.others.push_back({std::move(*own), each,
                              fmt::format("{}/patternProperties/{}", place, patterns[i].second)});
    }
    for (const auto& [language, pattern] : patterns)
      if (rest) rest = without(*rest, language);
    if (!rest) return refuse(place, "the names of the members take too many states");
    if (beyond != Json(false) && !rest->is_empty())
      out.others.push_back({std::move(*rest), beyond, place + "/additionalProperties"});
    return out;
  }

  // Members in declared order: `first_i` before anything was written, `more_i` after. Each is a
  // rule, so that optional members cost no more than one alternative.
  Result<ExprId> object(const Json& node, const std::string& place, int depth) {
    for (const char* keyword :
         {"dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties"})
      if (node.contains(keyword) && node[keyword] != Json(true) && node[keyword] != Json::object())
        LATHE_TRY_STATUS(unkept(place, keyword));
    LATHE_TRY(const Members members, members_of(node, place));
    LATHE_TRY(const std::uint32_t least, count(node, "minProperties", 0, place));
    LATHE_TRY(const std::uint32_t most, count(node, "maxProperties", kUnlimited, place));
    const auto declared = static_cast<std::uint32_t>(members.declared.size());
    const auto required =
        static_cast<std::uint32_t>(std::ranges::count_if(members.declared, &Member::required));
    if (least > std::max(1U, required)) LATHE_TRY_STATUS(unkept(place, "minProperties"));
    if (most < declared) LATHE_TRY_STATUS(unkept(place, "maxProperties"));
    const bool empty_too = required > 0 || least == 0;

    // What may come after the declared members.
    ExprId more = builder_.empty(), first = empty_too ? builder_.empty() : builder_.choice({});
    std::vector<ExprId> others;
    for (const Others& each : members.others) {
      const auto value = schema(each.schema, each.place, depth + 1);
      if (fits_nothing(value)) continue;
      if (!value) return value;
      others.push_back(json_.member(json_.text(each.names), *value));
    }
    const std::uint32_t room = most == kUnlimited ? kUnlimited
                               : most < declared  ? kUnlimited
                                                  : most - declared;
    if (!others.empty() && room > 0) {
      const ExprId member = rule(place + "/other", builder_.choice(std::move(others)));
      const ExprId next = rule(place + "/others", builder_.sequence({json_.comma(), member}));
      more = builder_.repeat(next, 0, room);
      const ExprId all = builder_.sequence(
          {member, builder_.repeat(next, 0, room == kUnlimited ? room : room - 1)});
      first = empty_too ? builder_.choice({builder_.empty(), all}) : all;
    }
    std::size_t index = members.declared.size();
    for (auto each = members.declared.rbegin(); each != members.declared.rend(); ++each) {
      --index;
      const auto value =
          schema(each->schema, fmt::format("{}/properties/{}", place, each->name), depth + 1);
      if (fits_nothing(value) && !each->required) continue;
      if (!value) return value;
      const ExprId member = json_.member(builder_.literal(json_.written_name(each->name)), *value);
      const ExprId then = rule(fmt::format("{}/more{}", place, index + 1), more);
      const ExprId own = rule(fmt::format("{}/member{}", place, index + 1), member);
      std::vector<ExprId> more_options{builder_.sequence({json_.comma(), own, then})};
      std::vector<ExprId> first_options{builder_.sequence({own, then})};
      if (!each->required) {
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

  // A count keyword: absent, or a whole number. Beyond what can be counted it is not kept.
  Result<std::uint32_t> count(const Json& node, const char* keyword, std::uint32_t fallback,
                              const std::string& place) {
    if (!node.contains(keyword)) return fallback;
    const Json& value = node[keyword];
    if (!value.is_number() || value.get<double>() < 0 ||
        value.get<double>() != std::floor(value.get<double>()))
      return refuse(place, fmt::format("'{}' must be a whole number, not below 0", keyword));
    const double wanted = value.get<double>();
    if (wanted <= kMaxCount && static_cast<double>(counted_) + wanted <= kMaxCounted) {
      counted_ += static_cast<std::uint32_t>(wanted);
      return static_cast<std::uint32_t>(wanted);
    }
    LATHE_TRY_STATUS(
        unkept(place, keyword, fmt::format("more than {} are not counted", kMaxCount)));
    return fallback;
  }

  Result<ExprId> array(const Json& node, const std::string& place, int depth) {
    for (const char* keyword : {"contains", "unevaluatedItems"})
      if (node.contains(keyword) && node[keyword] != Json(true))
        LATHE_TRY_STATUS(unkept(place, keyword));
    LATHE_TRY(std::uint32_t min, count(node, "minItems", 0, place));
    LATHE_TRY(std::uint32_t max, count(node, "maxItems", kUnlimited, place));
    if (max < min) return nothing_fits(place, "'maxItems' is below 'minItems'");
    // Older drafts say 'items' and 'additionalItems' for what is 'prefixItems' and 'items' now.
    const bool tuple = json_at(node, "items").is_array();
    const char* first_items = tuple ? "items" : "prefixItems";
    const char* other_items = tuple ? "additionalItems" : "items";
    if (json_at(node, "uniqueItems") == Json(true) && max > 1) {
      if (const Json values = unique_values(node); !values.empty())
        return unique_list(values, min, max, place);
      LATHE_TRY_STATUS(unkept(place, "uniqueItems"));
    }
    std::vector<ExprId> fixed;
    if (node.contains(first_items)) {
      if (!node[first_items].is_array()) return refuse(place, "'prefixItems' must be a list");
      for (std::size_t i = 0; i < node[first_items].size(); ++i) {
        LATHE_TRY(const ExprId item,
                  schema(node[first_items][i], fmt::format("{}/{}/{}", place, first_items, i),
                         depth + 1));
        fixed.push_back(item);
      }
    }
    const auto count_fixed = static_cast<std::uint32_t>(fixed.size());
    ExprId item = json_.value();
    if (node.contains(other_items) && node[other_items] == Json(false)) {
      max = std::min(max, count_fixed);
    } else if (node.contains(other_items) && max > count_fixed) {
      LATHE_TRY(item,
                schema(node[other_items], fmt::format("{}/{}", place, other_items), depth + 1));
    }
    if (max < min) return nothing_fits(place, "no list is long enough for 'minItems'");
    // From the end: what may follow once i items were written.
    const auto next = [&](std::uint32_t i, ExprId value) {
      return i == 0 ? value : builder_.sequence({json_.comma(), value});
    };
    ExprId tail = builder_.empty();
    if (max > count_fixed) {
      const std::uint32_t least = min > count_fixed ? min - count_fixed : 0;
      const std::uint32_t most = max == kUnlimited ? kUnlimited : max - count_fixed;
      item = rule(place + "/item", item);
      const ExprId other = rule(place + "/others", next(1, item));
      if (count_fixed > 0) {
        tail = builder_.repeat(other, least, most);
      } else {
        const ExprId others =
            builder_.repeat(other, least > 0 ? least - 1 : 0, most == kUnlimited ? most : most - 1);
        tail = builder_.sequence({item, others});
        if (least == 0) tail = builder_.choice({builder_.empty(), tail});
      }
    }
    for (std::uint32_t i = std::min(count_fixed, max); i-- > 0;) {
      tail = builder_.sequence(
          {next(i, fixed[i]), rule(fmt::format("{}/item{}", place, i + 1), tail)});
      if (i >= min) tail = builder_.choice({builder_.empty(), tail});
    }
    return list_of(tail);
  }

  ExprId list_of(ExprId items) {
    return builder_.sequence(
        {builder_.literal("["), json_.blank(), items, json_.blank(), builder_.literal("]")});
  }

  // A few values that the items can be, each of them different; empty: others or more.
  Json unique_values(const Json& node) const {
    const Json* items = resolve(json_at(node, "items"));
    if (items == nullptr || !items->is_object() || node.contains("prefixItems")) return {};
    const Json kept = assertions_of(*items, {"type"});
    if (kept.size() != 1 || !json_at(kept, "enum").is_array()) return {};
    Json out = Json::array();
    for (const Json& value : kept["enum"])
      if (type_allows(*items, value) && std::ranges::find(out, value) == out.end())
        out.push_back(value);
    return out.size() <= kMaxUnique ? out : Json();
  }

  // A rule for each set of values that were written already.
  Result<ExprId> unique_list(const Json& values, std::uint32_t min, std::uint32_t max,
                             const std::string& place) {
    if (values.size() < min) return nothing_fits(place, "no list is long enough for 'minItems'");
    const std::size_t sets = std::size_t{1} << values.size();
    std::vector<ExprId> after(sets);
    for (std::size_t set = sets; set-- > 0;) {
      const auto written = static_cast<std::uint32_t>(std::popcount(set));
      std::vector<ExprId> options;
      if (written >= min) options.push_back(builder_.empty());
      for (std::size_t i = 0; i < values.size() && written < max; ++i) {
        if ((set >> i & 1) != 0) continue;
        const ExprId value = builder_.literal(json_.written(values[i]));
        const ExprId then = after[set | std::size_t{1} << i];
        options.push_back(set == 0 ? builder_.sequence({value, then})
                                   : builder_.sequence({json_.comma(), value, then}));
      }
      after[set] = rule(place + "/unique", builder_.choice(std::move(options)));
    }
    return list_of(after[0]);
  }

  // What pattern and format say of a text; nothing: they say nothing.
  Result<std::optional<Regular>> content(const Json& node, const std::string& place) {
    std::optional<Regular> out;
    const auto add = [&](const Regular& more) {
      auto both = Regular::both(out ? *out : JsonGrammar::writable(), more);
      const bool kept = both && !both->is_empty();
      if (kept) out = std::move(both);
      return kept;
    };
    const Json& pattern = json_at(node, "pattern");
    for (const Json& each : pattern.is_array()  ? pattern
                            : pattern.is_null() ? Json::array()
                                                : Json::array({pattern})) {
      if (!each.is_string()) return refuse(place, "'pattern' must be a string");
      const auto language = pattern_language(each.get<std::string>());
      if (!language)
        LATHE_TRY_STATUS(unkept(place, "pattern", language.error().message));
      else if (language->is_empty())
        return nothing_fits(place, "no text fits 'pattern'");
      else if (!add(*language))
        LATHE_TRY_STATUS(unkept(place, "pattern", "not with what else is asked for"));
    }
    const std::string name = json_string(node, "format");
    static constexpr std::string_view kUnknown[] = {"regex", "uri-template",
                                                    "relative-json-pointer"};
    if (const Regular* language = format_language(name)) {
      if (!add(*language))
        LATHE_TRY_STATUS(unkept(place, "format", "not with what else is asked for"));
    } else if (std::ranges::find(kUnknown, name) != std::end(kUnknown)) {
      LATHE_TRY_STATUS(unkept(place, "format", name));
    }
    return out;
  }

  Result<ExprId> string(const Json& node, const std::string& place) {
    Json keywords = Json::object();
    for (const char* keyword : {"pattern", "format", "minLength", "maxLength"})
      if (node.contains(keyword)) keywords[keyword] = node[keyword];
    if (keywords.empty()) return json_.string(0, kUnlimited);
    const std::string key = dump_json(keywords);
    if (const auto known = texts_.find(key); known != texts_.end())
      return builder_.call(known->second);
    LATHE_TRY(const std::uint32_t min, count(node, "minLength", 0, place));
    LATHE_TRY(const std::uint32_t max, count(node, "maxLength", kUnlimited, place));
    if (max < min) return nothing_fits(place, "'maxLength' is below 'minLength'");
    LATHE_TRY(std::optional<Regular> text, content(node, place));
    ExprId made = 0;
    if (text) {
      LATHE_TRY_STATUS(bound(*text, min, max, place));
      made = json_.text(*text);
    } else {
      made = json_.string(min, max);
    }
    const RuleId id = builder_.add_rule("text");
    builder_.define(id, made);
    texts_.emplace(key, id);
    return builder_.call(id);
  }

  // Its texts of these lengths; where they take too many states, only shorter ones.
  Status bound(Regular& text, std::uint32_t min, std::uint32_t max, const std::string& place) {
    if (min == 0 && max == kUnlimited) return {};
    for (std::uint32_t most = max; most >= min; most /= 2) {
      const auto lengths = Regular::of_length(min, most);
      auto both = lengths ? Regular::both(text, *lengths) : std::nullopt;
      if (both && !both->is_empty()) {
        text = std::move(*both);
        return {};
      }
      if (both && most == max)
        return nothing_fits(place, "no text of these lengths fits 'pattern' and 'format'");
      if (most == 0 || most == kUnlimited) break;
    }
    return unkept(place, min > 0 ? "minLength" : "maxLength",
                  "with the pattern or format, too many states");
  }

  // The contents of the texts that a schema of names allows.
  Result<Regular> names_language(const Json& node, const std::string& place) {
    const Json* names = resolve(node);
    if (names != nullptr && *names == Json(false)) return Regular();
    const Json kept = names != nullptr && names->is_object() ? assertions_of(*names) : Json();
    Json others = kept;
    for (const char* keyword :
         {"type", "pattern", "format", "minLength", "maxLength", "enum", "const"})
      if (others.is_object()) others.erase(keyword);
    if (!kept.is_object() || !others.empty()) {
      LATHE_TRY_STATUS(unkept(place, "propertyNames"));
      return JsonGrammar::writable();
    }
    LATHE_TRY(const std::optional<Regular> text, content(kept, place));
    Regular out = text ? *text : JsonGrammar::writable();
    LATHE_TRY(const std::uint32_t min, count(kept, "minLength", 0, place));
    LATHE_TRY(const std::uint32_t max, count(kept, "maxLength", kUnlimited, place));
    LATHE_TRY_STATUS(bound(out, min, max, place));
    if (!kept.contains("enum") && !kept.contains("const")) return out;
    std::vector<std::string> listed;
    for (const Json& value : kept.contains("const") ? Json::array({kept["const"]}) : kept["enum"])
      if (value.is_string() && out.has(value.get<std::string>()))
        listed.push_back(value.get<std::string>());
    return Regular::words(listed);
  }

  Result<ExprId> number(const Json& node, const std::string& place, bool whole) {
    NumberRange range;
    const auto keyword = [&](const char* name) -> const Json& { return json_at(node, name); };
    range.low = keyword("minimum");
    range.high = keyword("maximum");
    range.multiple_of = keyword("multipleOf");
    for (const Json* each : {&range.low, &range.high, &range.multiple_of})
      if (!each->is_null() && !each->is_number())
        return refuse(place, "'minimum', 'maximum' and 'multipleOf' must be numbers");
    // A number of its own, or draft 4's word on 'minimum' and 'maximum'.
    const auto exclude = [](const Json& own, bool lower, Json& bound, bool& excluded) {
      if (own == Json(true)) excluded = true;
      if (!own.is_number()) return;
      if (!bound.is_null() && (lower ? own < bound : bound < own)) return;
      bound = own;
      excluded = true;
    };
    exclude(keyword("exclusiveMinimum"), true, range.low, range.above);
    exclude(keyword("exclusiveMaximum"), false, range.high, range.below);
    if (range.low.is_null() && range.high.is_null() && range.multiple_of.is_null())
      return whole ? json_.integer() : json_.number();
    const std::string key =
        dump_json({whole, range.low, range.high, range.above, range.below, range.multiple_of});
    if (const auto known = texts_.find(key); known != texts_.end())
      return builder_.call(known->second);
    auto language = number_language(range, whole);
    if (!language && !range.multiple_of.is_null()) {
      LATHE_TRY_STATUS(unkept(place, "multipleOf"));
      range.multiple_of = nullptr;
      language = number_language(range, whole);
    }
    if (!language) return refuse(place, "the bounds take too many states");
    if (language->is_empty())
      return nothing_fits(place, fmt::format("no {} that can be written lies between the bounds",
                                             whole ? "whole number" : "number"));
    const RuleId id = builder_.add_rule("number");
    builder_.define(id, builder_.automaton(language->states()));
    texts_.emplace(key, id);
    return builder_.call(id);
  }

  const Json& root_;
  const bool strict_;
  GrammarBuilder& builder_;
  JsonGrammar& json_;
  std::map<std::string, RuleId> references_, merged_;
  std::map<RuleId, Error> empty_;        // the rules that nothing fits
  std::map<std::string, RuleId> texts_;  // of strings and numbers, by what is said of them
  std::vector<std::string> unkept_;
  std::set<std::string> noted_;
  std::size_t nodes_ = 0;
  std::uint64_t counted_ = 0;
};

}  // namespace

std::unique_ptr<SchemaExpressions> SchemaExpressions::make(const Json& root, bool strict,
                                                           GrammarBuilder& builder,
                                                           JsonGrammar& json) {
  return std::make_unique<SchemaCompiler>(root, strict, builder, json);
}

}  // namespace lathe::infer::grammar
