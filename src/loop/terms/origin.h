// Where in the loop a request comes from. It travels as the request's labels: of the workers that
// answer, only the scripted one knows the loop.
#pragma once

#include "work/work.h"

namespace lathe::loop {

struct Origin {
  std::string purpose = {};  // "make", "rubric", …
  int lap = 0;
  int n = 0;        // which of the lap's candidates
  int attempt = 0;  // 1: once more, because the first answer could not be used

  bool operator==(const Origin&) const = default;
};

std::map<std::string, std::string> labels_of(const Origin& origin);
// What no label says is as in a new Origin.
Origin origin_of(const Request& request);

}  // namespace lathe::loop
