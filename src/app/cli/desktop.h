// The desktop that this program may stand on.
#pragma once

#include <string>

namespace lathe::app {

// Opens an address in the person's browser, which goes on by itself. False: there is no desktop
// here, or it cannot open anything.
bool open_on_desktop(const std::string& url);

}  // namespace lathe::app
