// What a build without Vulkan's headers or without glslc says when it is asked for devices.
#include "infer/device/vulkan.h"

namespace lathe::infer {

namespace {

std::unexpected<Error> no_vulkan_module() {
  return fail(ErrorKind::kUnavailable,
              "this build has no Vulkan module: install libvulkan-dev and glslc and build again");
}

}  // namespace

Result<std::vector<DeviceFacts>> vulkan_devices(const VulkanOptions&) {
  return no_vulkan_module();
}

Result<std::unique_ptr<Device>> open_vulkan(const DeviceFacts&, const VulkanOptions&) {
  return no_vulkan_module();
}

}  // namespace lathe::infer
