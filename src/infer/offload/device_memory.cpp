// Regions of host memory in the order of their addresses, and what a device made of them.
#include "infer/offload/device_memory.h"

#include <algorithm>

#include "infer/tensor/memory.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPartBytes = std::size_t{32} << 20;

}  // namespace

void DeviceMemory::insert(Region region) {
  const std::byte* const begin = region.pages.data();
  const auto at = std::ranges::upper_bound(begins_, begin, std::less<>()) - begins_.begin();
  regions_.insert(regions_.begin() + at, std::move(region));
  begins_.insert(begins_.begin() + at, begin);
}

void DeviceMemory::add(std::span<std::byte> pages) {
  insert({.pages = pages, .shared = {}});
  if (device_ == nullptr) return;
  // Behind attach(): what cannot be shared now has no address.
  for (Region& region : regions_)
    if (region.pages.data() == pages.data()) (void)share_whole(region);
}

void DeviceMemory::add_parts(std::span<std::byte> pages, std::size_t longest) {
  Region region{.pages = pages,
                .piece = kPartBytes,
                .overlap = static_cast<std::size_t>(Pages::rounded(longest)),
                .shared = {}};
  region.shared.resize((pages.size() + kPartBytes - 1) / kPartBytes);
  insert(std::move(region));
}

void DeviceMemory::forget_parts() {
  std::erase_if(regions_, &Region::parts);
  begins_.clear();
  for (const Region& region : regions_) begins_.push_back(region.pages.data());
}

Status DeviceMemory::share_whole(Region& region) {
  LATHE_TRY(auto shared, device_->share(region.pages));
  region.whole = shared->address(region.pages.data(), region.pages.size());
  region.shared.push_back(std::move(shared));
  return {};
}

Status DeviceMemory::attach(std::shared_ptr<Device> device) {
  for (Region& region : regions_) {
    const std::size_t pieces = region.shared.size();
    region.shared.clear();
    region.whole = 0;
    if (region.parts()) region.shared.resize(pieces);
  }
  device_ = std::move(device);
  for (Region& region : regions_)
    if (!region.parts()) LATHE_TRY_STATUS(share_whole(region));
  return {};
}

std::uint64_t DeviceMemory::address(const void* at, std::size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(at);
  const auto found = std::ranges::upper_bound(begins_, begin, std::less<>());
  if (found == begins_.begin() || device_ == nullptr) return 0;
  Region& region = regions_[static_cast<std::size_t>(found - begins_.begin()) - 1];
  const auto offset = static_cast<std::size_t>(begin - region.pages.data());
  if (offset >= region.pages.size() || bytes > region.pages.size() - offset) return 0;
  if (region.whole != 0) return region.whole + offset;
  const std::size_t piece = region.parts() ? offset / region.piece : 0;
  if (piece >= region.shared.size()) return 0;
  if (region.shared[piece] == nullptr) {
    const std::size_t first = piece * region.piece;
    const std::size_t size = std::min(region.piece + region.overlap, region.pages.size() - first);
    auto shared = device_->share(region.pages.subspan(first, size));
    if (!shared) return 0;
    region.shared[piece] = std::move(*shared);
  }
  return region.shared[piece]->address(at, bytes);
}

}  // namespace lathe::infer
