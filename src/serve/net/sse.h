// Server-sent events, the reading side: bytes in, events out. Bounded, and safe on any bytes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::serve {

class SseReader {
 public:
  // Gets the data of each event; an Error from it ends the reading.
  using OnData = std::function<Status(std::string_view)>;

  explicit SseReader(OnData on_data, std::size_t max_event_bytes = std::size_t{8} << 20)
      : on_data_(std::move(on_data)), max_event_bytes_(max_event_bytes) {}

  // The next bytes, cut anywhere. After an Error nothing more may be fed.
  Status feed(std::string_view bytes);

 private:
  Status line();

  OnData on_data_;
  std::size_t max_event_bytes_;
  std::string line_, data_;
  bool has_data_ = false;
  bool after_cr_ = false;
  bool first_line_ = true;
};

}  // namespace lathe::serve
