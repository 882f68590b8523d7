// Python's string methods on text that remembers where it came from. Pure functions. Internal to
// this room.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "infer/templates/template_builtins.h"

namespace lathe::infer {

enum class CaseChange { kUpper, kLower, kCapitalize, kTitleWords, kTitleLetters };
MarkedText change_case(const MarkedText& text, CaseChange change);

// `characters`: none for white space.
MarkedText strip(const MarkedText& text, std::optional<std::string_view> characters, bool left,
                 bool right);
MarkedText replace(const MarkedText& text, std::string_view from, const MarkedText& to,
                   std::int64_t count);
// The bytes that replace() comes to, at most; SIZE_MAX: beyond counting.
std::size_t replaced_size(const MarkedText& text, std::string_view from, const MarkedText& to,
                          std::int64_t count);
// `separator`: none for runs of white space. `limit` < 0: no limit. From the right: rsplit.
std::vector<MarkedText> split(const MarkedText& text, std::optional<std::string_view> separator,
                              std::int64_t limit, bool from_right);
std::vector<MarkedText> split_lines(const MarkedText& text);
MarkedText indent(const MarkedText& text, const MarkedText& by, bool first, bool blank);

// "%s" and "{}": messages without a place.
Result<MarkedText> format_percent(const MarkedText& text, const Arguments& arguments);
Result<MarkedText> format_braces(const MarkedText& text, const Arguments& arguments);

}  // namespace lathe::infer
