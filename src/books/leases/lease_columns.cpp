// Lists and counts as JSON texts.
#include "books/leases/lease_columns.h"

namespace lathe::books {

Json to_json(std::span<const std::string> names) {
  Json list = Json::array();
  for (const std::string& name : names) list.push_back(name);
  return list;
}

Json to_json(const std::map<std::string, int>& counts) {
  Json object = Json::object();
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

Result<std::vector<std::string>> names_from_text(std::string_view text) {
  LATHE_TRY(const Json list, parse_json(text));
  std::vector<std::string> names;
  for (const Json& name : list) {
    if (!list.is_array() || !name.is_string()) return invalid("'{}' is no list of names", text);
    names.push_back(name);
  }
  return names;
}

Result<std::map<std::string, int>> counts_from_text(std::string_view text) {
  LATHE_TRY(const Json object, parse_json(text));
  if (!object.is_object()) return invalid("'{}' counts nothing", text);
  std::map<std::string, int> counts;
  for (const auto& [name, count] : object.items())
    counts[name] = static_cast<int>(count.is_number_integer() ? count.get<std::int64_t>() : 0);
  return counts;
}

}  // namespace lathe::books
