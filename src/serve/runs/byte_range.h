// Which bytes a request asks for (RFC 9110, 14).
#pragma once

#include <cstddef>
#include <string>

namespace lathe::serve {

struct ByteRange {
  std::size_t from = 0, to = 0;  // [from, to)
};

struct WantedBytes {
  enum class How {
    kAll,     // no range, or one of a form that is not known: all of it, with 200
    kPart,    // 206
    kOutside  // 416
  };
  How how = How::kAll;
  ByteRange range = {};
};

// `header`: Range, or null. Of several ranges in one header all is sent.
WantedBytes wanted_bytes(const std::string* header, std::size_t size);

}  // namespace lathe::serve
