// A request as a person reads it. Pure.
#pragma once

#include <string>

#include "work/work.h"

namespace lathe::loop {

// What is said to the worker, word for word, each message behind a line that says whose it is:
// "[system]", "[user]". Pictures and sounds are named; UTF-8 whatever the request holds.
std::string prompt_text(const Request& request);

}  // namespace lathe::loop
