// Reads a Range header.
#include "serve/runs/byte_range.h"

#include <algorithm>

#include "ground/base/text.h"
#include "serve/runs/query.h"

namespace lathe::serve {

WantedBytes wanted_bytes(const std::string* header, std::size_t size) {
  constexpr std::string_view kUnit = "bytes=";
  const WantedBytes all{WantedBytes::How::kAll, {0, size}};
  const WantedBytes outside{WantedBytes::How::kOutside, {}};
  if (!header || !header->starts_with(kUnit)) return all;
  const std::string_view spec = trim(std::string_view(*header).substr(kUnit.size()));
  const auto dash = spec.find('-');
  if (dash == spec.npos || spec.find(',') != spec.npos) return all;
  const std::string_view first = spec.substr(0, dash), last = spec.substr(dash + 1);
  const auto from = whole_number(first), to = whole_number(last);
  if ((!first.empty() && !from) || (!last.empty() && (!to || *to < 0))) return all;
  if (!from && !to) return all;
  if (!from) {  // the last so many
    const std::size_t tail = std::min(static_cast<std::size_t>(*to), size);
    return tail == 0 ? outside : WantedBytes{WantedBytes::How::kPart, {size - tail, size}};
  }
  if (to && *to < *from) return all;
  const auto begin = static_cast<std::size_t>(*from);
  if (begin >= size) return outside;
  const std::size_t end = to ? std::min(static_cast<std::size_t>(*to) + 1, size) : size;
  return {WantedBytes::How::kPart, {begin, end}};
}

}  // namespace lathe::serve
