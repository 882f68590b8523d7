// JSON with limits: refused before anything of it is allocated.
#include "ground/base/json.h"

#include <set>
#include <utility>
#include <vector>

#include "ground/base/text.h"

namespace lathe {
namespace {

// Walks the text without building a value, to refuse what the limits forbid before any of it is
// allocated.
class Gate : public nlohmann::json_sax<Json> {
 public:
  explicit Gate(const JsonLimits& limits) : limits_(limits) {}
  std::string problem;

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second)
      problem = fmt::format("the key \"{}\" stands twice in one object", clip_utf8(name, 100));
    else if (keys_.back().size() > limits_.max_members)
      problem = fmt::format("one object has more than {} members", limits_.max_members);
    return problem.empty();
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    std::string_view what = error.what();
    // nlohmann: "[code] parse error at line …: …; reason" or "[code] reason"
    if (const auto reason = what.rfind("; "); reason != what.npos)
      what.remove_prefix(reason + 2);
    else if (const auto code = what.find("] "); code != what.npos)
      what.remove_prefix(code + 2);
    problem = fmt::format("not valid JSON at byte {} ({})", position, clip_utf8(what, 200));
    return false;
  }

 private:
  bool count() {
    if (++values_ <= limits_.max_values) return true;
    problem = fmt::format("more than {} values", limits_.max_values);
    return false;
  }
  bool open() {
    keys_.emplace_back();
    if (static_cast<int>(keys_.size()) <= limits_.max_depth) return count();
    problem = fmt::format("nested deeper than {} levels", limits_.max_depth);
    return false;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  JsonLimits limits_;
  std::size_t values_ = 0;
  std::vector<std::set<std::string>> keys_;
};

template <class Value>
Result<Value> parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    return invalid("JSON of {} bytes is over the limit of {}", text.size(), limits.max_bytes);
  Gate gate(limits);
  if (!Json::sax_parse(text, &gate))
    return invalid("{}", gate.problem.empty() ? "not valid JSON" : gate.problem);
  Value value = Value::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return invalid("not valid JSON");
  return value;
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  return parse<Json>(text, limits);
}

Result<SortedJson> parse_sorted_json(std::string_view text, const JsonLimits& limits) {
  return parse<SortedJson>(text, limits);
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string canonical_json(const Json& value) {
  // nlohmann::json (not ordered_json) keeps its members sorted by key.
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

const Json& json_at(const Json& object, std::string_view key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto it = object.find(key);
  return it == object.end() ? kNull : *it;
}

std::string json_string(const Json& object, std::string_view key, std::string fallback) {
  const Json& member = json_at(object, key);
  return member.is_string() ? member.get<std::string>() : fallback;
}

double json_number(const Json& object, std::string_view key, double fallback) {
  const Json& member = json_at(object, key);
  return member.is_number() ? member.get<double>() : fallback;
}

std::int64_t json_int(const Json& object, std::string_view key, std::int64_t fallback) {
  const Json& member = json_at(object, key);
  if (member.is_number_unsigned() && !std::in_range<std::int64_t>(member.get<std::uint64_t>()))
    return fallback;
  return member.is_number_integer() ? member.get<std::int64_t>() : fallback;
}

bool json_bool(const Json& object, std::string_view key, bool fallback) {
  const Json& member = json_at(object, key);
  return member.is_boolean() ? member.get<bool>() : fallback;
}

}  // namespace lathe
