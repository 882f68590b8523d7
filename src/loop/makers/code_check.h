// What is wrong with a file after an edit although the edit could be made. Pure.
#pragma once

#include <string_view>

#include "ground/base/result.h"

namespace lathe::loop {

// Refuses what stands for work instead of being it, where it was not there before: placeholders
// ("# ... rest of the file unchanged ...") and the marks of the answer's own form.
Status no_leftovers(std::string_view path, std::string_view before, std::string_view after);

}  // namespace lathe::loop
