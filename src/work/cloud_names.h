// Names of models that clients are built with: they stand for whatever model is there.
#pragma once

#include <string_view>

namespace lathe {

// FAMILY or FAMILY-…, of a family that a cloud has: "gpt-4o", "o1". Pure.
bool is_cloud_name(std::string_view name);

}  // namespace lathe
