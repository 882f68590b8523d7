// Reads the parameters of a request.
#include "serve/runs/query.h"

#include <algorithm>
#include <charconv>

#include "ground/base/text.h"
#include "serve/net/http_server.h"

namespace lathe::serve {

ApiResult<Query> Query::parse(std::string_view text, std::span<const std::string_view> known) {
  Query query;
  for (const std::string& part : split(text, '&')) {
    if (part.empty()) continue;
    const auto equals = part.find('=');
    const std::string name = part.substr(0, equals);
    if (std::ranges::find(known, name) == known.end())
      return refuse(
          fmt::format("there is no parameter '{}' here", clip_utf8(make_valid_utf8(name), 80)),
          clip_utf8(make_valid_utf8(name), 80));
    const std::string value = equals == part.npos ? "" : part.substr(equals + 1);
    const auto decoded = percent_decoded(replace_all(value, "+", " "));
    if (!decoded)
      return refuse(fmt::format("'{}' has a % without two digits of 0-9 and A-F", name), name);
    query.values_[name] = *decoded;
  }
  return query;
}

std::string Query::text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? "" : found->second;
}

ApiResult<std::optional<std::int64_t>> Query::whole(std::string_view name, std::int64_t low,
                                                    std::int64_t high) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  const auto number = whole_number(found->second);
  if (!number || *number < low || *number > high)
    return refuse(fmt::format("'{}' must be a whole number in [{}, {}]", name, low, high),
                  std::string(name));
  return number;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace lathe::serve
