// What the machine can give at most: bytes read per second, integer products per second.
#pragma once

#include <cstddef>
#include <vector>

namespace lathe {

// Reads everything once and throws it away.
void read_all(const std::byte* data, std::size_t bytes);

struct Peak {
  const char* name;
  double (*run)();  // returns the operations done; a product and its addition are two
};
std::vector<Peak> peaks();  // of this processor

}  // namespace lathe
