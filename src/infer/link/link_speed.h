// How fast a link is: measured with a partner that has not been greeted yet, by frames that it
// sends back.
#pragma once

#include <string>

#include "infer/link/link.h"

namespace lathe::infer {

struct LinkSpeed {
  double exchange_seconds = 0;  // of a small frame to the other side: half of there and back
  double bytes_per_second = 0;  // of large ones, one way
};

// `identity`: link_identity() of the file, which the other side must have too.
Result<LinkSpeed> measure_link(std::unique_ptr<Wire> wire, const std::string& identity);

}  // namespace lathe::infer
