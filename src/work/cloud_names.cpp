// The families of models that clouds have. To add one: a row.
#include "work/cloud_names.h"

#include <algorithm>

namespace lathe {

bool is_cloud_name(std::string_view name) {
  for (const std::string_view family : {"gpt", "claude", "gemini", "o1", "o3", "o4"})
    if (name.starts_with(family) && (name.size() == family.size() || name[family.size()] == '-'))
      return true;
  return false;
}

bool is_asked_of_a_cloud(std::string_view model) {
  const std::string_view tag = model.substr(std::min(model.find(':'), model.size()));
  return tag == ":cloud" || tag.ends_with("-cloud");
}

}  // namespace lathe
