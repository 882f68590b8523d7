// Small text helpers. All of them are pure and safe on any bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

// Offset of the first byte that is not valid UTF-8 (RFC 3629: no overlongs, no surrogates), or
// npos.
std::size_t find_invalid_utf8(std::string_view text);
// Every invalid byte becomes U+FFFD.
std::string make_valid_utf8(std::string_view text);
// At most `bytes` bytes, never splitting a sequence; an ellipsis marks a cut.
std::string clip_utf8(std::string_view text, std::size_t bytes);

std::string_view trim(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);
// Lines without their "\n" or "\r\n"; a final newline does not open another line.
std::vector<std::string_view> split_lines(std::string_view text);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string to_lower_ascii(std::string_view text);
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

std::size_t edit_distance(std::string_view a, std::string_view b);
// "" or "; did you mean 'x'?": the nearest of the candidates if it is near enough to be a slip.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

// Glob over '/'-separated relative paths: '*' and '?' stay inside a segment, "**" crosses segments.
bool glob_match(std::string_view pattern, std::string_view path);

std::string to_base64(std::string_view bytes);

}  // namespace lathe
