// A device that is no device: its kernels are C++, its memory is the host's. A workgroup's lanes
// are fibers, taken in another order after each barrier, and every quotient and root may be some
// ulp off, as Vulkan allows: whatever depends on either gives other bits here.
#pragma once

#include "infer/device/device.h"

namespace lathe::infer {

struct EmulatedOptions {
  int ulps = 0;           // that quotients and roots are off by, at most
  bool shuffled = false;  // lanes run in another order each time
  // Kernels that end before the device is lost, with half of the next one's workgroups done.
  std::size_t loses_after = static_cast<std::size_t>(-1);
};

class EmulatedDevice final : public Device {
 public:
  explicit EmulatedDevice(const EmulatedOptions& options = {});

  const DeviceFacts& facts() const override { return facts_; }
  Result<std::unique_ptr<SharedMemory>> share(std::span<std::byte> pages) override;
  Status prepare(const GpuKernel& kernel) override;
  Status run(std::span<const Dispatch> work) override;
  bool lost() const override { return lost_; }
  std::uint64_t bytes() const override { return 0; }

  std::size_t runs() const { return runs_; }
  std::size_t dispatches() const { return dispatches_; }

 private:
  DeviceFacts facts_;
  EmulatedOptions options_;
  std::size_t runs_ = 0, dispatches_ = 0;
  bool lost_ = false;
};

}  // namespace lathe::infer
