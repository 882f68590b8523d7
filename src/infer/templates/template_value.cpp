// Values of templates, as Jinja compares and prints them.
#include "infer/templates/template_value.h"

#include <algorithm>
#include <cmath>

#include "infer/tokens/unicode.h"

namespace lathe::infer {

bool MarkedText::has_user_text() const {
  return std::ranges::any_of(runs_, [](const Run& run) { return run.user; });
}

void MarkedText::append(std::string_view text, bool user) {
  if (text.empty()) return;
  text_ += text;
  if (!runs_.empty() && runs_.back().user == user)
    runs_.back().end = text_.size();
  else
    runs_.push_back({text_.size(), user});
}

void MarkedText::append(const MarkedText& other) {
  other.for_runs([&](std::string_view bytes, bool user) { append(bytes, user); });
}

MarkedText MarkedText::substr(std::size_t from, std::size_t bytes) const {
  MarkedText out;
  const std::size_t end = from + std::min(bytes, text_.size() - std::min(from, text_.size()));
  auto run = std::ranges::upper_bound(runs_, from, {}, &Run::end);
  for (std::size_t at = from; at < end; ++run) {
    const std::size_t to = std::min(run->end, end);
    out.append(std::string_view(text_).substr(at, to - at), run->user);
    at = to;
  }
  return out;
}

namespace {

std::string key_text(std::string_view text) {
  return "s" + std::string(text);
}

std::string key_of(const Value& key) {
  switch (key.kind) {
    case ValueKind::kText:
      return key_text(key.view());
    case ValueKind::kBool:
    case ValueKind::kInteger:
      return fmt::format("n{}", key.whole());
    case ValueKind::kReal:
      if (key.real == std::floor(key.real) && std::abs(key.real) < 1e15)
        return fmt::format("n{}", static_cast<std::int64_t>(key.real));
      return fmt::format("r{}", key.real);
    default:
      return "-";
  }
}

}  // namespace

bool ValueDict::may_be_key(const Value& key) {
  return key.is_text() || key.is_number() || key.is(ValueKind::kNone);
}

const Value* ValueDict::find(std::string_view key) const {
  const auto found = index_.find(key_text(key));
  return found == index_.end() ? nullptr : &items_[found->second].second;
}

const Value* ValueDict::find(const Value& key) const {
  if (!may_be_key(key)) return nullptr;
  const auto found = index_.find(key_of(key));
  return found == index_.end() ? nullptr : &items_[found->second].second;
}

void ValueDict::set(const Value& key, const Value& value) {
  const auto [place, added] = index_.try_emplace(key_of(key), items_.size());
  if (added)
    items_.emplace_back(key, value);
  else
    items_[place->second].second = value;
}

std::optional<Value> ValueDict::remove(const Value& key) {
  const auto found = may_be_key(key) ? index_.find(key_of(key)) : index_.end();
  if (found == index_.end()) return std::nullopt;
  const std::size_t at = found->second;
  const Value value = items_[at].second;
  items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(at));
  index_.erase(found);
  for (auto& [_, place] : index_)
    if (place > at) --place;
  return value;
}

Value ValueHeap::json(const Json& json, bool user) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::of(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::of(json.get<std::int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > INT64_MAX) return Value::of(static_cast<double>(number));
      return Value::of(static_cast<std::int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value::of(json.get<double>());
    case Json::value_t::string:
      return text(json.get_ref<const std::string&>(), user);
    case Json::value_t::array: {
      ValueList items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(this->json(item, user));
      return list(std::move(items));
    }
    case Json::value_t::object: {
      const Value out = dict();
      for (const auto& [key, item] : json.items())
        out.dict->set(text(key, user), this->json(item, user));
      return out;
    }
    default:
      return Value::none();
  }
}

bool truth(const Value& value) {
  switch (value.kind) {
    case ValueKind::kUndefined:
    case ValueKind::kNone:
      return false;
    case ValueKind::kBool:
      return value.boolean;
    case ValueKind::kInteger:
      return value.integer != 0;
    case ValueKind::kReal:
      return value.real != 0;
    case ValueKind::kText:
      return value.text->size() > 0;
    case ValueKind::kList:
    case ValueKind::kTuple:
      return !value.list->empty();
    case ValueKind::kDict:
      return value.dict->size() > 0;
    default:
      return true;
  }
}

std::string_view type_name(const Value& value) {
  static constexpr std::string_view kNames[] = {
      "undefined", "none", "bool",      "int",  "float",  "str",   "list",
      "tuple",     "dict", "namespace", "loop", "method", "macro", "function"};
  return kNames[static_cast<std::size_t>(value.kind)];
}

Result<bool> values_equal(const Value& a, const Value& b, int depth) {
  if (depth > kMaxValueDepth) return invalid("values are nested too deeply to be compared");
  if (a.is_whole() && b.is_whole()) return a.whole() == b.whole();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case ValueKind::kUndefined:
    case ValueKind::kNone:
      return true;
    case ValueKind::kText:
      return a.view() == b.view();
    case ValueKind::kList:
    case ValueKind::kTuple:
      if (a.list->size() != b.list->size()) return false;
      for (std::size_t i = 0; i < a.list->size(); ++i) {
        LATHE_TRY(const bool same, values_equal((*a.list)[i], (*b.list)[i], depth + 1));
        if (!same) return false;
      }
      return true;
    case ValueKind::kDict:
      if (a.dict->size() != b.dict->size()) return false;
      for (const auto& [key, value] : a.dict->items()) {
        const Value* other = b.dict->find(key);
        if (other == nullptr) return false;
        LATHE_TRY(const bool same, values_equal(value, *other, depth + 1));
        if (!same) return false;
      }
      return true;
    case ValueKind::kGlobal:
      return a.global == b.global;
    default:
      return a.dict == b.dict;  // the same object
  }
}

Result<int> compare_values(const Value& a, const Value& b, int depth) {
  if (depth > kMaxValueDepth) return invalid("values are nested too deeply to be compared");
  if (a.is_whole() && b.is_whole())
    return a.whole() < b.whole() ? -1 : a.whole() > b.whole() ? 1 : 0;
  if (a.is_number() && b.is_number())
    return a.number() < b.number() ? -1 : a.number() > b.number() ? 1 : 0;
  if (a.is_text() && b.is_text()) return a.view().compare(b.view());
  if (a.is_sequence() && a.kind == b.kind) {
    for (std::size_t i = 0; i < std::min(a.list->size(), b.list->size()); ++i) {
      LATHE_TRY(const int order, compare_values((*a.list)[i], (*b.list)[i], depth + 1));
      if (order != 0) return order;
    }
    return static_cast<int>(a.list->size() > b.list->size()) -
           static_cast<int>(a.list->size() < b.list->size());
  }
  return invalid("{} and {} have no order", type_name(a), type_name(b));
}

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string out = fmt::format("{}", value);
  if (out.find_first_of(".e") == out.npos) out += ".0";
  return out;
}

namespace {

Status allow_size(std::size_t size, std::size_t most) {
  if (size <= most) return {};
  return std::unexpected(
      Error{.message = fmt::format("a text grows beyond {} bytes", most), .code = "too_long"});
}

}  // namespace

Status append_text(MarkedText& out, const Value& value, std::size_t most) {
  switch (value.kind) {
    case ValueKind::kUndefined:
      return {};
    case ValueKind::kText:
      LATHE_TRY_STATUS(allow_size(out.size() + value.text->size(), most));
      out.append(*value.text);
      return {};
    default:
      return append_repr(out, value, most);
  }
}

namespace {

void append_text_repr(MarkedText& out, const MarkedText& value) {
  const bool doubles =
      value.text().find('\'') != std::string::npos && value.text().find('"') == std::string::npos;
  const char quote = doubles ? '"' : '\'';
  out.append(std::string_view(&quote, 1), false);
  value.for_runs([&](std::string_view bytes, bool user) {
    std::string escaped;
    for (std::size_t at = 0; at < bytes.size();) {
      const Character c = character_at(bytes, at);
      if (c.code == static_cast<char32_t>(quote) || c.code == '\\')
        escaped += {'\\', static_cast<char>(c.code)};
      else if (c.code == '\n')
        escaped += "\\n";
      else if (c.code == '\r')
        escaped += "\\r";
      else if (c.code == '\t')
        escaped += "\\t";
      else if (c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0) || c.code == 0xAD)
        escaped += fmt::format("\\x{:02x}", static_cast<unsigned>(c.code));
      else
        escaped += bytes.substr(at, c.bytes);
      at += c.bytes;
    }
    out.append(escaped, user);
  });
  out.append(std::string_view(&quote, 1), false);
}

}  // namespace

Status append_repr(MarkedText& out, const Value& value, std::size_t most, int depth) {
  if (depth > kMaxValueDepth) return invalid("a value is nested too deeply to be printed");
  LATHE_TRY_STATUS(allow_size(out.size() + (value.is_text() ? value.text->size() : 0), most));
  switch (value.kind) {
    case ValueKind::kUndefined:
      out.append("Undefined", false);
      return {};
    case ValueKind::kNone:
      out.append("None", false);
      return {};
    case ValueKind::kBool:
      out.append(value.boolean ? "True" : "False", false);
      return {};
    case ValueKind::kInteger:
      out.append(std::to_string(value.integer), false);
      return {};
    case ValueKind::kReal:
      out.append(real_text(value.real), false);
      return {};
    case ValueKind::kText:
      append_text_repr(out, *value.text);
      return {};
    case ValueKind::kList:
    case ValueKind::kTuple: {
      const bool tuple = value.is(ValueKind::kTuple);
      out.append(tuple ? "(" : "[", false);
      for (std::size_t i = 0; i < value.list->size(); ++i) {
        if (i > 0) out.append(", ", false);
        LATHE_TRY_STATUS(append_repr(out, (*value.list)[i], most, depth + 1));
      }
      out.append(tuple ? (value.list->size() == 1 ? ",)" : ")") : "]", false);
      return {};
    }
    case ValueKind::kDict: {
      out.append("{", false);
      bool first = true;
      for (const auto& [key, item] : value.dict->items()) {
        if (!std::exchange(first, false)) out.append(", ", false);
        LATHE_TRY_STATUS(append_repr(out, key, most, depth + 1));
        out.append(": ", false);
        LATHE_TRY_STATUS(append_repr(out, item, most, depth + 1));
      }
      out.append("}", false);
      return {};
    }
    default:
      out.append(fmt::format("<{}>", type_name(value)), false);
      return {};
  }
}

namespace {

void append_json_text(std::string& out, std::string_view text, bool ascii) {
  const auto unit = [&](unsigned code) { out += fmt::format("\\u{:04x}", code); };
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const auto code = static_cast<unsigned>(c.code);
    if (code == '"' || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (code == '\b') {
      out += "\\b";
    } else if (code == '\f') {
      out += "\\f";
    } else if (code < 0x20 || (ascii && code > 0x7E && code < 0x10000)) {
      unit(code);
    } else if (ascii && code >= 0x10000) {
      unit(0xD800 + ((code - 0x10000) >> 10));
      unit(0xDC00 + (code & 0x3FF));
    } else {
      out += text.substr(at, c.bytes);
    }
    at += c.bytes;
  }
  out += '"';
}

void append_json_line(std::string& out, const JsonStyle& style, int depth) {
  if (!style.indent) return;
  out += '\n';
  for (int i = 0; i < depth; ++i) out += *style.indent;
}

std::string json_key(const Value& key) {
  if (key.is_text()) return std::string(key.view());
  if (key.is(ValueKind::kBool)) return key.boolean ? "true" : "false";
  if (key.is(ValueKind::kInteger)) return std::to_string(key.integer);
  return key.is(ValueKind::kReal) ? real_text(key.real) : "null";
}

Status append_json_dict(std::string& out, const ValueDict& dict, const JsonStyle& style, bool& user,
                        int depth) {
  if (dict.size() == 0) {
    out += "{}";
    return {};
  }
  std::vector<std::pair<std::string, const Value*>> items;
  for (const auto& [key, value] : dict.items()) {
    items.emplace_back(json_key(key), &value);
    user = user || (key.is_text() && key.text->has_user_text());
  }
  if (style.sort_keys)
    std::ranges::stable_sort(items, {}, &std::pair<std::string, const Value*>::first);
  out += '{';
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += style.item_separator;
    append_json_line(out, style, depth + 1);
    append_json_text(out, items[i].first, style.ascii);
    out += style.key_separator;
    LATHE_TRY_STATUS(append_json(out, *items[i].second, style, user, depth + 1));
  }
  append_json_line(out, style, depth);
  out += '}';
  return {};
}

}  // namespace

Status append_json(std::string& out, const Value& value, const JsonStyle& style, bool& user,
                   int depth) {
  if (depth > kMaxValueDepth) return invalid("a value is nested too deeply for JSON");
  LATHE_TRY_STATUS(allow_size(out.size(), style.most));
  switch (value.kind) {
    case ValueKind::kUndefined:
    case ValueKind::kNone:
      out += "null";
      return {};
    case ValueKind::kBool:
      out += value.boolean ? "true" : "false";
      return {};
    case ValueKind::kInteger:
      out += std::to_string(value.integer);
      return {};
    case ValueKind::kReal:
      if (std::isnan(value.real))
        out += "NaN";
      else if (std::isinf(value.real))
        out += value.real < 0 ? "-Infinity" : "Infinity";
      else
        out += real_text(value.real);
      return {};
    case ValueKind::kText:
      append_json_text(out, value.view(), style.ascii);
      user = user || value.text->has_user_text();
      return {};
    case ValueKind::kList:
    case ValueKind::kTuple:
      if (value.list->empty()) {
        out += "[]";
        return {};
      }
      out += '[';
      for (std::size_t i = 0; i < value.list->size(); ++i) {
        if (i > 0) out += style.item_separator;
        append_json_line(out, style, depth + 1);
        LATHE_TRY_STATUS(append_json(out, (*value.list)[i], style, user, depth + 1));
      }
      append_json_line(out, style, depth);
      out += ']';
      return {};
    case ValueKind::kDict:
      return append_json_dict(out, *value.dict, style, user, depth);
    default:
      return invalid("a {} has no JSON", type_name(value));
  }
}

std::size_t character_count(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += character_at(text, at).bytes) ++count;
  return count;
}

std::size_t byte_offset(std::string_view text, std::size_t characters) {
  std::size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) at += character_at(text, at).bytes;
  return at;
}

bool is_python_space(char32_t code) {
  return category_of(code) == UnicodeCategory::kSpace || (code >= 0x1C && code <= 0x1F);
}

}  // namespace lathe::infer
