// The page's files, as they stand in the program.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lathe::serve {

struct Asset {
  std::string_view name;  // "app.js"
  std::string_view type;
  std::string_view gzip;  // its bytes, packed
};
// Empty where the program was built without the page (-DLATHE_WEB=OFF).
std::span<const Asset> web_assets();

// The page itself, not packed: "@HASH@" stands for what web_hash() is. Empty as above.
std::string_view web_index();
// Of all of them: another page has another one. 16 hex digits.
std::string web_hash();

}  // namespace lathe::serve
