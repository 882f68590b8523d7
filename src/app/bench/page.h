// A record of a benchmark as one page: tables, and curves as SVG. No script, nothing from
// elsewhere. Pure, any thread.
#pragma once

#include <string>

#include "ground/base/json.h"

namespace lathe::app {

// `record`: as parse_record() gives it.
std::string bench_page(const Json& record);

}  // namespace lathe::app
