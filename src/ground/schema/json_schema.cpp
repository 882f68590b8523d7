// Validates values against a compiled schema.
#include "ground/schema/json_schema.h"

#include <algorithm>
#include <set>

#include "ground/base/text.h"
#include "ground/schema/json_format.h"
#include "ground/schema/json_value.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxSteps = 1'000'000;  // schemas evaluated, and their like
constexpr int kMaxDepth = 500;                // evaluations one inside another
constexpr std::size_t kMaxErrors = 50;

using Errors = std::vector<SchemaError>;

// Which members and items of one instance location some schema has looked at.
struct Evaluated {
  std::set<std::string> members;
  std::set<std::size_t> items;
  void add(const Evaluated& other) {
    members.insert(other.members.begin(), other.members.end());
    items.insert(other.items.begin(), other.items.end());
  }
};

std::string_view type_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "boolean";
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  return is_integer_value(value) ? "integer" : "number";
}

bool has_type(const Json& value, const std::string& type) {
  return type_of(value) == type || (type == "number" && value.is_number());
}

constexpr std::string_view kWords[] = {"title", "description", "default", "examples", "$schema",
                                       "$id",   "$comment",    "$anchor", "$defs"};

// Keywords that assert something, in the schema and those within it.
std::size_t checks_of(const Json& schema) {
  if (!schema.is_object()) return 1;
  std::size_t checks = 0;
  for (const auto& [keyword, value] : schema.items()) {
    if (std::ranges::find(kWords, keyword) != std::end(kWords)) continue;
    if (keyword == "properties" || keyword == "patternProperties") {
      for (const Json& each : value) checks += checks_of(each);
    } else if (keyword == "required") {
      checks += value.size();
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (const Json& each : value) checks += checks_of(each);  // allOf and its like, prefixItems
    } else {
      checks += value.is_object() ? checks_of(value) : 1;
    }
  }
  return checks;
}

std::string shown(const Json& value) {
  return clip_utf8(dump_json(value), 120);
}

class Evaluation {
 public:
  explicit Evaluation(const JsonSchema::Compiled& compiled) : compiled_(compiled) {}

  Result<Errors> run(const Json& instance) {
    Errors errors;
    Evaluated evaluated;
    evaluate(compiled_.root, instance, "", errors, evaluated);
    if (trouble_) return std::unexpected(*trouble_);
    return errors;
  }

 private:
  // One schema at one instance location.
  struct Here {
    const Json& schema;
    const Json& instance;
    const std::string& at;
    Errors& errors;
    Evaluated& evaluated;

    const Json* find(std::string_view keyword) const {
      const auto it = schema.find(keyword);
      return it == schema.end() ? nullptr : &*it;
    }
    template <class... Args>
    void fail(std::string_view keyword, fmt::format_string<Args...> format, Args&&... args) const {
      if (errors.size() < kMaxErrors)
        errors.push_back(
            {at, std::string(keyword), fmt::format(format, std::forward<Args>(args)...)});
    }
    void last_left_unchecked(std::size_t checks) const {
      if (!errors.empty()) errors.back().unchecked = checks;
    }
  };

  // Whether the instance is valid; what the schema has looked at is added only when it is.
  bool evaluate(const Json& schema, const Json& instance, const std::string& at, Errors& errors,
                Evaluated& evaluated) {
    charge(depth_ < kMaxDepth ? 1 : kMaxSteps);
    if (trouble_) return false;
    if (schema.is_boolean()) {
      if (!schema.get<bool>() && errors.size() < kMaxErrors)
        errors.push_back({at, "false", "is not allowed here"});
      return schema.get<bool>();
    }
    ++depth_;
    Errors own;
    Evaluated seen;
    const Here here{schema, instance, at, own, seen};
    references(here);
    combinations(here);
    conditions(here);
    any_type(here);
    if (instance.is_number()) number(here);
    if (instance.is_string()) string(here);
    if (instance.is_array()) array(here);
    if (instance.is_object()) object(here);
    --depth_;
    const bool valid = own.empty() && !trouble_;
    if (valid)
      evaluated.add(seen);
    else
      for (SchemaError& error : own)
        if (errors.size() < kMaxErrors) errors.push_back(std::move(error));
    return valid;
  }

  void charge(std::size_t steps) {
    steps_ += steps;
    if (steps_ > kMaxSteps && !trouble_)
      trouble_ = Error{ErrorKind::kInvalid,
                       "checking this document against the schema takes too much work"};
  }

  std::string key_of(const Json& value) {
    if (trouble_) return {};
    std::string key = value_key(value);
    charge(1 + key.size() / 64);
    return key;
  }

  bool same_place(const Json& schema, const Here& here) {
    return evaluate(schema, here.instance, here.at, here.errors, here.evaluated);
  }
  // Without reporting: for branches that may fail.
  bool holds(const Json& schema, const Here& here, Evaluated& evaluated) {
    Errors dropped;
    return evaluate(schema, here.instance, here.at, dropped, evaluated);
  }

  void references(const Here& here) {
    for (const std::string_view keyword : {"$ref", "$dynamicRef"})
      if (const Json* reference = here.find(keyword))
        same_place(*compiled_.references.at(reference->get<std::string>()), here);
  }

  void combinations(const Here& here) {
    if (const Json* all = here.find("allOf"))
      for (const Json& each : *all) same_place(each, here);
    if (const Json* any = here.find("anyOf")) branches(here, "anyOf", *any, any->size());
    if (const Json* one = here.find("oneOf")) branches(here, "oneOf", *one, 1);
    if (const Json* no = here.find("not")) {
      Evaluated dropped;
      if (holds(*no, here, dropped)) here.fail("not", "must not be what the schema excludes");
    }
  }

  void branches(const Here& here, std::string_view keyword, const Json& schemas,
                std::size_t at_most) {
    std::vector<std::size_t> matching;
    std::string why;
    for (std::size_t i = 0; i < schemas.size(); ++i) {
      Errors dropped;
      if (evaluate(schemas[i], here.instance, here.at, dropped, here.evaluated))
        matching.push_back(i + 1);
      else if (!dropped.empty() && why.size() < 400)
        why += fmt::format("; {}: {}{}{}", i + 1, dropped[0].instance,
                           dropped[0].instance.empty() ? "" : " ", dropped[0].message);
    }
    if (matching.empty())
      here.fail(keyword, "fits none of the {} alternatives{}", schemas.size(), why);
    else if (matching.size() > at_most)
      here.fail(keyword, "fits alternatives {} at once, but must fit exactly one",
                fmt::join(matching, ", "));
  }

  void conditions(const Here& here) {
    if (const Json* condition = here.find("if")) {
      const Json* next = here.find(holds(*condition, here, here.evaluated) ? "then" : "else");
      if (next) same_place(*next, here);
    }
    const Json* dependent = here.find("dependentSchemas");
    if (dependent && here.instance.is_object())
      for (const auto& [name, schema] : dependent->items())
        if (here.instance.contains(name)) same_place(schema, here);
  }

  void any_type(const Here& here) {
    if (const Json* type = here.find("type")) {
      const bool fits = type->is_string()
                            ? has_type(here.instance, type->get<std::string>())
                            : std::ranges::any_of(*type, [&](const Json& each) {
                                return has_type(here.instance, each.get<std::string>());
                              });
      if (!fits)
        here.fail("type", "must be {}, but is {} ({})", type_list(*type), type_of(here.instance),
                  shown(here.instance));
      if (!fits) here.last_left_unchecked(checks_of(here.schema) - 1);
    }
    if (const Json* values = here.find("enum")) {
      const std::string key = key_of(here.instance);
      if (std::ranges::none_of(*values, [&](const Json& each) { return key_of(each) == key; }))
        here.fail("enum", "must be one of {}, but is {}", shown(*values), shown(here.instance));
    }
    if (const Json* value = here.find("const"))
      if (key_of(*value) != key_of(here.instance))
        here.fail("const", "must be {}, but is {}", shown(*value), shown(here.instance));
  }

  static std::string type_list(const Json& type) {
    if (type.is_string()) return type.get<std::string>();
    return join(type.get<std::vector<std::string>>(), " or ");
  }

  void number(const Here& here) {
    const auto bound = [&](std::string_view keyword, std::string_view words, auto fits) {
      const Json* limit = here.find(keyword);
      if (limit && !fits(compare_numbers(here.instance, *limit)))
        here.fail(keyword, "must be {} {}, but is {}", words, shown(*limit), shown(here.instance));
    };
    bound("minimum", "at least", [](int order) { return order >= 0; });
    bound("exclusiveMinimum", "above", [](int order) { return order > 0; });
    bound("maximum", "at most", [](int order) { return order <= 0; });
    bound("exclusiveMaximum", "below", [](int order) { return order < 0; });
    if (const Json* step = here.find("multipleOf"); step && !is_multiple(here.instance, *step))
      here.fail("multipleOf", "must be a multiple of {}, but is {}", shown(*step),
                shown(here.instance));
  }

  // min… and max… keywords over a count.
  void count(const Here& here, std::string_view noun, std::string_view minimum,
             std::string_view maximum, std::size_t n) {
    const Json number(n);
    if (const Json* limit = here.find(minimum); limit && compare_numbers(number, *limit) < 0)
      here.fail(minimum, "must have at least {} {}, but has {}", shown(*limit), noun, n);
    if (const Json* limit = here.find(maximum); limit && compare_numbers(number, *limit) > 0)
      here.fail(maximum, "must have at most {} {}, but has {}", shown(*limit), noun, n);
  }

  bool matches(const std::string& pattern, const std::string& text) {
    charge(1 + text.size() / 64);
    if (trouble_) return false;
    auto found = compiled_.patterns.at(pattern).find(text);
    if (!found) {
      if (!trouble_) trouble_ = std::move(found).error();
      return false;
    }
    return found->has_value();
  }

  void string(const Here& here) {
    const auto& text = here.instance.get_ref<const std::string&>();
    count(here, "characters", "minLength", "maxLength", count_code_points(text));
    if (const Json* pattern = here.find("pattern"))
      if (!matches(pattern->get<std::string>(), text))
        here.fail("pattern", "must match {}, but is {}", shown(*pattern), shown(here.instance));
    const Json* format = compiled_.assert_formats ? here.find("format") : nullptr;
    if (format && !has_format(format->get<std::string>(), text))
      here.fail("format", "must be of the format {}, but is {}", format->get<std::string>(),
                shown(here.instance));
  }

  bool child(const Json& schema, const Json& value, const Here& here, std::string_view token) {
    Evaluated of_child;
    return evaluate(schema, value, pointer_step(here.at, token), here.errors, of_child);
  }

  void array(const Here& here) {
    const std::size_t size = here.instance.size();
    count(here, "items", "minItems", "maxItems", size);
    std::size_t next = 0;
    if (const Json* prefix = here.find("prefixItems"))
      for (; next < std::min(size, prefix->size()); ++next) item((*prefix)[next], next, here);
    if (const Json* items = here.find("items"))
      for (; next < size; ++next) item(*items, next, here);
    contains(here);
    unique(here);
    if (const Json* rest = here.find("unevaluatedItems"))
      for (std::size_t i = 0; i < size; ++i)
        if (!here.evaluated.items.contains(i)) item(*rest, i, here);
  }

  void item(const Json& schema, std::size_t i, const Here& here) {
    child(schema, here.instance[i], here, std::to_string(i));
    here.evaluated.items.insert(i);
  }

  void contains(const Here& here) {
    const Json* schema = here.find("contains");
    if (!schema) return;
    std::size_t matching = 0;
    for (std::size_t i = 0; i < here.instance.size(); ++i) {
      Errors dropped;
      Evaluated of_child;
      if (!evaluate(*schema, here.instance[i], here.at, dropped, of_child)) continue;
      ++matching;
      here.evaluated.items.insert(i);
    }
    if (!here.find("minContains") && matching == 0)
      here.fail("contains", "must have an item that fits the schema of \"contains\"");
    count(here, "items that fit \"contains\"", "minContains", "maxContains", matching);
  }

  void unique(const Here& here) {
    const Json* wanted = here.find("uniqueItems");
    if (!wanted || !wanted->get<bool>()) return;
    std::map<std::string, std::size_t> seen;
    for (std::size_t i = 0; i < here.instance.size(); ++i) {
      const auto [first, fresh] = seen.emplace(key_of(here.instance[i]), i);
      if (fresh) continue;
      here.fail("uniqueItems", "items {} and {} are equal: {}", first->second, i,
                shown(here.instance[i]));
      return;
    }
  }

  void object(const Here& here) {
    count(here, "members", "minProperties", "maxProperties", here.instance.size());
    if (const Json* required = here.find("required")) require(here, "required", *required, "");
    if (const Json* dependent = here.find("dependentRequired"))
      for (const auto& [name, names] : dependent->items())
        if (here.instance.contains(name))
          require(here, "dependentRequired", names, fmt::format(" beside \"{}\"", name));
    if (const Json* names = here.find("propertyNames"))
      for (const auto& [name, unused] : here.instance.items()) child(*names, name, here, name);
    members(here);
  }

  void require(const Here& here, std::string_view keyword, const Json& names,
               const std::string& beside) {
    charge(names.size() * here.instance.size() / 16);
    for (const Json& name : names)
      if (!here.instance.contains(name.get_ref<const std::string&>()))
        missing(here, keyword, name, beside);
  }

  void missing(const Here& here, std::string_view keyword, const Json& name,
               const std::string& beside) {
    here.fail(keyword, "must have the member {}{}", shown(name), beside);
    const Json* properties = here.find("properties");
    const auto member =
        properties ? properties->find(name.get_ref<const std::string&>()) : Json::const_iterator();
    if (properties && member != properties->end()) here.last_left_unchecked(checks_of(*member));
  }

  void members(const Here& here) {
    const Json* properties = here.find("properties");
    const Json* patterns = here.find("patternProperties");
    const Json* additional = here.find("additionalProperties");
    const Json* rest = here.find("unevaluatedProperties");
    // Members are looked up one by one.
    charge((properties ? properties->size() / 16 : 0) * here.instance.size());
    for (const auto& [name, value] : here.instance.items()) {
      bool named = false;
      const auto apply = [&](const Json& schema) {
        named = true;
        child(schema, value, here, name);
      };
      if (properties)
        if (const auto it = properties->find(name); it != properties->end()) apply(*it);
      if (patterns)
        for (const auto& [pattern, schema] : patterns->items())
          if (matches(pattern, name)) apply(schema);
      if (additional && !named) apply(*additional);
      if (rest && !named && !here.evaluated.members.contains(name)) apply(*rest);
      if (named) here.evaluated.members.insert(name);
    }
  }

  const JsonSchema::Compiled& compiled_;
  std::size_t steps_ = 0;
  int depth_ = 0;
  std::optional<Error> trouble_;
};

}  // namespace

Result<std::vector<SchemaError>> JsonSchema::validate(const Json& instance) const {
  return Evaluation(*compiled_).run(instance);
}

std::size_t JsonSchema::checks() const {
  return checks_of(compiled_->root);
}

}  // namespace lathe
