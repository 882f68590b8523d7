// What a grid came to, as a part of a record's page: each model's rate with where it lies, and
// every two of them beside each other. Pure, any thread.
#pragma once

#include <string>

#include "ground/base/json.h"

namespace lathe::app {

// `record`: as parse_record() gives it; "" where it is of no grid.
std::string grid_html(const Json& record);

}  // namespace lathe::app
