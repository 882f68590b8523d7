// What of a model's answer is the work: thoughts, the marks of a chat's form and talk around the
// text are not. Pure; safe on any bytes.
#pragma once

#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::loop {

// Without the thoughts that it begins with and the marks that it ends with. Thoughts alone are an
// error: behind them there is no answer.
Result<std::string> without_thoughts(std::string_view reply);

// A finished text without the talk and the fence around it, where these are unmistakable; an error
// where talk begins it and no end of that can be seen. What stands in `source`, too, is no talk.
Result<std::string> only_text(std::string_view reply, std::string_view source);

}  // namespace lathe::loop
