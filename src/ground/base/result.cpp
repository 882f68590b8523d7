// The kinds of errors, and the end of a program whose own invariant broke.
#include "ground/base/result.h"

#include <cstdio>
#include <cstdlib>

namespace lathe {

void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "lathe: internal error at %s:%d: %s does not hold; please report this\n",
               file, line, what);
  std::abort();
}

}  // namespace lathe
