// Vulkan's loader opened, an instance made, and a device with its functions.
#include "infer/device/vulkan_api.h"

#include <dlfcn.h>

#include <array>

namespace lathe::infer {

std::string vulkan_result(VkResult result) {
  switch (result) {
#define LATHE_VULKAN_RESULT(name) \
  case name:                      \
    return #name;
    LATHE_VULKAN_RESULT(VK_TIMEOUT)
    LATHE_VULKAN_RESULT(VK_ERROR_OUT_OF_HOST_MEMORY)
    LATHE_VULKAN_RESULT(VK_ERROR_OUT_OF_DEVICE_MEMORY)
    LATHE_VULKAN_RESULT(VK_ERROR_INITIALIZATION_FAILED)
    LATHE_VULKAN_RESULT(VK_ERROR_DEVICE_LOST)
    LATHE_VULKAN_RESULT(VK_ERROR_LAYER_NOT_PRESENT)
    LATHE_VULKAN_RESULT(VK_ERROR_EXTENSION_NOT_PRESENT)
    LATHE_VULKAN_RESULT(VK_ERROR_FEATURE_NOT_PRESENT)
    LATHE_VULKAN_RESULT(VK_ERROR_INCOMPATIBLE_DRIVER)
    LATHE_VULKAN_RESULT(VK_ERROR_TOO_MANY_OBJECTS)
    LATHE_VULKAN_RESULT(VK_ERROR_INVALID_EXTERNAL_HANDLE)
    LATHE_VULKAN_RESULT(VK_ERROR_UNKNOWN)
#undef LATHE_VULKAN_RESULT
    default:
      return fmt::format("VkResult {}", static_cast<int>(result));
  }
}

namespace {

VKAPI_ATTR VkBool32 VKAPI_CALL hand_on(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                       VkDebugUtilsMessageTypeFlagsEXT,
                                       const VkDebugUtilsMessengerCallbackDataEXT* data,
                                       void* validate) {
  (*static_cast<std::function<void(std::string_view)>*>(validate))(data->pMessage);
  return VK_FALSE;
}

constexpr const char* kNoDriver =
    "install the driver of the device (for AMD and Intel mesa-vulkan-drivers, for NVIDIA its own)";

}  // namespace

Result<std::shared_ptr<VulkanInstance>> VulkanInstance::open(const VulkanOptions& options) {
  // Never closed: drivers leave threads and their exit handlers behind.
  void* library = ::dlopen(options.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(ErrorKind::kUnavailable,
                "Vulkan's loader cannot be opened ({}): install libvulkan1, and {}", ::dlerror(),
                kNoDriver);
  const auto find =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(::dlsym(library, "vkGetInstanceProcAddr"));
  const auto create =
      find ? reinterpret_cast<PFN_vkCreateInstance>(find(nullptr, "vkCreateInstance")) : nullptr;
  if (!create)
    return fail(ErrorKind::kUnavailable, "{} is no loader of Vulkan: install libvulkan1 again",
                options.library);

  auto vulkan = std::make_shared<VulkanInstance>();
  vulkan->validate_ = options.validate;
  const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                         .pApplicationName = "lathe",
                                         .apiVersion = VK_API_VERSION_1_3};
  const char* const layer = "VK_LAYER_KHRONOS_validation";
  const char* const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  const std::uint32_t extras = options.validate ? 1 : 0;
  const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                     .pApplicationInfo = &application,
                                     .enabledLayerCount = extras,
                                     .ppEnabledLayerNames = &layer,
                                     .enabledExtensionCount = extras,
                                     .ppEnabledExtensionNames = &extension};
  const VkResult made = create(&info, nullptr, &vulkan->instance);
  if (made == VK_ERROR_INCOMPATIBLE_DRIVER)
    return fail(ErrorKind::kUnavailable, "Vulkan finds no driver: {}", kNoDriver);
  if (made != VK_SUCCESS)
    return fail(ErrorKind::kUnavailable, "Vulkan does not start ({}): is its driver whole?",
                vulkan_result(made));

  bool whole = true;
#define LATHE_VULKAN_FIND(name)                                               \
  vulkan->name = reinterpret_cast<PFN_##name>(find(vulkan->instance, #name)); \
  whole = whole && vulkan->name != nullptr;
  LATHE_VULKAN_OF_INSTANCE(LATHE_VULKAN_FIND)
#undef LATHE_VULKAN_FIND
  if (!whole)
    return fail(ErrorKind::kUnavailable, "{} is older than Vulkan 1.1: it needs an update",
                options.library);
  if (options.validate) LATHE_TRY_STATUS(vulkan->listen(find));
  return vulkan;
}

Status VulkanInstance::listen(PFN_vkGetInstanceProcAddr find) {
  const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
      find(instance, "vkCreateDebugUtilsMessengerEXT"));
  destroy_messenger_ = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
      find(instance, "vkDestroyDebugUtilsMessengerEXT"));
  const VkDebugUtilsMessengerCreateInfoEXT info = {
      .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
      .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                         VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
      .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                     VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT |
                     VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT,
      .pfnUserCallback = hand_on,
      .pUserData = &validate_};
  const VkResult made = create && destroy_messenger_ ? create(instance, &info, nullptr, &messenger_)
                                                     : VK_ERROR_EXTENSION_NOT_PRESENT;
  if (made != VK_SUCCESS)
    return fail(ErrorKind::kUnavailable, "the validation layer does not speak ({})",
                vulkan_result(made));
  return {};
}

VulkanInstance::~VulkanInstance() {
  if (abandoned) return;
  if (messenger_) destroy_messenger_(instance, messenger_, nullptr);
  if (instance && vkDestroyInstance) vkDestroyInstance(instance, nullptr);
}

VulkanFeatures::VulkanFeatures() {
  core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
  v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
  v13.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES;
  core.pNext = &v11;
  v11.pNext = &v12;
  v12.pNext = &v13;
}

Result<std::shared_ptr<VulkanHandle>> VulkanHandle::open(std::shared_ptr<VulkanInstance> instance,
                                                         VulkanPhysical physical) {
  VulkanFeatures there, wanted;
  instance->vkGetPhysicalDeviceFeatures2(physical.handle, &there.core);
#define LATHE_VULKAN_WANT(part, name) wanted.part.name = there.part.name;
  LATHE_VULKAN_FEATURES(LATHE_VULKAN_WANT)
  // For programs that make up for an fma that rounds twice.
  LATHE_VULKAN_WANT(core.features, shaderFloat64)
#undef LATHE_VULKAN_WANT
  const float priority = 1;
  const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                         .queueFamilyIndex = physical.family,
                                         .queueCount = 1,
                                         .pQueuePriorities = &priority};
  const char* const extension = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
  const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                   .pNext = &wanted.core,
                                   .queueCreateInfoCount = 1,
                                   .pQueueCreateInfos = &queue,
                                   .enabledExtensionCount = physical.imports ? 1u : 0u,
                                   .ppEnabledExtensionNames = &extension};
  auto vulkan = std::make_shared<VulkanHandle>();
  const VkResult made = instance->vkCreateDevice(physical.handle, &info, nullptr, &vulkan->device);
  if (made != VK_SUCCESS)
    return fail(ErrorKind::kUnavailable, "{} cannot be opened ({})", physical.facts.name,
                vulkan_result(made));
  bool whole = true;
#define LATHE_VULKAN_FIND(name)                                                           \
  vulkan->name =                                                                          \
      reinterpret_cast<PFN_##name>(instance->vkGetDeviceProcAddr(vulkan->device, #name)); \
  whole = whole && vulkan->name != nullptr;
  LATHE_VULKAN_OF_DEVICE(LATHE_VULKAN_FIND)
  if (physical.imports) {
    LATHE_VULKAN_FIND(vkGetMemoryHostPointerPropertiesEXT)
  }
#undef LATHE_VULKAN_FIND
  vulkan->instance = std::move(instance);
  vulkan->physical = std::move(physical);
  if (!whole)
    return fail(ErrorKind::kUnavailable, "the driver of {} lacks functions of Vulkan 1.3",
                vulkan->physical.facts.name);
  vulkan->vkGetDeviceQueue(vulkan->device, vulkan->physical.family, 0, &vulkan->queue);
  return vulkan;
}

VulkanHandle::~VulkanHandle() {
  if (abandoned)
    instance->abandoned = true;
  else if (device && vkDestroyDevice)
    vkDestroyDevice(device, nullptr);
}

}  // namespace lathe::infer
