// The most that the machine multiplies a second.
#pragma once

#include <vector>

namespace lathe {

struct Peak {
  const char* name;
  double (*run)();  // returns the operations done; a product and its addition are two
};
std::vector<Peak> peaks();  // of this processor

}  // namespace lathe
