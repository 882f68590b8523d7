// Reads values as the schemas of the offered tools mean them, and Python's literals and calls.
#include "infer/answers/offered_tools.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

constexpr int kMaxDepth = 32;
constexpr std::string_view kSpaces = " \t\r\n";

// What a schema allows, as far as its types and listed values tell.
struct Allowed {
  std::set<std::string, std::less<>> types;
  Json listed = Json::array();
  bool anything = false;  // it says nothing of the kind
};

const Json* target_of(const Json& root, const std::string& name) {
  if (!name.starts_with('#')) return nullptr;
  try {
    const nlohmann::json_pointer<std::string> pointer(name.substr(1));
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const nlohmann::json::exception&) {
    return nullptr;
  }
}

void collect(const Json& root, const Json& schema, int depth, Allowed& out) {
  if (!schema.is_object() || depth > kMaxDepth) {
    out.anything = true;
    return;
  }
  bool says = false;
  if (const std::string name = json_string(schema, "$ref"); !name.empty()) {
    const Json* target = target_of(root, name);
    if (target != nullptr) collect(root, *target, depth + 1, out);
    says = target != nullptr;
  }
  if (schema.contains("const")) {
    out.listed.push_back(schema["const"]);
    says = true;
  } else if (json_at(schema, "enum").is_array()) {
    for (const Json& value : schema["enum"]) out.listed.push_back(value);
    says = true;
  } else if (const Json& type = json_at(schema, "type"); type.is_string() || type.is_array()) {
    for (const Json& name : type.is_array() ? type : Json::array({type}))
      if (name.is_string()) out.types.insert(name.get<std::string>());
    says = true;
  }
  if (json_at(schema, "nullable") == Json(true)) out.types.insert("null");
  for (const char* keyword : {"anyOf", "oneOf", "allOf"}) {
    const Json& parts = json_at(schema, keyword);
    if (!parts.is_array()) continue;
    for (const Json& part : parts) collect(root, part, depth + 1, out);
    says = true;
  }
  out.anything = out.anything || !says;
}

bool fits(const Allowed& allowed, const Json& value) {
  if (std::ranges::find(allowed.listed, value) != allowed.listed.end()) return true;
  if (!value.is_number()) return allowed.types.contains(std::string_view(value.type_name()));
  if (allowed.types.contains("number")) return true;
  return allowed.types.contains("integer") &&
         (value.is_number_integer() || value.get<double>() == std::floor(value.get<double>()));
}

class PythonReader {
 public:
  explicit PythonReader(std::string_view text) : text_(text) {}

  std::optional<Json> literal() {
    auto read = value(0);
    skip();
    return at_ == text_.size() ? read : std::nullopt;
  }

  std::optional<std::vector<ToolCall>> calls() {
    std::vector<ToolCall> out;
    skip();
    const bool list = take('[');
    do {
      auto read = call();
      if (!read) return std::nullopt;
      out.push_back(std::move(*read));
      skip();
    } while (list && take(','));
    if (list && !take(']')) return std::nullopt;
    skip();
    return at_ == text_.size() ? std::optional(std::move(out)) : std::nullopt;
  }

 private:
  void skip() { at_ = std::min(text_.find_first_not_of(kSpaces, at_), text_.size()); }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // Up to the next bracket, comma, quote or space.
  std::string_view word(std::string_view ends) {
    const std::size_t end = std::min(text_.find_first_of(ends, at_), text_.size());
    const std::string_view read = text_.substr(at_, end - at_);
    at_ = end;
    return read;
  }

  std::optional<ToolCall> call() {
    skip();
    const std::string name(word(" \t\r\n()[]{},=\"'"));
    if (name.empty() || !take('(')) return std::nullopt;
    Json arguments = Json::object();
    for (skip(); !take(')'); skip()) {
      if (!arguments.empty() && !take(',')) return std::nullopt;
      skip();
      const std::string key(word(" \t\r\n()[]{},=\"'"));
      skip();
      if (key.empty() || arguments.contains(key) || !take('=')) return std::nullopt;
      auto read = value(0);
      if (!read) return std::nullopt;
      arguments[key] = std::move(*read);
    }
    return ToolCall{"", name, dump_json(arguments)};
  }

  std::optional<Json> value(int depth) {
    skip();
    if (depth > kMaxDepth || at_ == text_.size()) return std::nullopt;
    const char c = text_[at_];
    if (c == '{') return object(depth);
    if (c == '[' || c == '(') return list(depth, c == '[' ? ']' : ')');
    if (c == '"' || c == '\'') return string();
    const std::string_view read = word(" \t\r\n()[]{},:=\"'");
    if (read == "True") return Json(true);
    if (read == "False") return Json(false);
    if (read == "None") return Json(nullptr);
    const auto json = parse_json(read);
    return json ? std::optional(*json) : std::nullopt;
  }

  std::optional<Json> object(int depth) {
    Json out = Json::object();
    ++at_;
    for (skip(); !take('}'); skip()) {
      if (!out.empty() && !take(',')) return std::nullopt;
      skip();
      const auto key = value(depth + 1);
      skip();
      if (!key || !key->is_string() || !take(':')) return std::nullopt;
      auto read = value(depth + 1);
      if (!read || out.contains(key->get<std::string>())) return std::nullopt;
      out[key->get<std::string>()] = std::move(*read);
    }
    return out;
  }

  std::optional<Json> list(int depth, char end) {
    Json out = Json::array();
    ++at_;
    for (skip(); !take(end); skip()) {
      if (!out.empty() && !take(',')) return std::nullopt;
      skip();
      auto read = value(depth + 1);
      if (!read) return std::nullopt;
      out.push_back(std::move(*read));
    }
    return out;
  }

  // At the u of \uXXXX, or of two of them that are one character.
  std::optional<std::string> unicode() {
    for (const std::size_t size : {11U, 5U}) {
      const auto read = parse_json(fmt::format("\"\\{}\"", text_.substr(at_, size)));
      if (!read || (size == 11 && text_.substr(at_ + 5, 2) != "\\u")) continue;
      at_ += size;
      return read->get<std::string>();
    }
    return std::nullopt;
  }

  std::optional<Json> string() {
    std::string out;
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return Json(std::move(out));
      if (c != '\\') {
        out += c;
        continue;
      }
      if (text_.substr(at_).starts_with('u')) {
        const auto read = unicode();
        if (!read) return std::nullopt;
        out += *read;
        continue;
      }
      static constexpr std::string_view kEscapes = "\\'\"nrt/bf", kMeanings = "\\'\"\n\r\t/\b\f";
      const auto which = at_ < text_.size() ? kEscapes.find(text_[at_++]) : kEscapes.npos;
      if (which == kEscapes.npos) return std::nullopt;
      out += kMeanings[which];
    }
    return std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

OfferedTools::OfferedTools(std::span<const OfferedTool> tools) {
  for (const OfferedTool& tool : tools) parameters_.emplace(tool.name, tool.parameters);
}

bool OfferedTools::may_take(std::string_view tool, std::string_view parameter) const {
  const auto known = parameters_.find(tool);
  if (known == parameters_.end()) return true;
  const Json& properties = json_at(known->second, "properties");
  return !properties.is_object() || properties.contains(parameter);
}

Json OfferedTools::value(std::string_view tool, std::string_view parameter,
                         std::string_view text) const {
  Allowed allowed;
  if (const auto known = parameters_.find(tool); known != parameters_.end())
    collect(known->second, json_at(json_at(known->second, "properties"), parameter), 0, allowed);
  else
    allowed.anything = true;
  const Json raw = std::string(text);
  if (std::ranges::find(allowed.listed, raw) != allowed.listed.end()) return raw;
  const auto json = parse_json(trim(text));
  if (json && fits(allowed, *json) && !json->is_string()) return *json;
  const auto python = json ? std::optional<Json>() : parse_python(text);
  if (python && fits(allowed, *python) && !python->is_string()) return *python;
  if (fits(allowed, raw)) return raw;
  // A listed text in quotes; nothing else takes the quotes off.
  if (json && std::ranges::find(allowed.listed, *json) != allowed.listed.end()) return *json;
  if (!json || (allowed.anything && json->is_string())) return raw;
  return *json;
}

std::optional<Json> parse_python(std::string_view text) {
  return PythonReader(text).literal();
}

std::optional<std::vector<ToolCall>> python_calls(std::string_view text) {
  return PythonReader(text).calls();
}

}  // namespace lathe::infer
