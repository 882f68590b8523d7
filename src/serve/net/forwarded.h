// How one lathe tells another that it sends a client's request on.
#pragma once

#include <string_view>

namespace lathe::serve {

// Goes with every call of a RemoteHost. Whoever gets it answers by himself and asks no third.
inline constexpr const char* kForwardedHeader = "x-lathe-forwarded";

}  // namespace lathe::serve
