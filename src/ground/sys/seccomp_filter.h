// The system calls that generated code never gets: those that reach past its namespaces or that
// only widen the kernel's attack surface. Pure: builds a filter, installs nothing.
#pragma once

#include <string>

#include "ground/base/result.h"

namespace lathe {

// A BPF program as `bwrap --seccomp` reads it.
Result<std::string> sandbox_filter();

}  // namespace lathe
