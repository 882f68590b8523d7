// The version, which CMake hands to this file alone.
#include "ground/base/version.h"

namespace lathe {

const char* program_version() {
  return LATHE_VERSION;
}

}  // namespace lathe
