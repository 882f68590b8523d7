// Ids made up for answers, and times as the APIs write them.
#include "serve/server/names.h"

#include <fmt/format.h>

#include <random>

#include "ground/base/clock.h"

namespace lathe::serve {

std::string fresh_id(std::string_view prefix) {
  thread_local std::mt19937_64 random(std::random_device{}());
  return fmt::format("{}{:016x}{:08x}", prefix, random(), random() >> 32U);
}

std::int64_t unix_seconds() {
  return system_clock().unix_ms() / 1000;
}

}  // namespace lathe::serve
