// There and back, many times; the median counts.
#include "infer/link/link_speed.h"

#include <algorithm>
#include <chrono>

#include "infer/link/cut.h"
#include "infer/link/linked_executor.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kSmallEchoes = 200, kLargeEchoes = 9;

Result<double> seconds_there_and_back(Link& link, std::span<const std::byte> bytes) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  LATHE_TRY_STATUS(link.send(FrameKind::kEcho, bytes));
  while (true) {
    LATHE_TRY(const Frame frame, link.receive(kMostEcho, kLinkSilence));
    if (frame.kind == FrameKind::kBusy) continue;
    if (frame.kind == FrameKind::kRefused)
      return refused_by_other(
          {reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()});
    if (frame.kind != FrameKind::kEcho || !std::ranges::equal(frame.bytes, bytes))
      return invalid("the other end of the link has sent back something else");
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
}

Result<double> median_seconds(Link& link, std::size_t size, std::size_t count) {
  const std::vector<std::byte> bytes(size);
  std::vector<double> seconds(count);
  for (double& each : seconds) {
    LATHE_TRY(each, seconds_there_and_back(link, bytes));
  }
  std::ranges::nth_element(seconds, seconds.begin() + static_cast<std::ptrdiff_t>(count / 2));
  return seconds[count / 2];
}

}  // namespace

Result<LinkSpeed> measure_link(std::unique_ptr<Wire> wire, const std::string& identity) {
  constexpr std::size_t kSmall = 64;
  Link link(std::move(wire), link_model(identity));
  LATHE_TRY(const double small, median_seconds(link, kSmall, kSmallEchoes));
  LATHE_TRY(const double large, median_seconds(link, kMostEcho, kLargeEchoes));
  link.close();
  return LinkSpeed{.exchange_seconds = small / 2,
                   .bytes_per_second = 2.0 * kMostEcho / std::max(large - small, large / 1000)};
}

}  // namespace lathe::infer
