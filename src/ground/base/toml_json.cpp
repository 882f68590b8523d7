// TOML turned into JSON, with the lines of its keys.
#include "ground/base/toml_json.h"

#include "ground/base/toml.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxMembers = 20'000;  // each is looked up among those before it

Result<Json> json_of(const toml::node& node, const std::string& path, TomlLines& lines) {
  lines[path] = node.source().begin.line;
  if (const auto* table = node.as_table()) {
    if (table->size() > kMaxMembers)
      return invalid("{}: has {} keys, and more than {} are not read", path, table->size(),
                     kMaxMembers);
    Json object = Json::object();
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      const std::string inner = path.empty() ? name : path + "." + name;
      LATHE_TRY(object[name], json_of(value, inner, lines));
    }
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (std::size_t i = 0; i < array->size(); ++i) {
      LATHE_TRY(Json item, json_of((*array)[i], fmt::format("{}[{}]", path, i), lines));
      list.push_back(std::move(item));
    }
    return list;
  }
  if (const auto value = node.value_exact<std::string>()) return Json(*value);
  if (const auto value = node.value_exact<std::int64_t>()) return Json(*value);
  if (const auto value = node.value_exact<double>()) return Json(*value);
  if (const auto value = node.value_exact<bool>()) return Json(*value);
  return invalid("{}: dates and times have no use here; write a string", path);
}

}  // namespace

Result<TomlJson> toml_to_json(std::string_view text, const std::string& place) {
  LATHE_TRY(const toml::table table, parse_toml(text, place));
  TomlJson read;
  auto value = json_of(table, "", read.lines);
  if (!value) return at(place, value.error());
  read.value = *std::move(value);
  return read;
}

std::string place_of(const std::string& file, const TomlLines& lines, std::string path) {
  while (!lines.contains(path) && !path.empty()) {
    const auto cut = path.find_last_of(".[");
    path.resize(cut == path.npos ? 0 : cut);
  }
  const auto line = lines.find(path);
  return line == lines.end() ? file : fmt::format("{}:{}", file, line->second);
}

}  // namespace lathe
