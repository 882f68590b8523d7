// The parts of Vulkan that the module uses: functions by name, the loader with an instance, a
// device with its functions. Both go when the last that uses them does.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"
#include "infer/device/vulkan.h"

namespace lathe::infer {

#define LATHE_VULKAN_OF_INSTANCE(X)           \
  X(vkDestroyInstance)                        \
  X(vkEnumeratePhysicalDevices)               \
  X(vkEnumerateDeviceExtensionProperties)     \
  X(vkGetPhysicalDeviceProperties2)           \
  X(vkGetPhysicalDeviceFeatures2)             \
  X(vkGetPhysicalDeviceMemoryProperties2)     \
  X(vkGetPhysicalDeviceQueueFamilyProperties) \
  X(vkCreateDevice)                           \
  X(vkGetDeviceProcAddr)

#define LATHE_VULKAN_OF_DEVICE(X)  \
  X(vkDestroyDevice)               \
  X(vkGetDeviceQueue)              \
  X(vkCreateBuffer)                \
  X(vkDestroyBuffer)               \
  X(vkGetBufferMemoryRequirements) \
  X(vkGetBufferDeviceAddress)      \
  X(vkAllocateMemory)              \
  X(vkFreeMemory)                  \
  X(vkBindBufferMemory)            \
  X(vkCreateShaderModule)          \
  X(vkDestroyShaderModule)         \
  X(vkCreatePipelineLayout)        \
  X(vkDestroyPipelineLayout)       \
  X(vkCreateComputePipelines)      \
  X(vkDestroyPipeline)             \
  X(vkCreateCommandPool)           \
  X(vkDestroyCommandPool)          \
  X(vkAllocateCommandBuffers)      \
  X(vkBeginCommandBuffer)          \
  X(vkEndCommandBuffer)            \
  X(vkCmdBindPipeline)             \
  X(vkCmdPushConstants)            \
  X(vkCmdDispatchBase)             \
  X(vkCmdPipelineBarrier)          \
  X(vkCreateSemaphore)             \
  X(vkDestroySemaphore)            \
  X(vkWaitSemaphores)              \
  X(vkQueueSubmit)

// "VK_ERROR_DEVICE_LOST"; the number of one that is not known by name.
std::string vulkan_result(VkResult result);

class VulkanInstance {
 public:
  static Result<std::shared_ptr<VulkanInstance>> open(const VulkanOptions& options);
  VulkanInstance() = default;
  VulkanInstance(const VulkanInstance&) = delete;
  ~VulkanInstance();

#define LATHE_VULKAN_MEMBER(name) PFN_##name name = nullptr;
  LATHE_VULKAN_OF_INSTANCE(LATHE_VULKAN_MEMBER)
  VkInstance instance = nullptr;
  bool abandoned = false;  // with a device

 private:
  Status listen(PFN_vkGetInstanceProcAddr find);

  std::function<void(std::string_view)> validate_;
  PFN_vkDestroyDebugUtilsMessengerEXT destroy_messenger_ = nullptr;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
};

// The features of a device, linked as Vulkan wants them.
struct VulkanFeatures {
  VulkanFeatures();
  VulkanFeatures(const VulkanFeatures&) = delete;
  VkPhysicalDeviceFeatures2 core = {};
  VkPhysicalDeviceVulkan11Features v11 = {};
  VkPhysicalDeviceVulkan12Features v12 = {};
  VkPhysicalDeviceVulkan13Features v13 = {};
};

// Those that kernels need.
#define LATHE_VULKAN_FEATURES(X)   \
  X(core.features, shaderInt64)    \
  X(core.features, shaderInt16)    \
  X(v11, storageBuffer16BitAccess) \
  X(v12, storageBuffer8BitAccess)  \
  X(v12, shaderInt8)               \
  X(v12, bufferDeviceAddress)      \
  X(v12, scalarBlockLayout)        \
  X(v12, timelineSemaphore)        \
  X(v13, shaderIntegerDotProduct)  \
  X(v13, maintenance4)

struct VulkanPhysical {
  VkPhysicalDevice handle = nullptr;
  DeviceFacts facts;
  bool imports = false;  // host memory, in pages of import_alignment
  std::uint64_t import_alignment = 0;
  std::uint32_t family = 0;      // of queues
  std::uint32_t max_lanes = 0;   // of a workgroup
  std::uint32_t max_groups = 0;  // a dimension
  VkPhysicalDeviceMemoryProperties memory = {};
};

Result<std::vector<VulkanPhysical>> physical_devices(const VulkanInstance& vulkan);

struct VulkanHandle {
  static Result<std::shared_ptr<VulkanHandle>> open(std::shared_ptr<VulkanInstance> instance,
                                                    VulkanPhysical physical);
  VulkanHandle() = default;
  VulkanHandle(const VulkanHandle&) = delete;
  ~VulkanHandle();

  LATHE_VULKAN_OF_DEVICE(LATHE_VULKAN_MEMBER)
  PFN_vkGetMemoryHostPointerPropertiesEXT vkGetMemoryHostPointerPropertiesEXT = nullptr;
#undef LATHE_VULKAN_MEMBER
  std::shared_ptr<VulkanInstance> instance;
  VulkanPhysical physical;
  VkDevice device = nullptr;
  VkQueue queue = nullptr;
  // It may still be at work, and never answer: nothing that it holds is taken from it.
  bool abandoned = false;
};

Result<std::unique_ptr<SharedMemory>> import_pages(std::shared_ptr<VulkanHandle> vulkan,
                                                   std::span<std::byte> pages,
                                                   std::uint64_t piece_bytes,
                                                   std::uint64_t overlap_bytes);

}  // namespace lathe::infer
