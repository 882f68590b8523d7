// Why an answer ended, as a word.
#pragma once

#include "work/work.h"

namespace lathe {

std::string_view finish_name(FinishReason finish);  // "stop" "length" "tool_calls" "content_filter"

}  // namespace lathe
