// The families of models that clouds have. To add one: a row.
#include "work/cloud_names.h"

namespace lathe {

bool is_cloud_name(std::string_view name) {
  for (const std::string_view family : {"gpt", "claude", "gemini", "o1", "o3", "o4"})
    if (name.starts_with(family) && (name.size() == family.size() || name[family.size()] == '-'))
      return true;
  return false;
}

}  // namespace lathe
