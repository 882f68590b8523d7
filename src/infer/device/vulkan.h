// Devices by Vulkan 1.3, whose loader is opened when it is asked for: nothing of it is needed to
// build a program that runs without. Which drivers there are is the loader's business
// (VK_DRIVER_FILES).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"
#include "infer/device/device.h"

namespace lathe::infer {

struct VulkanOptions {
  std::string library = "libvulkan.so.1";
  // Shared memory is cut into pieces of at most so many bytes (and of what the device takes), which
  // overlap, so that what is shorter than the overlap never is cut.
  std::uint64_t piece_bytes = std::uint64_t{2} << 30;
  std::uint64_t overlap_bytes = std::uint64_t{16} << 20;
  // What a submission may take by what was measured: longer work is cut.
  double submission_seconds = 0.1;
  // For tests. Set: the validation layer reads along, and this is what it says.
  std::function<void(std::string_view message)> validate;
  // For tests. Asked before each submission, by its number from 1: whether the device is lost now.
  std::function<bool(std::uint64_t submission)> lose;
  // For benches. Called when a submission is with the driver.
  std::function<void()> submitted;
  // For tests that only compile: devices that lack something are opened too.
  bool incomplete = false;
};

// All that the loader's drivers name, of the processor's own (kSoftware) too. An error says what is
// missing for there to be any.
Result<std::vector<DeviceFacts>> vulkan_devices(const VulkanOptions& options = {});

// The one with the id of `facts`.
Result<std::unique_ptr<Device>> open_vulkan(const DeviceFacts& facts,
                                            const VulkanOptions& options = {});

}  // namespace lathe::infer
