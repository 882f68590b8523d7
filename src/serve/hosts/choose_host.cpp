// Which of several hosts answers a request.
#include "serve/hosts/choose_host.h"

#include <tuple>

namespace lathe::serve {
namespace {

int rank(ModelState state) {
  switch (state) {
    case ModelState::kReady:
      return 0;
    case ModelState::kLoading:
      return 1;
    case ModelState::kCold:
      return 2;
    case ModelState::kFailed:
      return 3;
  }
  return 3;
}

}  // namespace

std::optional<std::size_t> choose_host(std::span<const HostView> hosts) {
  std::optional<std::size_t> best;
  const auto key = [&](std::size_t i) { return std::tuple(rank(hosts[i].state), hosts[i].busy); };
  for (std::size_t i = 0; i < hosts.size(); ++i)
    if (hosts[i].knows && (!best || key(i) < key(*best))) best = i;
  return best;
}

}  // namespace lathe::serve
