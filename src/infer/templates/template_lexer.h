// A chat template as tokens: text, and the words and signs between the tags. White space is cut as
// Jinja does it with trim_blocks and lstrip_blocks on. Internal to this room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe::infer {

struct TemplatePlace {
  std::uint32_t line = 1, column = 1;
};

enum class TemplateTokenKind {
  kText,        // outside of tags
  kPrintBegin,  // {{
  kPrintEnd,    // }}
  kBlockBegin,  // {%
  kBlockEnd,    // %}
  kName,
  kString,
  kInteger,
  kReal,
  kSign,  // "+", "==", …
  kEnd
};

struct TemplateToken {
  TemplateTokenKind kind = TemplateTokenKind::kEnd;
  std::string text;  // of a string: its value
  TemplatePlace place;
};

// The last token is kEnd.
Result<std::vector<TemplateToken>> lex_template(std::string_view source);

std::unexpected<Error> template_error(TemplatePlace place, std::string_view what);

}  // namespace lathe::infer
