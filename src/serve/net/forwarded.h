// What one lathe tells another about where a request may go from there.
#pragma once

#include <string_view>

namespace lathe::serve {

// Goes with every call of a RemoteHost. Whoever gets it answers by himself and asks no third.
inline constexpr const char* kForwardedHeader = "x-lathe-forwarded";
// Goes with the calls of loops: how far their prompts may travel (reach_name), from there too.
inline constexpr const char* kReachHeader = "x-lathe-reach";

// Goes with calls that are background work (class_name): they give way to people.
inline constexpr const char* kClassHeader = "x-lathe-class";

}  // namespace lathe::serve
