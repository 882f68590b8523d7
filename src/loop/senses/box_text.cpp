// Boxes as the text of a locus.
#include "loop/senses/box_text.h"

#include <fmt/format.h>

#include <charconv>

namespace lathe::loop {

std::string to_text(const Box& box) {
  return fmt::format("box {},{} {}x{}", box.x, box.y, box.w, box.h);
}

std::optional<Box> parse_box(std::string_view text) {
  constexpr std::string_view kWord = "box ";
  if (!text.starts_with(kWord)) return std::nullopt;
  text.remove_prefix(kWord.size());
  Box box;
  constexpr std::string_view kAfter = ", x";
  int* const numbers[] = {&box.x, &box.y, &box.w, &box.h};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *numbers[i]);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (i == 3) break;
    if (text.empty() || text[0] != kAfter[i]) return std::nullopt;
    text.remove_prefix(1);
  }
  return text.empty() && box.w >= 0 && box.h >= 0 ? std::optional(box) : std::nullopt;
}

}  // namespace lathe::loop
