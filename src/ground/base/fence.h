// Fenced blocks of Markdown: lines of at least three ` or ~. Pure; safe on any bytes.
#pragma once

#include <string_view>

namespace lathe {

// "```cpp" → "```"; "" when the line opens no fenced block.
std::string_view fence_of(std::string_view line);
bool closes_fence(std::string_view line, std::string_view fence);
// Whether what follows `text` lies in a fenced block that it began.
bool ends_in_fence(std::string_view text);

}  // namespace lathe
