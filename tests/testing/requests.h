// What a request asks, for tests that know which of its kinds it is.
#pragma once

#include <gtest/gtest.h>

#include "work/work.h"

namespace lathe {

inline Talk& talk_of(Request& request) {
  return std::get<Talk>(request.ask);
}

inline const Talk& talk_of(const Request& request) {
  return std::get<Talk>(request.ask);
}

// What one of its messages says; the last one where `message` is -1.
inline std::string said(const Request& request, int message = -1) {
  const std::vector<Message>& messages = talk_of(request).messages;
  const auto at = message < 0 ? messages.size() - 1 : static_cast<std::size_t>(message);
  return messages.at(at).content.text();
}

}  // namespace lathe
