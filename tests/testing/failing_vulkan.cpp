// A loader of Vulkan for tests: the machine's own, but for one function, which fails as
// FAILING_VULKAN says when the instance is made. Work fails from the second submission on.
#define VK_NO_PROTOTYPES
#include <dlfcn.h>
#include <vulkan/vulkan_core.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace {

std::string how;  // it fails
int submissions = 0;
VkDevice device_made = nullptr;  // kept, as the driver of one that hangs keeps it

PFN_vkGetInstanceProcAddr find_really = nullptr;
PFN_vkGetDeviceProcAddr find_of_device = nullptr;

template <class Function>
Function really(VkInstance instance, const char* name) {
  return reinterpret_cast<Function>(find_really(instance, name));
}
template <class Function>
Function really_of_device(const char* name) {
  return reinterpret_cast<Function>(find_of_device(device_made, name));
}

VkResult create_instance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks* allocator,
                         VkInstance* instance) {
  const char* told = std::getenv("FAILING_VULKAN");
  how = told ? told : "";
  submissions = 0;
  if (how == "instance") return VK_ERROR_INITIALIZATION_FAILED;
  return really<PFN_vkCreateInstance>(nullptr, "vkCreateInstance")(info, allocator, instance);
}

VkResult enumerate_devices(VkInstance, std::uint32_t*, VkPhysicalDevice*) {
  return VK_ERROR_UNKNOWN;
}

VkResult no_device(VkPhysicalDevice, const VkDeviceCreateInfo*, const VkAllocationCallbacks*,
                   VkDevice*) {
  return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

VkResult allocate(VkDevice, const VkMemoryAllocateInfo*, const VkAllocationCallbacks*,
                  VkDeviceMemory*) {
  return VK_ERROR_OUT_OF_HOST_MEMORY;
}

VkResult submit(VkQueue queue, std::uint32_t count, const VkSubmitInfo* infos, VkFence fence) {
  if (++submissions > 1) return VK_ERROR_DEVICE_LOST;
  return really_of_device<PFN_vkQueueSubmit>("vkQueueSubmit")(queue, count, infos, fence);
}

VkResult wait(VkDevice device, const VkSemaphoreWaitInfo* info, std::uint64_t timeout) {
  const VkResult ended =
      really_of_device<PFN_vkWaitSemaphores>("vkWaitSemaphores")(device, info, timeout);
  if (*info->pValues < 2) return ended;
  return how == "hang" ? VK_TIMEOUT : VK_ERROR_DEVICE_LOST;
}

PFN_vkVoidFunction find_for_device(VkDevice device, const char* name) {
  device_made = device;
  const std::string_view wanted = name;
  if (how == "memory" && wanted == "vkAllocateMemory")
    return reinterpret_cast<PFN_vkVoidFunction>(allocate);
  if (how == "submit" && wanted == "vkQueueSubmit")
    return reinterpret_cast<PFN_vkVoidFunction>(submit);
  if ((how == "wait" || how == "hang") && wanted == "vkWaitSemaphores")
    return reinterpret_cast<PFN_vkVoidFunction>(wait);
  return find_of_device(device, name);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) PFN_vkVoidFunction vkGetInstanceProcAddr(
    VkInstance instance, const char* name) {
  if (!find_really)
    find_really = reinterpret_cast<PFN_vkGetInstanceProcAddr>(
        ::dlsym(::dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL), "vkGetInstanceProcAddr"));
  const std::string_view wanted = name;
  if (wanted == "vkCreateInstance") return reinterpret_cast<PFN_vkVoidFunction>(create_instance);
  if (wanted == "vkEnumeratePhysicalDevices" && how == "devices")
    return reinterpret_cast<PFN_vkVoidFunction>(enumerate_devices);
  if (wanted == "vkCreateDevice" && how == "device")
    return reinterpret_cast<PFN_vkVoidFunction>(no_device);
  if (wanted == "vkGetDeviceProcAddr") {
    find_of_device = really<PFN_vkGetDeviceProcAddr>(instance, name);
    return reinterpret_cast<PFN_vkVoidFunction>(find_for_device);
  }
  return find_really(instance, name);
}
