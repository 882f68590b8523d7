// Names of models that say something of a cloud. Pure.
#pragma once

#include <string_view>

namespace lathe {

// FAMILY or FAMILY-…, of a family that a cloud has: "gpt-4o", "o1". Clients are built with these:
// they stand for whatever model is there.
bool is_cloud_name(std::string_view name);
// "gpt-oss:120b-cloud", "glm-4.6:cloud": Ollama answers for these and asks its cloud.
bool is_asked_of_a_cloud(std::string_view model);

}  // namespace lathe
