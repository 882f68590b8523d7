// The host's memory as a device sees it: what one executor computes in. Shown once, found again
// with every device that comes after a loss. The engine's thread only.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "infer/device/device.h"

namespace lathe::infer {

class DeviceMemory {
 public:
  // Whole pages, which the device sees from attach() on.
  void add(std::span<std::byte> pages);
  // … of which it sees a piece when something of it is first asked for, so that what nobody uses
  // stays untouched. Nothing asked for is longer than `longest`.
  void add_parts(std::span<std::byte> pages, std::size_t longest);
  // Of all that was added in parts, nothing is there any more.
  void forget_parts();

  // From now on it is this device.
  Status attach(std::shared_ptr<Device> device);
  const std::shared_ptr<Device>& device() const { return device_; }

  // Where the device finds it; 0: it does not.
  std::uint64_t address(const void* at, std::size_t bytes);

 private:
  struct Region {
    std::span<std::byte> pages;
    std::size_t piece = 0, overlap = 0;                 // piece == 0: one, all of it
    std::vector<std::unique_ptr<SharedMemory>> shared;  // by piece
    std::uint64_t whole = 0;  // its address, where the device sees it as one stretch
    bool parts() const { return piece != 0; }
  };
  void insert(Region region);
  Status share_whole(Region& region);

  std::shared_ptr<Device> device_;        // goes after what it shares
  std::vector<Region> regions_;           // by address
  std::vector<const std::byte*> begins_;  // of these: what a search goes over
};

}  // namespace lathe::infer
