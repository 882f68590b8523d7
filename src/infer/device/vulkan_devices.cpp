// What devices there are, and what each can do of what kernels need.
#include <algorithm>
#include <cstring>

#include "infer/device/vulkan_api.h"

namespace lathe::infer {

namespace {

constexpr std::uint32_t kLeastLanes = 256;
constexpr std::uint32_t kLeastSharedBytes = 32 << 10;

template <class T, class List>
std::vector<T> vulkan_list(const List& list) {
  std::uint32_t count = 0;
  list(&count, nullptr);
  std::vector<T> items(count);
  list(&count, items.data());
  items.resize(count);
  return items;
}

DeviceKind kind_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return DeviceKind::kIntegrated;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return DeviceKind::kDiscrete;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return DeviceKind::kSoftware;
    default:
      return DeviceKind::kOther;
  }
}

std::string hex_of(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

// A family for computing alone, which no desktop waits behind; else any that computes.
std::optional<std::uint32_t> family_of(const VulkanInstance& vulkan, VkPhysicalDevice device) {
  std::uint32_t count = 0;
  vulkan.vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vulkan.vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
  std::optional<std::uint32_t> found;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
    if (!(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) return i;
    if (!found) found = i;
  }
  return found;
}

// The largest heap that host memory can lie in (a discrete device's own: device memory), and of
// that what the driver says is free for this process.
std::uint64_t memory_of(const VkPhysicalDeviceMemoryProperties& memory, DeviceKind kind,
                        const VkPhysicalDeviceMemoryBudgetPropertiesEXT* budget) {
  const VkMemoryPropertyFlags wanted = kind == DeviceKind::kDiscrete
                                           ? VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
                                           : VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
  std::uint64_t most = 0;
  for (std::uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
    if (!(memory.memoryTypes[i].propertyFlags & wanted)) continue;
    const std::uint32_t heap = memory.memoryTypes[i].heapIndex;
    std::uint64_t bytes = memory.memoryHeaps[heap].size;
    if (budget && budget->heapBudget[heap] != 0)
      bytes = std::min<std::uint64_t>(bytes, budget->heapBudget[heap]);
    most = std::max(most, bytes);
  }
  return most;
}

void find_missing(const VulkanInstance& vulkan, VulkanPhysical& device,
                  const VkPhysicalDeviceLimits& limits,
                  const VkPhysicalDeviceFloatControlsProperties& floats) {
  std::vector<std::string_view> missing;
  VulkanFeatures there;
  vulkan.vkGetPhysicalDeviceFeatures2(device.handle, &there.core);
#define LATHE_VULKAN_CHECK(part, name) \
  if (!there.part.name) missing.push_back(#name);
  LATHE_VULKAN_FEATURES(LATHE_VULKAN_CHECK)
  if (device.facts.kind == DeviceKind::kSoftware) {
    LATHE_VULKAN_CHECK(core.features, shaderFloat64)
  }
#undef LATHE_VULKAN_CHECK
  if (!floats.shaderRoundingModeRTEFloat32) missing.push_back("shaderRoundingModeRTEFloat32");
  if (!floats.shaderSignedZeroInfNanPreserveFloat32)
    missing.push_back("shaderSignedZeroInfNanPreserveFloat32");
  if (!device.imports) missing.push_back(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  if (limits.maxComputeWorkGroupInvocations < kLeastLanes) missing.push_back("256 lanes");
  if (limits.maxComputeSharedMemorySize < kLeastSharedBytes)
    missing.push_back("32 KiB of shared memory");
  if (limits.maxPushConstantsSize < Dispatch::kArgumentBytes)
    missing.push_back("128 bytes of arguments");
  device.facts.missing = fmt::format("{}", fmt::join(missing, ", "));
}

VulkanPhysical describe(const VulkanInstance& vulkan, VkPhysicalDevice handle) {
  VulkanPhysical device = {.handle = handle};
  VkPhysicalDeviceProperties2 simple = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  vulkan.vkGetPhysicalDeviceProperties2(handle, &simple);
  device.facts.name = simple.properties.deviceName;
  device.facts.kind = kind_of(simple.properties.deviceType);
  if (simple.properties.apiVersion < VK_API_VERSION_1_3) {
    device.facts.missing = fmt::format("Vulkan 1.3 (its driver has {}.{}: a newer one may have it)",
                                       VK_API_VERSION_MAJOR(simple.properties.apiVersion),
                                       VK_API_VERSION_MINOR(simple.properties.apiVersion));
    device.facts.id = hex_of(simple.properties.pipelineCacheUUID);
    return device;
  }

  bool has_budget = false;
  for (const VkExtensionProperties& extension :
       vulkan_list<VkExtensionProperties>([&](std::uint32_t*count, VkExtensionProperties*to) {
         vulkan.vkEnumerateDeviceExtensionProperties(handle, nullptr, count, to);
       })) {
    const std::string_view name = extension.extensionName;
    if (name == VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) device.imports = true;
    if (name == VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) has_budget = true;
  }

  VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
  VkPhysicalDeviceMaintenance4Properties sizes = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES,
      .pNext = device.imports ? &host : nullptr};
  VkPhysicalDeviceMaintenance3Properties allocations = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &sizes};
  VkPhysicalDeviceFloatControlsProperties floats = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES, .pNext = &allocations};
  VkPhysicalDeviceDriverProperties driver = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &floats};
  VkPhysicalDeviceIDProperties identity = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                                           .pNext = &driver};
  VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                            .pNext = &identity};
  vulkan.vkGetPhysicalDeviceProperties2(handle, &properties);
  const VkPhysicalDeviceLimits& limits = properties.properties.limits;

  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
      .pNext = has_budget ? &budget : nullptr};
  vulkan.vkGetPhysicalDeviceMemoryProperties2(handle, &memory);

  device.memory = memory.memoryProperties;
  device.import_alignment = host.minImportedHostPointerAlignment;
  device.max_lanes = limits.maxComputeWorkGroupInvocations;
  device.max_groups = *std::ranges::min_element(limits.maxComputeWorkGroupCount);
  device.facts.driver = fmt::format("{} {}", driver.driverName, driver.driverInfo);
  device.facts.id = fmt::format("{}-{}-{:x}", hex_of(identity.deviceUUID),
                                hex_of(identity.driverUUID), properties.properties.driverVersion);
  device.facts.memory = memory_of(device.memory, device.facts.kind, has_budget ? &budget : nullptr);
  device.facts.piece_bytes =
      std::min<std::uint64_t>(allocations.maxMemoryAllocationSize, sizes.maxBufferSize);
  find_missing(vulkan, device, limits, floats);
  if (const auto family = family_of(vulkan, handle))
    device.family = *family;
  else
    device.facts.missing = "a queue that computes";
  return device;
}

}  // namespace

Result<std::vector<VulkanPhysical>> physical_devices(const VulkanInstance& vulkan) {
  std::uint32_t count = 0;
  VkResult listed = vulkan.vkEnumeratePhysicalDevices(vulkan.instance, &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  if (listed == VK_SUCCESS && count > 0)
    listed = vulkan.vkEnumeratePhysicalDevices(vulkan.instance, &count, handles.data());
  if (listed != VK_SUCCESS && listed != VK_INCOMPLETE)
    return fail(ErrorKind::kUnavailable, "Vulkan names no devices ({}): are their drivers whole?",
                vulkan_result(listed));
  std::vector<VulkanPhysical> devices;
  for (std::uint32_t i = 0; i < count; ++i) devices.push_back(describe(vulkan, handles[i]));
  return devices;
}

Result<std::vector<DeviceFacts>> vulkan_devices(const VulkanOptions& options) {
  LATHE_TRY(const auto vulkan, VulkanInstance::open(options));
  LATHE_TRY(const auto devices, physical_devices(*vulkan));
  std::vector<DeviceFacts> facts;
  for (const VulkanPhysical& device : devices) facts.push_back(device.facts);
  return facts;
}

}  // namespace lathe::infer
