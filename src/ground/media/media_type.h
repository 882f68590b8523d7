// What a file is, by its name: for what people and programs hand in. Pure.
#pragma once

#include <string_view>

#include "ground/base/file.h"

namespace lathe {

// "text/plain" where the name says nothing that is known.
std::string_view media_type_of_name(const fs::path& file);

}  // namespace lathe
